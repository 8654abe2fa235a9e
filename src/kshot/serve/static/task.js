// The task of the page: classes with examples, and queries. Draw changes it; Look inside reads it.

import { Drawing } from "./drawing.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** The name of a class as the server takes it. */
export const nameOf = (owner) => owner.name.trim().normalize();

class Task extends EventTarget {
  classes = []; // {id, name, examples: [Drawing]}
  queries = []; // loaded or uploaded pictures: [Drawing]
  query = new Drawing(); // in the large box
  chosen = -1; // which of the queries stands there; -1 for a drawing
  centred = true;
  #next = 0;

  constructor() {
    super();
    this.reset();
  }

  /** Tell everyone: "classes" when boxes came or went, "examples" when one changed, "query", "queries". */
  tell(what) {
    this.dispatchEvent(new CustomEvent("change", { detail: what }));
  }

  on(listener) {
    this.addEventListener("change", (event) => listener(event.detail));
  }

  reset(classes = 5) {
    this.classes = [];
    this.queries = [];
    this.chosen = -1;
    this.query.erase();
    for (let i = 0; i < classes; i++) this.addClass("", false);
    this.tell("classes");
  }

  addClass(name = "", told = true) {
    const taken = new Set(this.classes.map((c) => c.name));
    const free = [...LETTERS].find((letter) => !taken.has(letter)) ?? `class ${this.#next + 1}`;
    const added = { id: ++this.#next, name: name || free, examples: [new Drawing()] };
    this.classes.push(added);
    if (told) this.tell("classes");
    return added;
  }

  removeClass(id) {
    this.classes = this.classes.filter((c) => c.id !== id);
    this.tell("classes");
  }

  addExample(owner) {
    const drawing = new Drawing();
    owner.examples.push(drawing);
    this.tell("classes");
    return drawing;
  }

  removeExample(owner, drawing) {
    owner.examples = owner.examples.filter((d) => d !== drawing);
    this.tell("classes");
  }

  /** Put a picture into a class: into an empty box, or a new one. */
  addPicture(owner, picture) {
    const box = owner.examples.find((d) => d.empty) ?? new Drawing();
    if (!owner.examples.includes(box)) owner.examples.push(box);
    box.show(picture);
  }

  /** A task from data, as the server gave it. */
  load({ classes, queries }) {
    this.classes = [];
    for (const { name, pictures } of classes) {
      const added = this.addClass(name, false);
      added.examples = pictures.map((url) => shown({ thumbnail: url }));
    }
    this.setQueries(queries.map(({ picture, label }) => shown({ thumbnail: picture }, label)));
    this.tell("classes");
  }

  setQueries(drawings) {
    this.queries = drawings;
    this.choose(drawings.length ? 0 : -1);
    this.tell("queries");
  }

  /** Put one of the queries into the large box. */
  choose(i) {
    this.chosen = i;
    if (i >= 0) this.query.show(this.queries[i].picture, this.queries[i].label);
    else this.query.erase();
    this.tell("query");
  }

  /** Classes that have an example, as the server takes them; what it need not know is left out. */
  support(shape) {
    return this.classes
      .map((c) => ({
        name: nameOf(c),
        pictures: c.examples.filter((d) => !d.empty).map((d) => d.send(shape, this.centred)),
      }))
      .filter(({ pictures }) => pictures.length);
  }

  /** What is wrong with the names of the classes, or "". */
  get unnamed() {
    const names = this.classes.filter((c) => c.examples.some((d) => !d.empty)).map(nameOf);
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (names.includes("")) return "A class has no name. Give it one.";
    return twice ? `Two classes are called ${twice}. Rename one.` : "";
  }

  /** Why no model can be asked yet, or "". */
  get hint() {
    const ready = this.classes.filter((c) => c.examples.some((d) => !d.empty)).length;
    if (this.unnamed) return this.unnamed;
    if (ready < 2) {
      return ready ? "One class has an example. Draw one of another kind in a second box."
        : "Draw one example in each box: five different signs, letters or things.";
    }
    return this.query.empty ? "Now draw one of them again, in the large box." : "";
  }

  /** What is left out, in words, or "". */
  get leftOut() {
    const bare = this.classes.filter((c) => c.examples.every((d) => d.empty)).map((c) => c.name);
    if (!bare.length) return "";
    return `${bare.join(", ")} ${bare.length === 1 ? "has" : "have"} no example yet and ${
      bare.length === 1 ? "is" : "are"} left out.`;
  }
}

function shown(picture, label = null) {
  const drawing = new Drawing();
  drawing.show(picture, label);
  return drawing;
}

export const task = new Task();
