"""One cluster resource and what keeps it fresh: its creation, the chain of every 15 seconds, what follows failures.

Old lists stay in force whatever fails.  After
``server_state_failures_before_rslist`` failures in a row the rslist is fetched
anew and asked first; after as many again the resource is built anew from it.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping, Sequence
from typing import final

import msgspec
import trio

from odp_trio.catalog import queries
from odp_trio.catalog.metadata import MetadataConnection, Row
from odp_trio.catalog.origin import Origin, Surroundings
from odp_trio.catalog.trouble import Trouble
from odp_trio.errors import CatalogError, ClusterMismatch, MalformedMetadata, MetadataRefused, UnknownCluster
from odp_trio.events import ServerListChanged
from odp_trio.model import Address
from odp_trio.supervise.periodic import Bell
from odp_trio.topology.cluster import Changes, ClusterResource, Server, Zone, place

log = logging.getLogger("odp_trio.catalog")

REBUILD_SECONDS = 5.0
"""How often a server's "this is another cluster" (4666) may lead to a rebuild."""


@final
class Keeper(msgspec.Struct, eq=False):
    """A cluster resource, its connection, and those who wait for its next refresh."""

    resource: ClusterResource
    metadata: MetadataConnection
    origin: Origin
    around: Surroundings
    wanted: Bell = msgspec.field(default_factory=Bell)
    attempting: bool = True
    """An attempt is under way, or about to begin: a new keeper's task is just being started."""
    attempted: trio.Event = msgspec.field(default_factory=trio.Event)
    failure: CatalogError | None = None
    waiting: int = 0
    used_at: float = msgspec.field(default_factory=trio.current_time)
    trouble: Trouble = msgspec.field(default_factory=Trouble)
    rebuild: str = ""
    """Why the resource is to be built anew."""
    _rebuild_asked_at: float = float("-inf")
    _rslist_wanted: bool = False
    _missing: frozenset[Address] = frozenset()
    _order: _Order | None = None
    _idcs_due: float = float("-inf")
    _idc_trouble: Trouble = msgspec.field(default_factory=Trouble)

    async def wait_available(self) -> ClusterResource:
        """Return the resource once it has a server list, waiting for one attempt to get it.

        Raises what that attempt failed of (CatalogError).
        """
        cluster = self.resource
        self.used_at = trio.current_time()
        if not cluster.available:
            timeout = self.around.settings().short_async_task_timeout
            attempted = self.attempted
            if not self.attempting:
                self.wanted.ring()
            self.waiting += 1
            try:
                with trio.move_on_after(timeout):
                    await attempted.wait()
            finally:
                self.waiting -= 1
            if not cluster.available:
                failure = self.failure or CatalogError(f"no server has answered within {timeout:g} s")
                raise type(failure)(f"cluster {cluster.name!r} is not available: {failure}") from failure
        return cluster

    async def ask(self, sql: str) -> Sequence[Row]:
        """Run a metadata query on one of the servers."""
        return await self.metadata.query(sql, self._servers_to_ask())

    def note_mismatch(self) -> None:
        """A server says that it is of another cluster (4666): the resource is built anew, from a fresh rslist."""
        now = trio.current_time()
        if now - self._rebuild_asked_at >= REBUILD_SECONDS:
            self._rebuild_asked_at = now
            self.rebuild = "a server says that it is of another cluster (4666)"
            self._rslist_wanted = True
            log.warning("cluster %s: %s; it is built anew", self.resource.name, self.rebuild)
            self.wanted.ring()

    # ---- one attempt ----------------------------------------------------------------------

    async def attempt(self) -> None:
        """Make the resource, or refresh it; what fails is noted, and told to those who wait."""
        self.attempting = True
        try:
            changes = await self._refresh()
        except CatalogError as exc:
            self.failure = exc
            await self._note_failure(exc)
        else:
            self.failure = None
            self._note_success(changes)
        finally:
            self.attempting = False
            attempted, self.attempted = self.attempted, trio.Event()
            attempted.set()
        if self.failure is None:
            await self._compare_rslist()
        await self._refresh_idcs()

    async def _refresh(self) -> Changes:
        """Refresh; a cluster that has never been had, or is built anew, is tried again with a fresh rslist at once."""
        if self.resource.available and not self.rebuild:
            return await self._ask_lists()
        if self._rslist_wanted:
            self._rslist_wanted = False
            await self._renew_rslist()
        try:
            return await self._build()
        except CatalogError:
            if not self.rebuild and await self._renew_rslist():
                return await self._build()
            raise

    async def _build(self) -> Changes:
        cluster = self.resource
        servers = self._servers_to_ask()
        version = queries.read_version(await self.metadata.query(queries.VERSION, servers))
        statements = queries.statements_for(version)
        role = await self._ask_role(queries.FIRST_ROLE, statements, servers)
        rows = await self.metadata.query(statements.first_servers, servers)
        self._check_name(queries.read_cluster_name(rows))
        zones = queries.read_zones(rows)
        placed = self._place(queries.read_servers(rows), zones)
        tenants = await self._ask_tenants(statements, servers)
        cluster.version, cluster.role = version, role
        self.rebuild = ""
        return self._take(placed, zones, tenants)

    async def _ask_lists(self) -> Changes:
        """Zones, servers, tenants: all or nothing is taken over."""
        cluster, servers = self.resource, self._servers_to_ask()
        statements = queries.statements_for(cluster.version)
        role = await self._ask_role(queries.ROLE, statements, servers)
        zones = queries.read_zones(await self.metadata.query(statements.zones, servers))
        listed = queries.read_servers(await self.metadata.query(statements.servers, servers))
        placed = self._place(listed, zones)
        tenants = await self._ask_tenants(statements, servers)
        cluster.role = role
        return self._take(placed, zones, tenants)

    async def _ask_role(self, sql: str, statements: queries.Statements, servers: Sequence[Address]) -> str:
        if not statements.has_role or not self.origin.follows_roles:
            return ""
        try:
            return queries.read_role(await self.metadata.query(sql, servers))
        except MetadataRefused:  # a kernel that has no such view
            return ""

    async def _ask_tenants(self, statements: queries.Statements, servers: Sequence[Address]) -> Sequence[Row] | None:
        try:
            return await self.metadata.query(statements.tenants, servers)
        except MetadataRefused as exc:  # no privilege: nobody's primary zone is known
            log.debug("cluster %s: no list of tenants: %s", self.resource.name, exc)
            return None

    def _place(self, servers: Sequence[Server], zones: Sequence[Zone]) -> tuple[Server, ...]:
        placed = place(servers, zones)
        if not placed:
            raise MalformedMetadata(f"none of {len(servers)} servers is in a zone that is listed")
        if len(placed) < len(servers):
            lost = len(servers) - len(placed)
            log.debug("cluster %s: %d servers are in zones that are not listed", self.resource.name, lost)
        return placed

    def _take(self, servers: Sequence[Server], zones: Sequence[Zone], tenants: Sequence[Row] | None) -> Changes:
        cluster, around = self.resource, self.around
        first, zones_before = not cluster.available, cluster.zones
        changes = cluster.merge(servers, zones, trio.current_time())
        around.refreshed(cluster)
        moved: tuple[str, ...] = ()
        primary_zones_changed = False
        if tenants is not None:
            moved, primary_zones_changed = cluster.take_tenants(queries.read_tenants(tenants))
        if changes or primary_zones_changed or cluster.zones is not zones_before:
            around.changed()
        if not first and (changes.added or changes.removed):
            around.moved(cluster.name, None)
        elif moved:
            log.info("cluster %s: locality or primary zone changed: %s", cluster.name, ", ".join(moved[:20]))
            around.moved(cluster.name, moved)
        return changes

    def _check_name(self, own_name: str) -> None:
        """The servers would refuse every login with 4666 anyway; say so once, clearly."""
        cluster = self.resource
        expected = cluster.real_name or cluster.name
        if own_name and self.around.settings().enable_cluster_checkout and own_name != expected:
            raise ClusterMismatch(
                f"its servers call themselves {own_name!r}, not {expected!r} (enable_cluster_checkout)"
            )

    def _servers_to_ask(self) -> tuple[Address, ...]:
        """The server list, started at random, those that take no logins last; then the rslist.

        The rslist is first while the list keeps failing.
        """
        cluster = self.resource
        if not cluster.servers:
            return tuple(dict.fromkeys(cluster.rslist))
        order = self._order
        if order is None or order.servers is not cluster.servers or order.rslist is not cluster.rslist:
            order = self._order = _order(cluster)
        turn = self.around.rng.randrange(len(order.first))
        turned = order.first[turn:] + order.first[:turn]
        if self.rebuild or cluster.failures >= self.around.settings().server_state_failures_before_rslist:
            return tuple(dict.fromkeys((*cluster.rslist, *turned, *order.rest)))
        return turned + order.rest

    # ---- after it -------------------------------------------------------------------------

    def _note_success(self, changes: Changes) -> None:
        cluster = self.resource
        if failures := self.trouble.clear():
            log.info("cluster %s: refreshed again after %d failures", cluster.name, failures)
        self.origin.learn(tuple(cluster.servers))
        _log_changes(cluster, changes)
        if changes and self.around.events.wanted:
            now = trio.current_time()
            self.around.events.tell(ServerListChanged(now, cluster.name, changes.added, changes.removed, changes.moved))

    async def _note_failure(self, error: CatalogError) -> None:
        cluster = self.resource
        now = trio.current_time()
        cluster.note_failure(str(error))
        level = logging.WARNING if self.trouble.note(str(error), now) else logging.DEBUG
        kept = ""
        if cluster.refreshed_at is not None:
            kept = f"; {len(cluster.servers)} servers, {now - cluster.refreshed_at:.0f} s old, stay in force"
        log.log(level, "cluster %s: refresh %d in a row failed: %s%s", cluster.name, cluster.failures, error, kept)
        limit = self.around.settings().server_state_failures_before_rslist
        if cluster.available and cluster.failures % limit == 0:
            await self._renew_rslist()
            if cluster.failures // limit % 2 == 0 and not self.rebuild:
                self.rebuild = f"{cluster.failures} refreshes in a row failed"
                log.warning("cluster %s: %s; it is built anew from its rslist", cluster.name, self.rebuild)
        if isinstance(error, ClusterMismatch) and cluster.available and not self.rebuild:
            self.rebuild = str(error)

    async def _renew_rslist(self) -> bool:
        """Have the rslist anew; answer whether it is another one.  Without an answer the old one stays."""
        try:
            rslist = await self.origin.rslist()
        except (CatalogError, UnknownCluster) as exc:
            log.debug("cluster %s: no new rslist: %s", self.resource.name, exc)
            return False
        if not rslist or set(rslist) == set(self.resource.rslist):
            return False
        log.info("cluster %s: its rslist is %s", self.resource.name, ", ".join(map(str, rslist[:20])))
        self.resource.rslist = rslist
        return True

    async def _compare_rslist(self) -> None:
        """Have the rslist anew if it has a server that the server list lacks, once for each such."""
        cluster = self.resource
        missing = frozenset(
            address
            for address in cluster.rslist
            if address not in cluster.servers and not ipaddress.ip_address(address.ip).is_loopback
        )
        if missing and missing != self._missing:
            await self._renew_rslist()
        self._missing = missing

    async def _refresh_idcs(self) -> None:
        cluster, settings, now = self.resource, self.around.settings(), trio.current_time()
        pause = settings.idc_list_refresh_interval
        self._idcs_due = min(self._idcs_due, now + pause)  # it may be shorter by now
        if not cluster.available or now < self._idcs_due:
            return
        try:
            idcs = await self.origin.idcs()
        except (CatalogError, UnknownCluster) as exc:  # zones say where they are; this list only completes it
            level = logging.INFO if self._idc_trouble.note(str(exc), now) else logging.DEBUG
            log.log(level, "cluster %s: no list of IDCs: %s", cluster.name, exc)
            pause = min(pause, max(settings.config_server_refresh_interval, settings.server_state_refresh_interval))
        else:
            self._idc_trouble.clear()
            if idcs != cluster.idcs:
                cluster.idcs = dict(idcs)
                self.around.changed()
        self._idcs_due = now + pause


class _Order(msgspec.Struct, frozen=True):
    """Whom to ask, of one server list and one rslist: the first in turn, then the rest."""

    servers: Mapping[Address, Server]
    rslist: tuple[Address, ...]
    first: tuple[Address, ...]
    rest: tuple[Address, ...]


def _order(cluster: ClusterResource) -> _Order:
    first = cluster.sys_route()
    every = dict.fromkeys((*first, *cluster.servers, *cluster.rslist))
    return _Order(cluster.servers, cluster.rslist, first, tuple(every)[len(first) :])


def _log_changes(cluster: ClusterResource, changes: Changes) -> None:
    if not changes:
        return
    parts = [f"{len(cluster.servers)} servers"]
    for word, addresses in (("added", changes.added), ("removed", changes.removed)):
        if addresses:
            parts.append(f"{word} " + ", ".join(map(str, addresses)))
    parts += [f"{address} is {cluster.servers[address].state.value}" for address in changes.moved]
    log.info("cluster %s: %s", cluster.name, "; ".join(parts))
