// What a model says of the query: bars, and the example that decided.

import { h, percent, put } from "./dom.js";
import { nameOf, task } from "./task.js";

export class Answer {
  /** number: 1, or 2 for the model beside it. */
  constructor(number) {
    this.number = number;
    this.title = h("h3", {});
    this.time = h("span", { class: "time" });
    this.bars = h("ol", { class: "bars" });
    this.reason = h("p", { class: "reason" });
    this.element = h("section", { class: "answer", "aria-label": "Answer" },
      h("header", {}, this.title, this.time), this.bars, this.reason);
    this.rows = new Map();
    this.says = "";
  }

  name(model, both) {
    put(this.title, both ? h("span", { class: "number" }, String(this.number)) : null, both ? " " : null, model.name);
    this.element.setAttribute("aria-label", `Answer of ${model.name}`);
    this.title.title = `${model.title}, ${model.trained}`;
  }

  /** Nothing to say yet: bars at nought. */
  wait() {
    this.#draw(task.classes.map((c) => [nameOf(c), null]), null);
    put(this.reason);
    this.time.textContent = "";
    this.says = "";
  }

  fail(text) {
    put(this.bars);
    this.rows.clear();
    put(this.reason, h("span", { class: "problem" }, text));
    this.time.textContent = "";
    this.says = text;
  }

  show({ label, probability, probabilities, decided }, milliseconds, { asked, quick }) {
    const rows = task.classes.map(nameOf).map((name) => [name, probabilities[name] ?? null]);
    this.#draw(rows, label);
    if (quick) this.time.textContent = `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
    const verdict = task.query.label === null ? "" : task.query.label === label ? " That is right." : ` It is ${task.query.label}.`;
    const [picture, why] = asked ? this.#reason(label, decided) : [null, ""];
    put(this.reason, picture, h("span", {}, why, verdict && h("strong", {}, verdict)));
    this.says = `${label}, ${percent(probability)}.${verdict}`;
  }

  #reason(label, decided) {
    if (!decided) return [null, `${label}. Too many examples to find out which decided.`];
    const owner = task.classes.find((c) => nameOf(c) === label);
    const drawing = owner?.examples.filter((d) => !d.empty)[decided.example];
    const picture = drawing && h("img", { src: drawing.thumbnail, alt: "", class: "mini" });
    const why = decided.without === null
      ? `Decided by the one example of ${label}.`
      : `Decided by example ${decided.example + 1} of ${label}: without it, ${percent(decided.without)}.`;
    return [picture, why];
  }

  #draw(rows, best) {
    if (rows.map(([name]) => name).join("\n") !== [...this.rows.keys()].join("\n")) {
      this.rows = new Map(rows.map(([name]) => [name, row(name)]));
      put(this.bars, [...this.rows.values()].map((r) => r.element));
    }
    for (const [name, p] of rows) {
      const { element, picture, bar, value } = this.rows.get(name);
      const first = task.classes.find((c) => nameOf(c) === name)?.examples.find((d) => !d.empty);
      picture.hidden = !first;
      if (first && picture.getAttribute("src") !== first.thumbnail) picture.src = first.thumbnail;
      element.classList.toggle("best", name === best);
      bar.style.setProperty("width", `${100 * (p ?? 0)}%`);
      value.textContent = p === null ? "–" : percent(p);
    }
  }
}

function row(name) {
  const bar = h("span", { class: "bar" }), value = h("span", { class: "value" });
  const picture = h("img", { class: "mini", alt: "" });
  const element = h("li", {}, h("span", { class: "name", title: name }, picture, h("span", {}, short(name))),
    h("span", { class: "track", "aria-hidden": "true" }, bar), value);
  return { element, picture, bar, value };
}

/** The end of a long name such as "Armenian/ARMENIAN SMALL LETTER AYB". */
export function short(name) {
  const last = name.split("/").pop();
  return last.length > 26 ? `…${last.slice(-25)}` : last;
}
