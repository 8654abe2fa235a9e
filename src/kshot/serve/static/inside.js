// Look inside: how similar the model finds every query and every example, and where it puts them in the plane.

import { short } from "./answer.js";
import { ask, Failure, Latest } from "./api.js";
import { $, h, options, put, s } from "./dom.js";
import { task } from "./task.js";

const PICTURE = 34; // side in the plane, in pixels

export class Inside {
  constructor(about) {
    this.models = about.models.filter((m) => m.kind === "pictures");
    this.latest = new Latest();
    this.found = null;
    this.open = false;
    this.model = $("#inside-model");
    this.measure = $("#measure");
    options(this.model, this.models.map((m) => [m.name, m.name]));
    this.model.addEventListener("change", () => this.refresh());
    this.measure.addEventListener("change", () => this.render());
    task.on(() => this.refresh());
    new ResizeObserver(() => this.#plane()).observe($("#plane"));
  }

  /** The tab is seen or not: what nobody sees is not asked for. */
  show(open) {
    this.open = open;
    if (open) this.refresh();
  }

  refresh() {
    if (!this.open) return;
    const drawn = task.chosen < 0 && !task.query.empty ? [task.query] : [];
    const queries = [...drawn, ...task.queries];
    const hint = task.hint && !queries.length ? `${task.hint} Do it under Draw; this page shows what the model makes of it.`
      : task.unnamed || task.support([1]).length < 2 ? `${task.hint} Do it under Draw.` : "";
    put($("#inside-hint"), hint);
    $("#inside-body").hidden = Boolean(hint);
    if (hint) return;
    this.latest.run(async () => {
      const model = this.models.find((m) => m.name === this.model.value), classes = task.support(model.shape);
      if (model.way !== null && classes.length > model.way) {
        put($("#inside-hint"), `${model.name} was made for ${model.way} classes, and these are ${classes.length}: choose another model.`);
        $("#inside-body").hidden = true;
        return;
      }
      $("#inside-body").hidden = false;
      try {
        this.found = await ask("/api/inside", {
          model: model.name, classes, queries: queries.map((d) => d.send(model.shape, task.centred)),
        });
        this.truths = queries.map((d) => d.label);
        put($("#inside-hint"));
        this.render();
      } catch (failure) {
        if (!(failure instanceof Failure)) throw failure;
        put($("#inside-hint"), failure.message);
        $("#inside-body").hidden = true;
      }
    });
  }

  render() {
    if (!this.found) return;
    const { features, dimensions, explained, labels, query_seen: queries } = this.found;
    put($("#inside-what"), `${labels.length} examples and ${queries.length} ${queries.length === 1 ? "query" : "queries"} as the model `
      + `receives them, each described by ${dimensions} numbers: ${features}.`);
    put($("#plane-what"), `The two directions in which the ${dimensions} numbers vary most; they hold `
      + `${Math.round(100 * explained[0])} % and ${Math.round(100 * explained[1])} % of the variation.`);
    this.#matrix();
    this.#plane();
  }

  #matrix() {
    const { labels, examples, support_seen: seen, query_seen: queries, predictions } = this.found;
    const distance = this.measure.value === "distances";
    const values = this.found[this.measure.value];
    const flat = values.flat();
    const low = Math.min(...flat), high = Math.max(...flat);
    const head = h("tr", {}, h("td", {}), labels.map((label, k) => h("th", { scope: "col", title: label },
      h("img", { src: seen[k], alt: "" }), h("span", {}, short(label)),
      labels.filter((l) => l === label).length > 1 ? h("small", {}, `example ${examples[k] + 1}`) : null)));
    const rows = values.map((row, q) => {
      const best = distance ? Math.min(...row) : Math.max(...row);
      const truth = this.truths[q];
      const verdict = truth === null ? "" : truth === predictions[q] ? " ✓" : " ✗";
      return h("tr", {}, h("th", { scope: "row" }, h("img", { src: queries[q], alt: "" }),
        h("span", {}, `${q + 1}: ${short(predictions[q])}${verdict}`)),
      row.map((v) => {
        const near = high > low ? (distance ? high - v : v - low) / (high - low) : 1;
        const cell = h("td", { class: v === best ? "nearest" : null }, `${v === best ? "▸ " : ""}${number(v)}`);
        cell.style.setProperty("--near", near.toFixed(3));
        return cell;
      }));
    });
    put($("#matrix-what"), distance
      ? "Distance of every query (rows) from every example (columns); ▸ marks the nearest of a row."
      : "Cosine of the angle between every query (rows) and every example (columns); ▸ marks the largest of a row.");
    put($("#matrix"), h("thead", {}, head), h("tbody", {}, rows));
  }

  #plane() {
    const svg = $("#plane");
    const width = svg.clientWidth;
    if (!width || !this.found) return;
    const { labels, support_plane: support, query_plane: queries, mean_plane: means, support_seen: seen, query_seen: asked,
      predictions } = this.found;
    const height = Math.max(280, Math.min(460, 0.7 * width)), edge = PICTURE / 2 + 24;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.setProperty("height", `${height}px`);
    const every = [...support, ...queries];
    const xs = every.map((p) => p.x), ys = every.map((p) => p.y);
    const middle = (v) => (Math.min(...v) + Math.max(...v)) / 2;
    const spread = (v) => Math.max(...v) - Math.min(...v) || 1;
    const scale = Math.min((width - 2 * edge) / spread(xs), (height - 2 * edge) / spread(ys));
    const at = (p) => [width / 2 + scale * (p.x - middle(xs)), height / 2 - scale * (p.y - middle(ys))];
    const several = labels.some((l, i) => labels.indexOf(l) !== i);
    $("#mean-key").hidden = !several;
    const parts = [];
    support.forEach((p, i) => {
      const [mx, my] = at(means[labels[i]]), [x, y] = at(p);
      if (several) parts.push(s("line", { class: "spoke", x1: x, y1: y, x2: mx, y2: my }));
    });
    support.forEach((p, i) => parts.push(picture(at(p), seen[i], "example", several ? "" : short(labels[i]), `Example of ${labels[i]}`)));
    const names = [];
    if (several) for (const [label, mean] of Object.entries(means)) {
      const [x, y] = at(mean);
      parts.push(s("path", { class: "mean", d: `M${x - 6} ${y}h12M${x} ${y - 6}v12` }));
      names.push(s("text", { class: "mean-name", x: x + 9, y: y - 5 }, short(label)));
    }
    queries.forEach((p, i) => parts.push(picture(at(p), asked[i], "query", `${i + 1}`,
      `Query ${i + 1}, taken for ${predictions[i]}`)));
    put(svg, ...parts, ...names);
  }
}

function picture([x, y], url, kind, text, title) {
  const half = PICTURE / 2;
  return s("g", { class: kind }, s("title", {}, title),
    s("image", { href: url, x: x - half, y: y - half, width: PICTURE, height: PICTURE }),
    kind === "query" ? s("circle", { cx: x, cy: y, r: half + 4 })
      : s("rect", { x: x - half, y: y - half, width: PICTURE, height: PICTURE }),
    s("text", { x, y: y + half + (kind === "query" ? 16 : 13), "text-anchor": "middle" }, text));
}

function number(v) {
  const size = Math.abs(v);
  return (size >= 100 ? v.toFixed(0) : size >= 10 ? v.toFixed(1) : v.toFixed(2)).replace("-", "−");
}
