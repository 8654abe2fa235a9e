// Draw: examples, a query, and what one or two models say of it while the pen still moves.

import { Answer } from "./answer.js";
import { ask, Failure, Latest } from "./api.js";
import { Boxes } from "./boxes.js";
import { $, announcer, h, icon, options, put } from "./dom.js";
import { Drawing } from "./drawing.js";
import { Pad } from "./pad.js";
import { nameOf, task } from "./task.js";

const NONE = "none";
const REST = 250; // milliseconds without a stroke, after which the pen rests

export class Draw {
  constructor(about, say) {
    this.about = about;
    this.say = say;
    this.models = about.models.filter((m) => m.kind === "pictures");
    this.latest = [new Latest(), new Latest()];
    this.scoring = new Latest();
    this.resting = 0;
    this.answers = [new Answer(1), new Answer(2)];
    this.decided = [null, null];
    this.announce = announcer($("#live"));
    this.hint = $("#hint");
    this.boxes = new Boxes($("#boxes"), {
      limits: about.limits, say, upload: (files, owner) => this.upload(files, owner),
    });
    this.pad = new Pad(task.query, "Your drawing", { changed: () => this.#drawn(), say });
    $("#query").prepend(this.pad.canvas);
    this.#controls();
    task.on((what) => this.#changed(what));
    this.refresh();
  }

  #controls() {
    const names = this.models.map((m) => [m.name, m.name]);
    this.first = $("#model");
    this.second = $("#beside");
    options(this.first, names);
    options(this.second, [[NONE, "nothing"], ...names]);
    for (const select of [this.first, this.second]) select.addEventListener("change", () => this.#changed("model"));
    for (const act of ["undo", "erase", "upload"]) $(`#${act}`).prepend(icon(act));
    $("#undo").addEventListener("click", () => this.pad.act("undo"));
    $("#erase").addEventListener("click", () => this.pad.act("erase"));
    $("#restart").addEventListener("click", () => {
      task.reset();
      this.say("All boxes are empty again");
    });
    $("#centred").addEventListener("change", (e) => {
      task.centred = e.target.checked;
      [task.query, ...task.classes.flatMap((c) => c.examples)].forEach((d) => d.touch());
      this.#changed("examples");
    });
    const files = $("#query-files");
    $("#upload").addEventListener("click", () => files.click());
    files.addEventListener("change", () => {
      this.upload([...files.files], null);
      files.value = "";
    });
  }

  /** The models that are asked. */
  get chosen() {
    return [this.first.value, this.second.value]
      .map((name) => this.models.find((m) => m.name === name))
      .filter((m, i, all) => m && all.indexOf(m) === i);
  }

  #drawn() {
    if (task.chosen >= 0) {
      task.chosen = -1;
      task.query.label = null;
    }
    task.tell("query");
  }

  #changed(what) {
    if (what === "query" || what === "classes") this.pad.update();
    if (what === "classes" || what === "queries") this.#strip();
    else this.#press();
    if (what !== "query") this.scoring.run(() => this.score());
    this.refresh();
  }

  /** Ask the models about what is drawn now. */
  refresh() {
    const chosen = this.chosen;
    put($("#answers"), chosen.map((_, i) => this.answers[i].element));
    $("#answers").classList.toggle("two", chosen.length > 1);
    put(this.hint, task.hint || task.leftOut);
    this.hint.classList.toggle("calm", !task.hint);
    if (task.hint && this.#announced !== task.hint) this.announce((this.#announced = task.hint));
    if (!task.hint) this.#announced = "";
    chosen.forEach((model, i) => {
      this.answers[i].name(model, chosen.length > 1);
      if (task.hint) {
        this.answers[i].wait();
        this.decided = [null, null];
        this.boxes.mark(new Map());
      }
      this.latest[i].run(() => this.#ask(model, i, this.#single));
    });
    clearTimeout(this.resting);
    if (!task.hint && !this.#single) this.resting = setTimeout(() => this.#rest(), REST);
  }

  /** Whether finding out which example decided costs nothing. */
  get #single() {
    return task.classes.every((c) => c.examples.filter((d) => !d.empty).length < 2);
  }

  /** The pen rests: time to find out which example decided. */
  #rest() {
    this.chosen.forEach((model, i) => this.latest[i].run(() => this.#ask(model, i, true)));
  }

  #announced = "";

  async #ask(model, i, decide) {
    if (task.hint || this.chosen[i] !== model) return;
    const answer = this.answers[i], classes = task.support(model.shape);
    if (model.way !== null && classes.length > model.way) {
      answer.fail(`${model.name} was made for ${model.way} classes, and these are ${classes.length}. Remove classes, or choose another model.`);
      return;
    }
    try {
      const { predictions, milliseconds } = await ask("/api/predict", {
        model: model.name, classes, queries: [task.query.send(model.shape, task.centred)], decide,
      });
      if (task.hint || this.chosen[i] !== model) return;
      answer.show(predictions[0], milliseconds, { asked: decide, quick: !decide || this.#single });
      if (decide) this.#decide(i, predictions[0]);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      answer.fail(failure.message);
    }
    this.announce(this.chosen.map((m, k) => `${m.name}: ${this.answers[k].says}`).join(" "));
  }

  #decide(i, { label, decided }) {
    const owner = task.classes.find((c) => nameOf(c) === label);
    this.decided[i] = decided && owner ? owner.examples.filter((d) => !d.empty)[decided.example] : null;
    const both = this.chosen.length > 1;
    const marks = new Map();
    this.decided.forEach((drawing, k) => {
      if (!drawing) return;
      marks.set(drawing, both ? [marks.get(drawing), k + 1].filter(Boolean).join(" + ") : true);
    });
    this.boxes.mark(marks);
  }

  /** The pictures of a loaded task, to be asked one by one. */
  #strip() {
    const strip = $("#strip");
    strip.hidden = !task.queries.length;
    put($("#strip-pictures"), task.queries.map((d, i) => h("button", {
      type: "button", "aria-pressed": String(i === task.chosen), "aria-label": `Ask picture ${i + 1}`,
      onclick: () => task.choose(i),
    }, h("img", { src: d.thumbnail, alt: "" }), h("span", { class: "verdict", "aria-hidden": "true" }))));
    put($("#strip-score"));
  }

  /** Show which of them stands in the large box. */
  #press() {
    [...$("#strip-pictures").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === task.chosen)));
  }

  /** How many of the pictures the first model has right. */
  async score() {
    const model = this.chosen[0], queries = task.queries;
    if (!queries.length || !model) return;
    const classes = task.support(model.shape);
    if (task.unnamed || classes.length < 2 || (model.way !== null && classes.length > model.way)) {
      this.#strip();
      return;
    }
    try {
      const { predictions } = await ask("/api/predict", {
        model: model.name, classes, queries: queries.map((d) => d.send(model.shape, task.centred)), decide: false,
      });
      if (queries === task.queries) this.#scored(model, predictions);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      put($("#strip-score"), failure.message);
    }
  }

  #scored(model, predictions) {
    const buttons = $("#strip-pictures").children;
    let right = 0, known = 0;
    predictions.forEach(({ label }, i) => {
      const truth = task.queries[i]?.label;
      if (!buttons[i] || truth === undefined) return;
      const good = truth === label;
      if (truth !== null) {
        known++;
        right += good;
        buttons[i].lastChild.textContent = good ? "✓" : "✗";
        buttons[i].classList.toggle("wrong", !good);
      }
      const verdict = truth === null ? label : good ? `${label}, right` : `${label}, but it is ${truth}`;
      buttons[i].title = verdict;
      buttons[i].setAttribute("aria-label", `Ask picture ${i + 1}: ${verdict}`);
    });
    put($("#strip-score"), known ? `${right} of ${known} right (${model.name})` : "");
  }

  /** Put files into a class, or among the queries. */
  async upload(files, owner) {
    const problems = [], added = [];
    const room = owner ? this.about.limits.examples - owner.examples.filter((d) => !d.empty).length
      : this.about.limits.queries - 1 - task.queries.length;
    if (files.length > room) problems.push(`${files.length} files, and there is room for ${room}: the others were left out.`);
    for (const file of files.slice(0, Math.max(0, room))) {
      try {
        if (file.size > this.about.limits.upload_bytes) {
          const most = Math.round(this.about.limits.upload_bytes / 1e6);
          throw new Failure(`It has ${(file.size / 1e6).toFixed(1)} MB; at most ${most} MB are taken. Make it smaller.`);
        }
        added.push(await ask("/api/picture", file));
      } catch (failure) {
        if (!(failure instanceof Failure)) throw failure;
        problems.push(`${file.name}: ${failure.message}`);
      }
    }
    if (owner) {
      for (const picture of added) task.addPicture(owner, picture);
      task.tell("classes");
    } else if (added.length) {
      const drawings = added.map((picture) => Object.assign(new Drawing(), { picture }));
      const first = task.queries.length;
      task.setQueries([...task.queries, ...drawings]);
      task.choose(first);
    }
    const done = added.length ? `${added.length} picture${added.length === 1 ? "" : "s"} added.` : "";
    this.say([done, ...problems].filter(Boolean).join(" "), problems.length > 0);
  }
}
