"""One supervised task a cluster: it makes the cluster resource, then keeps the server list fresh.

The resource is owned here, above the tasks, so that a restarted task finds it
as it was.  A login that names a cluster without a server list wakes the task
and waits for its next attempt: one attempt, however many logins wait.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn, Protocol, final

import trio

from odp_trio.catalog import queries
from odp_trio.catalog.metadata import MetadataConnection, Row
from odp_trio.errors import CatalogError, ClusterMismatch, UnknownCluster
from odp_trio.model import Address
from odp_trio.supervise.periodic import Bell, every
from odp_trio.topology.cluster import Changes, ClusterResource, Server, Zone

log = logging.getLogger("odp_trio.catalog")

RSLIST_AFTER_FAILURES = 10


class Started(Protocol):
    """Trio's task_status, or a supervisor's."""

    def started(self, value: object = None) -> None:
        """Report that the service runs."""
        ...


@dataclass(slots=True)
class _Keeper:
    """A cluster resource and those who wait for its next refresh."""

    resource: ClusterResource
    metadata: MetadataConnection
    wanted: Bell = field(default_factory=Bell)
    attempting: bool = False
    attempted: trio.Event = field(default_factory=trio.Event)
    failure: CatalogError | None = None


@final
class Clusters:
    """The clusters that we know, by name."""

    def __init__(
        self,
        rslists: Mapping[str, Sequence[Address]],
        open_metadata: Callable[[str], MetadataConnection],
        *,
        interval: Callable[[], float],
        jitter: Callable[[], float],
        timeout: Callable[[], float],
        check_name: Callable[[], bool],
        rng: random.Random,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._changed = changed
        self._keepers = {
            name: _Keeper(ClusterResource(name, tuple(rslist)), open_metadata(name)) for name, rslist in rslists.items()
        }
        self._interval = interval
        self._jitter = jitter
        self._timeout = timeout
        self._check_name = check_name
        self._rng = rng

    @property
    def names(self) -> tuple[str, ...]:
        """Every cluster that may be logged in to."""
        return tuple(self._keepers)

    def resources(self) -> tuple[ClusterResource, ...]:
        """Every cluster resource, available or not."""
        return tuple(keeper.resource for keeper in self._keepers.values())

    def find(self, name: str) -> ClusterResource | None:
        """Return a cluster resource, available or not; None for a cluster that is not configured."""
        keeper = self._keepers.get(name)
        return None if keeper is None else keeper.resource

    def close(self) -> None:
        """Close the metadata connections."""
        for keeper in self._keepers.values():
            keeper.metadata.close()

    async def wait_available(self, name: str) -> ClusterResource:
        """Return a cluster that has a server list, waiting for one attempt to get it.

        Raises UnknownCluster, or what that attempt failed of (CatalogError).
        """
        keeper = self._keeper(name)
        if not keeper.resource.available:
            attempted = keeper.attempted
            if not keeper.attempting:
                keeper.wanted.ring()
            with trio.move_on_after(self._timeout()):
                await attempted.wait()
        if not keeper.resource.available:
            failure = keeper.failure or CatalogError(f"no server has answered within {self._timeout():g} s")
            raise type(failure)(f"cluster {name!r} is not available: {failure}") from failure
        return keeper.resource

    async def ask(self, name: str, sql: str) -> Sequence[Row]:
        """Run a metadata query on one of the servers of a cluster."""
        keeper = self._keeper(name)
        return await keeper.metadata.query(sql, self._servers_to_ask(keeper.resource))

    def _keeper(self, name: str) -> _Keeper:
        keeper = self._keepers.get(name)
        if keeper is None:
            raise UnknownCluster(f"cluster {name!r} does not exist")
        return keeper

    async def maintain(self, name: str, *, task_status: Started) -> NoReturn:
        """Refresh one cluster for ever: at once, then every interval, and when somebody wants it."""
        keeper = self._keeper(name)
        task_status.started()
        # Jitter, so that many proxies do not ask in step.
        attempt = partial(self._attempt, keeper)
        await every(self._interval, attempt, rng=self._rng, jitter=self._jitter, wake=keeper.wanted)

    async def _attempt(self, keeper: _Keeper) -> None:
        keeper.attempting = True
        try:
            changes = await self._refresh(keeper)
        except CatalogError as exc:
            keeper.failure = exc
            self._note_failure(keeper.resource, exc)
        else:
            keeper.failure = None
            _log_changes(keeper.resource, changes)
        finally:
            keeper.attempting = False
        attempted, keeper.attempted = keeper.attempted, trio.Event()
        attempted.set()

    def _note_failure(self, cluster: ClusterResource, error: CatalogError) -> None:
        news = cluster.last_failure != str(error)
        cluster.note_failure(str(error))
        level = logging.WARNING if news else logging.DEBUG
        kept = f"; {len(cluster.servers)} servers stay in force" if cluster.available else ""
        log.log(level, "cluster %s: refresh %d in a row failed: %s%s", cluster.name, cluster.failures, error, kept)

    async def _refresh(self, keeper: _Keeper) -> Changes:
        cluster = keeper.resource
        ask = keeper.metadata.query
        servers = self._servers_to_ask(cluster)
        if not cluster.available:
            version = queries.read_version(await ask(queries.VERSION, servers))
            rows = await ask(queries.FIRST_SERVERS, servers)
            self._check(cluster.name, queries.read_cluster_name(rows))
            cluster.version = version
            changes = self._merge(cluster, queries.read_servers(rows), queries.read_zones(rows))
        else:
            zones = queries.read_zones(await ask(queries.ZONES, servers))
            changes = self._merge(cluster, queries.read_servers(await ask(queries.SERVERS, servers)), zones)
        self._take_tenants(cluster, await ask(queries.TENANTS, servers))
        return changes

    def _merge(self, cluster: ClusterResource, servers: Iterable[Server], zones: Iterable[Zone]) -> Changes:
        before = cluster.zones
        changes = cluster.merge(servers, zones, trio.current_time())
        if changes or before != cluster.zones:
            self._changed()
        return changes

    def _take_tenants(self, cluster: ClusterResource, rows: Sequence[Row]) -> None:
        primary_zones = queries.read_primary_zones(rows)
        if primary_zones != cluster.primary_zones:
            cluster.primary_zones = primary_zones
            self._changed()

    def _check(self, name: str, own_name: str) -> None:
        """The servers would refuse every login with 4666 anyway; say so once, clearly."""
        if self._check_name() and own_name != name:
            raise ClusterMismatch(f"its servers call themselves {own_name!r}, not {name!r} (enable_cluster_checkout)")

    def _servers_to_ask(self, cluster: ClusterResource) -> tuple[Address, ...]:
        """The server list, started at random; behind it the rslist, first while the list keeps failing."""
        known = list(cluster.sys_route())
        if cluster.servers:
            turn = self._rng.randrange(len(known))
            known = known[turn:] + known[:turn]
        if cluster.failures >= RSLIST_AFTER_FAILURES:
            return tuple(dict.fromkeys((*cluster.rslist, *known)))
        return tuple(dict.fromkeys((*known, *cluster.rslist)))


def _log_changes(cluster: ClusterResource, changes: Changes) -> None:
    if not changes:
        return
    parts = [f"{len(cluster.servers)} servers"]
    for word, addresses in (("added", changes.added), ("removed", changes.removed)):
        if addresses:
            parts.append(f"{word} " + ", ".join(map(str, addresses)))
    parts += [f"{address} is {cluster.servers[address].state.value}" for address in changes.moved]
    log.info("cluster %s: %s", cluster.name, "; ".join(parts))
