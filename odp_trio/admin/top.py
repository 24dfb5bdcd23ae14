"""What ``odp-trio top`` shows: two records of a proxy as something that rich prints.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from odp_trio.admin.live import LiveCluster, LiveFrame, LiveServer
from odp_trio.admin.tree import TreeNode

_STYLES: Final = {"ok": "green", "grey": "yellow", "black": "bold red", "off": "dim"}
_STATES: Final = {"running": "green", "starting": "yellow", "backing_off": "bold red", "stopped": "dim"}
_BAR: Final = 12
_MOST_ROWS: Final = 8
_UNITS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Rates(msgspec.Struct, frozen=True):
    """What happened in a second, between two records."""

    statements: float
    errors: float
    logins: float
    bytes: float
    servers: dict[tuple[str, str], float]


def rates(before: LiveFrame | None, now: LiveFrame) -> Rates:
    """Return the rates; zeros without a record before, or with one of a proxy that has been started since."""
    if before is None or now.at <= before.at or now.uptime < before.uptime:
        return Rates(0.0, 0.0, 0.0, 0.0, {})
    seconds = now.at - before.at
    old = dict(_servers(before))
    return Rates(
        (now.statements - before.statements) / seconds,
        (now.statement_errors - before.statement_errors) / seconds,
        (now.logins - before.logins) / seconds,
        (now.server_bytes - before.server_bytes) / seconds,
        {
            where: max(0, server.statements - old[where].statements) / seconds if where in old else 0.0
            for where, server in _servers(now)
        },
    )


def screen(before: LiveFrame | None, now: LiveFrame, note: str = "") -> RenderableType:
    """Return everything; ``note`` is what is wrong with the connection."""
    per = rates(before, now)
    parts: list[RenderableType] = [_head(now, per, note)]
    parts += [plain(f"! {reason}", "yellow") for reason in (*now.why_not_ready, *now.why_degraded)[:_MOST_ROWS]]
    parts += [_cluster(cluster, per) for cluster in now.clusters]
    parts += [part for part in (_misroutes(now), _slow(now)) if part is not None]
    parts.append(_tasks(now.tree))
    return Group(*parts)


def _head(now: LiveFrame, per: Rates, note: str) -> Text:
    words, style = ("ok", "green")
    if now.draining:
        words, style = "draining", "dim"
    elif now.why_not_ready:
        words, style = "not ready", "bold red"
    elif now.why_degraded:
        words, style = "degraded", "yellow"
    moment = datetime.fromtimestamp(now.at, UTC).astimezone().strftime("%H:%M:%S")
    head = Text.assemble(
        ("odp-trio ", "bold"), now.version, "  ", (words, style), f"  {moment}  up {span(now.uptime)}\n",
        (f"{short(per.statements)}", "bold"), " statements/s  ", (short(per.errors), "bold"), " errors/s  ",
        (str(now.sessions), "bold"), f" clients, {now.busy_sessions} busy  ",
        (short(per.logins), "bold"), " logins/s  ",
        (f"{short(per.bytes)}B", "bold"), "/s from servers",
    )  # fmt: skip
    if note:
        head.append(f"\n{note}", "bold red")
    return head


def _cluster(cluster: LiveCluster, per: Rates) -> Table:
    age = "no server list yet" if cluster.age is None else f"server list {span(cluster.age)} old"
    title = "  ".join(filter(None, (cluster.name, cluster.version, cluster.role, age, cluster.network_lost)))
    table = Table(title=plain(title, "bold"), title_justify="left", box=None, pad_edge=False, expand=False)
    for name in ("ZONE", "IDC", "SERVER", "STATE"):
        table.add_column(name, header_style="dim", overflow="fold")
    for name in ("STMT/S", "", "RUN", "CLIENTS", "LEADS"):
        table.add_column(name, header_style="dim", justify="left" if not name else "right", no_wrap=True)
    table.add_column("WHY", header_style="dim", overflow="ellipsis", no_wrap=True)
    most = max((per.servers.get((cluster.name, server.address), 0.0) for _, server in _of(cluster)), default=0.0)
    for zone, server in _of(cluster):
        rate = per.servers.get((cluster.name, server.address), 0.0)
        style = _STYLES[server.health]
        state = server.health if server.state == "ACTIVE" else f"{server.health} {server.state}"
        filled = round(_BAR * rate / most) if most else 0
        table.add_row(
            *map(plain, zone), plain(server.address), Text(state, style), short(rate), Text("█" * filled, style),
            str(server.running), str(server.sessions), str(server.leaders), plain(server.reason, style),
        )  # fmt: skip
    return table


def _misroutes(now: LiveFrame) -> Table | None:
    if not now.misroutes:
        return None
    table = Table(title="Misroutes", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("TABLE", "TENANT", "ROUTED", "MISSED"):
        table.add_column(name, header_style="dim", justify="right" if name.endswith("ED") else "left")
    for one in now.misroutes[:_MOST_ROWS]:
        table.add_row(
            f"{one.database}.{one.table}", f"{one.tenant}#{one.cluster}", short(one.routed), short(one.missed)
        )
    return table


def _slow(now: LiveFrame) -> Table | None:
    if not now.slow:
        return None
    table = Table(title="Slow statements", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("TOOK", "SERVER", "TENANT"):
        table.add_column(name, header_style="dim", no_wrap=True)
    table.add_column("STATEMENT", header_style="dim", no_wrap=True, overflow="ellipsis")
    for one in now.slow[:_MOST_ROWS]:
        tenant = plain(f"{one.tenant}#{one.cluster}")
        table.add_row(span(one.seconds), plain(one.server or "the proxy"), tenant, plain(" ".join(one.sql.split())))
    return table


def _tasks(root: TreeNode) -> Table:
    table = Table(title="Tasks", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("TASK", "STATE", "RESTARTS"):
        table.add_column(name, header_style="dim", no_wrap=True, justify="right" if name == "RESTARTS" else "left")
    table.add_column("LAST ERROR", header_style="dim", no_wrap=True, overflow="ellipsis")
    for depth, node in _walk(root, 0):
        state = Text(node.state.replace("_", " "), _STATES.get(node.state, ""))
        shown = plain(f"{'  ' * depth}{node.name}")
        table.add_row(shown, state, str(node.restarts or ""), plain(node.last_error))
    return table


def _walk(node: TreeNode, depth: int) -> Iterator[tuple[int, TreeNode]]:
    for child in node.children:
        yield depth, child
        yield from _walk(child, depth + 1)


def _of(cluster: LiveCluster) -> Iterator[tuple[tuple[str, str], LiveServer]]:
    for zone in cluster.zones:
        for server in zone.servers:
            yield (zone.name, zone.idc), server


def _servers(frame: LiveFrame) -> Iterator[tuple[tuple[str, str], LiveServer]]:
    for cluster in frame.clusters:
        for _, server in _of(cluster):
            yield (cluster.name, server.address), server


def plain(text: str, style: str = "") -> Text:
    """Return a text that neither markup nor a terminal's control characters can change."""
    return Text("".join(letter if letter.isprintable() else "\ufffd" for letter in text), style)


def short(number: float) -> str:
    """Return a number in at most six characters."""
    for size, letter in _UNITS:
        if number >= size * (10 if letter == "k" else 1):
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def span(seconds: float) -> str:
    """Return a time in a word."""
    if seconds < 0.1:
        return f"{seconds * 1000:.2g}ms"
    for size, letter in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{letter}"
    return f"{seconds:.1f}s"
