// Lists side by side, with a line between the places of the same item.

export const ROLES = { student: "Student", teacher: "Teacher" };

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const dot = (role) => element("span", { className: `dot ${role}`, "aria-hidden": "true" });

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

// Where something had the keyboard's focus and is gone: what took its place, or else the last one.
export function focusOn(buttons, place, otherwise = document.body) {
  (buttons[Math.min(place, buttons.length - 1)] || otherwise).focus();
}

// Draws `answers`, from role to what the server says; returns how many items both lists hold.
export function draw(place, answers, add) {
  const roles = Object.keys(answers);
  const keys = roles.map((role) => answers[role].items.map((entry) => String(entry.item)));
  const shared = new Set(roles.length > 1 ? keys[0].filter((key) => keys[1].includes(key)) : []);
  const parts = roles.map((role) => list(role, answers[role], roles.length > 1 ? shared : null, add));
  if (roles.length > 1) parts.splice(1, 0, links(keys, shared));
  const held = [...place.querySelectorAll(".add")].indexOf(document.activeElement);
  place.classList.toggle("alone", roles.length === 1);
  place.replaceChildren(...parts);
  if (held >= 0) focusOn([...place.querySelectorAll(".add")], held);
  return shared.size;
}

function list(role, answer, shared, add) {
  const rows = answer.items.map((entry, index) => row(entry, index, shared, add));
  if (!rows.length) rows.push(element("li", { className: "empty" }, "Nothing is left to recommend."));
  const heading = element("h3", {}, dot(role), ROLES[role]);
  return element("div", { className: "list", id: `list-${role}` }, heading, element("ol", { role: "list", "aria-label": ROLES[role] }, ...rows));
}

function row(entry, index, shared, add) {
  const key = String(entry.item);
  const name = entry.title || key;
  const button = element("button", { type: "button", className: "add", title: "Add to the history" }, "+");
  button.setAttribute("aria-label", `Add ${name} to the history`);
  button.addEventListener("click", () => add({ item: key, title: entry.title }));
  const made = element(
    "li", { title: entry.title ? `${entry.title} · ${key}` : key, className: shared === null || shared.has(key) ? "shared" : "" },
    element("span", { className: "place" }, String(index + 1)),
    element("span", { className: "item" }, name),
    ...(shared !== null && shared.has(key) ? [element("span", { className: "unseen" }, "in both lists")] : []),
    element("span", { className: "score" }, entry.score.toFixed(2)),
    button,
  );
  made.dataset.item = key;
  return made;
}

function links(keys, shared) {
  const name = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const rows = Math.max(1, ...keys.map((each) => each.length));
  const drawn = name("svg");
  drawn.setAttribute("class", "links");
  drawn.setAttribute("viewBox", `0 0 100 ${rows}`);
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.style.height = `calc(${rows} * var(--row))`;
  drawn.setAttribute("aria-hidden", "true");
  for (const key of shared) {
    const [left, right] = keys.map((each) => each.indexOf(key) + 0.5);
    const path = name("path");
    path.setAttribute("d", `M0 ${left}C45 ${left} 55 ${right} 100 ${right}`);
    path.dataset.item = key;
    drawn.append(path);
  }
  return drawn;
}

// The same item lights up wherever it is.
export function lightUp(place) {
  const light = (event) => {
    const entry = event.target.closest("[data-item]");
    const item = ["pointerleave", "focusout"].includes(event.type) || !entry ? null : entry.dataset.item;
    place.classList.toggle("is-searching", item !== null);
    for (const other of place.querySelectorAll("[data-item]")) {
      other.classList.toggle("is-lit", other.dataset.item === item);
    }
  };
  for (const kind of ["pointerover", "pointerdown", "pointerleave", "focusin", "focusout"]) place.addEventListener(kind, light);
}
