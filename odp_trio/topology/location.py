"""Route entries: where tables and their partitions are, as far as we know.

An entry is *available* or *dirty*.  A dirty one is still used, and renewed in
the background (`catalog.locations`), not more often than its time and a limiter
for the whole process (`renewal_limiter`) allow.

Fetches in flight are not states of an entry; they belong to the one who fetches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, final

import msgspec

from odp_trio.model import Address, TenantKey
from odp_trio.topology.partitioning import Partitioning
from odp_trio.topology.tenant import EntryState

DEFAULT_LIMIT: Final = 200_000
"""Locations kept: ODP's routing_cache_mem_limited (128 MB) * 3/4 / 512 bytes."""

FIRST_PAUSE: Final = 1 / 32
"""Share of the pause that follows the first renewal without news; it doubles with each further one."""
FULL, READONLY = 0, 16
_STEPS: Final = 1000
"""Entries that eviction looks at in one go, and entries that it forgets: about a millisecond."""


class TableKey(msgspec.Struct, frozen=True, gc=False):
    """One table of one tenant."""

    cluster: str
    tenant: str
    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.database}.{self.table} of {self.tenant}#{self.cluster}"


class Replica(msgspec.Struct, frozen=True, gc=False):
    """One replica.  ``kind`` is OceanBase's number: 0 full, 16 read-only, others hold no data to read."""

    address: Address
    leader: bool = False
    kind: int = FULL
    duplicate: bool = False

    @property
    def readable(self) -> bool:
        """Whether weak reads may go there."""
        return self.kind in (FULL, READONLY)


@final
@dataclass(slots=True, eq=False)
class Location:
    """Where one partition, or a table that has only one, lives; and how its statements fared.

    ``orders`` is scratch space of ``routing``, emptied with every renewal.
    """

    table: TableEntry
    tablet_id: int
    replicas: tuple[Replica, ...]
    fetched_at: float
    state: EntryState = EntryState.AVAILABLE
    leader: Address | None = None
    pause_until: float = 0.0
    """Not to be asked about again before: the last renewal brought nothing new."""
    fruitless: int = 0
    """Renewals in a row that brought nothing new."""
    hit_at: float = 0.0
    routed: int = 0
    missed: int = 0
    orders: dict[object, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.leader = next((replica.address for replica in self.replicas if replica.leader), None)

    def renew(self, replicas: tuple[Replica, ...], now: float, pause: float = 0.0) -> bool:
        """Take over a fresh answer; answer whether it differs.  One without a leader is no news.

        After an answer without news the next question waits, longer and longer up to ``pause`` seconds.
        """
        self.state = EntryState.AVAILABLE
        if replicas == self.replicas or not any(replica.leader for replica in replicas):
            self.pause_until = now + pause * min(FIRST_PAUSE * 2**self.fruitless, 1.0)
            self.fruitless = min(self.fruitless + 1, 16)
            return False
        self.fruitless = 0
        self.replicas = replicas
        self.leader = next(replica.address for replica in replicas if replica.leader)
        self.fetched_at = now
        self.orders.clear()
        return True


@final
@dataclass(slots=True, eq=False)
class TableEntry:
    """What we know of one table.

    ``location`` for a table of one partition, ``partitioning`` and ``tablets``
    for others; neither for what has no place of its own (virtual tables, a
    table that does not exist: ``missing``).
    """

    key: TableKey
    fetched_at: float
    table_id: int = 0
    schema_version: int = 0
    part_num: int = 0
    missing: bool = False
    decoded: bool = False
    """A view or a synonym: the rows are those of the table behind it."""
    partitioning: Partitioning | None = None
    location: Location | None = None
    tablets: dict[int, Location] = field(default_factory=dict)
    state: EntryState = EntryState.AVAILABLE
    pause_until: float = 0.0
    expires_at: float = float("inf")
    gone: bool = False
    """Replaced or dropped: nobody may go on using it."""
    used: bool = True
    slot: int = -1
    """Its place in ``Locations``."""
    not_computable: int = 0
    tallies: dict[str, list[int]] = field(default_factory=dict)
    """Statements routed and missed, by policy."""

    def tally(self, policy: str) -> list[int]:
        """Return the counts of one policy, which its routes write to."""
        found = self.tallies.get(policy)
        if found is None:
            found = self.tallies[policy] = [0, 0]
        return found

    @property
    def duplicate(self) -> bool:
        """Whether it is a duplicate table: every replica may serve strong reads."""
        return self.location is not None and any(replica.duplicate for replica in self.location.replicas)

    @property
    def size(self) -> int:
        """How many locations it counts for."""
        return 1 + len(self.tablets)

    def inherit(self, older: TableEntry) -> None:
        """Go on counting where the entry that this one replaces ended."""
        self.tallies = older.tallies
        self.not_computable += older.not_computable

    def locations(self) -> Iterator[Location]:
        """Every location that is known."""
        if self.location is not None:
            yield self.location
        yield from self.tablets.values()


@final
@dataclass(slots=True)
class Tallies:
    """Counts of a tenant's entries that are gone."""

    by_policy: dict[str, list[int]] = field(default_factory=dict)
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
        self._tenants: dict[TenantKey, dict[str, dict[str, TableEntry]]] = {}
        self._slots: list[TableEntry | None] = []
        self._free: list[int] = []
        self._hand = 0
        self._count = 0
        self._deadlines: list[tuple[float, int, TableEntry]] = []
        self._size = 0

    def find(self, key: TableKey) -> TableEntry | None:
        """Return the entry of a table."""
        return self.look_up(TenantKey(key.cluster, key.tenant), key.database, key.table)

    def look_up(self, tenant: TenantKey, database: str, table: str) -> TableEntry | None:
        """Return the entry of a tenant's table."""
        databases = self._tenants.get(tenant)
        if databases is None:
            return None
        tables = databases.get(database)
        if tables is None:
            return None
        entry = tables.get(table)
        if entry is not None:
            entry.used = True
        return entry

    def store(self, entry: TableEntry) -> None:
        """Keep an entry in the place of an older one."""
        key = entry.key
        databases = self._tenants.setdefault(TenantKey(key.cluster, key.tenant), {})
        tables = databases.setdefault(key.database, {})
        known = tables.get(key.table)
        if known is not None:
            entry.inherit(known)
            entry.slot = known.slot
            self._leave(known)
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
        if not entry.gone and location.tablet_id not in entry.tablets:
            self._size += 1
        entry.tablets[location.tablet_id] = location
        self._evict()

    def drop(self, key: TableKey) -> None:
        """Forget a table."""
        entry = self._tenants.get(TenantKey(key.cluster, key.tenant), {}).get(key.database, {}).get(key.table)
        if entry is not None:
            self._forget(entry)

    def drop_tenant(self, cluster: str, tenant: str) -> None:
        """Forget every table of a tenant."""
        for entry in tuple(self._of(TenantKey(cluster, tenant))):
            self._forget(entry)

    def drop_cluster(self, cluster: str) -> None:
        """Forget every table of a cluster, counts included."""
        for key in [key for key in self._tenants if key.cluster == cluster]:
            self.drop_tenant(cluster, key.tenant)
        for key in [key for key in self.forgotten if key.cluster == cluster]:
            del self.forgotten[key]

    def expire_tenant(self, cluster: str, tenant: str, deadline: Callable[[], float]) -> None:
        """Forget every table of a tenant soon, each at a time of its own: they are not all asked about at once."""
        self._hasten(self._of(TenantKey(cluster, tenant)), deadline)

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

    def _of(self, tenant: TenantKey) -> Iterator[TableEntry]:
        for tables in self._tenants.get(tenant, {}).values():
            yield from tables.values()

    def _hasten(self, entries: Iterable[TableEntry], deadline: Callable[[], float]) -> None:
        for entry in entries:
            if (at := deadline()) < entry.expires_at:
                entry.expires_at = at
                heappush(self._deadlines, (at, id(entry), entry))

    def _forget(self, entry: TableEntry) -> None:
        """Take an entry out, and keep its counts."""
        key = entry.key
        tenant = TenantKey(key.cluster, key.tenant)
        databases = self._tenants[tenant]
        tables = databases[key.database]
        del tables[key.table]
        if not tables:
            del databases[key.database]
            if not databases:
                del self._tenants[tenant]
        self._slots[entry.slot] = None
        self._free.append(entry.slot)
        self._count -= 1
        self._leave(entry)
        if entry.tallies or entry.not_computable:
            self.forgotten.setdefault(tenant, Tallies()).add(entry)

    def _leave(self, entry: TableEntry) -> None:
        entry.gone = True
        self._size -= entry.size

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
            if entry.used and left > 0:
                entry.used = False
                continue
            self._forget(entry)
            self.evictions += 1


def mark_dirty(entry: Location | TableEntry) -> bool:
    """Note that an entry seems to be wrong; answer whether that is news."""
    if entry.state is EntryState.DIRTY:
        return False
    entry.state = EntryState.DIRTY
    return True
