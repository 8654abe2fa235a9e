// "Load a task": a task from data that the server has.

import { ask, Failure } from "./api.js";
import { $, h, put } from "./dom.js";
import { task } from "./task.js";

export class Load {
  constructor(about, say) {
    this.say = say;
    this.index = 0;
    const here = about.data.filter((d) => d.available);
    put($("#data"), here.map((d) => h("option", { value: d.name }, `${d.name}: ${d.title}`)));
    const absent = about.data.filter((d) => !d.available).map((d) => d.name);
    put($("#absent"), absent.length ? `Not here: ${absent.join(", ")}. kshot serve --data-dir FOLDER shows them where they lie.` : "");
    for (const id of ["#data", "#way", "#shot"]) $(id).addEventListener("change", () => (this.index = 0));
    $("#load-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
  }

  async load() {
    const button = $("#load-button");
    const wanted = {
      data: $("#data").value, way: Number($("#way").value), shot: Number($("#shot").value), query: 2,
      within: $("#within").checked, index: this.index,
    };
    button.disabled = true;
    put($("#load-note"), "Loading. The first task of some data takes a while.");
    try {
      const loaded = await ask("/api/task", wanted);
      task.load(loaded);
      this.index++;
      put($("#load-note"), `Task ${this.index}: ${loaded.description}`);
      button.textContent = "Load another";
      this.say(`A task of ${loaded.classes.length} classes was loaded`);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      put($("#load-note"), h("span", { class: "problem" }, failure.message));
    } finally {
      button.disabled = false;
    }
  }
}
