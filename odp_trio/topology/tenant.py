"""Where ordinary tenants live: one entry a tenant, made at its first login, kept until a server says it is wrong."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final

import msgspec

from odp_trio.model import Address, TenantKey

DEFAULT_LIMIT: Final = 4096


class EntryState(Enum):
    """Whether an entry may be used."""

    AVAILABLE = "available"
    DIRTY = "dirty"
    """A server answered OB_TENANT_NOT_IN_SERVER: to be fetched again before the next use."""


class TenantRoute(msgspec.Struct, frozen=True):
    """The servers that host a tenant (ODP's dummy entry)."""

    key: TenantKey
    servers: tuple[Address, ...]
    fetched_at: float
    state: EntryState = EntryState.AVAILABLE


class TenantTable:
    """Routes of tenants, bounded: the least recently used goes first."""

    __slots__ = ("_limit", "_routes", "evictions")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._routes: OrderedDict[TenantKey, TenantRoute] = OrderedDict()
        self._limit = limit
        self.evictions = 0

    def find(self, key: TenantKey) -> TenantRoute | None:
        """Return the entry if it may be used."""
        route = self._routes.get(key)
        if route is None or route.state is EntryState.DIRTY:
            return None
        self._routes.move_to_end(key)
        return route

    def store(self, route: TenantRoute) -> None:
        """Keep a fetched entry."""
        self._routes[route.key] = route
        self._routes.move_to_end(route.key)
        if len(self._routes) > self._limit:
            self._routes.popitem(last=False)
            self.evictions += 1

    def invalidate(self, key: TenantKey) -> bool:
        """Mark an entry dirty; answer whether that changed anything."""
        route = self._routes.get(key)
        if route is None or route.state is EntryState.DIRTY:
            return False
        self._routes[key] = msgspec.structs.replace(route, state=EntryState.DIRTY)
        return True

    def forget(self, cluster: str) -> None:
        """Drop the entries of a cluster."""
        for key in [key for key in self._routes if key.cluster == cluster]:
            del self._routes[key]

    def __len__(self) -> int:
        return len(self._routes)

    def entries(self) -> tuple[TenantRoute, ...]:
        """Return every entry, dirty ones included, least recently used first."""
        return tuple(self._routes.values())
