"""What the console shows, as one record that is made again and again while somebody looks.

Bounded work: one record serves everybody who looks; the next one is made after ``INTERVAL``, or later when
making it takes long, so that at most two percent of a core go there.  Nothing is made when nobody looks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol, final

import msgspec
import trio

from odp_trio.admin.congestion import RecentChange, ServerCongestion
from odp_trio.admin.routes import TableRoutes, table_routes
from odp_trio.admin.slow_statements import SlowStatement, SlowStatements
from odp_trio.admin.status import ClusterStatus, ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.congestion import Listed
from odp_trio.topology.location import TableEntry

if TYPE_CHECKING:
    from odp_trio.admin.api_types import Source

INTERVAL: Final = 0.5
"""Seconds between two records."""
_TABLES_INTERVAL: Final = 5.0
_SHARE: Final = 0.02
"""Of one core, that making records may take."""
_SLICE: Final = 500
_MOST_MISROUTES: Final = 20
_MOST_CHANGES: Final = 20
_MOST_REASONS: Final = 20
_MOST_SLOW: Final = 30
_BLACK: Final = (Listed.DEAD.value, Listed.DETECT.value)

Where = tuple[str, str]
"""Cluster, and address of a server."""


class LiveServer(msgspec.Struct, frozen=True):
    """One OBServer."""

    address: str
    state: str
    """As the server list has it: ACTIVE, INACTIVE, …"""
    health: str
    """ok; grey: refused for failures; black: gone or not answering; off: stopped on purpose or not serving yet."""
    reason: str
    """Why it is not ok."""
    leaders: int
    """Partitions that are known and that it leads."""
    sessions: int
    """Clients whose last statement went there."""
    running: int
    """Statements that run there now."""
    statements: int
    """Since somebody looks."""


class LiveZone(msgspec.Struct, frozen=True):
    """One zone."""

    name: str
    region: str
    idc: str
    kind: str
    state: str
    servers: tuple[LiveServer, ...]


class LiveCluster(msgspec.Struct, frozen=True):
    """One cluster.  ``age`` is seconds since its server list was had; None before the first time."""

    name: str
    version: str
    role: str
    age: float | None
    failures: int
    last_failure: str
    network_lost: str
    """Why our own network seems to be lost; empty if it does not."""
    zones: tuple[LiveZone, ...]


class LiveFrame(msgspec.Struct, frozen=True):
    """One moment.  ``at`` is seconds since the epoch; counts are since the start of the proxy."""

    at: float
    interval: float
    version: str
    addresses: tuple[str, ...]
    uptime: float
    draining: bool
    why_not_ready: tuple[str, ...]
    why_degraded: tuple[str, ...]
    sessions: int
    busy_sessions: int
    accepted: int
    logins: int
    statements: int
    statement_errors: int
    client_bytes: int
    server_bytes: int
    route_waits: int
    replays: int
    routed: int
    """Statements that were routed by a location, and those of them that went to the wrong server."""
    missed: int
    clusters: tuple[LiveCluster, ...]
    tree: TreeNode
    misroutes: tuple[TableRoutes, ...]
    """The tables with the most."""
    changes: tuple[RecentChange, ...]
    slow: tuple[SlowStatement, ...]
    """The last slow statements, the newest first."""


class ClusterTable(Protocol):
    """The clusters that are known."""

    def resources(self) -> Iterable[ClusterResource]:
        """Return them."""
        ...


class _Tables(msgspec.Struct, frozen=True):
    """What a walk over all tables found."""

    leaders: Counter[Where] = Counter()
    misroutes: tuple[TableRoutes, ...] = ()
    routed: int = 0
    missed: int = 0


@final
class Feed:
    """Makes records of one proxy, for all who look."""

    def __init__(self, source: Source) -> None:
        self.watchers = 0
        self._source = source
        self._lock = trio.Lock()
        self._frame: LiveFrame | None = None
        self._encoded = b""
        self._next = self._next_tables = 0.0
        self._tables = _Tables()
        self._statements: dict[int, int] = {}
        """By server session, when it was looked at last."""
        self._walked = trio.current_time()
        self._flow: Counter[Where] = Counter()
        self._slow = SlowStatements(source.settings, _MOST_SLOW)

    async def frame(self) -> LiveFrame:
        """Return a record that is not older than the interval."""
        async with self._lock:
            now = trio.current_time()
            if self._frame is None or now >= self._next:
                began = time.thread_time()
                self._frame = await self._make(now)
                self._encoded = b""
                self._next = now + max(INTERVAL, (time.thread_time() - began) / _SHARE)
            return self._frame

    async def encoded(self) -> bytes:
        """Return the same as JSON, encoded once for everybody."""
        frame = await self.frame()
        if not self._encoded:
            self._encoded = msgspec.json.encode(frame)
        return self._encoded

    async def wait_next(self) -> None:
        """Sleep until there may be another record."""
        await trio.sleep_until(max(self._next, trio.current_time() + 0.05))

    async def _make(self, now: float) -> LiveFrame:
        if now >= self._next_tables:
            began = time.thread_time()
            self._tables = await self._walk_tables()
            self._next_tables = now + max(_TABLES_INTERVAL, (time.thread_time() - began) / _SHARE)
        sessions, running = await self._walk_sessions()
        status, source, tables = await self._source.status(), self._source, self._tables
        listed = {(one.cluster_name, one.server_ip): one for cluster in status.congestion for one in cluster.servers}
        lost = {cluster.cluster: cluster.network_lost_reason for cluster in status.congestion if cluster.network_lost}

        def server(cluster: str, address: str, state: str) -> LiveServer:
            where = cluster, address
            health, reason = health_of(state, listed.get(where))
            return LiveServer(
                address,
                state,
                health,
                reason,
                tables.leaders[where],
                sessions[where],
                running[where],
                self._flow[where],
            )

        states = {cluster.name: cluster for cluster in status.clusters}
        clusters = tuple(
            _cluster(cluster, states[cluster.name], lost.get(cluster.name, ""), server)
            for cluster in source.clusters.resources()
            if cluster.name in states
        )
        slow = self._slow.look(reversed(source.logs.slow))
        return _frame(status, source, tables, clusters, slow)

    async def _walk_sessions(self) -> tuple[Counter[Where], Counter[Where]]:
        """Return how many clients use each server, and how many statements run there."""
        sessions: Counter[Where] = Counter()
        running: Counter[Where] = Counter()
        seen: dict[int, int] = {}
        began = trio.current_time()
        everybody = tuple(self._source.sessions.table.values())
        for start in range(0, len(everybody), _SLICE):
            for session in everybody[start : start + _SLICE]:
                router, destination, lane = session.router, session.destination, session.lane
                if router is None or destination is None:
                    continue
                for upstream in router.servers.by_address.values():
                    where = destination.key, str(upstream.address)
                    used = lane is not None and lane.upstream is upstream
                    if used:
                        sessions[where] += 1
                        running[where] += lane is not None and lane.busy
                    now = upstream.statements + (session.traffic.statements - upstream.used_from if used else 0)
                    seen[id(upstream)] = now
                    unseen = 0 if upstream.since > self._walked else now
                    self._flow[where] += max(0, now - self._statements.get(id(upstream), unseen))
            await trio.lowlevel.checkpoint()
        self._statements, self._walked = seen, began
        known = {
            (cluster.name, str(server)) for cluster in self._source.clusters.resources() for server in cluster.servers
        }
        for where in [where for where in self._flow if where not in known]:
            del self._flow[where]
        return sessions, running

    async def _walk_tables(self) -> _Tables:
        leaders: Counter[Where] = Counter()
        routed = missed = 0
        wrong: list[tuple[int, TableEntry]] = []
        since = 0
        for entry in chain.from_iterable(self._source.locations.slices(_SLICE)):
            misses = 0 if entry.counts is None else sum(astray for _, astray in entry.counts.values())
            routed += entry.sent
            missed += misses
            if misses:
                wrong.append((misses, entry))
            for location in entry.locations():
                since += 1
                if location.leader is not None:
                    leaders[entry.key.cluster, str(location.leader)] += 1
            since += 1
            if since >= _SLICE:
                since = 0
                wrong = nlargest(_MOST_MISROUTES, wrong, key=lambda item: item[0])
                await trio.lowlevel.checkpoint()
        wrong = nlargest(_MOST_MISROUTES, wrong, key=lambda item: item[0])
        return _Tables(leaders, tuple(table_routes(entry) for _, entry in wrong), routed, missed)


def health_of(state: str, congestion: ServerCongestion | None) -> tuple[str, str]:
    """Return whether a server is ok, grey, black or off, and why it is not ok."""
    listed = congestion.listed if congestion is not None else ""
    reason = congestion.reason if congestion is not None else ""
    if listed in _BLACK or state == "INACTIVE":
        return "black", reason or f"the server list says {state}"
    if listed == Listed.ALIVE.value:
        return "grey", reason
    if listed or state in ("UPGRADE", "REPLAY"):
        return "off", reason or f"the server list says {state}"
    return "ok", ""


class _MakeServer(Protocol):
    def __call__(self, cluster: str, address: str, state: str) -> LiveServer: ...


def _cluster(cluster: ClusterResource, status: ClusterStatus, lost: str, make: _MakeServer) -> LiveCluster:
    by_zone: dict[str, list[LiveServer]] = {name: [] for name in cluster.zones}
    for address, server in cluster.servers.items():
        by_zone.setdefault(server.zone, []).append(make(cluster.name, str(address), server.state.value))
    zones = []
    for name, servers in by_zone.items():
        zone = cluster.zones.get(name)
        about = ("", "", "", "") if zone is None else (zone.region, zone.idc, zone.kind, zone.state.value)
        zones.append(LiveZone(name, *about, tuple(servers)))
    return LiveCluster(
        cluster.name,
        status.version,
        status.role,
        status.age,
        status.failures,
        status.last_failure,
        lost,
        tuple(sorted(zones, key=lambda zone: (zone.region, zone.idc, zone.name))),
    )


def _frame(
    status: ProxyStatus,
    source: Source,
    tables: _Tables,
    clusters: tuple[LiveCluster, ...],
    slow: tuple[SlowStatement, ...],
) -> LiveFrame:
    return LiveFrame(
        at=time.time(),
        interval=INTERVAL,
        version=status.version,
        addresses=status.addresses,
        uptime=status.uptime,
        draining=status.draining,
        why_not_ready=status.why_not_ready,
        why_degraded=status.why_degraded[:_MOST_REASONS],
        sessions=status.sessions,
        busy_sessions=status.busy_sessions,
        accepted=status.accepted,
        logins=status.logins,
        statements=status.statements,
        statement_errors=status.statement_errors,
        client_bytes=status.client_bytes,
        server_bytes=status.server_bytes,
        route_waits=status.route_waits,
        replays=status.replays,
        routed=tables.routed,
        missed=tables.missed,
        clusters=clusters,
        tree=source.tree(),
        misroutes=tables.misroutes,
        changes=tuple(source.recent_changes()[:_MOST_CHANGES]),
        slow=slow,
    )
