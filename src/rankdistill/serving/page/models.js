// What a server has: its models, and how long a list it makes.
import { dot, element, ROLES } from "./lists.js";

export const NONE = "–";
const [LENGTHS, LENGTH] = [[5, 10, 20], 10];

const number = (value) => new Intl.NumberFormat("en").format(value);
const short = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
const size = (bytes) => {
  const [unit, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([each]) => bytes >= each) || [1, "bytes"];
  return `${Number((bytes / unit).toPrecision(3))} ${name}`;
};

// A row a model; returns whether their quality is among it. What a list took is put into `ms-student` and `ms-teacher` when it is there.
export function drawModels(place, models) {
  const measured = Object.values(models).some((model) => model.metrics["ndcg@10"] !== undefined);
  const rows = Object.entries(models).map(([role, model]) => {
    const about = [model.kind, model.dim && `dim ${model.dim}`, model.precision].filter(Boolean);
    const quality = model.metrics["ndcg@10"];
    const last = measured ? (quality === undefined ? NONE : quality.toFixed(3)) : number(model.num_items);
    return element(
      "tr", {}, element("th", { scope: "row" }, dot(role), `${ROLES[role]} `, element("small", {}, about.join(" · "))),
      element("td", {}, short(model.parameters)), element("td", {}, size(model.bytes)),
      element("td", { id: `ms-${role}` }, NONE), element("td", {}, last),
    );
  });
  const heads = ["Parameters", "Model file", "This list", measured ? "nDCG@10" : "Items"];
  const head = element("tr", {}, element("td"), ...heads.map((name) => element("th", { scope: "col" }, name)));
  place.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  return measured;
}

// The usual lengths that the server takes, and its longest where that is shorter than the longest of these.
export function drawLengths(place, most) {
  const usual = LENGTHS.filter((length) => length <= most);
  const offered = most < LENGTHS.at(-1) && !usual.includes(most) ? [...usual, most] : usual;
  const wanted = offered.includes(LENGTH) ? LENGTH : offered.at(-1);
  place.replaceChildren(...offered.map((length) => element(
    "label", {}, element("input", { type: "radio", name: "k", value: String(length), checked: length === wanted }),
    element("span", {}, String(length)),
  )));
}
