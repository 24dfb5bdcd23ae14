"""Route entries: where tables and their partitions are, as far as we know.

An entry is *available* or *dirty*.  A dirty one is still used, and renewed in
the background (`catalog.locations`), not more often than its time and a limiter
for the whole process (`renewal_limiter`) allow.

Fetches in flight are not states of an entry; they belong to the one who fetches.

There may be hundreds of thousands of these objects, and the garbage collector does not look at them.  So what
refers to one another must be taken apart when it is not needed any more: ``TableEntry.leave``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import msgspec

from odp_trio.model import Address
from odp_trio.topology.partitioning import Partitioning
from odp_trio.topology.tenant import EntryState

FIRST_PAUSE: Final = 1 / 32
"""Share of the pause that follows the first renewal without news; it doubles with each further one."""
FULL, READONLY = 0, 16
LEADER: Final = "leader"
"""The name under which statements are counted that went to the leader because they must."""


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
class Location(msgspec.Struct, eq=False, gc=False):
    """Where one partition, or a table that has only one, lives; and how its statements fared.

    ``orders`` and ``route`` are scratch space of ``routing``, emptied with every renewal.  ``route`` is the way to
    the leader as a view of that ``epoch`` has it; there is none of a location that is dirty or whose table is gone.
    """

    table: TableEntry
    tablet_id: int
    replicas: tuple[Replica, ...]
    fetched_at: float
    route: object = None  # what every statement reads or writes stands together
    epoch: int = -1
    routed: int = 0
    counted: int = 0
    """How many of ``routed`` were not sent by ``route``: those that were are in no tally of the table."""
    missed: int = 0
    state: EntryState = EntryState.AVAILABLE
    leader: Address | None = None
    pause_until: float = 0.0
    """Not to be asked about again before: the last renewal brought nothing new."""
    fruitless: int = 0
    """Renewals in a row that brought nothing new."""
    orders: dict[object, object] = {}

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
class TableEntry(msgspec.Struct, eq=False, gc=False):
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
    tablets: dict[int, Location] = {}
    state: EntryState = EntryState.AVAILABLE
    expires_at: float = float("inf")
    gone: bool = False
    """Replaced or dropped: nobody may go on using it."""
    used: bool = True
    """Somebody has looked for it since eviction came by."""
    routed: int = 0
    """Statements that its location had had when eviction came by."""
    slot: int = -1
    """Its place in ``Locations``."""
    not_computable: int = 0
    counts: dict[str, list[int]] | None = None
    """Statements routed and missed, by policy; without those that the location's ``route`` has counted."""

    def tally(self, policy: str) -> list[int]:
        """Return the counts of one policy, which its routes write to."""
        if self.counts is None:
            self.counts = {}
        found = self.counts.get(policy)
        if found is None:
            found = self.counts[policy] = [0, 0]
        return found

    @property
    def tallies(self) -> dict[str, list[int]]:
        """Statements routed and missed, by policy; a copy."""
        found = {} if self.counts is None else {policy: [*tally] for policy, tally in self.counts.items()}
        if (location := self.location) is not None and (sent := location.routed - location.counted):
            found.setdefault(LEADER, [0, 0])[0] += sent
        return found

    @property
    def sent(self) -> int:
        """How many statements have been routed, by any policy."""
        found = 0 if self.counts is None else sum(tally[0] for tally in self.counts.values())
        return found if (location := self.location) is None else found + location.routed - location.counted

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
        self.counts = older.tallies or None
        self.not_computable += older.not_computable

    def was_used(self) -> bool:
        """Whether a statement has used it since this was asked last."""
        location = self.location
        routed = self.routed if location is None else location.routed
        used = self.used or routed != self.routed
        self.used, self.routed = False, routed
        return used

    def leave(self) -> None:
        """Nobody finds it any more: what it and its locations refer to is let go, so that all of them can end."""
        self.gone = True
        self.forget_routes()
        if self.location is not None:
            self.counts, self.location = self.tallies or None, None
        self.tablets = {}

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
