"""All route entries, bounded, by tenant, database and name.

What an operation costs does not depend on how many entries others have; what is about all entries is done in
slices, or little by little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Final, final

import msgspec

from odp_trio.model import TenantKey
from odp_trio.topology.location import Location, TableEntry, TableKey
from odp_trio.topology.scope import Scope, Scopes

DEFAULT_LIMIT: Final = 200_000
"""Locations kept: ODP's routing_cache_mem_limited (128 MB) * 3/4 / 512 bytes."""

_STEPS: Final = 1000
"""Entries that eviction looks at in one go, and entries that it forgets: about a millisecond."""


@final
class Tallies(msgspec.Struct):
    """Counts of a tenant's entries that are gone."""

    by_policy: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """Statements routed and missed."""
    not_computable: int = 0

    def add(self, entry: TableEntry) -> None:
        """Take over the counts of an entry."""
        self.not_computable += entry.not_computable
        for policy, (routed, missed) in entry.tallies.items():
            tally = self.by_policy.setdefault(policy, [0, 0])
            tally[0] += routed
            tally[1] += missed


@final
class TenantTables:
    """The tables of one tenant: by database, then by name.  There is one such object for a tenant."""

    __slots__ = ("_scopes", "databases")

    def __init__(self, scopes: Scopes) -> None:
        self.databases: dict[str, dict[str, TableEntry]] = {}
        self._scopes = scopes

    def scope(self, database: bytes, *, lower: bool) -> Scope:
        """Return what names mean in a database, where they are compared in lower case or not."""
        return self._scopes.of(self, database, lower=lower)

    def find(self, database: str, table: str) -> TableEntry | None:
        """Return the entry of a table."""
        tables = self.databases.get(database)
        if tables is None:
            return None
        entry = tables.get(table)
        if entry is not None:
            entry.used = True
        return entry

    def __iter__(self) -> Iterator[TableEntry]:
        for tables in self.databases.values():
            yield from tables.values()


@final
class Locations:
    """Table entries of every cluster, bounded: what was not used for longest goes first.

    A table is found by its tenant, its database and its name, one dictionary within the other, so that what a
    look-up costs does not depend on how many tables others have.  Every entry has a slot as well: eviction is a hand
    that goes round over the slots, and whoever reads all entries reads slots, some at a time.
    """

    __slots__ = (
        "_count",
        "_deadlines",
        "_free",
        "_hand",
        "_scopes",
        "_size",
        "_slots",
        "_tenants",
        "evictions",
        "forgotten",
        "limit",
    )

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.evictions = 0
        self.forgotten: dict[TenantKey, Tallies] = {}
        """Counts of entries that are gone, so that sums over a tenant never shrink."""
        self._tenants: dict[TenantKey, TenantTables] = {}
        self._scopes = Scopes()
        self._slots: list[TableEntry | None] = []
        self._free: list[int] = []
        self._hand = 0
        self._count = 0
        self._deadlines: list[tuple[float, int, TableEntry]] = []
        self._size = 0

    def find(self, key: TableKey) -> TableEntry | None:
        """Return the entry of a table."""
        return self.of(TenantKey(key.cluster, key.tenant)).find(key.database, key.table)

    def of(self, tenant: TenantKey) -> TenantTables:
        """Return the tables of a tenant, those that come later included."""
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = TenantTables(self._scopes)
        return found

    def store(self, entry: TableEntry) -> None:
        """Keep an entry in the place of an older one."""
        key = entry.key
        tables = self.of(TenantKey(key.cluster, key.tenant)).databases.setdefault(key.database, {})
        known = tables.get(key.table)
        if known is not None:
            entry.inherit(known)
            entry.slot = known.slot
            self._size -= known.size
            known.leave()
        elif self._free:
            entry.slot = self._free.pop()
        else:
            entry.slot = len(self._slots)
            self._slots.append(None)
        tables[key.table] = self._slots[entry.slot] = entry
        self._count += known is None
        self._size += entry.size
        if entry.expires_at != float("inf"):
            heappush(self._deadlines, (entry.expires_at, id(entry), entry))
        self._evict()

    def expire(self, now: float) -> int:
        """Forget the entries whose time has come; return how many."""
        expired = 0
        while self._deadlines and self._deadlines[0][0] <= now:
            entry = heappop(self._deadlines)[2]
            if not entry.gone:
                self._forget(entry)
                expired += 1
        self._evict()
        return expired

    def add_tablet(self, location: Location) -> None:
        """Keep the location of one partition."""
        entry = location.table
        if entry.gone:
            return
        if location.tablet_id not in entry.tablets:
            self._size += 1
        entry.tablets[location.tablet_id] = location
        self._evict()

    def drop(self, key: TableKey) -> None:
        """Forget a table."""
        entry = self.find(key)
        if entry is not None:
            self._forget(entry)

    def drop_tenant(self, cluster: str, tenant: str) -> None:
        """Forget every table of a tenant."""
        for entry in tuple(self.of(TenantKey(cluster, tenant))):
            self._forget(entry)

    def drop_cluster(self, cluster: str) -> None:
        """Forget every table of a cluster, counts included."""
        for key in [key for key in self._tenants if key.cluster == cluster]:
            self.drop_tenant(cluster, key.tenant)
            del self._tenants[key]
        for key in [key for key in self.forgotten if key.cluster == cluster]:
            del self.forgotten[key]

    def expire_tenant(self, cluster: str, tenant: str, deadline: Callable[[], float]) -> None:
        """Forget every table of a tenant soon, each at a time of its own: they are not all asked about at once."""
        self._hasten(self.of(TenantKey(cluster, tenant)), deadline)

    def expire_all(self, deadline: Callable[[], float]) -> None:
        """Forget every table by a time of its own, or earlier."""
        self._hasten((entry for entry in self._slots if entry is not None), deadline)

    def resize(self, limit: int) -> None:
        """Keep so many from now on; what is too many goes little by little."""
        self.limit = limit
        self._evict()

    def entries(self) -> tuple[TableEntry, ...]:
        """Every entry, at once; ``slices`` if there may be many."""
        return tuple(entry for entry in self._slots if entry is not None)

    def slices(self, size: int = 1000) -> Iterator[list[TableEntry]]:
        """Yield the entries some at a time; the table may change in between.

        What is there all the while comes once; a table that is looked up anew meanwhile comes as one or the other.
        """
        start = 0
        while start < len(self._slots):
            yield [entry for entry in self._slots[start : start + size] if entry is not None]
            start += size

    def __len__(self) -> int:
        return self._size

    def _hasten(self, entries: Iterable[TableEntry], deadline: Callable[[], float]) -> None:
        for entry in entries:
            if (at := deadline()) < entry.expires_at:
                entry.expires_at = at
                heappush(self._deadlines, (at, id(entry), entry))

    def _forget(self, entry: TableEntry) -> None:
        """Take an entry out, and keep its counts."""
        key = entry.key
        tenant = TenantKey(key.cluster, key.tenant)
        databases = self._tenants[tenant].databases
        tables = databases[key.database]
        del tables[key.table]
        if not tables:
            del databases[key.database]
        self._slots[entry.slot] = None
        self._free.append(entry.slot)
        self._count -= 1
        self._size -= entry.size
        entry.leave()
        if entry.counts or entry.not_computable:
            self.forgotten.setdefault(tenant, Tallies()).add(entry)

    def _evict(self) -> None:
        """Second chance: an entry that was used since the hand was there stays for one more round.

        A bounded number of steps: if there are more used entries in a row than that, one of them goes all the same.
        """
        slots, left = self._slots, _STEPS
        while self._size > self.limit and self._count > 1 and left > -_STEPS:
            self._hand = hand = (self._hand + 1) % len(slots)
            entry = slots[hand - 1]
            left -= 1
            if entry is None:
                continue
            if entry.was_used() and left > 0:
                continue
            self._forget(entry)
            self.evictions += 1
