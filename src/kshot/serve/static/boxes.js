// The boxes of the classes: a card for each class, a pad for each of its examples.

import { $, h, icon, put } from "./dom.js";
import { Pad } from "./pad.js";
import { nameOf, task } from "./task.js";

export class Boxes {
  #pads = new Map(); // Drawing -> {pad, element, mark}

  /** limits: of the server; say: tells screen readers; upload(files, class): puts pictures into a class. */
  constructor(place, { limits, say, upload }) {
    Object.assign(this, { place, limits, say, upload });
    task.on((what) => {
      if (what === "classes") this.render();
    });
    this.render();
  }

  render() {
    const focused = document.activeElement?.dataset?.focus;
    const old = this.#pads;
    this.#pads = new Map();
    put(this.place, task.classes.map((c) => this.#card(c, old)), this.#more());
    if (focused) $(`[data-focus="${focused}"]`, this.place)?.focus();
  }

  /** Mark the examples that decided: a Map from Drawing to the numbers of the models. */
  mark(decided) {
    for (const [drawing, { element, mark }] of this.#pads) {
      const by = decided.get(drawing);
      element.classList.toggle("decided", Boolean(by));
      mark.textContent = !by ? "" : by === true ? "decided" : `◆ ${by}`;
      mark.title = !by || by === true ? "" : `decided for model ${by}`;
    }
  }

  #more() {
    const full = task.classes.length >= this.limits.classes;
    return h("button", {
      class: "add-class", type: "button", disabled: full, data: { focus: "add-class" },
      title: full ? `At most ${this.limits.classes} classes` : null,
      onclick: () => {
        const added = task.addClass();
        $(`[data-focus="name-${added.id}"]`, this.place)?.select();
        this.say(`Class ${added.name} added`);
      },
    }, "+ Class");
  }

  #card(owner, old) {
    const total = task.classes.reduce((n, c) => n + c.examples.length, 0);
    const full = owner.examples.length >= this.limits.examples || total >= this.limits.support;
    const name = h("input", {
      class: "class-name", value: owner.name, maxlength: 80, "aria-label": "Name of the class", autocomplete: "off",
      spellcheck: "false", data: { focus: `name-${owner.id}` },
      oninput: (e) => this.#rename(owner, e.target.value), onchange: (e) => this.#named(owner, e.target),
    });
    const remove = h("button", {
      class: "icon", type: "button", "aria-label": `Remove class ${owner.name}`, title: "Remove this class",
      disabled: task.classes.length <= 2,
      onclick: () => {
        task.removeClass(owner.id);
        this.say(`Class ${owner.name} removed`);
        $(".class-name", this.place)?.focus();
      },
    }, icon("remove"));
    const files = h("input", {
      type: "file", accept: "image/*", multiple: true, class: "hidden", tabindex: -1, "aria-hidden": "true",
      onchange: (e) => {
        this.upload([...e.target.files], owner);
        e.target.value = "";
      },
    });
    const card = h("article", { class: "card", "aria-label": `Class ${owner.name}`, data: { class: owner.id } },
      h("header", {}, name, remove),
      h("div", { class: `examples${owner.examples.length > 1 ? " many" : ""}` },
        owner.examples.map((d, i) => this.#box(owner, d, i, old))),
      h("footer", {},
        h("button", {
          type: "button", class: "quiet", disabled: full, data: { focus: `shot-${owner.id}` },
          title: full ? `At most ${this.limits.examples} examples of a class, ${this.limits.support} in all` : null,
          onclick: () => {
            task.addExample(owner);
            this.say(`Example ${owner.examples.length} of ${owner.name} added`);
          },
        }, "+ Example"),
        h("button", {
          type: "button", class: "icon", "aria-label": `Upload pictures of ${owner.name}`, title: "Upload pictures",
          onclick: () => files.click(),
        }, icon("upload")), files));
    card.addEventListener("dragover", (e) => e.preventDefault());
    card.addEventListener("drop", (e) => {
      e.preventDefault();
      this.upload([...e.dataTransfer.files], owner);
    });
    return card;
  }

  #box(owner, drawing, i, old) {
    const name = `Example ${i + 1} of ${owner.name}`;
    let { pad, mark } = old.get(drawing) ?? {};
    if (pad) {
      pad.rename(name);
      pad.update();
    } else {
      pad = new Pad(drawing, name, { changed: () => task.tell("examples"), say: this.say });
      mark = h("span", { class: "mark" });
    }
    const tool = (act, label) => h("button", {
      type: "button", class: "icon", "aria-label": `${label} ${name}`, title: label, onclick: () => pad.act(act),
    }, icon(act));
    const gone = owner.examples.length > 1 && h("button", {
      type: "button", class: "icon", "aria-label": `Remove ${name}`, title: "Remove this example",
      onclick: () => {
        task.removeExample(owner, drawing);
        $(`[data-focus="shot-${owner.id}"]`, this.place)?.focus();
      },
    }, icon("remove"));
    const element = h("div", { class: "box" }, pad.canvas, mark,
      h("div", { class: "tools" }, tool("undo", "Undo"), tool("erase", "Erase"), gone));
    this.#pads.set(drawing, { pad, element, mark });
    return element;
  }

  #rename(owner, text) {
    owner.name = text;
    owner.examples.forEach((d, i) => this.#pads.get(d)?.pad.rename(`Example ${i + 1} of ${text}`));
    task.tell("examples");
  }

  #named(owner, input) {
    const taken = task.classes.some((c) => c !== owner && nameOf(c) === nameOf(owner));
    if (nameOf(owner) && !taken) return;
    this.say(taken ? `Another class is called ${owner.name}: it was given another name` : "A class needs a name");
    const wanted = nameOf(owner) || "class";
    let n = 2;
    while (task.classes.some((c) => c !== owner && nameOf(c) === `${wanted} ${n}`)) n++;
    owner.name = `${wanted} ${n}`;
    input.value = owner.name;
    this.#rename(owner, owner.name);
  }
}
