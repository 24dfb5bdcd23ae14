"""What sessions are lent for routing: views of tenants, look-ups, feedback.

One object for the whole process.  ``generation`` changes with everything that
views are made of; a session that sees another number asks for its view again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final, final

from odp_trio.catalog.clusters import Clusters
from odp_trio.catalog.congestion import Congestion
from odp_trio.catalog.locations import TableLocations
from odp_trio.catalog.tenants import TenantRoutes
from odp_trio.config import Settings
from odp_trio.config.values import parse_targets
from odp_trio.model import Address, TenantKey
from odp_trio.observe import Counts
from odp_trio.routing.request import Route
from odp_trio.routing.view import ClusterView, RouteSettings, View
from odp_trio.session.ports import Diagnosing
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.congestion import Failure
from odp_trio.topology.location import Location, TableKey
from odp_trio.topology.tenant import EntryState

_VIEWS_KEPT: Final = 4096
# Names behind the words that name a table in DDL.  A name that this does not find costs one misroute.
_NAMES: Final = re.compile(
    rb"\b(?:table|on|to|truncate|exists)\s+(?:if\s+(?:not\s+)?exists\s+)?"
    rb"((?:`[^`]+`|[\w$]+)(?:\s*\.\s*(?:`[^`]+`|[\w$]+))?(?:\s*,\s*(?:`[^`]+`|[\w$]+)(?:\s*\.\s*(?:`[^`]+`|[\w$]+))?)*)",
    re.IGNORECASE,
)


@final
class Views:
    """Views by tenant and user, made when they are asked for."""

    def __init__(self, clusters: Clusters, settings: Callable[[], Settings], counts: Counts) -> None:
        self.generation = 0
        self._counts = counts
        self._clusters = clusters
        self._settings = settings
        self._views: dict[tuple[TenantKey, str], View] = {}
        self._servers: dict[TenantKey, tuple[Address, ...]] = {}
        """Servers of the tenants that there are views of, also where a session is the only one that still has it."""
        self._clusters_seen: dict[str, ClusterView] = {}
        self.congestion = Congestion(settings, self.changed)
        self.diagnosis: Diagnosing | None = None
        """Told of misroutes."""
        self.tenants: TenantRoutes
        self.locations: TableLocations

    def changed(self) -> None:
        """Something that views are made of is different."""
        self.generation += 1
        self._views.clear()
        self._servers.clear()
        self._clusters_seen.clear()

    def tenant_fetched(self, key: TenantKey, servers: tuple[Address, ...]) -> None:
        """A tenant's servers are known, as they were before or not.  One that nobody has a view of changes no view."""
        if self._servers.get(key, servers) != servers:
            self.changed()

    def settings_changed(self) -> None:
        """Settings are others: so may be the servers that are on the lists, and every view."""
        self.congestion.woken.ring()
        self.changed()

    # ---- for routers ------------------------------------------------------------------

    def view(self, key: TenantKey, user: str) -> View | None:
        """Return the view of a tenant for a user; None when the tenant's servers must be fetched first."""
        found = self._views.get((key, user))
        return self._make(key, user) if found is None else found

    def _make(self, key: TenantKey, user: str) -> View | None:
        cluster = self._clusters.find(key.cluster)
        servers = self.tenants.known(key)
        if cluster is None or servers is None:
            return None
        view = View(
            key,
            self.generation,
            cluster.servers,
            cluster.zones,
            servers,
            self.locations.table,
            route_settings(self._settings().scoped(key.cluster, key.tenant, user)),
            cluster.primary_zones.get(key.tenant, ""),
            idcs=cluster.idcs,
            refusals=self.congestion.refusals(key.cluster),
            cluster=self._of_cluster(cluster),
        )
        if len(self._views) >= _VIEWS_KEPT:
            self._views.clear()
        self._views[key, user] = view
        self._servers[key] = servers
        return view

    def _of_cluster(self, cluster: ClusterResource) -> ClusterView:
        found = self._clusters_seen.get(cluster.name)
        if found is None:
            found = self._clusters_seen[cluster.name] = ClusterView(cluster.servers, cluster.zones, cluster.idcs)
        return found

    def note_dirty(self, location: Location) -> None:
        """A location is wrong."""
        self.locations.note_dirty(location)

    def renew(self, location: Location) -> bool:
        """Begin to renew a location in use that is dirty, or whose leader is dead."""
        if EntryState.DIRTY not in (location.state, location.table.state):
            self.locations.note_dirty(location)
        return self.locations.renew(location)

    def tenant_moved(self, key: TenantKey) -> None:
        """A server says that the tenant is not there."""
        self.tenants.invalidate(key)

    def server_failed(self, key: TenantKey, address: Address, failure: Failure) -> None:
        """A server failed a session: at most once for a statement, and once for each server that a login tries."""
        self._counts.server_failures[failure.value] += 1
        self.congestion.failed(key.cluster, address, failure)
        self.tenants.server_failed(key)

    def misrouted(self, key: TenantKey, route: Route, sql: bytes) -> None:
        """A server says that it has not the data of a statement that was sent there by its location."""
        if self.diagnosis is not None:
            self.diagnosis.misrouted(key, route, sql)

    def server_answered(self, key: TenantKey, address: Address) -> None:
        """A server has answered a statement well; to be told of those in ``View.watched``."""
        self.congestion.answered(key.cluster, address)

    def connecting(self, key: TenantKey, address: Address) -> bool:
        """A session is about to connect to a server; answer whether it is the one that may try it."""
        return self.congestion.connecting(key.cluster, address)

    def server_let_in(self, key: TenantKey, address: Address, *, trial: bool) -> None:
        """A server has accepted a login; that was the trial, or not."""
        self.congestion.let_in(key.cluster, address, trial=trial)

    def cluster_mismatch(self, key: TenantKey) -> None:
        """A server says that it is of another cluster."""
        self._clusters.note_mismatch(key.cluster)

    def tables_changed(self, key: TenantKey, database: str, sql: bytes) -> None:
        """DDL was executed: the tables that it names are looked up anew; if it names none, all of the tenant's."""
        named = table_names(sql, database)
        if not named:
            self.locations.table.drop_tenant(key.cluster, key.tenant)
        for table in named:
            self.locations.table.drop(TableKey(key.cluster, key.tenant, *table))

    # ---- for what may wait ----------------------------------------------------------------

    def cluster_at_hand(self, name: str) -> ClusterResource | None:
        """Return the cluster that a login names if nothing has to be waited for."""
        cluster = self._clusters.find(name)
        return cluster if cluster is not None and cluster.available and self._clusters.is_configured(name) else None

    async def cluster(self, name: str, cluster_id: int | None) -> ClusterResource:
        """Return the cluster that a login names, made if need be; raise what the login would get."""
        return await self._clusters.enter(name, cluster_id)

    async def tenant(self, key: TenantKey) -> None:
        """Fetch a tenant's servers; raise what a login would get."""
        await self.tenants.servers(key)

    async def find_others(self, key: TenantKey, tried: Collection[Address]) -> bool:
        """Answer whether a tenant has other servers than those that were tried in vain, after asking again."""
        return await self.tenants.find_others(key, tried)

    async def fetch(self, key: TableKey, tablet_id: int = 0) -> None:
        """Fetch a location; raise CatalogError."""
        await self.locations.fetch(key, tablet_id)

    async def wait_renewed(self, location: Location) -> None:
        """Wait for the renewal of a location that is under way."""
        await self.locations.wait_renewed(location)


def route_settings(settings: Settings) -> RouteSettings:
    """Return the options of routing out of settings that are in force for one login."""
    return RouteSettings(
        idc=settings.proxy_idc_name,
        policy=settings.proxy_route_policy,
        primary_zone_name=settings.proxy_primary_zone_name,
        enable_primary_zone=settings.enable_primary_zone,
        enable_cached_server=settings.enable_cached_server,
        enable_partition_table_route=settings.enable_partition_table_route,
        target_servers=parse_targets(settings.target_db_server),
        random=settings.server_routing_mode == "random",
        read_write_split=settings.enable_read_write_split,
        transaction_split=settings.enable_transaction_split,
        internal_routing=settings.enable_transaction_internal_routing,
        reroute=settings.enable_reroute,
        weak_reroute=settings.enable_weak_reroute,
        wait_for_renewal=not settings.enable_async_pull_location_cache,
    )


def table_names(sql: bytes, database: str) -> list[tuple[str, str]]:
    """Return database and table of the names in a DDL statement, in small letters and as written."""
    found: dict[tuple[str, str], None] = {}
    for match in _NAMES.finditer(sql):
        for name in match[1].split(b","):
            parts = [part.strip().strip(b"`").decode("utf-8", "replace") for part in name.split(b".")]
            where = parts[0] if len(parts) > 1 else database
            found[where, parts[-1]] = None
            found[where.lower(), parts[-1].lower()] = None
    return list(found)
