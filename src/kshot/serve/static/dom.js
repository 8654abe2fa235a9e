// Small helpers to make elements. No text ever becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: h("button", {class: "quiet", onclick: f}, "Erase"). Styles are an object, data an object. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  undo: "M8 4 4 8l4 4M4 8h10a6 6 0 0 1 0 12h-4",
  erase: "m7 20-3-3a2 2 0 0 1 0-2.8l8.2-8.2a2 2 0 0 1 2.8 0l4 4a2 2 0 0 1 0 2.8L12 20M7 20h13M8.5 9.7l6.8 6.8",
  upload: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  remove: "M6 6l12 12M18 6 6 18",
};

/** A small drawing for a button, which has its name in words. */
export function icon(name) {
  return s("svg", { class: "glyph", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
}

export const $ = (selector, root = document) => root.querySelector(selector);

/** Put these children in the place of those that are there. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child));
}

/** 0.973 -> "97 %"; what is nearly 0 or 1 is not called 0 or 1. */
export function percent(p) {
  const text = p > 0 && p < 0.005 ? "< 1" : p < 1 && p >= 0.995 ? "> 99" : String(Math.round(100 * p));
  return `${text} %`.replaceAll(" ", "\u00a0");
}

/** A text for screen readers, once nothing more has happened for a moment. */
export function announcer(element, wait = 700) {
  let timer = 0;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (element.textContent !== text) element.textContent = text;
    }, wait);
  };
}

/** Options of a select; the chosen value stays where it is still there. */
export function options(select, entries, chosen) {
  const kept = chosen ?? select.value;
  put(select, entries.map(([value, text]) => h("option", { value }, text)));
  if (entries.some(([value]) => value === kept)) select.value = kept;
}
