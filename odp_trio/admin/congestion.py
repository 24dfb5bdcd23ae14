"""The lists of servers as records: ODP's SHOW PROXYCONGESTION where its columns make sense, and why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from odp_trio.catalog.congestion import Congestion
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.congestion import Change, Entry, Limits, Listed
from odp_trio.topology.congestion_table import CongestionTable

MOST_REASONS = 10
"""Servers of a cluster that are named among the reasons why it is degraded."""


class ServerCongestion(msgspec.Struct, frozen=True):
    """One server.  ``last_…`` and ``…_time`` are seconds ago; None: never."""

    cluster_name: str
    zone_name: str
    region_name: str
    zone_state: str
    server_ip: str
    server_state: str
    listed: str
    """The list that it is refused for; empty when it is not."""
    reason: str
    alive_congested: bool
    last_alive_congested: float | None
    dead_congested: bool
    last_dead_congested: float | None
    forced_congested: bool
    detect_congested: bool
    last_detect_congested: float | None
    stat_alive_failures: int
    """Failures since it is known."""
    stat_conn_failures: int
    """Those of them that were about connecting."""
    alive_failure_events: int
    """Failures within the window."""
    alive_last_fail_time: float | None
    failed_probes: int
    """In a row."""
    trial: bool
    """One request may try it now."""
    waits: bool
    """A change of its lists waits for its turn."""


class ClusterCongestion(msgspec.Struct, frozen=True):
    """The lists of one cluster.  ``changes`` counts by list, ``put`` and ``taken``."""

    cluster: str
    servers: tuple[ServerCongestion, ...]
    network_lost: bool
    network_lost_for: float | None
    network_lost_reason: str
    network_losses: int
    waiting: int
    changes: dict[str, dict[str, int]]

    @property
    def why_degraded(self) -> list[str]:
        """What an operator should look at."""
        if self.network_lost:
            return [f"cluster {self.cluster}: our network seems to be lost: {self.network_lost_reason}"]
        refused = [server for server in self.servers if server.listed]
        reasons = [
            f"cluster {self.cluster}: {server.server_ip} is refused ({server.listed}): {server.reason}"
            for server in refused[:MOST_REASONS]
        ]
        if len(refused) > MOST_REASONS:
            reasons.append(f"cluster {self.cluster}: {len(refused) - MOST_REASONS} more servers are refused")
        return reasons

    @property
    def by_list(self) -> dict[str, int]:
        """Servers on each list; one may be on several."""
        return {
            Listed.ALIVE.value: sum(server.alive_congested for server in self.servers),
            Listed.FORCED.value: sum(server.forced_congested for server in self.servers),
            Listed.DEAD.value: sum(server.dead_congested for server in self.servers),
            Listed.DETECT.value: sum(server.detect_congested for server in self.servers),
        }


class RecentChange(msgspec.Struct, frozen=True):
    """A change of lists, ``ago`` seconds ago."""

    cluster: str
    server: str
    listed: str
    put: bool
    reason: str
    ago: float


def congestion_status(
    congestion: Congestion, clusters: Iterable[ClusterResource], now: float
) -> tuple[ClusterCongestion, ...]:
    """Return the lists of every cluster."""
    limits = congestion.limits()
    return tuple(
        _cluster_status(cluster, table, limits, now)
        for cluster in clusters
        if (table := congestion.tables.get(cluster.name)) is not None
    )


def recent_changes(congestion: Congestion, now: float) -> list[RecentChange]:
    """Return the last changes, the newest first."""
    found: list[tuple[str, Change]] = [
        (cluster, change) for cluster, table in congestion.tables.items() for change in reversed(table.recent)
    ]
    found.sort(key=lambda item: -item[1].at)
    return [
        RecentChange(cluster, str(change.address), change.listed.value, change.put, change.reason, now - change.at)
        for cluster, change in found
    ]


def _cluster_status(cluster: ClusterResource, table: CongestionTable, limits: Limits, now: float) -> ClusterCongestion:
    lost = table.lost
    return ClusterCongestion(
        cluster.name,
        tuple(_server_status(cluster, entry, limits, now) for entry in table.entries.values()),
        lost is not None,
        None if lost is None else now - lost.since,
        "" if lost is None else lost.reason,
        table.losses,
        len(table.waiting),
        {
            listed.value: {"put": table.changes[listed, True], "taken": table.changes[listed, False]}
            for listed in Listed
        },
    )


def _server_status(cluster: ClusterResource, entry: Entry, limits: Limits, now: float) -> ServerCongestion:
    zone = cluster.zones.get(entry.zone)
    listed = entry.listed

    def ago(listed: Listed) -> float | None:
        return now - entry.last_listed[listed] if listed in entry.last_listed else None

    return ServerCongestion(
        cluster.name,
        entry.zone,
        "" if zone is None else zone.region,
        "" if zone is None else zone.status,
        str(entry.address),
        entry.state.value,
        "" if listed is None else listed.value,
        entry.why(now, limits),
        entry.alive_on,
        ago(Listed.ALIVE),
        entry.dead is not None,
        ago(Listed.DEAD),
        bool(entry.forced),
        entry.detect_on,
        ago(Listed.DETECT),
        entry.failures,
        entry.connect_failures,
        entry.history.count(now, limits.window),
        now - entry.failed_at if entry.failures else None,
        entry.failed_probes,
        entry.trial,
        entry.waits,
    )
