// The box that asks where a statement would go, and the table that says why.

import { ask, byId, make } from "./dom.js";

export function startExplaining() {
  const form = byId("explain-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    explain(form);
  });
  byId("explain-sql").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

async function explain(form) {
  const request = Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim()));
  request.what_if = request.what_if ? request.what_if.split(";").map((text) => text.trim()) : [];
  const place = byId("explanation");
  try {
    place.replaceChildren(...answer(await ask("/api/explain", request)));
  } catch (error) {
    place.replaceChildren(make("p", { className: "verdict", data: { health: "black" } }, error.message));
  }
}

function answer(found) {
  const verdict = make("p", { className: "verdict", data: { health: found.server ? "ok" : "black" } },
    found.server ? make("span", {}, "goes to ", make("strong", { className: "mono" }, found.server), found.rule ? ` by the rule “${found.rule}”` : "") : found.error || "goes nowhere");
  const facts = [
    ["kind", found.kind], ["tables", found.tables.join(", ")],
    ["partition", found.partition ? `${found.partition.name} (tablet ${found.partition.tablet_id ?? "?"})` : found.reason],
    ["key", found.key.join(", ")], ["consistency", [found.consistency, found.consistency_reason].filter(Boolean).join(": ")],
    ["leader", found.leader ? `${found.leader}${found.dirty ? " (to be looked up again)" : ""}` : ""], ["policy", [found.policy, found.tier].filter(Boolean).join(", ")],
    ["what if", found.what_if.join("; ")], ["hints", found.hints.map((hint) => hint.text + (hint.ignored ? ` (ignored: ${hint.ignored})` : "")).join("; ")],
    ["not parsed", found.why_not_parsed],
  ].filter(([, value]) => value);
  return [
    verdict,
    table(["", ""], facts.map(([name, value]) => [name, value])),
    make("h3", {}, "Why"),
    table(["rule", "what it does"], found.steps.map((step) => [step.rule, step.says]), found.steps.map((step) => (step.answered ? "answered" : "")), "why"),
    ...(found.candidates.length ? [make("h3", {}, "Servers"), table(["server", "letters (docs/explain.md)", "refused"], found.candidates.map((one) => [one.server, one.letters, one.refused]))] : []),
  ];
}

function table(names, rows, classes = [], id = "") {
  const head = names.some(Boolean) ? [make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))))] : [];
  const body = rows.map((cells, at) => make("tr", { className: classes[at] ?? "" }, ...cells.map((cell) => make("td", {}, cell))));
  return make("table", id ? { id } : {}, ...head, make("tbody", {}, ...body));
}
