"""Route entries: where tables and their partitions are, as far as we know.

An entry is *available* or *dirty*.  A dirty one is still used, and renewed in
the background (`catalog.locations`), not more often than its time and a limiter
for the whole process (`renewal_limiter`) allow.

Fetches in flight are not states of an entry; they belong to the one who fetches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, final

import msgspec

from odp_trio.model import Address
from odp_trio.topology.partitioning import Partitioning
from odp_trio.topology.tenant import EntryState

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

    ``orders`` and ``route`` are scratch space of ``routing``, emptied with every renewal.  ``route`` is the way to
    the leader as a view of that ``epoch`` has it; there is none of a location that is dirty or whose table is gone.
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
    route: object = field(default=None, init=False)
    epoch: int = field(default=-1, init=False)

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
        self.forget_route()
        return True

    def forget_route(self) -> None:
        """Have the rules asked again by the next statement."""
        self.route, self.epoch = None, -1


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

    def forget_routes(self) -> None:
        """Have the rules asked again by the next statement."""
        for location in self.locations():
            location.forget_route()

    def locations(self) -> Iterator[Location]:
        """Every location that is known."""
        if self.location is not None:
            yield self.location
        yield from self.tablets.values()


def mark_dirty(entry: Location | TableEntry) -> bool:
    """Note that an entry seems to be wrong; answer whether that is news."""
    if entry.state is EntryState.DIRTY:
        return False
    entry.state = EntryState.DIRTY
    if isinstance(entry, Location):
        entry.forget_route()
    else:
        entry.forget_routes()
    return True
