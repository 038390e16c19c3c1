// Drawing: every function takes values of the API and gives elements. Text only ever goes in as text, never as HTML.

const EXCERPT = 700; // code points of a passage shown at first

// An element: `node("p", {class: "x", lang: "de"}, "text", child)`; attributes that are null or false are left out.
export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") made.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function button(text, click, attributes = {}) {
  return node("button", { type: "button", click, ...attributes }, text);
}

// Names, directions and colours of languages.
export class Languages {
  constructor(known = {}) {
    this.known = known;
    this.order = Object.keys(known).sort();
  }

  native(code) {
    return this.known[code]?.name ?? displayName(code, code);
  }

  english(code) {
    return this.known[code]?.english ?? displayName(code, "en");
  }

  hue(code) {
    const place = this.order.indexOf(code);
    return Math.round(((place < 0 ? this.order.length : place) * 137.5 + 225) % 360);
  }

  badge(code) {
    const made = node(
      "span",
      { class: "badge", title: this.english(code) },
      node("span", { class: "code" }, code),
      node("bdi", { lang: code }, this.native(code)),
    );
    made.style.setProperty("--hue", this.hue(code));
    return made;
  }
}

function displayName(code, inside) {
  try {
    return new Intl.DisplayNames([inside, "en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code; // not a BCP-47 code
  }
}

export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const percent = (share) => `${share > 0 && share < 0.01 ? "<1" : Math.round(share * 100)} %`;
const milliseconds = (time) => (time < 10 ? time.toFixed(1) : Math.round(time).toLocaleString("en"));

// The hits as a list; `filterBy(field, value)` is called by a click on a metadata value.
export function hitList(hits, languages, fields, filterBy) {
  return node("ol", { class: "hits" }, hits.map((hit) => node("li", {}, hitCard(hit, languages, fields, filterBy))));
}

function hitCard(hit, languages, fields, filterBy) {
  const spoken = { lang: hit.language, dir: hit.direction };
  const title = hit.title ? node("h3", spoken, hit.title) : node("h3", { class: "hidden", dir: "auto" }, hit.id);
  return node(
    "article",
    { class: "hit" },
    node(
      "div",
      { class: "head" },
      node("span", { class: "rank" }, node("span", { class: "hidden" }, "Hit "), String(hit.rank)),
      languages.badge(hit.language),
      node("span", { class: "scores" }, scores(hit)),
    ),
    title,
    passage(hit, spoken),
    metadata(hit, fields, filterBy),
  );
}

function scores(hit) {
  const shown = [node("span", { title: "How near the passage is to the question" }, `score ${hit.score.toFixed(3)}`)];
  if (typeof hit.rerank_score === "number") {
    shown.push(node("span", { title: "The reranker's score; it decides the order" }, `reranked ${hit.rerank_score.toFixed(2)}`));
  }
  return shown;
}

// The text with its nearest sentence marked; a long one begins as the part around the mark.
function passage(hit, spoken) {
  const points = Array.from(hit.text ?? ""); // the API counts code points, JavaScript's strings UTF-16 units
  const nearest = hit.highlight ?? { start: 0, end: 0 };
  const isAll = points.slice(0, nearest.start).concat(points.slice(nearest.end)).join("").trim() === "";
  const mark = isAll ? { start: 0, end: 0 } : nearest; // marking everything points at nothing
  const paragraph = node("p", { class: "text", ...spoken });
  const draw = (from, to) => {
    const between = (start, end) => points.slice(Math.max(from, start), Math.min(to, end)).join("");
    const marked = between(mark.start, mark.end);
    paragraph.replaceChildren(
      from > 0 ? "… " : "",
      between(0, mark.start),
      marked ? node("mark", {}, marked) : "",
      between(mark.end, points.length),
      to < points.length ? " …" : "",
    );
  };
  if (points.length <= EXCERPT * 1.2) {
    draw(0, points.length);
    return paragraph;
  }
  const from = wordStart(points, mark.end <= EXCERPT ? 0 : Math.max(0, mark.start - 150));
  const to = wordStart(points, Math.min(points.length, Math.max(from + EXCERPT, mark.end)));
  const more = button("Show the whole passage", () => {
    const open = more.getAttribute("aria-expanded") === "false";
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? "Show less" : "Show the whole passage";
    open ? draw(0, points.length) : draw(from, to);
  }, { class: "plain", "aria-expanded": "false" });
  draw(from, to);
  return node("div", {}, paragraph, more);
}

// The place itself or, within a few steps to the left, the beginning of a word.
function wordStart(points, place) {
  for (let at = place; at > Math.max(0, place - 30); at--) if (points[at - 1] === " ") return at;
  return place;
}

function metadata(hit, fields, filterBy) {
  const values = Object.entries(hit.metadata ?? {}).filter(([, value]) => value !== null);
  const items = values.map(([field, value]) => {
    const text = [node("span", { class: "field" }, field), " ", node("bdi", {}, String(value))];
    if (!(field in fields)) return node("li", {}, text);
    const name = `${field} ${value}: search only such passages`;
    return node("li", {}, button(text, () => filterBy(field, String(value)), { "aria-label": name, title: "Search only such passages" }));
  });
  return node("ul", { class: "meta", "aria-label": "Metadata" }, items, node("li", { class: "id", dir: "auto" }, hit.id));
}

// "10 passages in 6 languages for a question in Deutsch (detected)".
export function summary(result, languages) {
  const found = new Set(result.hits.map((hit) => hit.language)).size;
  const asked = result.query_language;
  const known = asked?.code && asked.code !== "und";
  return [
    result.hits.length ? `${count(result.hits.length, "passage", "passages")} in ${count(found, "language", "languages")} ` : "No passages ",
    known ? "for a question in " : "for a question whose language was not recognised",
    known ? languages.badge(asked.code) : "",
    known ? (asked.detected ? " (detected)" : " (as you chose)") : "",
  ];
}

// Languages of the hits against those of the corpus: a table whose rows are bars; a thin line marks the corpus.
export function shareTable(share, languages) {
  const rows = Object.entries(share).filter(([, one]) => one.hits > 0);
  rows.sort((a, b) => b[1].hits - a[1].hits || a[0].localeCompare(b[0]));
  const without = Object.keys(share).filter((code) => !(share[code].hits > 0)).sort();
  const widest = Math.max(...rows.map(([, one]) => Math.max(one.hits, one.corpus)), 0.01);
  const head = ["Language", "Hits", "Corpus"].map((text) => node("th", { scope: "col" }, text));
  const table = node(
    "table",
    { class: "share" },
    node("caption", {}, "Languages of the hits"),
    node("thead", {}, node("tr", {}, head)),
    node("tbody", {}, rows.map(([code, one]) => shareRow(code, one, widest, languages))),
  );
  const names = without.map((code) => languages.english(code)).join(", ");
  return [
    table,
    node("p", { class: "hint key" }, node("span", { class: "bar_key", "aria-hidden": "true" }), "hits",
      node("span", { class: "line_key", "aria-hidden": "true" }), "corpus searched"),
    without.length ? node("p", { class: "hint" }, `No hits in ${names}.`) : null,
  ].filter(Boolean);
}

function shareRow(code, one, widest, languages) {
  const fill = node("span", { class: "fill" });
  const line = node("span", { class: "line" });
  fill.style.inlineSize = `${(100 * one.hits) / widest}%`;
  line.style.insetInlineStart = `${(100 * one.corpus) / widest}%`;
  const row = node(
    "tr",
    {},
    node("th", { scope: "row" }, node("span", { class: "code" }, code), node("bdi", { lang: code, title: languages.english(code) }, languages.native(code)),
      node("span", { class: "bar", "aria-hidden": "true" }, fill, line)),
    node("td", {}, percent(one.hits)),
    node("td", {}, percent(one.corpus)),
  );
  row.style.setProperty("--hue", languages.hue(code));
  return row;
}

// The time of each stage; what the stages leave of the total is waiting and putting together.
export function tookTable(took, roundTrip) {
  const names = { encode: "Encode", search: "Search", rerank: "Rerank", highlight: "Highlight" };
  const stages = Object.entries(names).filter(([key]) => took[key] > 0).map(([key, name]) => [name, took[key], key]);
  const rest = took.total - stages.reduce((sum, [, time]) => sum + time, 0);
  if (rest >= 0.05) stages.push(["Rest", rest, "rest"]);
  const strip = node("div", { class: "strip", "aria-hidden": "true" });
  for (const [, time, key] of stages) {
    const part = node("span", { class: `stage ${key}` });
    part.style.flexGrow = String(Math.max(time, took.total / 200));
    strip.append(part);
  }
  const row = ([name, time, key]) => node("tr", {}, node("th", { scope: "row", class: key ?? "" }, name), node("td", {}, `${milliseconds(time)} ms`));
  const last = [["In the server", took.total, "sum"], ["Round trip", roundTrip, "sum"]];
  const title = node("h3", { id: "took_title" }, "Time");
  return [title, strip, node("table", { class: "took", "aria-labelledby": "took_title" }, node("tbody", {}, [...stages, ...last].map(row)))];
}

// A notice in sentences: kind is "problem" or "partial".
export function notice(kind, title, sentences, again) {
  return node(
    "div",
    { class: `notice ${kind}` },
    node("p", {}, node("strong", {}, title), " ", sentences.filter(Boolean).join(" ")),
    again ? button("Try again", again) : null,
  );
}

export function waiting() {
  const card = () => node("div", { class: "hit bones" }, node("span"), node("span"), node("span"));
  return node("div", { "aria-hidden": "true", class: "hits" }, card(), card(), card());
}
