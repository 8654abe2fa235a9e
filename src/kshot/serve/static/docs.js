// The JSON API, told from /openapi.json: what it takes, what it gives, and a place to try it.

import { $, h, put } from "./dom.js";

const document_ = await (await fetch("/openapi.json")).json();
const schemas = document_.components.schemas;

/** A type in words, with links to the parts. */
function type(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return [h("a", { href: `#${name}` }, name)];
  }
  if (schema.anyOf) return schema.anyOf.flatMap((one, i) => (i ? [" or ", ...type(one)] : type(one)));
  if (schema.enum) return [schema.enum.map((v) => JSON.stringify(v)).join(", ")];
  if (schema.type === "array") return ["list of ", ...type(schema.items)];
  if (schema.type === "object" && schema.additionalProperties) return ["names to ", ...type(schema.additionalProperties)];
  return [schema.format === "binary" ? "the bytes of a file" : schema.type ?? "anything"];
}

function bounds(schema) {
  const told = [];
  const of = (low, high, what) => {
    if (low !== undefined && high !== undefined) told.push(`${low} to ${high}${what}`);
    else if (low !== undefined) told.push(`at least ${low}${what}`);
    else if (high !== undefined) told.push(`at most ${high}${what}`);
  };
  of(schema.minimum, schema.maximum, "");
  of(schema.minItems, schema.maxItems, " entries");
  of(schema.minLength, schema.maxLength, " letters");
  if (schema.default !== undefined) told.push(`by default ${JSON.stringify(schema.default)}`);
  return told.length ? ` (${told.join("; ")})` : "";
}

function table(rows) {
  return h("div", { class: "wide-table" }, h("table", {}, h("tbody", {}, rows.map(([name, schema, needed, more]) => h("tr", {},
    h("td", {}, h("code", {}, name), needed ? "" : " ?"), h("td", {}, type(schema), bounds(schema)),
    h("td", { class: "soft" }, more ?? schema.description ?? schema.items?.description ?? ""))))));
}

/** A value that fits a schema, to begin with. */
function example(schema, name = "") {
  if (schema.$ref) return example(schemas[schema.$ref.split("/").pop()]);
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.type === "object") {
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, value]) => [key, example(value, key)]));
  }
  if (schema.type === "array") return Array.from({ length: schema.minItems ?? 1 }, (_, i) => numbered(example(schema.items, name), i));
  if (schema.type === "string") return samples[name] ?? (schema.contentEncoding ? dot : "name");
  return schema.type === "boolean" ? false : schema.minimum > 0 ? schema.minimum : 1;
}

function numbered(value, i) {
  return value?.name ? { ...value, name: "AB"[i] ?? `class ${i + 1}` } : value;
}

const about = await (await fetch("/api/about")).json();
const samples = { model: about.models.find((m) => m.kind === "pictures")?.name, data: "glyphs" };
const curves = about.models.find((m) => m.kind === "curves")?.name;
const dot = (() => {
  const canvas = h("canvas", { width: 28, height: 28 });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 28, 28);
  context.fillStyle = "#000";
  context.fillRect(8, 8, 12, 12);
  return canvas.toDataURL();
})();

function trial(path, verb, body) {
  const out = h("pre", { hidden: true, "aria-live": "polite" });
  const start = body && example(body);
  if (start && path === "/api/curves" && curves) start.model = curves;
  const area = start && h("textarea", { "aria-label": `Body of ${path}`, spellcheck: "false" }, JSON.stringify(start, null, 1));
  const send = h("button", { type: "button", class: "main", onclick: async () => {
    const init = area ? { method: verb.toUpperCase(), headers: { "content-type": "application/json" }, body: area.value } : {};
    const response = await fetch(path, init);
    out.hidden = false;
    out.textContent = `${response.status}\n${JSON.stringify(await response.json(), null, 1).slice(0, 20000)}`;
  } }, "Send");
  return h("details", {}, h("summary", {}, "Try it"), area, h("p", {}, send), out);
}

function operation(path, verb, told) {
  const content = told.requestBody?.content ?? {};
  const [kind, body] = Object.entries(content)[0] ?? [];
  const answer = told.responses["200"].content["application/json"].schema;
  return h("section", { class: "operation" },
    h("h3", {}, h("span", { class: "verb" }, verb.toUpperCase()), h("code", {}, path)), h("p", {}, told.summary),
    told.parameters ? table(told.parameters.map((p) => [p.name, p.schema, p.required, p.description])) : null,
    body ? h("p", {}, "Takes ", kind === "application/json" ? "" : `${kind}: `, type(body.schema)) : null,
    h("p", {}, "Gives ", type(answer)),
    kind === undefined || kind === "application/json" ? trial(path, verb, body?.schema) : null);
}

put($("#about"), document_.info.description);
put($("#operations"), Object.entries(document_.paths).flatMap(([path, verbs]) =>
  Object.entries(verbs).map(([verb, told]) => operation(path, verb, told))));
put($("#schemas"), Object.entries(schemas).filter(([name]) => !name.includes("ValidationError")).map(([name, schema]) => h("section", { class: "schema", id: name },
  h("h3", {}, name), schema.description ? h("p", {}, schema.description) : null,
  schema.properties ? table(Object.entries(schema.properties).map(([key, value]) => [key, value, schema.required?.includes(key)])) : null)));
document.body.dataset.ready = "yes";
