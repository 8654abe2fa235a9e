// Axes and lines in an SVG as wide as its place.

import { put, s } from "./dom.js";

const MARGIN = { left: 40, right: 12, top: 10, bottom: 34 };

export class Plot {
  /** shape: height for a width in pixels; x, y: [low, high]; titles of the axes. */
  constructor(svg, { shape, x, y, titles, whole = false }) {
    Object.assign(this, { svg, shape, x, y, titles, whole });
    this.width = this.height = 0;
  }

  /** Take the size of the place; whether there is room to draw. */
  measure() {
    this.width = this.svg.clientWidth;
    if (!this.width) return false;
    this.height = this.shape(this.width);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.style.setProperty("height", `${this.height}px`);
    return true;
  }

  px(x) {
    const room = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + ((x - this.x[0]) / (this.x[1] - this.x[0])) * room;
  }

  py(y) {
    const room = this.height - MARGIN.top - MARGIN.bottom;
    return this.height - MARGIN.bottom - ((y - this.y[0]) / (this.y[1] - this.y[0])) * room;
  }

  /** The place in the units of the axes of a pointer. */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const x = this.x[0] + ((px - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right)) * (this.x[1] - this.x[0]);
    const high = this.height - MARGIN.bottom;
    const y = this.y[0] + ((high - py) / (high - MARGIN.top)) * (this.y[1] - this.y[0]);
    return { x, y };
  }

  /** Draw the axes and, in front of them, these elements. */
  draw(...elements) {
    const { left, right, top, bottom } = MARGIN;
    const grid = [];
    for (const v of ticks(this.x, this.width / 70, this.whole)) {
      const x = this.px(v);
      grid.push(s("line", { class: "grid", x1: x, x2: x, y1: top, y2: this.height - bottom }),
        s("text", { class: "tick", x, y: this.height - bottom + 15, "text-anchor": "middle" }, write(v)));
    }
    for (const v of ticks(this.y, this.height / 50)) {
      const y = this.py(v);
      grid.push(s("line", { class: "grid", x1: left, x2: this.width - right, y1: y, y2: y }),
        s("text", { class: "tick", x: left - 6, y: y + 4, "text-anchor": "end" }, write(v)));
    }
    const id = `${this.svg.id}-inner`;
    const clip = s("clipPath", { id }, s("rect", {
      x: left, y: top, width: this.width - left - right, height: this.height - top - bottom,
    }));
    const titles = [
      s("text", { class: "tick", x: this.width - right, y: this.height - 3, "text-anchor": "end" }, this.titles[0]),
      s("text", { class: "tick", x: 2, y: top + 8 }, this.titles[1]),
    ];
    put(this.svg, clip, ...grid, ...titles, s("g", { "clip-path": `url(#${id})` }, elements));
  }

  line(xs, ys, kind) {
    const bound = (v) => Math.max(-1e5, Math.min(1e5, v));
    const d = xs.map((x, i) => `${i ? "L" : "M"}${this.px(x).toFixed(1)} ${bound(this.py(ys[i])).toFixed(1)}`).join("");
    return s("path", { class: `line ${kind}`, d });
  }
}

function ticks([low, high], about, whole = false) {
  const raw = (high - low) / Math.max(2, about);
  const power = 10 ** Math.floor(Math.log10(raw));
  let step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) found.push(Math.abs(v) < 1e-9 ? 0 : v);
  return found;
}

function write(v) {
  return String(Number(v.toPrecision(4))).replace("-", "−");
}
