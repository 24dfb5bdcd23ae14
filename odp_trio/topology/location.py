"""Route entries: where tables and their partitions are, as far as we know.

An entry is *available* or *dirty*.  A dirty one is still used, and renewed in
the background (`catalog.lookup`), not more often than its time and a limiter
for the whole process allow: after a change of leaders many entries become
dirty at once, and the cluster must not be flooded with questions about them.

Fetches in flight are not states of an entry; they belong to the one who fetches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
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
    """Table entries of every cluster, bounded: what was not used for longest goes first."""

    __slots__ = ("_deadlines", "_size", "_tables", "evictions", "forgotten", "limit")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.evictions = 0
        self.forgotten: dict[TenantKey, Tallies] = {}
        """Counts of entries that are gone, so that sums over a tenant never shrink."""
        self._tables: OrderedDict[TableKey, TableEntry] = OrderedDict()
        self._deadlines: list[tuple[float, int, TableEntry]] = []
        self._size = 0

    def find(self, key: TableKey) -> TableEntry | None:
        """Return the entry of a table."""
        entry = self._tables.get(key)
        if entry is not None:
            entry.used = True
        return entry

    def store(self, entry: TableEntry) -> None:
        """Keep an entry in the place of an older one."""
        known = self._tables.pop(entry.key, None)
        if known is not None:
            entry.inherit(known)
            self._leave(known)
        self._tables[entry.key] = entry
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
                self.drop(entry.key)
                expired += 1
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
        self._forget(self._tables.pop(key, None))

    def drop_tenant(self, cluster: str, tenant: str) -> None:
        """Forget every table of a tenant."""
        for key in [key for key in self._tables if (key.cluster, key.tenant) == (cluster, tenant)]:
            self.drop(key)

    def drop_cluster(self, cluster: str) -> None:
        """Forget every table of a cluster, counts included."""
        for key in [key for key in self._tables if key.cluster == cluster]:
            self.drop(key)
        for tenant in [tenant for tenant in self.forgotten if tenant.cluster == cluster]:
            del self.forgotten[tenant]

    def expire_tenant(self, cluster: str, tenant: str, deadline: Callable[[], float]) -> None:
        """Forget every table of a tenant soon, each at a time of its own: they are not all asked about at once."""
        for entry in self._tables.values():
            if (entry.key.cluster, entry.key.tenant) == (cluster, tenant) and (at := deadline()) < entry.expires_at:
                entry.expires_at = at
                heappush(self._deadlines, (at, id(entry), entry))

    def expire_all(self, deadline: Callable[[], float]) -> None:
        """Forget every table by a time of its own, or earlier."""
        for entry in self._tables.values():
            if (at := deadline()) < entry.expires_at:
                entry.expires_at = at
                heappush(self._deadlines, (at, id(entry), entry))

    def resize(self, limit: int) -> None:
        """Keep so many from now on."""
        self.limit = limit
        self._evict()

    def entries(self) -> tuple[TableEntry, ...]:
        """Every entry."""
        return tuple(self._tables.values())

    def __len__(self) -> int:
        return self._size

    def _forget(self, entry: TableEntry | None) -> None:
        if entry is not None:
            self._leave(entry)
            if entry.tallies or entry.not_computable:
                key = TenantKey(entry.key.cluster, entry.key.tenant)
                self.forgotten.setdefault(key, Tallies()).add(entry)

    def _leave(self, entry: TableEntry) -> None:
        entry.gone = True
        self._size -= entry.size

    def _evict(self) -> None:
        """Second chance: an entry that was used since it was last looked at goes to the end once more."""
        while self._size > self.limit and len(self._tables) > 1:
            key, entry = self._tables.popitem(last=False)
            if entry.used:
                entry.used = False
                self._tables[key] = entry
                continue
            self._forget(entry)
            self.evictions += 1


def mark_dirty(entry: Location | TableEntry) -> bool:
    """Note that an entry seems to be wrong; answer whether that is news."""
    if entry.state is EntryState.DIRTY:
        return False
    entry.state = EntryState.DIRTY
    return True


@final
class RenewalLimiter:
    """How many renewals may start in a second, in the whole process.

    Normally ``normal``.  When more than that become dirty within one second, only
    ``limited`` for the next 10 to 20 seconds; ``chance`` says where in between (0 to 1).
    """

    __slots__ = ("_dirty", "_limited_until", "_second", "_started", "limited", "normal", "refused")

    def __init__(self, normal: int = 100, limited: int = 10) -> None:
        self.normal = normal
        self.limited = limited
        self.refused = 0
        self._second = -1
        self._started = 0
        self._dirty = 0
        self._limited_until = 0.0

    def note_dirty(self, now: float, chance: float) -> None:
        """One more entry became dirty."""
        self._turn(now)
        self._dirty += 1
        if self._dirty > self.normal and now >= self._limited_until:
            self._limited_until = now + 10.0 + 10.0 * chance

    def admit(self, now: float) -> bool:
        """Whether one more renewal may start now; counts it if so."""
        self._turn(now)
        if self._started >= (self.limited if now < self._limited_until else self.normal):
            self.refused += 1
            return False
        self._started += 1
        return True

    def is_limited(self, now: float) -> bool:
        """Whether the lower limit is in force."""
        return now < self._limited_until

    def _turn(self, now: float) -> None:
        if (second := int(now)) != self._second:
            self._second, self._started, self._dirty = second, 0, 0
