"""What was measured, as records: statements by tenant, kind and route, times, bytes, the event loop, the worker.

Sessions may be many: they are walked in slices, others run between.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from odp_trio.observe import Histogram, StatementTable, TenantStatements, Traffic

if TYPE_CHECKING:
    from odp_trio.app import Proxy

TIMED_TENANTS: Final = 100
"""Tenants with times of their own: the first ones; those of others are summed up under empty names."""
_SLICE: Final = 500


class StatementCounts(msgspec.Struct, frozen=True):
    """Statements of one tenant, of one kind, that were routed one way.  Empty names: tenants that had no room."""

    cluster: str
    tenant: str
    kind: str
    route: str
    statements: int
    errors: int
    missed: int
    total_seconds: float
    server_seconds: float
    proxy_seconds: float


class Times(msgspec.Struct, frozen=True):
    """How many times were of fewer than 2**n µs and not of fewer than 2**(n-1), for each n from 0; and their sum."""

    counts: tuple[int, ...] = ()
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Return the seconds below which that share of the times is, but for a factor of two; 0 if there are none."""
        wanted, seen = share * self.count, 0
        for digits, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return (1 << digits) / 1e6
        return 0.0


class TenantTimes(msgspec.Struct, frozen=True):
    """What the statements of one tenant took: see ``observe.StatementCell``."""

    cluster: str
    tenant: str
    total: Times
    server: Times
    proxy: Times


class TenantBytes(msgspec.Struct, frozen=True):
    """What came from the clients of one tenant, and from its servers for them."""

    cluster: str
    tenant: str
    from_clients: int
    from_servers: int


class ServerSessions(msgspec.Struct, frozen=True):
    """Connections to one OBServer, for clients."""

    cluster: str
    server: str
    sessions: int


class Worker(msgspec.Struct, frozen=True):
    """The process.  ``generation`` counts the processes that have served the ports one after another."""

    worker: int
    pid: int
    generation: int
    reactor: str


class Measurements(msgspec.Struct, frozen=True):
    """Everything that was measured, at one moment, or over a few if sessions are many."""

    statements: tuple[StatementCounts, ...] = ()
    times: tuple[TenantTimes, ...] = ()
    traffic: tuple[TenantBytes, ...] = ()
    server_sessions: tuple[ServerSessions, ...] = ()
    records: dict[str, int] = {}
    """Records of statements that were given to logs, by why they were wanted."""
    loop_lag: Times = Times()
    loop_events: int = 0
    loop_errors: int = 0
    refresh_interval: float = 0.0
    workers: tuple[Worker, ...] = ()
    log_warnings: dict[str, int] = {}
    """Lines of the log of level WARN and above, by level."""
    log_lines_lost: dict[str, int] = {}
    """Lines and records that were not written, by why."""


async def statement_counts(table: StatementTable) -> tuple[StatementCounts, ...]:
    """Return the counts of every tenant; what had no room comes last, summed up."""
    counts: list[StatementCounts] = []
    for tenant in table.all():
        counts += _counts(tenant)
        await trio.lowlevel.checkpoint()
    return tuple(counts)


def _counts(tenant: TenantStatements) -> list[StatementCounts]:
    return [
        StatementCounts(
            tenant.cluster,
            tenant.tenant,
            cell.kind,
            cell.route,
            cell.count,
            cell.errors,
            cell.missed,
            cell.total_ns / 1e9,
            cell.server_ns / 1e9,
            cell.proxy_ns / 1e9,
        )
        for cell in tenant.cells.values()
    ]


async def tenant_times(table: StatementTable, most: int = TIMED_TENANTS) -> tuple[TenantTimes, ...]:
    """Return what statements took, of at most so many tenants and of all others together."""
    tenants = [tenant for tenant in table.all() if tenant is not table.rest]
    rest = [*tenants[most:], *([table.rest] if table.rest.cells else ())]
    found: list[TenantTimes] = []
    for tenant in tenants[:most]:
        sums = _Sums()
        sums.add(tenant)
        found.append(sums.told(tenant.cluster, tenant.tenant))
        await trio.lowlevel.checkpoint()
    if rest:
        sums = _Sums()
        for tenant in rest:
            sums.add(tenant)
            await trio.lowlevel.checkpoint()
        found.append(sums.told("", ""))
    return tuple(found)


class _Sums:
    """What statements of some tenants took together."""

    def __init__(self) -> None:
        self._total, self._server, self._proxy = Histogram(), Histogram(), Histogram()

    def add(self, tenant: TenantStatements) -> None:
        for cell in tenant.cells.values():
            self._total.merge(cell.total, cell.total_ns)
            self._server.merge(cell.server, cell.server_ns)
            self._proxy.merge(cell.proxy, cell.proxy_ns)

    def told(self, cluster: str, tenant: str) -> TenantTimes:
        return TenantTimes(cluster, tenant, times_of(self._total), times_of(self._server), times_of(self._proxy))


def times_of(histogram: Histogram) -> Times:
    """Return a histogram as a record."""
    return Times(tuple(histogram.counts), histogram.total_ns / 1e9)


async def measure(proxy: Proxy) -> Measurements:
    """Read everything."""
    table, reactor = proxy.measured, proxy.reactor
    traffic = {(tenant.cluster, tenant.tenant): _copy(tenant.traffic) for tenant in table.tenants.values()}
    traffic[table.rest.cluster, table.rest.tenant] = _copy(table.rest.traffic)
    servers: Counter[tuple[str, str]] = Counter()
    walked = list(proxy.sessions.table.values())
    for start in range(0, len(walked), _SLICE):
        for session in walked[start : start + _SLICE]:
            router = session.router
            if router is None:
                continue
            name = router.key.cluster, router.key.tenant
            traffic[name if name in traffic else ("", "")].add(session.traffic)
            servers.update((router.key.cluster, str(address)) for address in router.servers.by_address)
        await trio.lowlevel.checkpoint()
    return Measurements(
        await statement_counts(table),
        await tenant_times(table),
        tuple(
            TenantBytes(*name, sums.client_bytes_in, sums.server_bytes_in) for name, sums in _not_empty(traffic).items()
        ),
        tuple(ServerSessions(*where, count) for where, count in sorted(servers.items())),
        dict(proxy.services.watch.records),
        times_of(proxy.loop_lag),
        reactor.events,
        reactor.errors,
        proxy.settings().server_state_refresh_interval,
        (Worker(proxy.workers.number, os.getpid(), proxy.generation, "inside" if reactor.attached else "nested"),),
        dict(proxy.logs.ring.levels),
        msgspec.structs.asdict(proxy.logs.output.counts()),
    )


def _copy(traffic: Traffic) -> Traffic:
    copied = Traffic()
    copied.add(traffic)
    return copied


def _not_empty(traffic: Mapping[tuple[str, str], Traffic]) -> dict[tuple[str, str], Traffic]:
    """Leave out the one of tenants without a name while there are none."""
    return {name: sums for name, sums in traffic.items() if name[1] or sums.client_bytes_in}
