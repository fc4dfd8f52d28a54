// What openapi.json says, for people.
import { element } from "./lists.js";

const api = await (await fetch("/openapi.json")).json();

const known = (schema) => (schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);

function kind(given) {
  const schema = known(given);
  const either = (schema.anyOf || []).filter((each) => each.type !== "null");
  if (either.length) return [...new Set(either.map(kind))].join(" or ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(", ");
  if (schema.type === "array") return `list of ${kind(schema.items)}${schema.maxItems ? `, at most ${schema.maxItems}` : ""}`;
  const range = schema.maximum !== undefined ? `, ${schema.minimum} to ${schema.maximum}` : "";
  return `${{ string: "text", object: "object" }[schema.type] || schema.type || "any"}${range}`;
}

// A row a field; the fields of an object follow it, where it is the first of its kind.
function fields(given, seen = new Set(["Single"]), depth = 0) {
  return Object.entries(known(given).properties || {}).flatMap(([name, field]) => {
    const cell = element("td", { className: `inner-${depth}` }, element("code", {}, name));
    const about = (field.description || "").replaceAll("`", "");
    const row = element("tr", {}, cell, element("td", {}, kind(field)), element("td", {}, about));
    const choices = [field, ...(field.anyOf || [])].map((each) => known(known(each).items || each));
    const object = choices.find((each) => each.properties && !seen.has(each.title));
    if (!object) return [row];
    seen.add(object.title);
    return [row, ...fields(object, seen, depth + 1)];
  });
}

const table = (rows) => element("table", {}, element("tbody", {}, ...rows));

function tryOut(path, method, body) {
  const shown = element("pre", { hidden: true, tabIndex: 0, role: "status", "aria-label": `Answer of ${path}` });
  const input = body === undefined ? null : element("textarea", { rows: 4, spellcheck: false, "aria-label": `Body for ${path}`, value: JSON.stringify(body, null, 1).replace(/\n\s*/g, " ") });
  const button = element("button", { type: "button", "aria-label": `Send to ${path}` }, "Send");
  button.addEventListener("click", async () => {
    const response = await fetch(path, { method: method.toUpperCase(), body: input ? input.value : undefined });
    const text = await response.text();
    const json = response.headers.get("content-type").startsWith("application/json");
    shown.hidden = false;
    shown.textContent = `${response.status}\n${json ? JSON.stringify(JSON.parse(text), null, 1) : text}`;
  });
  return [...(input ? [input] : []), element("div", { className: "buttons" }, button), shown];
}

function operation(path, method, about) {
  const content = about.requestBody && about.requestBody.content["application/json"];
  const answer = ((about.responses["200"] || {}).content || {})["application/json"];
  const parts = [
    element("h2", {}, element("b", {}, method.toUpperCase()), path),
    element("p", {}, [about.summary, about.description].filter(Boolean).join(". ").replaceAll("`", "")),
  ];
  if (content) parts.push(element("h3", {}, "Body"), table(fields(content.schema)));
  if (about.parameters) {
    parts.push(element("h3", {}, "Query"), table(about.parameters.map((each) => element(
      "tr", {}, element("td", {}, element("code", {}, each.name)), element("td", {}, kind(each.schema)),
      element("td", {}, each.description || each.schema.description || ""),
    ))));
  }
  if (answer && known(answer.schema).properties) parts.push(element("h3", {}, "Answer"), table(fields(answer.schema, new Set(["Single", "Lists"]))));
  const others = Object.entries(about.responses).filter(([status]) => status !== "200");
  if (others.length) {
    parts.push(element("h3", {}, "Otherwise"), table(others.map(([status, each]) => element(
      "tr", {}, element("td", {}, element("code", {}, status)), element("td", {}, each.description),
    ))));
  }
  parts.push(element("h3", {}, "Try it"), ...tryOut(path, method, content ? content.example : undefined));
  return element("section", { className: "op" }, ...parts);
}

document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}.`;
document.getElementById("operations").append(...Object.entries(api.paths).flatMap(
  ([path, methods]) => Object.entries(methods).map(([method, about]) => operation(path, method, about)),
));
