// The search page: asks /v1/info what there is, sends questions to /v1/search and shows the answers.

import { comparisons, fromAddress, toAddress, toRequest, typed, withCondition } from "./state.js";
import { Languages, button, count, hitList, node, notice, shareTable, summary, tookTable, waiting } from "./view.js";

const at = (id) => document.getElementById(id);
const form = at("form");
const wide = matchMedia("(min-width: 800px)");

let info = null; // of /v1/info
let fields = {}; // metadata field -> type
let languages = new Languages();
let conditions = [];
let running = null; // AbortController of the search under way
let key = kept("xlret-key");

function kept(name) {
  try { return sessionStorage.getItem(name) ?? ""; } catch { return ""; } // storage may be forbidden: then the key is asked for again
}

// --- talking to the server ------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, error, retryAfter) {
    super(error?.message ?? "");
    Object.assign(this, { status, code: error?.code, requestId: error?.request_id, retryAfter });
  }
}

async function call(path, body, signal) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const options = body ? { method: "POST", body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" } } : { headers };
  const response = await fetch(path, { ...options, signal });
  if (response.ok) return response.json();
  const answer = await response.json().catch(() => null); // a proxy in between may answer in HTML
  throw new Refused(response.status, answer?.error, response.headers.get("retry-after"));
}

function explain(error) {
  const wait = error.retryAfter ? `Try again in ${count(Number(error.retryAfter), "second", "seconds")}.` : "Try again in a moment.";
  const number = error.requestId ? `(Request ${error.requestId})` : "";
  if (!(error instanceof Refused)) return ["The server cannot be reached.", ["Check the connection and try again; your question is kept."]];
  switch (error.status) {
    case 401: return ["This server needs a valid API key.", [key ? "The one given was not accepted." : "", "Enter it above."]];
    case 413: return ["The question is too long.", [error.message]];
    case 400: case 422: return ["The server could not use this search.", [error.message, number]];
    case 429: return ["The server has too many requests just now.", [wait]];
    case 503: return ["The search is not available now.", [error.message, wait]];
    case 504: return ["The search took longer than it may.", [error.message, wait]];
    default: return ["Something went wrong in the server.", [error.message, wait, number]];
  }
}

// --- the form and the address -----------------------------------------------------------------------------------------

function stateOfForm() {
  const topK = at("top_k");
  return {
    query: at("query").value.trim(),
    asked: at("asked").value,
    languages: [...document.querySelectorAll("#languages input:checked")].map((tick) => tick.value),
    conditions,
    balance: document.querySelector("input[name=balance]:checked").value,
    topK: Math.min(Math.max(Math.round(topK.valueAsNumber) || 10, 1), Number(topK.max)),
    rerank: at("rerank").checked,
  };
}

function fillForm(state) {
  at("query").value = state.query;
  if (state.asked && ![...at("asked").options].some((option) => option.value === state.asked)) addAsked(state.asked);
  at("asked").value = state.asked;
  for (const code of state.languages) if (!at(`in_${code}`)) addTick(code);
  for (const tick of document.querySelectorAll("#languages input")) tick.checked = state.languages.includes(tick.value);
  at(`balance_${state.balance}`).checked = true;
  at("top_k").value = state.topK;
  at("rerank").checked = state.rerank;
  conditions = state.conditions;
  showConditions();
}

function addAsked(code) {
  const english = languages.english(code);
  const native = languages.native(code);
  at("asked").append(node("option", { value: code }, native === english ? native : `${native} – ${english}`));
}

function addTick(code) {
  const passages = info?.index.languages[code]?.count ?? 0;
  const name = node("label", { for: `in_${code}`, title: languages.english(code) }, languages.badge(code));
  const number = node("span", { class: "count" }, passages.toLocaleString("en"), node("span", { class: "hidden" }, " passages"));
  at("languages").append(node("li", {}, node("input", { type: "checkbox", id: `in_${code}`, value: code }), name, number));
}

function showConditions() {
  const remove = (one) => {
    conditions = conditions.filter((other) => other !== one);
    changed();
    (at("chips").querySelector("button") ?? at("field")).focus();
  };
  // Conditions from an address can be taken away even where the index has no fields.
  at("fields_set").hidden = Object.keys(fields).length === 0 && conditions.length === 0;
  at("chips").replaceChildren(...conditions.map((one) => {
    const text = `${one.field} ${one.compare} ${one.value}`;
    return node("li", {}, node("bdi", {}, text), button("×", () => remove(one), { "aria-label": `Remove ${text}` }));
  }));
  const ticked = document.querySelectorAll("#languages input:checked").length;
  at("languages_clear").hidden = ticked === 0;
  const used = conditions.length + (ticked ? 1 : 0);
  at("filter_count").textContent = used ? `${used} in use` : "";
}

function showField() {
  const type = fields[at("field").value];
  at("compare").replaceChildren(...comparisons(type).map((one) => node("option", { value: one }, { "=": "is", ">=": "≥", "<=": "≤" }[one])));
  at("value").placeholder = { int: "whole number", float: "number", bool: "true or false" }[type] ?? "value";
  at("field_problem").textContent = "";
}

function addCondition() {
  const field = at("field").value;
  const value = at("value").value.trim();
  const wrong = value === "" || typed(value, fields[field]) === null;
  at("field_problem").textContent = wrong ? `${field} needs ${{ int: "a whole number", float: "a number", bool: "true or false" }[fields[field]] ?? "a value"}.` : "";
  if (wrong) return at("value").focus();
  conditions = withCondition(conditions, { field, compare: at("compare").value, value });
  at("value").value = "";
  changed();
}

function filterBy(field, value) {
  conditions = withCondition(conditions, { field, compare: "=", value });
  changed();
  at("query").focus();
}

function changed() {
  showConditions();
  if (at("query").value.trim()) ask();
}

// --- asking -------------------------------------------------------------------------------------------------------------

// Asks what the form says; `push` writes it to the address bar as a new step of the history.
async function ask(push = true) {
  const state = stateOfForm();
  at("top_k").value = state.topK;
  const address = toAddress(state);
  if (push && address !== location.search) history.pushState(null, "", address || location.pathname);
  running?.abort();
  document.title = state.query ? `${state.query} · xlret search` : "xlret search";
  if (!state.query) return begin();
  running = new AbortController();
  const { signal } = running;
  const request = toRequest(state, fields);
  busy(true);
  const began = performance.now();
  try {
    const answer = await call("v1/search", request, signal);
    if (!signal.aborted) show(answer, request, performance.now() - began);
  } catch (error) {
    if (signal.aborted) return;
    fail(error);
  }
  busy(false);
}

function busy(yes) {
  at("results").setAttribute("aria-busy", String(yes));
  at("columns").classList.toggle("busy", yes);
  if (!yes) return;
  at("summary").textContent = "Searching…";
  if (!at("body").querySelector("ol.hits")) at("body").replaceChildren(waiting());
}

function show(answer, request, roundTrip) {
  const result = answer.results[0];
  const { code, detected } = result.query_language;
  at("query").lang = code ?? "";
  at("asked").options[0].textContent = code && detected ? `Detect: ${languages.native(code)}` : "Detect";
  at("summary").replaceChildren(...summary(result, languages));
  at("notices").replaceChildren();
  if (answer.partial) {
    const missing = answer.shards.failed ? "Some passages were not searched." : "";
    at("notices").append(notice("partial", "This answer is incomplete.", [missing, sentence(answer.partial_reason)], () => ask(false)));
  }
  at("body").replaceChildren(result.hits.length ? hitList(result.hits, languages, fields, filterBy) : nothing());
  at("share").replaceChildren(...(result.hits.length ? shareTable(result.language_share ?? {}, languages) : []));
  at("took").replaceChildren(...tookTable(answer.took_ms, roundTrip));
  at("call").replaceChildren(asCommand(request));
  at("insight").hidden = false;
  if (answer.release) at("release").textContent = `Release ${answer.release}.`;
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "";
}

function nothing() {
  const filtered = conditions.length || document.querySelector("#languages input:checked");
  const clear = () => {
    fillForm({ ...stateOfForm(), languages: [], conditions: [] });
    ask();
    at("query").focus();
  };
  return node("div", { class: "empty" },
    node("p", {}, filtered ? "No passage meets these filters." : "There is nothing to find: the index holds no passages."),
    filtered ? button("Search without filters", clear) : null);
}

function fail(error) {
  const again = error.status === 401 || error.status === 422 || error.status === 400 ? null : () => (info ? ask(false) : start());
  at("summary").textContent = "";
  at("body").replaceChildren();
  at("insight").hidden = true;
  at("notices").replaceChildren(notice("problem", ...explain(error), again));
  if (error.status === 401) askForKey();
}

function askForKey() {
  at("key_form").hidden = false;
  at("key").focus();
}

function asCommand(request) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const secret = key ? ' \\\n  -H "authorization: Bearer $XLRET_API_KEY"' : "";
  const command = `curl ${new URL("v1/search", location.href)} \\\n  -H 'content-type: application/json'${secret} \\\n  -d ${quoted(JSON.stringify(request))}`;
  const copied = node("span", { role: "status" });
  const copy = button("Copy", () => navigator.clipboard.writeText(command).then(
    () => { copied.textContent = "copied"; },
    () => { copied.textContent = "not allowed by the browser"; },
  ));
  return node("details", { class: "command" }, node("summary", {}, "This search as a command"),
    node("pre", { tabindex: "0", dir: "ltr", role: "region", "aria-label": "The command" }, node("code", {}, command)), navigator.clipboard ? copy : null, " ", copied);
}

// The page before any question: what there is, and questions to try.
function begin() {
  busy(false);
  at("summary").textContent = "";
  at("notices").replaceChildren();
  at("insight").hidden = true;
  const tryOne = (query) => { at("query").value = query; ask(); };
  const list = (info?.examples ?? []).map((query) => node("li", {}, button(query, () => tryOne(query), { dir: "auto" })));
  at("body").replaceChildren(
    info ? node("p", { class: "welcome" }, `${count(info.index.passages, "passage", "passages")} in ${count(languages.order.length, "language", "languages")} are searched at once, whatever language you ask in.`) : "",
    list.length ? node("div", { class: "examples" }, node("h3", {}, "Try one"), node("ul", {}, list)) : "",
  );
}

// --- the beginning ------------------------------------------------------------------------------------------------------

function showInfo() {
  fields = info.index.fields ?? {};
  languages = new Languages(info.index.languages);
  at("asked").replaceChildren(at("asked").options[0]);
  at("languages").replaceChildren();
  const codes = [...languages.order].sort((a, b) => info.index.languages[b].count - info.index.languages[a].count);
  codes.forEach(addTick);
  [...codes].sort((a, b) => languages.native(a).localeCompare(languages.native(b))).forEach(addAsked);
  at("languages_set").hidden = codes.length === 0;
  at("languages_hint").textContent = `Tick to search only some of the ${codes.length}.`;
  at("field").replaceChildren(...Object.keys(fields).map((field) => node("option", { value: field }, field)));
  showField();
  at("rerank_pair").hidden = !info.reranker;
  at("top_k").max = info.limits?.top_k ?? 1000;
  at("query").maxLength = info.limits?.query_chars ?? 4096;
  for (const radio of document.querySelectorAll("input[name=balance]")) {
    radio.disabled = info.balance !== undefined && !info.balance.includes(radio.value);
    if (radio.disabled) at(`about_${radio.value}`).textContent = "This index cannot be balanced so: it was made without a calibration.";
  }
  if (info.release) at("release").textContent = `Release ${info.release}.`;
}

async function start() {
  try {
    info = await call("v1/info");
  } catch (error) {
    fail(error);
    return;
  }
  showInfo();
  const state = fromAddress(location.search);
  fillForm({ ...state, query: at("query").value }); // perhaps somebody types already
  await (state.query ? ask(false) : begin());
}

form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
at("key_form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  try { sessionStorage.setItem("xlret-key", key); } catch { /* kept for this page only */ }
  at("key_form").hidden = true;
  at("query").focus();
  info ? ask(false) : start();
});
for (const id of ["asked", "top_k", "rerank", "languages"]) at(id).addEventListener("change", changed);
for (const radio of document.querySelectorAll("input[name=balance]")) radio.addEventListener("change", changed);
at("field").addEventListener("change", showField);
at("add").addEventListener("click", addCondition);
at("value").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) addCondition(); });
at("languages_clear").addEventListener("click", () => {
  for (const tick of document.querySelectorAll("#languages input:checked")) tick.checked = false;
  changed();
  at("languages").querySelector("input").focus();
});
addEventListener("popstate", () => { fillForm(fromAddress(location.search)); ask(false); });
addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
  event.preventDefault();
  at("query").select();
  at("query").focus();
});
const fold = () => { at("filters").open = wide.matches; };
wide.addEventListener("change", fold);
fold();
// Not by `autofocus`: that waits for the first frame, and what is typed before it would be lost. On a phone it would open the
// keyboard over results that somebody came for.
if (wide.matches || !location.search) at("query").focus();
fillForm(fromAddress(location.search));
start();
