// What is asked: kept in the address bar, so that a search can be shared and the back button works, and sent as a request.

export const BALANCES = ["none", "quota", "calibrated"];
const COMPARISONS = { string: ["="], bool: ["="], int: ["=", ">=", "<="], float: ["=", ">=", "<="] };
const BOUND = { ">=": "gte", "<=": "lte" };

export function comparisons(type) {
  return COMPARISONS[type] ?? ["="];
}

// {query, asked, languages, conditions: [{field, compare, value}], balance, topK, rerank} of an address's query string.
export function fromAddress(search) {
  const given = new URLSearchParams(search);
  const topK = Number(given.get("k"));
  return {
    query: given.get("q") ?? "",
    asked: given.get("lang") ?? "",
    languages: (given.get("in") ?? "").split(",").filter(Boolean),
    conditions: given.getAll("f").map(readCondition).filter(Boolean),
    balance: BALANCES.includes(given.get("balance")) ? given.get("balance") : "none",
    topK: Number.isInteger(topK) && topK > 0 ? topK : 10,
    rerank: given.get("rerank") === "1",
  };
}

// The inverse of `fromAddress`; what is as usual is left out. "" without a question and without any choice.
export function toAddress(state) {
  const address = new URLSearchParams();
  if (state.query) address.set("q", state.query);
  if (state.asked) address.set("lang", state.asked);
  if (state.languages.length) address.set("in", state.languages.join(","));
  for (const one of state.conditions) address.append("f", `${encodeURIComponent(one.field)}${one.compare}${one.value}`);
  if (state.balance !== "none") address.set("balance", state.balance);
  if (state.topK !== 10) address.set("k", String(state.topK));
  if (state.rerank) address.set("rerank", "1");
  const text = address.toString();
  return text ? `?${text}` : "";
}

// The body of POST /v1/search; `fields` says the type of each metadata field.
export function toRequest(state, fields) {
  const request = { query: state.query, top_k: state.topK, balance: state.balance };
  if (state.asked) request.query_language = state.asked;
  if (state.languages.length) request.languages = state.languages;
  if (state.conditions.length) request.filter = toFilter(state.conditions, fields);
  if (state.rerank) request.rerank = true;
  return request;
}

// Conditions with one more: equal values of a field add up ("one of these"), bounds replace a bound or equal values.
export function withCondition(conditions, one) {
  const kept = conditions.filter((other) => {
    if (other.field !== one.field) return true;
    if (one.compare === "=") return other.compare === "=" && other.value !== one.value;
    return other.compare !== "=" && other.compare !== one.compare;
  });
  return [...kept, one];
}

// A value as typed in, as the field's type; null where it is none.
export function typed(text, type) {
  if (type === "bool") return text === "true" ? true : text === "false" ? false : null;
  if (type !== "int" && type !== "float") return text;
  const number = Number(text);
  return text.trim() === "" || !Number.isFinite(number) || (type === "int" && !Number.isInteger(number)) ? null : number;
}

function readCondition(text) {
  const parts = /^([^=<>]+)(>=|<=|=)(.*)$/s.exec(text);
  if (!parts) return null;
  try {
    return { field: decodeURIComponent(parts[1]), compare: parts[2], value: parts[3] };
  } catch {
    return null; // not written by this page: a stray % in the field
  }
}

function toFilter(conditions, fields) {
  const entries = new Map();
  for (const { field, compare, value } of conditions) {
    const one = typed(value, fields[field]) ?? value; // what is no number goes as it is: the server says what is wrong
    if (compare === "=") {
      const before = entries.get(field);
      entries.set(field, before === undefined ? one : { in: [...(before?.in ?? [before]), one] });
    } else {
      entries.set(field, { ...entries.get(field), [BOUND[compare]]: one });
    }
  }
  return Object.fromEntries(entries);
}
