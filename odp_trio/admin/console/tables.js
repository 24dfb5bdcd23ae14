// Lists: sessions, slow statements, misroutes, changes; and the tree of tasks.

import { ask, byId, change, count, make, notice, say, span } from "./dom.js";

/** A list whose rows are kept: columns are [name, text of a record, class, wide?]. */
function fill(list, columns, records, key, extra) {
  const rows = list.rows ??= new Map();
  if (!list.head) {
    list.head = make("div", { className: "row head", role: "row" }, ...columns.map(([name, , kind]) => make("span", { role: "columnheader", className: kind === "right" ? kind : "" }, name)));
    list.append(list.head);
  }
  const gone = new Set(rows.keys());
  let before = list.head;
  for (const record of records) {
    const id = key(record);
    gone.delete(id);
    let row = rows.get(id);
    if (!row) {
      const cells = columns.map(([name, , kind, wide]) => make("span", { role: "cell", className: kind ?? "", data: wide ? { name, wide: "1" } : { name } }));
      row = make("div", { className: "row", role: "row" }, ...cells);
      rows.set(id, row);
      extra?.(row, record);
    }
    columns.forEach(([, text], at) => { if (text) say(row.children[at], text(record)); });
    if (before.nextElementSibling !== row) before.after(row);
    before = row;
  }
  for (const id of gone) {
    rows.get(id).remove();
    rows.delete(id);
  }
}

// ---- sessions -------------------------------------------------------------------------

const SESSIONS = [
  ["id", (s) => String(s.id), "mono"],
  ["who", (s) => (s.user ? `${s.user}@${s.tenant}#${s.cluster}` : "not logged in"), "", true],
  ["client", (s) => s.client, "mono"],
  ["server", (s) => s.server || "–", "mono"],
  ["state", (s) => (s.in_transaction ? `${s.state}, in transaction` : s.state)],
  ["statements", (s) => count(s.statements), "right"],
  ["since", (s) => span(s.seconds), "right"],
  ["", null, "right"],
];

let asking = false;
export async function showSessions() {
  if (asking) return;
  asking = true;
  try {
    const words = new URLSearchParams({ search: byId("search-words").value, limit: "50" });
    const found = await ask(`/api/sessions?${words}`);
    const shown = found.sessions.length;
    say(byId("sessions-total"), found.total > shown ? `${shown} of ${found.total}` : String(found.total));
    fill(byId("session-list"), SESSIONS, found.sessions, (session) => session.id, (row, session) => {
      row.lastElementChild.append(make("button", { type: "button", className: "small", ariaLabel: `Kill session ${session.id}`, onclick: () => kill(session) }, "Kill"));
    });
  } catch (error) {
    say(byId("sessions-total"), error.message);
  } finally {
    asking = false;
  }
}

function kill(session) {
  const dialog = byId("kill-dialog");
  say(byId("kill-whom"), `${session.id}: ${session.user}@${session.tenant}#${session.cluster} from ${session.client}`);
  dialog.returnValue = "";
  dialog.showModal();
  dialog.addEventListener("close", async () => {
    if (!dialog.returnValue) return;
    await change("/api/kill", { id: session.id, query: dialog.returnValue === "query" });
    await showSessions();
  }, { once: true });
}

// ---- statements and routes ------------------------------------------------------------

const MISROUTES = [
  ["table", (t) => `${t.database}.${t.table}`, "mono", true],
  ["tenant", (t) => `${t.tenant}#${t.cluster}`],
  ["routed", (t) => count(t.routed), "right"],
  ["missed", (t) => count(t.missed), "right"],
  ["share", (t) => `${(100 * t.missed / Math.max(1, t.routed)).toPrecision(2)} %`, "right"],
];
const SLOW = [
  ["when", (s) => new Date(s.at * 1000).toLocaleTimeString([], { hour12: false })],
  ["took", (s) => span(s.seconds), "right"],
  ["server", (s) => s.server || "–", "mono"],
  ["statement", (s) => s.sql, "mono", true],
];

export function showRoutes(frame) {
  const share = frame.routed ? ` (${(100 * frame.missed / frame.routed).toPrecision(2)} %)` : "";
  say(byId("misroute-total"), `${count(frame.routed)} statements routed by a location, ${count(frame.missed)} went to the wrong server${share}.`);
  fill(byId("misroute-list"), MISROUTES, frame.misroutes, (t) => `${t.cluster} ${t.tenant} ${t.database} ${t.table}`);
  const changes = frame.changes.slice(0, 8).map((c) => `${span(c.ago)} ago: ${c.server} ${c.put ? "put on" : "taken off"} “${c.listed}”${c.reason ? `: ${c.reason}` : ""}`);
  const list = byId("changes");
  const texts = changes.length ? changes : ["None."];
  while (list.children.length > texts.length) list.lastElementChild.remove();
  texts.forEach((text, at) => say(list.children[at] ?? list.appendChild(make("li")), text));
}

export function showSlow(frame) {
  const list = byId("slow-list");
  if (!frame.slow?.length) {
    list.none ??= list.appendChild(make("p", { className: "dim" }, "None yet."));
  } else {
    list.none?.remove();
    fill(list, SLOW, frame.slow, (s) => `${s.at} ${s.session}`);
  }
}

// ---- tasks ----------------------------------------------------------------------------

const STATES = { running: "ok", starting: "grey", backing_off: "black", stopped: "off" };
let drawn = "";

export function showTree(root) {
  const text = JSON.stringify(root, (name, value) => (name === "since" || name === "next_attempt" ? undefined : value));
  if (text === drawn) return;
  drawn = text;
  byId("tree").replaceChildren(branch(root));
}

function branch(task) {
  const restart = async () => { if (await change("/api/restart", { path: task.path })) notice(`${task.path} is restarted`); };
  const line = make("div", { className: "task", data: { health: STATES[task.state] ?? "off", path: task.path } }, make("span", {}, task.name));
  if (task.state !== "running") line.append(make("span", { className: "dim" }, task.state.replace("_", " ")));
  if (task.restarts) line.append(make("span", { className: "badge", data: { health: "grey" } }, `${task.restarts} restart${task.restarts > 1 ? "s" : ""}`));
  if (task.path && !task.children.length) line.append(make("button", { type: "button", className: "small restart", ariaLabel: `Restart ${task.path}`, onclick: restart }, "Restart"));
  if (task.last_error) line.append(make("div", { className: "task-error" }, task.last_error));
  const item = make("li", {}, line);
  if (task.children.length) item.append(make("ul", {}, ...task.children.map(branch)));
  return item;
}
