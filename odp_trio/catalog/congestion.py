"""The lists of every cluster, fed by server lists, sessions and the prober; each change is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol, final

import trio

from odp_trio.config import Settings
from odp_trio.events import Announcements, ServerOff, ServerOn
from odp_trio.model import Address
from odp_trio.supervise.periodic import Bell
from odp_trio.topology.cluster import ClusterResource, ServerState
from odp_trio.topology.congestion import NO_REFUSALS, Change, Failure, Limits, Listed, Refusals
from odp_trio.topology.congestion_table import CongestionTable

log = logging.getLogger("odp_trio.catalog")

_LIST_NAMES: Final = {
    Listed.ALIVE: "the greylist (alive)",
    Listed.FORCED: "the list of what is stopped (forced)",
    Listed.DEAD: "the blacklist (dead)",
    Listed.DETECT: "the list of failed probes (detect)",
}


class Listeners(Protocol):
    """Who must know of servers that cannot be used: the sessions."""

    def server_dead(self, cluster: str, address: Address, why: str) -> None:
        """A server does not answer: what waits for it must not."""
        ...

    def leave_server(self, cluster: str, address: Address) -> None:
        """Nothing may go to a server over connections that are idle."""
        ...

    def working(self) -> Mapping[str, Collection[Address]]:
        """Return the servers that run a statement at this moment, by cluster."""
        ...

    def answered(self, watched: Mapping[str, Collection[Address]]) -> Collection[tuple[str, Address]]:
        """Return which of the servers have finished a statement since the last call."""
        ...


@final
class Congestion:
    """One table a cluster.  ``changed`` is called when the set of refused servers, or of open trials, is another."""

    def __init__(self, settings: Callable[[], Settings], changed: Callable[[], None]) -> None:
        self.tables: dict[str, CongestionTable] = {}
        self.probes = {"good": 0, "failed": 0}
        self.woken = Bell()
        """Rung when the prober's task has something to do before its time."""
        self.listeners: Listeners | None = None
        self.events = Announcements()
        self._settings = settings
        self._changed = changed
        self._told: dict[str, dict[Address, Listed]] = {}
        self._lost: set[str] = set()
        self._looked_at = float("-inf")
        self._read_from: Settings | None = None
        self._limits = Limits()

    def limits(self) -> Limits:
        """Return the options as they are now."""
        settings = self._settings()
        if settings is not self._read_from:
            self._read_from, self._limits = settings, limits_of(settings)
        return self._limits

    @property
    def watching(self) -> bool:
        """Whether there are servers whose good answers matter."""
        return any(table.watched for table in self.tables.values())

    # ---- feeds --------------------------------------------------------------------------

    def refreshed(self, cluster: ClusterResource) -> None:
        """A cluster has a fresh server list."""
        table = self.tables.get(cluster.name)
        if table is None:
            table = self.tables[cluster.name] = CongestionTable(self.limits)
        gone = table.entries.keys() - cluster.servers.keys()
        table.refreshed(cluster.servers, cluster.zones, trio.current_time())
        for address in gone:
            self._leave(cluster.name, address)
        self._follow(cluster.name, table)

    def forget(self, cluster: str) -> None:
        """A cluster is gone."""
        self.tables.pop(cluster, None)
        self._told.pop(cluster, None)
        self._lost.discard(cluster)

    def failed(self, cluster: str, address: Address, failure: Failure) -> None:
        """A server failed a session."""
        if (table := self.tables.get(cluster)) is not None:
            if not table.watched:
                self.woken.ring()
            table.failed(address, failure, trio.current_time())
            self._follow(cluster, table)

    def answered(self, cluster: str, address: Address) -> None:
        """A server has answered a statement well."""
        table = self.tables.get(cluster)
        if table is not None and address in table.watched:
            table.answered(address, trio.current_time())
            self._follow(cluster, table)

    def probed(self, cluster: str, address: Address, error: str, *, spoke: bool = False) -> None:
        """A probe is over; ``error`` is empty when the server greeted, ``spoke``: the error is its own."""
        self.probes["failed" if error else "good"] += 1
        if (table := self.tables.get(cluster)) is not None:
            table.probed(address, error, trio.current_time(), spoke=spoke)
            self._follow(cluster, table)

    def connecting(self, cluster: str, address: Address) -> bool:
        """A session is about to connect to a server: if one request may try it, this is it, and True the answer."""
        table = self.tables.get(cluster)
        if table is None or not table.take_trial(address, trio.current_time()):
            return False
        log.info("cluster %s: one request tries %s", cluster, address)
        self._follow(cluster, table)
        return True

    def let_in(self, cluster: str, address: Address, *, trial: bool) -> None:
        """A server has accepted a login: enough for a trial, and for the network; no proof that statements work."""
        table = self.tables.get(cluster)
        if table is not None and (trial or table.lost is not None):
            self.answered(cluster, address)

    def advance(self) -> float:
        """Do what has become due; return when there is more to do."""
        now = trio.current_time()
        for cluster, table in tuple(self.tables.items()):
            table.advance(now)
            self._follow(cluster, table, wake=False)
        return min((table.wake_at(now) for table in self.tables.values()), default=float("inf"))

    # ---- what is asked --------------------------------------------------------------------

    def refusals(self, cluster: str) -> Refusals:
        """Return what the view of a tenant needs."""
        table = self.tables.get(cluster)
        if table is None:
            return NO_REFUSALS
        return Refusals(
            table.refused(),
            lambda address: table.why(address, trio.current_time()),
            table.watched,
            {
                address: entry.state_since
                for address, entry in table.entries.items()
                if entry.state is ServerState.REPLAY
            },
        )

    def look(self) -> None:
        """See which of the servers that failed have answered sessions since the last look, and not failed again."""
        watched = {cluster: table.watched for cluster, table in self.tables.items() if table.watched}
        before, self._looked_at = self._looked_at, trio.current_time()
        if self.listeners is None or not watched:
            return
        for cluster, address in self.listeners.answered(watched):
            entry = self.tables[cluster].entries.get(address)
            if entry is not None and entry.failed_at < before:
                self.answered(cluster, address)

    def candidates(self, cluster: str, working: Collection[Address]) -> list[Address]:
        """Return the servers of a cluster to probe now; who got to wait for one that does not answer is told again."""
        table = self.tables[cluster]
        for address in working:
            entry = table.entries.get(address)
            if entry is not None and entry.detect_on and not entry.spoke and self.listeners:
                self.listeners.server_dead(cluster, address, entry.detect_why)
        return table.candidates(working, trio.current_time())

    # ---- what follows ---------------------------------------------------------------------

    def _follow(self, cluster: str, table: CongestionTable, *, wake: bool = True) -> None:
        for change in table.take_news():
            _log_change(cluster, change)
            if self.events.wanted:
                kind = ServerOff if change.put else ServerOn
                now = trio.current_time()
                self.events.tell(kind(now, cluster, change.address, change.listed.value, change.reason))
            if change.put and change.listed in (Listed.DEAD, Listed.DETECT):
                entry = table.entries.get(change.address)
                self._cut_off(cluster, change, spoke=entry is not None and entry.spoke)
        self._follow_network(cluster, table)
        refused = table.refused()
        told = self._told.get(cluster)
        if refused != told:
            self._told[cluster] = refused
            for address in told or ():
                entry = table.entries.get(address)
                if entry is not None and entry.trial and address not in refused:
                    self._leave(cluster, address)  # who still has a connection must not try it unseen
            if refused or told:
                self._changed()
        if wake and (table.waiting or refused != told):
            self.woken.ring()

    def _cut_off(self, cluster: str, change: Change, *, spoke: bool) -> None:
        """Tell who waits for a dead server.

        The server list's word is not enough where probes can tell, nor is an error in place of a greeting.
        """
        if self.listeners is None:
            return
        if (change.listed is Listed.DETECT and not spoke) or not self.limits().mode:
            self.listeners.server_dead(cluster, change.address, change.reason)
        else:
            self.listeners.leave_server(cluster, change.address)

    def _leave(self, cluster: str, address: Address) -> None:
        if self.listeners is not None:
            self.listeners.leave_server(cluster, address)

    def _follow_network(self, cluster: str, table: CongestionTable) -> None:
        if table.lost is not None and cluster not in self._lost:
            self._lost.add(cluster)
            log.error("cluster %s: our network seems to be lost: %s; no server is listed", cluster, table.lost.reason)
        elif table.lost is None and cluster in self._lost:
            self._lost.discard(cluster)
            log.warning("cluster %s: a server has answered: the network is back", cluster)


def limits_of(settings: Settings) -> Limits:
    """Return the options of the lists."""
    return Limits(
        enabled=settings.enable_congestion,
        threshold=settings.congestion_failure_threshold,
        window=settings.congestion_fail_window,
        retry=settings.congestion_retry_interval,
        min_keep=settings.min_keep_congestion_interval,
        mode=settings.server_detect_mode,
        probe_threshold=settings.server_detect_fail_threshold,
        probe_timeout=settings.detect_server_timeout,
        changes_per_second=settings.congestion_changes_per_second,
    )


def _log_change(cluster: str, change: Change) -> None:
    level = logging.WARNING if change.put else logging.INFO
    verb = "is put on" if change.put else "is off"
    log.log(level, "cluster %s: %s %s %s: %s", cluster, change.address, verb, _LIST_NAMES[change.listed], change.reason)
