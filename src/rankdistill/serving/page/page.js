import { dot, draw, element, lightUp, milliseconds } from "./lists.js";

const at = (id) => document.getElementById(id);
const [form, search, found, lists, answer, verdict, errorLine] =
  ["ask", "search", "found", "lists", "answer", "verdict", "error"].map(at);
const state = { history: [], models: {}, limits: {}, asked: 0, typed: 0 };

// Integers that JavaScript cannot hold stay text.
const parse = (text) => JSON.parse(text.replace(/"item":(-?\d{15,})/g, '"item":"$1"'));

async function fetched(path, options) {
  const response = await fetch(path, options);
  const value = parse(await response.text());
  if (!response.ok) throw new Error(value.message);
  return value;
}

function complain(error) {
  errorLine.textContent = error instanceof TypeError ? "The server does not answer." : error.message;
  errorLine.hidden = false;
  lists.replaceChildren();
  at("elapsed").textContent = "";
  verdict.textContent = "No list";
}

// The lists.
async function ask() {
  const number = ++state.asked;
  const user = at("user").value.trim();
  const body = {
    history: state.history.length || !user ? state.history.map((entry) => String(entry.item)) : null,
    user: user || null,
    k: Number(new FormData(form).get("k")),
    exclude_seen: at("exclude").checked,
    teacher: "teacher" in state.models,
    titles: true,
  };
  answer.setAttribute("aria-busy", "true");
  try {
    const start = performance.now();
    const value = await fetched("/recommend", { method: "POST", body: JSON.stringify(body) });
    if (number === state.asked) show(value, performance.now() - start);
  } catch (error) {
    if (number === state.asked) complain(error);
  }
  if (number === state.asked) answer.setAttribute("aria-busy", "false");
}

function show(value, elapsed) {
  const { teacher, ...student } = value;
  const answers = teacher ? { student, teacher } : { student };
  errorLine.hidden = true;
  const shared = draw(lists, answers, add);
  const length = teacher ? teacher.items.length : student.items.length;
  verdict.textContent = teacher ? `The student finds ${shared} of the teacher’s ${length}` : `The best ${length}`;
  for (const [role, each] of Object.entries(answers)) at(`ms-${role}`).textContent = milliseconds(each.milliseconds);
  at("elapsed").textContent = `Answered in ${milliseconds(elapsed)}, HTTP and both ways included.`;
}

// The history.
function add(entry) {
  if (state.history.length >= state.limits.history) state.history.shift();
  state.history.push(entry);
  drawHistory();
}

function drawHistory() {
  at("history").replaceChildren(...state.history.map((entry, index) => {
    const name = entry.title || String(entry.item);
    const remove = element("button", { type: "button", title: "Remove" }, "×");
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => { state.history.splice(index, 1); drawHistory(); });
    return element("li", {}, element("span", { title: String(entry.item) }, name), remove);
  }));
  at("clear").disabled = !state.history.length;
  ask();
}

// The search for items.
async function suggest() {
  const number = ++state.typed;
  const items = (await fetched(`/items?limit=12&query=${encodeURIComponent(search.value.trim())}`)).items;
  if (number !== state.typed || document.activeElement !== search) return;
  found.replaceChildren(...items.map((entry, index) => {
    const option = element("li", { role: "option", id: `found-${index}` }, entry.title || String(entry.item));
    if (entry.title) option.append(element("small", {}, String(entry.item)));
    option.addEventListener("pointerdown", (event) => { event.preventDefault(); pick(entry); });
    option.entry = entry;
    return option;
  }));
  if (!items.length) found.append(element("li", { className: "none" }, "No such item"));
  open(true);
  choose(search.value.trim() ? 0 : -1);
}

function open(wanted) {
  found.hidden = !wanted;
  search.setAttribute("aria-expanded", String(wanted));
  if (!wanted) state.typed += 1;
}

function choose(index) {
  const options = [...found.querySelectorAll("[role=option]")];
  options.forEach((option, place) => option.setAttribute("aria-selected", String(place === index)));
  search.setAttribute("aria-activedescendant", options[index] ? options[index].id : "");
  if (options[index]) options[index].scrollIntoView({ block: "nearest" });
}

function pick(entry) {
  search.value = "";
  open(false);
  add(entry);
}

function key(event) {
  const options = [...found.querySelectorAll("[role=option]")];
  const chosen = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") open(false);
  else if (event.key === "Enter") {
    event.preventDefault();
    const typed = search.value.split(/^[\d\s]+$/.test(search.value) ? /\s+/ : /[,;]/).map((part) => part.trim()).filter(Boolean);
    if (options[chosen] && !found.hidden) pick(options[chosen].entry);
    else if (typed.length) typed.forEach((item) => pick({ item, title: null }));
  } else if (step && options.length) {
    event.preventDefault();
    if (found.hidden) open(true);
    choose((chosen + step + options.length) % options.length);
  } else if (event.key === "Backspace" && !search.value && state.history.length) {
    state.history.pop();
    drawHistory();
  }
}

// The models.
const number = (value) => new Intl.NumberFormat("en").format(value);
const short = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toPrecision(3)} kB` : `${(bytes / 1e6).toPrecision(3)} MB`);

function drawModels() {
  at("models").replaceChildren(...Object.entries(state.models).map(([role, model]) => {
    const name = element("span", {}, role === "student" ? "Student" : "Teacher", element("small", {}, [model.kind, model.dim && `dim ${model.dim}`, model.precision].filter(Boolean).join(" · ")));
    const figure = (value, note, properties = {}) => element("dd", {}, element("span", properties, value), element("small", {}, note));
    const quality = model.metrics["ndcg@10"];
    return element(
      "div", {}, element("dt", {}, dot(role), name),
      figure(short(model.parameters), "parameters"), figure(size(model.bytes), "model file"),
      figure("–", "for this list", { id: `ms-${role}` }),
      quality === undefined ? figure(number(model.num_items), "items") : figure(quality.toFixed(3), "nDCG@10 of the test users"),
    );
  }));
}

async function example() {
  state.history = (await fetched("/example")).items;
  drawHistory();
}

async function start() {
  const about = await fetched("/model");
  Object.assign(state, about);
  at("more").open = matchMedia("(min-width: 52.01rem)").matches;
  at("user-field").hidden = !state.models.student.has_users;
  search.placeholder = state.models.student.has_titles ? "Add an item by title or id" : "Add an item by its id";
  drawModels();
  lightUp(lists);
  await example();
}

const guarded = (work) => () => work().catch(complain);
search.addEventListener("input", guarded(suggest));
search.addEventListener("focus", guarded(suggest));
search.addEventListener("blur", () => open(false));
search.addEventListener("keydown", key);
at("example").addEventListener("click", guarded(example));
at("clear").addEventListener("click", () => { state.history = []; drawHistory(); search.focus(); });
form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
let pause = 0;
form.addEventListener("input", (event) => {
  if (event.target === search) return;
  clearTimeout(pause);
  pause = setTimeout(ask, event.target.id === "user" ? 300 : 0);
});
guarded(start)();
