import { draw, element, focusOn, lightUp, milliseconds } from "./lists.js";
import { drawLengths, drawModels, NONE } from "./models.js";

const at = (id) => document.getElementById(id);
const [form, search, found, lists, answer, verdict, errorLine] =
  ["ask", "search", "found", "lists", "answer", "verdict", "error"].map(at);
const [LONGEST, MANY] = [200, 12]; // query that /items takes; items of a history that all are shown at once
const state = { history: [], models: {}, limits: {}, asked: 0, typed: 0 };

// Integers that JavaScript cannot hold stay text.
const parse = (text) => JSON.parse(text.replace(/"item":(-?\d{15,})/g, '"item":"$1"'));

async function fetched(path, options) {
  const response = await fetch(path, options);
  const value = parse(await response.text());
  if (!response.ok) throw new Error(value.message);
  return value;
}

const said = (error) => (error instanceof TypeError ? "The server does not answer." : error.message);

// Instead of lists.
function complain(error) {
  errorLine.textContent = said(error);
  errorLine.hidden = false;
  lists.replaceChildren();
  at("elapsed").textContent = "";
  verdict.textContent = "No list";
  for (const role of Object.keys(state.models)) at(`ms-${role}`).textContent = NONE;
}

// At the input; the lists stay. Without an error, nothing is wrong any more.
function refuse(error = null) {
  at("note").textContent = error ? said(error) : "";
  at("note").hidden = !error;
  search.setAttribute("aria-invalid", String(Boolean(error)));
  if (error) open(false); // it would lie above the line
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
    const elapsed = performance.now() - start;
    if (number === state.asked && isNewer(value)) await describe();
    if (number === state.asked) show(value, elapsed);
  } catch (error) {
    if (number === state.asked) complain(error);
  }
  if (number === state.asked) answer.setAttribute("aria-busy", "false");
}

const byRole = ({ teacher, ...student }) => (teacher ? { student, teacher } : { student });

// Whether another export answered than the one that the table is about.
const isNewer = (value) => Object.entries(byRole(value)).some(([role, { model }]) => model.version !== state.models[role].version);

function show(value, elapsed) {
  const answers = byRole(value);
  const { student, teacher } = answers;
  errorLine.hidden = true;
  const shared = draw(lists, answers, add);
  const length = teacher ? teacher.items.length : student.items.length;
  verdict.textContent = teacher ? `The student finds ${shared} of the teacher’s ${length}` : `The best ${length}`;
  for (const [role, each] of Object.entries(answers)) at(`ms-${role}`).textContent = milliseconds(each.milliseconds);
  at("elapsed").textContent = `Answered in ${milliseconds(elapsed)}, HTTP and both ways included.`;
}

// The history.
function add(...entries) {
  state.history = [...state.history, ...entries].slice(-state.limits.history);
  drawHistory();
  at("history").scrollTop = at("history").scrollHeight;
}

function drawHistory() {
  at("history").replaceChildren(...state.history.map((entry, index) => {
    const name = entry.title || String(entry.item);
    const remove = element("button", { type: "button", title: "Remove" }, "×");
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => {
      state.history.splice(index, 1);
      drawHistory();
      focusOn([...at("history").querySelectorAll("button")], index, at("example"));
    });
    return element("li", {}, element("span", { title: String(entry.item) }, name), remove);
  }));
  at("history").classList.toggle("long", state.history.length > MANY);
  at("clear").disabled = !state.history.length;
  refuse();
  ask();
}

// The search for items.
async function items(query, limit) {
  if (query.length > LONGEST) return [];
  return (await fetched(`/items?limit=${limit}&query=${encodeURIComponent(query)}`)).items;
}

// Several ids, pasted: integers by blanks, text by commas.
const ids = (text) => text.split(/^[\d\s]+$/.test(text) ? /\s+/ : /[,;]/).map((part) => part.trim()).filter(Boolean);

async function suggest() {
  const [number, query] = [++state.typed, search.value.trim()];
  const entries = await items(query, 12);
  if (number !== state.typed || document.activeElement !== search) return;
  found.dataset.query = query;
  found.replaceChildren(...entries.map((entry, index) => {
    const option = element("li", { role: "option", id: `found-${index}` }, entry.title || String(entry.item));
    if (entry.title) option.append(" ", element("small", {}, String(entry.item)));
    option.addEventListener("pointerdown", (event) => { event.preventDefault(); pick(entry); });
    option.entry = entry;
    return option;
  }));
  const several = ids(query).length;
  if (!entries.length) found.append(element("li", { className: "none", role: "option", "aria-disabled": "true" }, several > 1 ? `Enter adds ${several} items by id` : "No such item"));
  open(true);
  choose(query ? 0 : -1);
}

function open(wanted) {
  found.hidden = !wanted;
  search.setAttribute("aria-expanded", String(wanted));
  if (wanted) return;
  state.typed += 1;
  search.removeAttribute("aria-activedescendant");
}

const options = () => (found.hidden ? [] : [...found.querySelectorAll("[role=option]:not(.none)")]);
const chosen = () => options().findIndex((option) => option.getAttribute("aria-selected") === "true");

function choose(index) {
  options().forEach((option, place) => option.setAttribute("aria-selected", String(place === index)));
  const option = options()[index];
  if (!option) return search.removeAttribute("aria-activedescendant");
  search.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function pick(...entries) {
  search.value = "";
  open(false);
  add(...entries);
}

// What was typed: the item that is chosen among those shown, or else ids; an unknown one is no part of a history.
async function take() {
  const text = search.value.trim();
  const shown = !found.hidden && found.dataset.query === text;
  if (!shown && text) await suggest();
  if (search.value.trim() !== text) return;
  const option = options()[chosen()];
  if (option && (shown || String(option.entry.item) === text)) pick(option.entry);
  if (option || !text) return;
  const [parts, entries] = [ids(text), []];
  for (const part of parts) {
    const [entry] = await items(part, 1);
    if (!entry || String(entry.item) !== part) {
      throw new Error(`‘${part.slice(0, LONGEST)}’ is not in the catalogue${parts.length > 1 ? "; nothing is added" : ""}.`);
    }
    entries.push(entry);
  }
  if (entries.length && search.value.trim() === text) pick(...entries);
}

function key(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") open(false);
  else if (event.key === "Enter") {
    event.preventDefault();
    guarded(take, refuse)();
  } else if (step && found.childElementCount) {
    event.preventDefault();
    if (found.hidden) open(true);
    const [count, now] = [options().length, chosen()];
    if (count) choose(now < 0 && step < 0 ? count - 1 : (now + step + count) % count);
  } else if (event.key === "Backspace" && !search.value && state.history.length) {
    state.history.pop();
    drawHistory();
  }
}

async function example() {
  state.history = (await fetched("/example")).items.slice(-state.limits.history);
  drawHistory();
}

async function describe() {
  Object.assign(state, await fetched("/model"));
  at("measured").hidden = !drawModels(at("models"), state.models);
}

async function start() {
  await describe();
  at("user-field").hidden = !state.models.student.has_users;
  search.placeholder = state.models.student.has_titles ? "Add an item by title or id" : "Add an item by its id";
  drawLengths(at("lengths"), state.limits.k);
  lightUp(lists);
  await example();
}

const guarded = (work, tell) => () => work().catch(tell);
search.addEventListener("input", () => { refuse(); guarded(suggest, refuse)(); });
search.addEventListener("focus", guarded(suggest, refuse));
search.addEventListener("blur", () => open(false));
search.addEventListener("keydown", key);
at("example").addEventListener("click", guarded(example, refuse));
at("clear").addEventListener("click", () => { state.history = []; drawHistory(); search.focus(); });
form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
let pause = 0;
form.addEventListener("input", (event) => {
  if (event.target === search) return;
  clearTimeout(pause);
  pause = setTimeout(ask, event.target.id === "user" ? 300 : 0);
});
const wide = matchMedia("(min-width: 66.01rem)"); // where nothing folds
const unfold = () => { at("more").open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();
guarded(start, complain)();
