// Watch: two models fit a sine curve, gradient step by gradient step, to points that the visitor places.

import { ask, Failure, Latest } from "./api.js";
import { $, announcer, h, options, put, s } from "./dom.js";
import { Plot } from "./plot.js";

const NONE = "none";
const X = [-5, 5], Y = [-6, 6];
const KINDS = ["one", "two"];

export class Watch {
  constructor(about, say) {
    this.about = about;
    this.say = say;
    this.models = about.models.filter((m) => m.kind === "curves");
    this.points = [];
    this.truth = null; // {amplitude, phase} of a drawn curve
    this.fits = [null, null];
    this.cursor = null;
    this.latest = [new Latest(), new Latest()];
    this.announce = announcer($("#watch-live"));
    this.plot = new Plot($("#curve"), {
      shape: (width) => Math.max(250, Math.min(430, 0.62 * width)), x: X, y: Y, titles: ["x", "y"],
    });
    this.errors = new Plot($("#errors"), {
      shape: () => 190, x: [0, 10], y: [0, 1], titles: ["step", ""], whole: true,
    });
    if (!this.models.length) {
      $("#watch-none").hidden = false;
      $("#watch-body").hidden = true;
      return;
    }
    this.#controls();
    new ResizeObserver(() => this.render()).observe($("#curve"));
    this.another();
  }

  #controls() {
    const names = this.models.map((m) => [m.name, m.name]);
    const steps = this.models.filter((m) => m.method === "pretrained");
    this.first = $("#fit");
    this.second = $("#fit-beside");
    options(this.first, names, this.models[0].name);
    options(this.second, [[NONE, "nothing"], ...names], steps[0]?.name ?? this.models[1]?.name ?? NONE);
    for (const select of [this.first, this.second]) select.addEventListener("change", () => this.ask());
    this.slider = $("#steps");
    this.slider.addEventListener("input", () => {
      this.stop();
      this.render();
    });
    $("#most").addEventListener("change", () => {
      this.slider.max = $("#most").value;
      this.ask();
    });
    $("#play").addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    $("#another-curve").addEventListener("click", () => this.another());
    $("#clear-points").addEventListener("click", () => {
      this.points = [];
      this.truth = null;
      this.ask();
      this.say("All points removed. Click into the plot to place new ones.");
    });
    const svg = $("#curve");
    svg.addEventListener("click", (e) => this.#click(e));
    svg.addEventListener("keydown", (e) => this.#key(e));
    svg.addEventListener("blur", () => {
      this.cursor = null;
      this.render();
    });
  }

  /** A sine curve of the kind the models were trained on, and some points of it. */
  async another() {
    this.stop();
    try {
      const shot = Number($("#curve-points").value);
      const { amplitude, phase, points } = await ask(`/api/curve?seed=${Math.floor(Math.random() * 2 ** 31)}&shot=${shot}`);
      this.truth = { amplitude, phase };
      this.points = points;
      this.ask();
    } catch (failure) {
      this.#fail(failure);
    }
  }

  get chosen() {
    return [this.first.value, this.second.value]
      .map((name) => this.models.find((m) => m.name === name))
      .filter((m, i, all) => m && all.indexOf(m) === i);
  }

  #click(event) {
    const place = this.plot.at(event);
    if (place.x < X[0] || place.x > X[1] || place.y < Y[0] || place.y > Y[1]) return;
    const near = this.points.findIndex((p) => Math.hypot(
      this.plot.px(p.x) - this.plot.px(place.x), this.plot.py(p.y) - this.plot.py(place.y)) < 12);
    if (near >= 0) this.remove(near);
    else this.add(place);
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (move) {
      const step = event.shiftKey ? 0.1 : 0.5;
      const { x, y } = this.cursor ?? { x: 0, y: 0 };
      const into = (v, [low, high]) => Math.round(10 * Math.max(low, Math.min(high, v))) / 10;
      this.cursor = { x: into(x + move[0] * step, X), y: into(y + move[1] * step, Y) };
      this.announce(`x ${this.cursor.x}, y ${this.cursor.y}`);
      this.render();
    } else if (event.key === "Enter" || event.key === " ") {
      this.cursor ??= { x: 0, y: 0 };
      this.add(this.cursor);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const { x, y } = this.cursor ?? { x: 0, y: 0 };
      const far = this.points.map((p) => Math.hypot(p.x - x, p.y - y));
      if (far.length) this.remove(far.indexOf(Math.min(...far)));
    } else return;
    event.preventDefault();
  }

  add({ x, y }) {
    if (this.points.length >= this.about.limits.points) {
      this.say(`There are ${this.points.length} points, as many as are taken. Remove one first.`, true);
      return;
    }
    this.points = [...this.points, { x: Math.round(x * 100) / 100, y: Math.round(y * 100) / 100 }];
    this.ask();
  }

  remove(i) {
    this.points = this.points.filter((_, k) => k !== i);
    this.ask();
  }

  /** Ask for all steps at once: the slider then needs no server. */
  ask() {
    const most = Number($("#most").value);
    this.slider.max = most;
    this.render();
    [0, 1].forEach((i) => this.latest[i].run(async () => {
      const model = this.chosen[i], points = this.points;
      this.fits[i] = this.fits[i]?.model === model?.name && points.length ? this.fits[i] : null;
      if (!model || !points.length) {
        this.render();
        return;
      }
      try {
        this.fits[i] = await ask("/api/curves", {
          model: model.name, points: points.map(({ x, y }) => ({ x, y })), steps: most,
        });
        put($("#watch-problem"));
      } catch (failure) {
        this.#fail(failure);
      }
      this.render();
    }));
  }

  #fail(failure) {
    if (!(failure instanceof Failure)) throw failure;
    put($("#watch-problem"), failure.message);
  }

  play() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still || Number(this.slider.value) >= Number(this.slider.max)) this.slider.value = 0;
    $("#play").textContent = "Pause";
    const next = () => {
      if (Number(this.slider.value) >= Number(this.slider.max)) return this.stop();
      this.slider.value = Number(this.slider.value) + 1;
      this.render();
    };
    this.render();
    this.timer = setInterval(next, still ? 1000 : 300);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    $("#play").textContent = "Play";
  }

  render() {
    if (!this.models.length || !this.plot.measure()) return;
    const step = Number(this.slider.value);
    $("#step").textContent = `${step} of ${this.slider.max}`;
    this.slider.setAttribute("aria-valuetext", `${step} gradient steps`);
    this.#drawCurves(step);
    this.#drawErrors(step);
    this.#legend(step);
    this.#list();
  }

  #drawCurves(step) {
    const parts = [];
    if (this.truth) {
      const xs = Array.from({ length: 101 }, (_, i) => X[0] + (i / 100) * (X[1] - X[0]));
      const { amplitude, phase } = this.truth;
      parts.push(this.plot.line(xs, xs.map((x) => amplitude * Math.sin(x - phase)), "truth"));
    }
    this.fits.forEach((fit, i) => fit && parts.push(this.plot.line(fit.x, row(fit.y, step), KINDS[i])));
    for (const { x, y } of this.points) {
      parts.push(s("circle", { class: "point", cx: this.plot.px(x), cy: this.plot.py(y), r: 5.5 }));
    }
    if (this.cursor) {
      const x = this.plot.px(this.cursor.x), y = this.plot.py(this.cursor.y);
      parts.push(s("path", { class: "cursor", d: `M${x - 12} ${y}h24M${x} ${y - 12}v24` }));
    }
    this.plot.draw(...parts);
    this.plot.svg.setAttribute("aria-label",
      `Curves after ${step} steps, ${this.points.length} points. Arrow keys move a cross, Enter places a point.`);
  }

  #drawErrors(step) {
    const fits = this.fits.filter(Boolean);
    const most = Math.max(0.1, ...fits.flatMap((f) => f.errors).filter((e) => e < 1e4));
    Object.assign(this.errors, { x: [0, Math.max(1, Number(this.slider.max))], y: [0, most * 1.05] });
    if (!this.errors.measure()) return;
    const x = this.errors.px(step);
    this.errors.draw(
      s("line", { class: "now", x1: x, x2: x, y1: 0, y2: 400 }),
      ...this.fits.map((fit, i) => fit && this.errors.line(
        [...Array(Number(this.slider.max) + 1).keys()],
        [...Array(Number(this.slider.max) + 1).keys()].map((k) => row(fit.errors, k)), KINDS[i])).filter(Boolean));
  }

  #legend(step) {
    const sample = (kind) => s("svg", { class: "sample", viewBox: "0 0 34 10", "aria-hidden": "true" },
      s("path", { class: `line ${kind}`, d: "M1 5H33" }));
    const entries = this.fits.map((fit, i) => fit && h("li", {}, sample(KINDS[i]), h("span", {}, fit.model),
      h("span", { class: "value" }, `error ${write(row(fit.errors, step))}`),
      fit.own_steps === null ? h("span", { class: "soft" }, "no steps: it reads the points") : null));
    const truth = this.truth && h("li", {}, sample("truth"), h("span", {}, "the curve itself"));
    put($("#curve-legend"), ...entries.filter(Boolean), truth);
    const told = this.fits.filter(Boolean).map((f) => `${f.model}, error ${write(row(f.errors, step))}`).join("; ");
    put($("#watch-hint"), this.points.length ? "" : "Click into the plot to place a point, or take another curve.");
    if (told && !this.timer) this.announce(`After ${step} steps: ${told}`);
  }

  #list() {
    if (this.listed === this.points) return;
    this.listed = this.points;
    const place = $("#points");
    const focused = [...place.querySelectorAll("button")].indexOf(document.activeElement);
    put(place, this.points.map(({ x, y }, i) => h("li", {}, h("button", {
      type: "button", class: "chip", "aria-label": `Remove the point x ${round(x)}, y ${round(y)}`,
      onclick: () => this.remove(i),
    }, `${round(x)}, ${round(y)} `, h("span", { "aria-hidden": "true" }, "×")))));
    if (focused < 0) return;
    const left = place.querySelectorAll("button");
    (left[Math.min(focused, left.length - 1)] ?? this.plot.svg).focus();
  }
}

function row(values, step) {
  return values[Math.min(step, values.length - 1)];
}

function round(v) {
  return String(Math.round(v * 10) / 10).replace("-", "−");
}

function write(error) {
  return error >= 1e4 ? "beyond bounds" : error >= 10 ? error.toFixed(1) : error >= 0.01 ? error.toFixed(2) : error.toFixed(4);
}
