"""Commands about the proxy itself: its tasks, its end, its version; why connections ended; its last warnings."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import trio

import odp_trio
from odp_trio.admin.across.rows import EACH, ONE, ROWS, Across, Asks, ByWorker, Row, merged, ordered, rows_of_all
from odp_trio.admin.across.trees import WORKER
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, Who, nothing, order, show
from odp_trio.admin.commands.moments import moment
from odp_trio.admin.operate import Operator
from odp_trio.admin.tree import TreeNode
from odp_trio.errors import Draining, OutOfRange
from odp_trio.session.ledger import EndRecord

_CLIENT_ENDS: Final = (
    "id L, client V, user V, tenant V, cluster V, server V, began V, seconds V, statements L, client_bytes L, "
    "server_bytes L, reason V, detail V"
)
_SERVER_ENDS: Final = (
    "id L, server_session L, server V, user V, tenant V, cluster V, began V, seconds V, reason V, detail V"
)


# ---- tasks --------------------------------------------------------------------------------


def _tasks(asked: Asked) -> Rows:
    for node in _nodes(asked.proxy.tree().children):
        if asked.like(node.path):
            pause = None if node.next_attempt is None else f"{node.next_attempt:.3f}"
            yield node.path, node.state, f"{node.since:.3f}", node.restarts, node.last_error, pause


def _nodes(children: tuple[TreeNode, ...]) -> Iterator[TreeNode]:
    for node in children:
        yield node
        yield from _nodes(node.children)


def _tree(asked: Asked) -> Rows:
    root = asked.proxy.tree()
    yield root.name, root.state, f"{root.since:.3f}", root.restarts, root.last_error
    yield from draw(root.children, "")


def draw(children: tuple[TreeNode, ...], prefix: str) -> Iterator[tuple[object, ...]]:
    """Yield a row a task, its name behind the lines that lead to it."""
    for node in children:
        last = node is children[-1]
        yield f"{prefix}{'└─ ' if last else '├─ '}{node.name}", node.state, f"{node.since:.3f}", *_trouble(node)
        yield from draw(node.children, prefix + ("   " if last else "│  "))


def _trouble(node: TreeNode) -> tuple[int, str]:
    return node.restarts, node.last_error


def _restart(asked: Asked) -> None:
    Operator(asked.proxy).restart_task(asked.arguments["path"], by=asked.by)


def _drain(asked: Asked) -> str:
    seconds = asked.proxy.settings().hot_upgrade_exit_timeout
    Operator(asked.proxy).drain(by=asked.by)
    return f"draining for at most {seconds:g} s"


def _ping(asked: Asked) -> None:
    if asked.proxy.draining:
        raise Draining("the proxy is shutting down; connect again")


# ---- ends ---------------------------------------------------------------------------------


def _client_ends(asked: Asked) -> Rows:
    for end in tuple(asked.proxy.ends.newest()):
        if _is_seen(asked, end) and asked.like(end.reason):
            yield (
                *(end.id, end.client, end.user, end.tenant, end.cluster, end.server, moment(end.began)),
                *(f"{end.seconds:.3f}", end.statements, end.client_bytes, end.server_bytes, end.reason, end.detail),
            )


def _server_ends(asked: Asked) -> Rows:
    for end in tuple(asked.proxy.ends.newest(servers=True)):
        if _is_seen(asked, end) and asked.like(end.reason):
            yield (
                *(end.id, end.server_session, end.server, end.user, end.tenant, end.cluster),
                *(moment(end.began), f"{end.seconds:.3f}", end.reason, end.detail),
            )


def _is_seen(asked: Asked, end: EndRecord) -> bool:
    return asked.killer.everything or end.cluster == asked.killer.cluster.partition(":")[0]


def _reasons(asked: Asked) -> Rows:
    counts = asked.proxy.counts
    for side, ends in (("client", counts.ends), ("server", counts.server_ends)):
        yield from ((reason, side, count) for reason, count in sorted(ends.items()) if asked.like(reason))


# ---- the program, its log -------------------------------------------------------------------


def _binary(asked: Asked) -> Rows:
    facts = {
        "odp-trio": odp_trio.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "program": sys.argv[0],
        "greeting": asked.proxy.settings().mysql_version,
    }
    return [("binary info", "\n".join(f"{name}: {value}" for name, value in facts.items()))]


def _upgrade(asked: Asked) -> Rows:
    proxy = asked.proxy
    state = "handed over, draining" if proxy.handed_over else "draining" if proxy.draining else "serving"
    sockets = proxy.bound.clients().values()
    facts = {
        "state": state,
        "pid": os.getpid(),
        "parent pid": os.getppid(),
        "uptime": f"{trio.current_time() - proxy.started_at:.0f} s",
        "fds": " ".join(str(sock.fileno()) for sock in sockets),
        "hot_upgrade_exit_timeout": f"{proxy.settings().hot_upgrade_exit_timeout:g} s",
        "sessions": len(proxy.sessions.table),
    }
    return [("hot upgrade info", "\n".join(f"{name}: {value}" for name, value in facts.items()))]


def _warnings(asked: Asked) -> Rows:
    ring = asked.proxy.logs.ring
    return ring.rows(asked.number("log_id") or 0, asked.number("thread_id") or 0, since(asked.text("time")))


def since(text: str | None) -> float:
    """Read ``YYYY-mm-dd[ HH:MM[:SS[.uuuuuu]]]`` in local time, or microseconds since the epoch; raise OutOfRange."""
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return int(text[:20]) / 1e6
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as exc:
        raise OutOfRange(f"time = {text!r} is neither YYYY-mm-dd HH:MM:SS nor microseconds") from exc


# ---- several workers ----------------------------------------------------------------------


def _trees_of_all(_: Sequence[str], rows: ByWorker) -> Sequence[Row]:
    """Return the trees of all workers below each other: their roots are named after them."""
    return [
        (f"{WORKER}{number}" if at == 0 else row[0], *row[1:])
        for number, tree in rows.items()
        for at, row in enumerate(tree)
    ]


def _paths_of_all(_: Sequence[str], rows: ByWorker) -> Sequence[Row]:
    """Return all tasks, with their worker before their paths."""
    return [(f"{WORKER}{number}/{row[0]}", *row[1:]) for number, tasks in rows.items() for row in tasks]


def _ended(row: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(row["began"]).timestamp() + float(row["seconds"])


_TREES: Final = rows_of_all(_trees_of_all, "the tree of every worker")
_PATHS: Final = rows_of_all(_paths_of_all, "those of every worker: `worker:1/` stands before the path")
_ENDS: Final = rows_of_all(ordered(_ended, reverse=True), "of every worker, the last one first")
_REASONS: Final = rows_of_all(merged("reason, side", added="ends"), "added up")
_LINES: Final = rows_of_all(ordered(lambda row: row["time"]), "of every worker by time, each with its own numbers")

_DRAINS: Final = Across(Asks.ONE, "all workers")

_VERSION: Final = "name V, info V"
_RECORDS: Final = "statements are recorded in the log: docs/logs.md"

COMMANDS: Final[tuple[Command, ...]] = (
    show(
        "SHOW PROXYTREE",
        "task V, state V, since V, restarts L, last_error V",
        _tree,
        "the tree of supervised tasks, as it is; `since` is in seconds",
        across=_TREES,
        own=True,
    ),
    show(
        f"SHOW PROXYTASKS {LIKE}",
        "path V, state V, since V, restarts L, last_error V, next_attempt V",
        _tasks,
        "the same, one path a task, as ALTER PROXY RESTART TASK takes it",
        across=_PATHS,
        own=True,
    ),
    order(
        "ALTER PROXY RESTART TASK 'path'",
        _restart,
        "end the present life of a task, and begin its next one",
        across=EACH,
        own=True,
    ),
    order(
        "ALTER PROXY DRAIN",
        _drain,
        "end the proxy in order: no new clients, sessions end between transactions, then the process ends",
        across=_DRAINS,
        own=True,
    ),
    show(
        f"SHOW PROXYENDS {LIKE}",
        _CLIENT_ENDS,
        _client_ends,
        "the last clients that ended, and why; LIKE is about the reason",
        across=_ENDS,
        own=True,
    ),
    show(
        f"SHOW PROXYSERVERENDS {LIKE}",
        _SERVER_ENDS,
        _server_ends,
        "the last server sessions that ended, and why",
        across=_ENDS,
        own=True,
    ),
    show(
        f"SHOW PROXYENDREASONS {LIKE}",
        "reason V, side V, ends L",
        _reasons,
        "how many ended for which reason",
        across=_REASONS,
        own=True,
    ),
    show("SHOW PROXYINFO BINARY", _VERSION, _binary, "what runs here", across=ONE),
    show("SHOW PROXYINFO UPGRADE", _VERSION, _upgrade, "whether it serves, drains, or was replaced", across=ROWS),
    show(
        "SHOW WARNLOG [log_id [, thread_id [, 'time']]]",
        "log_id L, thread_id L, time V, log V",
        _warnings,
        "the last lines of level WARN and above, from a number on, of a thread, since a time",
        across=_LINES,
    ),
    order("PING PROXY", _ping, "OK while the proxy takes clients: for health checks", across=ONE, who=Who.PROBES),
    nothing("SHOW PROXYTRACE [statement]", "the log has what a statement tried; EXPLAIN ROUTE says where it would go"),
    nothing("SHOW SQLAUDIT [statement]", _RECORDS),
    nothing("SHOW TRACE [statement]", "it is a command of servers: give it in a session of a cluster"),
    nothing("SHOW ELASTIC_ID [statement]", "sharding is not done here"),
    nothing("SHOW TOPOLOGY [statement]", "sharding is not done here"),
    nothing("SHOW DATABASE_VERSION", "sharding is not done here"),
    nothing("REPLACE statement", "there are no local tables: see SHOW PROXYCONFIG ALL and ALTER PROXYCONFIG SET"),
    nothing("DELETE statement", "there are no local tables: see SHOW PROXYCONFIG ALL and ALTER PROXYCONFIG SET"),
)
