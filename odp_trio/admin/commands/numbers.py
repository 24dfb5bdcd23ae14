"""Commands that count: statistics, memory, connections.

``STATISTICS`` maps ODP's names to what we count; what ODP counts and we do not is not invented.
"""

from __future__ import annotations

import os
import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

import msgspec

from odp_trio.admin.across.rows import ByWorker, Row, chained, rows_of_all
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, nothing, show
from odp_trio.admin.commands.moments import clock
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.status import ProxyStatus
from odp_trio.observe import PROXY
from odp_trio.session.server_set import Upstream
from odp_trio.session.services import Session

NET_THREAD: Final = (
    "net_thread_id", "current_connection_count", "current_client_connection_count",
    "global_current_client_connection_count", "global_current_connection_count", "global_current_do_accept_count",
    "total_epoll_wait", "last_epoll_size", "total_cop_lock_failure", "total_lru_timeout_count",
    "total_lru_timeout_time-sec", "total_set_default_inactive", "total_calls_read_from_net", "total_calls_read",
    "total_calls_read_nodata", "total_read_bytes", "total_calls_write_to_net", "total_calls_write",
    "total_calls_write_nodata", "total_write_bytes", "protected_queue_al_size", "protected_queue_local_size",
    "priority_queue_size",
)  # fmt: skip
NET_CONNECTION: Final = (
    "thread_id L, connect_id L, socket_fd L, type V, src_ip V, src_port L, dst_ip V, dst_port L, virtual_ip V, "
    "virtual_port L, virtual_vid L, bind_style V, read_enabled L, read_nbytes L, read_ndone L, write_enabled L, "
    "write_nbyte L, write_ndone L, alive_time(sec) L, activity_timeout_in(sec) L, inactivity_timeout_in(sec) L, "
    "timeout_close_in(sec) L, last_error_no L, shutdown L, comments V"
)
_MEMORY: Final = "mod_name V, mod_type V, hold L, used L, count L, avg_used L, backtrace V"


def _refused(status: ProxyStatus) -> int:
    return sum(status.refused_logins.values())


def _listed(status: ProxyStatus, listed: str) -> int:
    return sum(found.by_list.get(listed, 0) for found in status.congestion)


STATISTICS: Final[Mapping[str, Callable[[ProxyStatus], int]]] = {
    "current_client_connections": lambda status: status.sessions,
    "current_active_client_connections": lambda status: status.busy_sessions,
    "client_connections_currently_open": lambda status: status.sessions,
    "total_client_connections": lambda status: status.accepted,
    "total_server_connections": lambda status: status.server_connects,
    "broken_server_connections": lambda status: sum(
        status.server_ends.get(why, 0) for why in ("lost", "timed_out", "found_dead", "protocol_error")
    ),
    "client_connection_abort_count": lambda status: status.ends.get("client_gone", 0),
    "server_connect_count": lambda status: status.server_connects,
    "server_connect_retries": lambda status: status.server_connect_failures,
    "total_query_count": lambda status: status.statements,
    "client_completed_requests": lambda status: status.statements,
    "server_error_responses": lambda status: status.statement_errors,
    "client_request_total_size": lambda status: status.client_bytes,
    "client_response_total_size": lambda status: status.server_bytes,
    "get_pl_total": lambda status: status.statements,
    "get_pl_from_remote": lambda status: status.location_fetches,
    "set_delay_update_count": lambda status: status.location_dirtied,
    "pl_delay_update_count": lambda status: status.location_renewals,
    "kick_out_table_entry_from_global_cache": lambda status: status.location_evictions,
    "dummy_entry_expired_count": lambda status: status.tenant_invalidations,
    "send_changed_session_vars_requests": lambda status: status.replays,
    "alive_congested": lambda status: _listed(status, "alive"),
    "dead_congested": lambda status: _listed(status, "dead"),
    "current_cluster_resource_count": lambda status: len(status.clusters),
    "global_client_connections_currently_open": lambda status: status.sessions,
    "net_handler_run": lambda status: status.loop_turns,
    "read_bytes": lambda status: status.client_bytes + status.server_bytes,
    "write_bytes": lambda status: status.client_bytes + status.server_bytes,
}


_KINDS: Final = ("select", "insert", "update", "delete")


def measured_statistics(measured: Measurements) -> Iterator[tuple[str, int]]:
    """Yield what was measured, by ODP's names; sums of times are in µs."""
    kinds: Counter[str] = Counter()
    for counts in measured.statements:
        kinds[counts.kind.lower() if counts.kind.lower() in _KINDS else "other"] += counts.statements
    yield "client_requests", sum(kinds.values())
    for kind in (*_KINDS, "other"):
        yield f"client_{kind}_requests", kinds[kind]
    yield "server_requests", sum(one.statements for one in measured.statements if one.route != PROXY)
    yield "total_server_process_request_time", int(sum(one.server_seconds for one in measured.statements) * 1e6)
    yield "current_server_connections", sum(one.sessions for one in measured.server_sessions)
    yield "statements_missed", sum(one.missed for one in measured.statements)
    yield "total_statement_time", int(sum(one.total_seconds for one in measured.statements) * 1e6)
    yield "total_proxy_time", int(sum(one.proxy_seconds for one in measured.statements) * 1e6)


def statistics(status: ProxyStatus, measured: Measurements) -> Iterator[tuple[str, int]]:
    """Yield every number: by ODP's names, then by our own those that it has no name for."""
    for name, read in STATISTICS.items():
        yield name, read(status)
    yield from measured_statistics(measured)
    yield "refused_logins", _refused(status)
    record = msgspec.to_builtins(status)
    yield from ((name, int(value)) for name, value in record.items() if isinstance(value, int | float))
    for name in ("ends", "server_ends", "failed_statements", "server_failures", "probes"):
        yield from ((f"{name}.{key}", count) for key, count in sorted(record[name].items()))


async def _stat(asked: Asked) -> Rows:
    measured = await asked.proxy.measurements()
    found = statistics(await asked.proxy.status(), measured)
    return [(name, value, "NULL") for name, value in found if asked.like(name)]


# ---- memory ---------------------------------------------------------------------------------


def _memory(asked: Asked) -> Rows:
    """Return what the process has of the system, and about how much of it our tables take."""
    proxy = asked.proxy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    sessions, kept, texts = tuple(proxy.sessions.table.values()), 0, proxy.prepared_texts
    for one in sessions:
        if one.router is not None:
            kept += one.router.account.weight
        yield None
    yield _module("process", "resident", resident_bytes(), 1)
    yield _module("process", "peak", peak, 1)
    yield _module("client sessions", "kept", kept, len(sessions))
    yield _module("prepared texts", "table", texts.size, len(texts))
    yield _module("locations", "table", None, len(proxy.locations))
    yield _module("statement shapes", "table", None, len(proxy.statements))
    yield _module("tenant routes", "table", None, len(proxy.tenants))
    yield _module("ends of sessions", "table", None, len(proxy.ends.clients) + len(proxy.ends.servers))


def resident_bytes() -> int:
    """Return what the process has in memory, as the kernel counts it."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _module(name: str, kind: str, size: int | None, count: int) -> tuple[object, ...]:
    return name, kind, size, size, count, None if size is None or not count else size // count, ""


# ---- connections ------------------------------------------------------------------------------


async def _net_thread(asked: Asked) -> Rows:
    """Return the one event loop; what a thread of ODP counts and we do not is 0."""
    proxy, status = asked.proxy, await asked.proxy.status()
    values: dict[str, int] = dict.fromkeys(NET_THREAD, 0)
    values |= {
        "net_thread_id": threading.get_native_id(),
        "current_connection_count": proxy.reactor.sockets,
        "current_client_connection_count": status.sessions,
        "global_current_client_connection_count": status.sessions,
        "global_current_connection_count": proxy.reactor.sockets,
        "global_current_do_accept_count": status.accepted,
        "total_epoll_wait": status.loop_turns,
        "total_calls_read": proxy.reactor.events,
        "total_read_bytes": status.client_bytes + status.server_bytes,
        "total_write_bytes": status.client_bytes + status.server_bytes,
    }
    return [tuple(values.values())]


def _net_connections(asked: Asked) -> Rows:
    thread, offset, count = asked.number("thread_id"), asked.number("offset") or 0, asked.number("count")
    if thread is not None and thread != threading.get_native_id():
        return ()
    stop = None if count is None else offset + count
    return islice(_connections(asked), 0 if asked.part else offset, stop)


def _connections(asked: Asked) -> Iterator[tuple[object, ...]]:
    now = clock(asked.proxy.services).now
    for session in tuple(asked.proxy.sessions.table.values()):
        seen = asked.killer.everything or (
            session.destination is not None and session.destination.key == asked.killer.cluster
        )
        if not seen or session.sock.fileno() == -1:
            continue
        yield _client_row(session, now)
        router = session.router
        for upstream in () if router is None else tuple(router.servers.by_address.values()):
            if not upstream.closed:
                yield _server_row(session, upstream, now)


def _client_row(session: Session, now: float) -> tuple[object, ...]:
    ip, port = session.peer
    here = _ends(session.sock.getsockname)
    lane, traffic = session.lane, session.traffic
    return _connection_row(
        (session.id, session.sock.fileno(), "client", ip, port, *here),
        (traffic.client_bytes_in, lane is not None and bool(lane.owed), traffic.server_bytes_in),
        now - session.since,
        session.activity + (f", {session.tls}" if session.tls else ""),
    )


def _server_row(session: Session, upstream: Upstream, now: float) -> tuple[object, ...]:
    router = session.router
    active = router is not None and router.servers.active is upstream
    here, there = _ends(upstream.sock.getsockname), (upstream.address.ip, upstream.address.port)
    return _connection_row(
        (session.id, upstream.sock.fileno(), "server", *here, *there),
        (None, bool(upstream.leg.owed), None),
        now - upstream.since,
        f"server session {upstream.connection_id}, {'the last used' if active else 'in the pool'}"
        + (f", {upstream.tls}" if upstream.tls else ""),
    )


def _connection_row(
    who: tuple[object, ...], done: tuple[int | None, bool, int | None], alive: float, comments: str
) -> tuple[object, ...]:
    read, writes, written = done
    return (
        *(threading.get_native_id(), *who),
        *("", 0, 0, ""),
        *(1, None, read, int(writes), None, written),
        *(int(alive), None, None, None, 0, 0),
        comments,
    )


def _ends(address: Callable[[], Any]) -> tuple[str, int]:
    """Return IP and port of one end of a socket; a unix socket has its path and 0."""
    try:
        found = address()
    except OSError:
        return "", 0
    return (found[0], found[1]) if isinstance(found, tuple) else (os.fsdecode(found), 0)


# ---- several workers ----------------------------------------------------------------------

_NOT_ADDED: Final = frozenset({"uptime", "draining", "current_cluster_resource_count"})
_GLOBAL: Final = {
    "global_current_client_connection_count": "current_client_connection_count",
    "global_current_connection_count": "current_connection_count",
}


def _added(_: Sequence[str], rows: ByWorker) -> Sequence[Row]:
    """Add numbers up by name; of some the largest is shown."""
    values: dict[str, int] = {}
    for name, value, _persist in chain.from_iterable(rows.values()):
        known = values.get(name)
        values[name] = value if known is None else max(known, value) if name in _NOT_ADDED else known + value
    return [(name, value, "NULL") for name, value in values.items()]


def _memory_of_all(_: Sequence[str], rows: ByWorker) -> Sequence[Row]:
    """Add up what modules hold; what they hold on average is made again."""
    sums: dict[tuple[str, str], list[int | None]] = {}
    for name, kind, hold, _used, count, *_rest in chain.from_iterable(rows.values()):
        held, counted = sums.setdefault((name, kind), [None, 0])
        sums[name, kind] = [held if hold is None else hold + (held or 0), count + (counted or 0)]
    return [_module(*module, held, count or 0) for module, (held, count) in sums.items()]


def _threads_of_all(columns: Sequence[str], rows: ByWorker) -> Sequence[Row]:
    """Return one row a worker; what is global is the sum of all."""
    found = [dict(zip(columns, row, strict=True)) for row in chained(columns, rows)]
    sums = {name: sum(row[of] for row in found) for name, of in _GLOBAL.items()}
    sums["global_current_do_accept_count"] = sum(row["global_current_do_accept_count"] for row in found)
    return [tuple((row | sums).values()) for row in found]


_SUMS: Final = rows_of_all(_added, "added up")
_MODULES: Final = rows_of_all(_memory_of_all, "added up")
_THREADS: Final = rows_of_all(_threads_of_all, "one row a worker")
_SLICE: Final = rows_of_all(chained, "of every worker, then LIMIT", limited=True)

COMMANDS: Final[tuple[Command, ...]] = (
    show(
        f"SHOW PROXYSTAT {LIKE}",
        "stat_name V, value L, persist_type V",
        _stat,
        "counters and gauges: under ODP's names, and under our own what has none there",
        across=_SUMS,
    ),
    show(
        f"SHOW PROXYSTAT REFRESH {LIKE}",
        "stat_name V, value L, persist_type V",
        _stat,
        "the same: they are always up to date",
        across=_SUMS,
    ),
    show(
        "SHOW PROXYMEMORY [count]",
        _MEMORY,
        _memory,
        "what the process takes, and of it what is known by table",
        across=_MODULES,
    ),
    nothing("SHOW PROXYMEMORY OBJPOOL [count]", "there are no pools of objects"),
    show(
        "SHOW PROXYNET THREAD",
        ", ".join(f"{name} L" for name in NET_THREAD),
        _net_thread,
        "the event loop: it is one",
        across=_THREADS,
    ),
    show(
        "SHOW PROXYNET CONNECTION [thread_id] [LIMIT count]",
        NET_CONNECTION,
        _net_connections,
        "connections of clients and to servers",
        across=_SLICE,
    ),
    show(
        "SHOW PROXYNET CONNECTION [thread_id] LIMIT offset, count",
        NET_CONNECTION,
        _net_connections,
        "some of them",
        across=_SLICE,
    ),
    show(
        "SHOW PROXYNET CONNECTION [thread_id] LIMIT count OFFSET offset",
        NET_CONNECTION,
        _net_connections,
        "the same",
        across=_SLICE,
    ),
)
