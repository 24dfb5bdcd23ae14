// The console: one WebSocket tells everything twice a second, while the page is looked at.

import { askToken, byId, bytes, count, make, say, span, token } from "./dom.js";
import { startExplaining } from "./explain.js";
import { showMap } from "./map.js";
import { showRoutes, showSessions, showSlow, showTree } from "./tables.js";

const UNAUTHORIZED = 4401;
const KEPT = 120;
const SESSIONS_EVERY = 1500;

// ---- numbers --------------------------------------------------------------------------

const NUMBERS = [
  ["statements", "statements /s", (frame, rate) => count(rate.statements), (rate) => rate.statements],
  ["errors", "errors /s", (frame, rate) => count(rate.errors), (rate) => rate.errors],
  ["clients", "clients", (frame) => count(frame.sessions)],
  ["busy", "busy", (frame) => count(frame.busy_sessions)],
  ["traffic", "from servers /s", (frame, rate) => bytes(rate.bytes), (rate) => rate.bytes],
  ["logins", "logins /s", (frame, rate) => count(rate.logins)],
  ["uptime", "up", (frame) => span(frame.uptime)],
];
const shown = new Map();
const history = new Map();

function buildNumbers() {
  for (const [name, text, , line] of NUMBERS) {
    const value = make("b", { id: `number-${name}` }, "–");
    const box = make("div", { className: "number" }, value, make("span", { className: "dim" }, text));
    if (line) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `0 0 ${KEPT} 20`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      svg.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
      box.append(svg);
      history.set(name, []);
    }
    shown.set(name, [value, box]);
    byId("numbers").append(box);
  }
}

function showNumbers(frame, rate) {
  for (const [name, , text, line] of NUMBERS) {
    const [value, box] = shown.get(name);
    say(value, rate.known || !line ? text(frame, rate) : "–");
    if (!line || !rate.known) continue;
    const points = history.get(name);
    points.push(line(rate));
    if (points.length > KEPT) points.shift();
    const most = Math.max(1, ...points);
    const drawn = points.map((point, at) => `${KEPT - points.length + at},${19 - 18 * point / most}`).join(" ");
    box.querySelector("polyline").setAttribute("points", drawn);
  }
}

// ---- records --------------------------------------------------------------------------

let before = null;

function rates(frame) {
  const servers = new Map();
  const seconds = before ? frame.at - before.at : 0;
  const known = seconds > 0 && frame.uptime >= before.uptime;
  const per = (now, then) => (known ? Math.max(0, now - then) / seconds : 0);
  const old = new Map((before?.clusters ?? []).flatMap((c) => c.zones.flatMap((z) => z.servers.map((s) => [`${c.name} ${s.address}`, s.statements]))));
  for (const cluster of frame.clusters) {
    for (const server of cluster.zones.flatMap((zone) => zone.servers)) {
      const key = `${cluster.name} ${server.address}`;
      servers.set(key, per(server.statements, old.get(key) ?? server.statements));
    }
  }
  const then = before ?? frame;
  return {
    known, servers, statements: per(frame.statements, then.statements), errors: per(frame.statement_errors, then.statement_errors),
    bytes: per(frame.server_bytes, then.server_bytes), logins: per(frame.logins, then.logins),
  };
}

function show(frame) {
  const rate = rates(frame);
  before = frame;
  say(byId("version"), frame.version);
  const troubles = [...frame.why_not_ready, ...frame.why_degraded];
  const [word, health] = frame.draining ? ["draining", "off"] : frame.why_not_ready.length ? ["not ready", "black"] : troubles.length ? ["degraded", "grey"] : ["ok", "ok"];
  setHealth(word, health);
  const reasons = byId("reasons");
  reasons.hidden = !troubles.length;
  while (reasons.children.length > troubles.length) reasons.lastElementChild.remove();
  troubles.forEach((text, at) => say(reasons.children[at] ?? reasons.appendChild(make("li")), text));
  showNumbers(frame, rate);
  showMap(frame, rate);
  showRoutes(frame);
  showSlow(frame);
  showTree(frame.tree);
}

function setHealth(word, health) {
  say(byId("health"), word);
  byId("health").dataset.health = health;
}

// ---- the WebSocket --------------------------------------------------------------------

let socket = null;
let pause = 500;
let timer = 0;

function connect() {
  clearTimeout(timer);
  if (socket || document.hidden) return;
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
  socket = opened;
  opened.addEventListener("open", () => opened.send(JSON.stringify({ token: token.value })));
  opened.addEventListener("message", (event) => {
    pause = 500;
    if (opened === socket) show(JSON.parse(event.data));
  });
  opened.addEventListener("close", (event) => {
    if (opened !== socket) return;
    leave();
    if (event.code === UNAUTHORIZED) {
      setHealth("needs a token", "off");
      askToken("From another machine the proxy's http_token is needed. It is kept in this tab only.");
      return;
    }
    setHealth("not connected", "black");
    timer = setTimeout(connect, pause);
    pause = Math.min(2 * pause, 8000);
  });
}

function leave() {
  const left = socket;
  socket = before = null;
  left?.close();
}

// ---- keys and the rest ----------------------------------------------------------------

const SECTIONS = ["map", "sessions", "explain", "statements", "routes", "tasks"];

function go(id) {
  const section = byId(id);
  section.scrollIntoView({ block: "start" });
  section.focus({ preventScroll: true });
}

function turnTheme() {
  const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  setTheme(dark === "dark" ? "light" : "dark");
}

function setTheme(theme) {
  if (!theme) return;
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("odp-trio theme", theme);
}

const KEYS = {
  "/": () => byId("search-words").focus(), e: () => { go("explain"); byId("explain-sql").focus(); },
  k: () => askToken(), t: turnTheme, "?": () => byId("help-dialog").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, dialog");
  if (typing && event.key === "Escape" && !event.target.closest("dialog")) event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key] ?? (SECTIONS[Number(event.key) - 1] && (() => go(SECTIONS[Number(event.key) - 1])));
  if (!act) return;
  event.preventDefault();
  act();
});

let sessionsSeen = false;
new IntersectionObserver(([entry]) => {
  sessionsSeen = entry.isIntersecting;
  if (sessionsSeen) showSessions();
}).observe(byId("sessions"));
setInterval(() => { if (sessionsSeen && socket && !document.hidden) showSessions(); }, SESSIONS_EVERY);

let typed = 0;
byId("search-words").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(showSessions, 150);
});
byId("search").addEventListener("submit", (event) => event.preventDefault());
byId("token-button").addEventListener("click", () => askToken());
byId("theme-button").addEventListener("click", turnTheme);
byId("help-button").addEventListener("click", () => byId("help-dialog").showModal());
document.addEventListener("token", () => { leave(); connect(); showSessions(); });
document.addEventListener("visibilitychange", () => (document.hidden ? leave() : connect()));

setTheme(localStorage.getItem("odp-trio theme"));
buildNumbers();
startExplaining();
connect();
