// The page: its tabs, and what they share.

import { ask, Failure } from "./api.js";
import { $, h, put } from "./dom.js";
import { Draw } from "./draw.js";
import { Inside } from "./inside.js";
import { Load } from "./load.js";
import { Watch } from "./watch.js";

const TABS = ["draw", "watch", "inside"];
let inside = null;

function show(name, focus = false) {
  for (const tab of TABS) {
    const chosen = tab === name;
    const button = $(`#tab-${tab}`);
    button.setAttribute("aria-selected", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) button.focus();
    $(`#panel-${tab}`).hidden = !chosen;
  }
  inside?.show(name === "inside");
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
}

function named() {
  const name = location.hash.slice(1);
  return TABS.includes(name) ? name : TABS[0];
}

/** Say something to everyone: a line at the foot, which screen readers read. */
function say(text, problem = false) {
  const note = $("#note");
  put(note, h("span", { class: problem ? "problem" : null }, text));
  note.classList.add("shown");
  clearTimeout(say.timer);
  if (!problem) say.timer = setTimeout(() => note.classList.remove("shown"), 4000);
}

for (const tab of TABS) {
  const button = $(`#tab-${tab}`);
  button.addEventListener("click", () => show(tab));
  button.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move) show(TABS[(TABS.indexOf(tab) + move + TABS.length) % TABS.length], true);
  });
}
addEventListener("hashchange", () => show(named()));
show(named());

try {
  const about = await ask("/api/about");
  put($("#version"), about.version);
  new Draw(about, say);
  new Load(about, say);
  inside = new Inside(about);
  new Watch(about, say);
  show(named());
  document.body.dataset.ready = "yes";
} catch (failure) {
  if (!(failure instanceof Failure)) throw failure;
  say(failure.message, true);
}
