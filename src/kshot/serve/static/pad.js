// A box to draw in: by mouse, pen, finger, or keyboard.

import { h } from "./dom.js";
import { paint } from "./drawing.js";

const STEP = 1 / 16, FINE = 1 / 64;
const MOVES = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  Home: [-1, -1], PageUp: [1, -1], End: [-1, 1], PageDown: [1, 1],
};

export class Pad {
  #cursor = null; // where the keyboard's pen is
  #down = false; // whether it draws
  #stroke = null; // the stroke that is being drawn
  #pointer = null; // the finger, pen or mouse that draws it
  #image = null;

  /** changed: called when the drawing has changed; say: tells screen readers. */
  constructor(drawing, name, { changed, say }) {
    this.drawing = drawing;
    this.name = name;
    this.changed = changed;
    this.say = say;
    this.canvas = h("canvas", {
      class: "pad", tabindex: 0, role: "application", "aria-roledescription": "drawing box",
      "aria-describedby": "keys",
      onpointerdown: (e) => this.#begin(e), onpointermove: (e) => this.#go(e), onpointerup: (e) => this.#end(e),
      onpointercancel: (e) => this.#end(e), onkeydown: (e) => this.#key(e), onblur: () => this.#lift(),
    });
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    this.update();
  }

  rename(name) {
    this.name = name;
    this.describe();
  }

  describe() {
    const n = this.drawing.strokes.length;
    const what = this.drawing.picture ? "a picture" : n ? `${n} stroke${n === 1 ? "" : "s"}` : "empty";
    this.canvas.setAttribute("aria-label", `${this.name}, ${what}`);
  }

  /** Show what the drawing has become. */
  update() {
    const url = this.drawing.picture?.thumbnail;
    if (!url) this.#image = null;
    else if (this.#image?.src !== url) {
      this.#image = new Image();
      this.#image.onload = () => this.paint();
      this.#image.src = url;
    }
    this.describe();
    this.paint();
  }

  paint() {
    const side = Math.round(this.canvas.clientWidth * (window.devicePixelRatio || 1));
    if (!side) return;
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, side, side);
    if (this.#image?.complete && this.#image.naturalWidth) this.#paintImage(context, side);
    paint(context, this.drawing.strokes, side, "#141414");
    if (this.#cursor) this.#paintCursor(context, side);
  }

  #paintImage(context, side) {
    const { naturalWidth: w, naturalHeight: t } = this.#image;
    const scale = side / Math.max(w, t);
    context.imageSmoothingEnabled = scale < 2.5; // small pictures are shown as they are, in pixels
    context.drawImage(this.#image, (side - w * scale) / 2, (side - t * scale) / 2, w * scale, t * scale);
  }

  #paintCursor(context, side) {
    const { x, y } = this.#cursor, r = side * 0.035;
    context.strokeStyle = "#0067a3";
    context.lineWidth = Math.max(1.5, side / 110);
    context.beginPath();
    context.arc(x * side, y * side, r, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x * side + dx * r, y * side + dy * r);
      context.lineTo(x * side + dx * r * 1.8, y * side + dy * r * 1.8);
    }
    context.stroke();
    if (this.#down) {
      context.fillStyle = "#0067a3";
      context.beginPath();
      context.arc(x * side, y * side, r * 0.6, 0, 2 * Math.PI);
      context.fill();
    }
  }

  #refuse() {
    if (!this.drawing.picture) return false;
    this.say("Here is a picture. Erase it first, then draw.");
    return true;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = (value) => Math.min(1, Math.max(0, value));
    return { x: part((event.clientX - box.left) / box.width), y: part((event.clientY - box.top) / box.height) };
  }

  #begin(event) {
    if (event.button !== 0 || this.#stroke) return;
    if (this.#refuse()) return;
    this.#cursor = null;
    this.#down = false;
    this.#pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.#stroke = [this.#place(event)];
    this.drawing.strokes.push(this.#stroke);
    this.#ink();
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
  }

  #go(event) {
    if (!this.#stroke || event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const e of events.length ? events : [event]) this.#stroke.push(this.#place(e));
    this.#ink();
  }

  #end(event) {
    if (!this.#stroke || event.pointerId !== this.#pointer) return;
    this.#stroke = this.#pointer = null;
    this.describe();
  }

  #ink() {
    this.drawing.touch();
    this.paint();
    this.changed();
  }

  #lift() {
    this.#cursor = this.#stroke = this.#pointer = null;
    this.#down = false;
    this.describe();
    this.paint();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) this.#move(move, event.shiftKey ? FINE : STEP);
    else if (event.key === " ") this.#toggle();
    else if (event.key === "Backspace") this.act("undo");
    else if (event.key === "Delete") this.act("erase");
    else if (event.key === "Escape" && this.#cursor) this.#lift();
    else return;
    event.preventDefault();
  }

  #move([dx, dy], step) {
    if (this.#refuse()) return;
    const { x, y } = this.#cursor ?? { x: 0.5, y: 0.5 };
    const part = (value) => Math.min(1, Math.max(0, value));
    this.#cursor = { x: part(x + dx * step), y: part(y + dy * step) };
    if (this.#down) {
      this.#stroke.push(this.#cursor);
      this.#ink();
    } else this.paint();
  }

  #toggle() {
    if (this.#refuse()) return;
    this.#cursor ??= { x: 0.5, y: 0.5 };
    this.#down = !this.#down;
    if (this.#down) {
      this.#stroke = [this.#cursor];
      this.drawing.strokes.push(this.#stroke);
      this.say("Pen down");
      this.#ink();
    } else {
      this.#stroke = null;
      this.say("Pen up");
      this.describe();
      this.paint();
    }
  }

  /** "undo" the last stroke, or "erase" all. */
  act(what) {
    this.#stroke = this.#pointer = null;
    this.#down = false;
    this.drawing[what]();
    this.say(what === "undo" ? "Last stroke taken back" : "Erased");
    this.update();
    this.changed();
  }
}
