// The map: the proxy above, zones and servers below, statements flowing between them.

import { byId, count, make, say, span } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const HEALTH = { ok: "ok", grey: "grey", black: "black", off: "off" };
let shape = "";
let clusters = new Map();

/** Show a record; rates are those since the record before. */
export function showMap(frame, rates) {
  const now = JSON.stringify(frame.clusters.map((c) => [c.name, c.zones.map((z) => [z.name, z.region, z.idc, z.kind, z.servers.map((s) => s.address)])]));
  if (now !== shape) {
    shape = now;
    build(frame.clusters);
  }
  for (const cluster of frame.clusters) update(cluster, clusters.get(cluster.name), rates.servers);
}

function build(list) {
  clusters = new Map();
  const names = list.map((cluster) => make("option", { value: cluster.name }));
  byId("cluster-names").replaceChildren(...names);
  byId("clusters").replaceChildren(...list.map(buildCluster));
  if (!list.length) byId("clusters").append(make("p", { className: "dim" }, "No cluster is known yet."));
}

function buildCluster(cluster) {
  const about = make("span", { className: "dim" });
  const trouble = make("span", { className: "why", data: { health: "grey" } });
  const flows = document.createElementNS(SVG, "svg");
  flows.setAttribute("class", "flows");
  flows.setAttribute("aria-hidden", "true");
  const node = make("div", { className: "proxy-node", ariaHidden: "true" }, "odp-trio");
  const parts = { about, trouble, flows, node, zones: new Map(), servers: new Map() };
  const zones = cluster.zones.map((zone) => buildZone(zone, parts));
  clusters.set(cluster.name, parts);
  parts.element = make("div", { className: "cluster" },
    make("div", { className: "cluster-head" }, make("strong", {}, cluster.name), about, trouble),
    flows, node, make("div", { className: "zones" }, ...zones));
  return parts.element;
}

function buildZone(zone, parts) {
  const state = make("span", { className: "dim" });
  parts.zones.set(zone.name, state);
  const place = [zone.region, zone.idc].filter(Boolean).join(" · ");
  return make("div", { className: "zone" },
    make("div", { className: "zone-name" }, make("strong", {}, zone.name), make("span", { className: "dim" }, place), state),
    ...zone.servers.map((server) => buildServer(server, parts)));
}

function buildServer(server, parts) {
  const found = {
    badge: make("span", { className: "badge" }), rate: make("b"), running: make("span"), sessions: make("span"),
    leads: make("span", { className: "dim" }), bar: make("i"), why: make("div", { className: "why" }), path: document.createElementNS(SVG, "path"),
  };
  parts.flows.append(found.path);
  found.element = make("div", { className: "server", data: { address: server.address } },
    make("div", { className: "server-head" }, make("span", { className: "mono" }, server.address), found.badge),
    make("div", { className: "server-load" }, make("span", {}, found.rate, " /s"), found.running, found.sessions, found.leads),
    make("div", { className: "bar" }, found.bar), found.why);
  parts.servers.set(server.address, found);
  return found.element;
}

function update(cluster, parts, rates) {
  const age = cluster.age === null ? "no server list yet" : `server list ${span(cluster.age)} old`;
  say(parts.about, [cluster.version, cluster.role, age].filter(Boolean).join(" · "));
  say(parts.trouble, cluster.network_lost || (cluster.failures ? `${cluster.failures} refreshes failed: ${cluster.last_failure}` : ""));
  const every = cluster.zones.flatMap((zone) => zone.servers);
  const rate = new Map(every.map((server) => [server.address, rates.get(`${cluster.name} ${server.address}`) ?? 0]));
  const most = Math.max(1, ...rate.values());
  for (const zone of cluster.zones) {
    say(parts.zones.get(zone.name), zone.state === "ACTIVE" ? "" : zone.state);
    for (const server of zone.servers) updateServer(server, parts.servers.get(server.address), rate.get(server.address), most);
  }
  draw(parts, rate, most);
}

function updateServer(server, found, rate, most) {
  const { element } = found;
  if (element.dataset.health !== server.health) element.dataset.health = server.health;
  say(found.badge, server.state === "ACTIVE" || server.health === "off" ? HEALTH[server.health] : `${HEALTH[server.health]} · ${server.state}`);
  say(found.rate, count(rate));
  say(found.running, `${count(server.running)} running`);
  say(found.sessions, `${count(server.sessions)} sessions`);
  say(found.leads, server.leaders ? `leads ${count(server.leaders)}` : "");
  say(found.why, server.reason);
  found.bar.style.width = `${Math.round(100 * rate / most)}%`;
  if (found.path.dataset.health !== server.health) found.path.dataset.health = server.health;
}

function draw(parts, rates, most) {
  const frame = parts.element.getBoundingClientRect();
  const top = parts.node.getBoundingClientRect();
  if (!top.width) return; // too narrow for lines
  const x = top.left + top.width / 2 - frame.left;
  const y = top.bottom - frame.top;
  for (const [address, found] of parts.servers) {
    const place = found.element.getBoundingClientRect();
    const toX = place.left - frame.left - 6;
    const toY = place.top - frame.top + place.height / 2;
    const first = found.element.parentElement.querySelector(".server").getBoundingClientRect().top - frame.top;
    const bend = Math.min(toY, first - 44);
    found.path.setAttribute("d", `M${x} ${y} C${x} ${bend + 18} ${toX} ${bend - 6} ${toX} ${bend + 18} L${toX} ${toY} l6 0`);
    const rate = rates.get(address);
    found.path.setAttribute("stroke-width", rate ? 1.5 + 3.5 * rate / most : 1);
    found.path.setAttribute("class", rate ? "busy" : "");
    found.path.style.animationDuration = `${rate ? Math.max(0.25, 1.5 - 1.2 * rate / most) : 1}s`;
  }
}
