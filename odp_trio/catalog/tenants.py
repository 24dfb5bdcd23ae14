"""Where tenants live: asked at the first login, once however many wait, again when a server says it is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, final

import msgspec
import trio

from odp_trio.catalog import queries
from odp_trio.catalog.clusters import Clusters
from odp_trio.errors import AccessDenied, CatalogError, OdpError
from odp_trio.model import Address, TenantKey
from odp_trio.observe import Counts
from odp_trio.topology.cluster import interleave
from odp_trio.topology.tenant import TenantRoute, TenantTable

log = logging.getLogger("odp_trio.catalog")

SYS = "sys"
_FRESH_SECONDS: Final = 5.0
"""A failed server is a reason to ask again about a route so old; of locations that is delay_update_entry_interval."""


class _Fetch(msgspec.Struct):
    """A fetch that is under way, and what came of it."""

    done: trio.Event = msgspec.field(default_factory=trio.Event)
    route: TenantRoute | None = None
    failure: OdpError | None = None


@final
class TenantRoutes:
    """Answers which servers a tenant lives on.

    Fetches run in ``nursery``, not in the login that wants one: a client that
    leaves must not take the answer from the others.
    """

    def __init__(
        self,
        clusters: Clusters,
        table: TenantTable,
        nursery: trio.Nursery,
        counts: Counts,
        changed: Callable[[], None] = lambda: None,
        fetched: Callable[[TenantKey, tuple[Address, ...]], None] = lambda key, servers: None,
    ) -> None:
        self._clusters = clusters
        self._table = table
        self._nursery = nursery
        self._counts = counts
        self._fetches: dict[TenantKey, _Fetch] = {}
        self._changed, self._fetched = changed, fetched
        self._to_renew: dict[TenantKey, None] = {}
        self._renewing = False

    def known(self, key: TenantKey) -> tuple[Address, ...] | None:
        """Return the tenant's servers, those of a list that is down included; None when they must be fetched."""
        cluster = self._clusters.find(key.cluster)
        if cluster is None or not cluster.available:
            return None
        if key.tenant == SYS:
            return interleave(cluster.servers.values())
        route = self._table.find(key)
        return None if route is None else route.servers

    async def servers(self, key: TenantKey) -> tuple[Address, ...]:
        """Return the tenant's servers, fetched if need be; one question, however many wait.

        Raises UnknownCluster, CatalogError, and AccessDenied when the cluster has no such tenant.
        """
        cluster = await self._clusters.wait_available(key.cluster)
        return cluster.sys_route() if key.tenant == SYS else (await self._route(key)).servers

    def renew(self, cluster: str, tenants: Sequence[str] | None = None) -> None:
        """Fetch known tenants of a cluster again, all or some; their routes stay in use meanwhile.

        One after the other, in the background.
        """
        wanted = None if tenants is None else set(tenants)
        self._renew_soon(
            route.key
            for route in self._table.entries()
            if route.key.cluster == cluster and (wanted is None or route.key.tenant in wanted)
        )

    def server_failed(self, key: TenantKey) -> None:
        """A server of a tenant failed, which may have others by now: fetch it in the background if its route is old."""
        route = self._table.find(key)
        if route is not None and self._is_old(route):
            self._renew_soon((key,))

    async def find_others(self, key: TenantKey, tried: Collection[Address]) -> bool:
        """Answer whether a tenant has other servers than those that were tried in vain; fetch it if its route is old.

        Its route stays in use if it cannot be fetched.
        """
        route = self._table.find(key)
        if route is not None and self._is_old(route):
            fetch = self._fetch(key)
            await fetch.done.wait()
            route = fetch.route
        return route is not None and any(address not in tried for address in route.servers)

    def forget(self, cluster: str) -> None:
        """Drop the routes of a cluster that is gone."""
        self._table.forget(cluster)

    def invalidate(self, key: TenantKey) -> None:
        """Fetch the tenant again at its next use (OB_TENANT_NOT_IN_SERVER)."""
        if self._table.invalidate(key):
            self._changed()
            self._counts.tenant_invalidations += 1
            log.info("tenant %s of cluster %s: route is stale", key.tenant, key.cluster)

    @staticmethod
    def _is_old(route: TenantRoute) -> bool:
        return trio.current_time() - route.fetched_at >= _FRESH_SECONDS

    def _fetch(self, key: TenantKey) -> _Fetch:
        """Return the fetch of a tenant that is under way, or begin one."""
        fetch = self._fetches.get(key)
        if fetch is None:
            fetch = self._fetches[key] = _Fetch()
            self._nursery.start_soon(self._run, key, fetch)
        return fetch

    def _renew_soon(self, keys: Iterable[TenantKey]) -> None:
        self._to_renew.update(dict.fromkeys(keys))
        if self._to_renew and not self._renewing:
            self._renewing = True
            self._nursery.start_soon(self._renew)

    async def _renew(self) -> None:
        try:
            while self._to_renew:
                key = next(iter(self._to_renew))
                del self._to_renew[key]
                if key in self._fetches or self._table.find(key) is None:
                    continue  # it is fetched anyway, now or at its next use
                fetch = self._fetches[key] = _Fetch()
                await self._run(key, fetch)
                if fetch.failure is not None:
                    log.info("tenant %s of cluster %s: no new route: %s", key.tenant, key.cluster, fetch.failure)
        finally:
            self._renewing = False

    async def _route(self, key: TenantKey) -> TenantRoute:
        if (known := self._table.find(key)) is not None:
            return known
        fetch = self._fetch(key)
        await fetch.done.wait()
        if fetch.failure is not None:
            raise type(fetch.failure)(str(fetch.failure)) from fetch.failure
        assert fetch.route is not None
        return fetch.route

    async def _run(self, key: TenantKey, fetch: _Fetch) -> None:
        self._counts.tenant_fetches += 1
        try:
            cluster = self._clusters.find(key.cluster)
            version = "" if cluster is None else cluster.version
            rows = await self._clusters.ask(key.cluster, queries.tenant_servers(key.tenant, version))
            servers = queries.read_tenant_servers(rows)
            if not servers:
                raise AccessDenied(f"tenant {key.tenant!r} is unknown to cluster {key.cluster!r}")
            fetch.route = TenantRoute(key, servers, trio.current_time())
            self._table.store(fetch.route)
            self._fetched(key, servers)
        except (CatalogError, AccessDenied) as exc:
            fetch.failure = exc
        except Exception as exc:  # a bug: those who wait must not wait for ever
            log.exception("fetching tenant %s of cluster %s", key.tenant, key.cluster)
            fetch.failure = CatalogError(f"tenant {key.tenant!r}: {type(exc).__name__}")
        finally:
            if fetch.route is None and fetch.failure is None:
                fetch.failure = CatalogError("the proxy is shutting down")
            self._fetches.pop(key, None)
            fetch.done.set()
