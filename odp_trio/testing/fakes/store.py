"""Tables and transactions: rows by primary key, changes that others see once they are committed, locks on rows.

Read committed: a statement sees what was committed before it, and its own transaction's changes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, final

from odp_trio.testing.fakes.answers import SQLError, Value
from odp_trio.testing.fakes.partitions import Partitions
from odp_trio.testing.fakes.types import ColumnType

Key = tuple[Value, ...]
Row = tuple[Value, ...]
HISTORY: Final = 10_000
"""Commits of a table that are remembered for reads of the past."""
FIRST_TABLE: Final = 500_001
FIRST_TABLET: Final = 200_001
DATABASES: Final = ("information_schema", "mysql", "oceanbase", "test")


@dataclass(slots=True)
class Unique:
    """A unique index: its name and the places of its columns."""

    name: str
    places: tuple[int, ...]
    keys: dict[Key, Key] = field(default_factory=dict)
    """Primary key by committed value."""


@dataclass(slots=True)
class Index:
    """An index whose values need not be unique: the places of its columns."""

    places: tuple[int, ...]
    keys: dict[Key, dict[Key, None]] = field(default_factory=dict)
    """Primary keys by committed value."""

    def add(self, row: Row, key: Key) -> None:
        """A row is there."""
        self.keys.setdefault(key_of(row, self.places), {})[key] = None

    def remove(self, row: Row, key: Key) -> None:
        """It is gone."""
        value = key_of(row, self.places)
        keys = self.keys[value]
        del keys[key]
        if not keys:
            del self.keys[value]


@dataclass(slots=True, eq=False)
class Table:
    """One table.  ``rows`` are committed; ``order`` are their keys, sorted."""

    number: int
    database: str
    name: str
    columns: list[ColumnType]
    primary: tuple[int, ...]
    uniques: list[Unique]
    version: int
    partitions: Partitions | None = None
    indexes: list[Index] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)
    order: list[Key] = field(default_factory=list)
    next_auto: int = 1
    next_row: int = 1
    auto: int = -1
    history: deque[tuple[float, int, dict[Key, Row | None]]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """When each commit was, and the rows before it."""

    def __post_init__(self) -> None:
        self.places = {column.name.lower(): place for place, column in enumerate(self.columns)}
        self.auto = next((place for place, column in enumerate(self.columns) if column.auto), -1)

    def key(self, row: Row) -> Key:
        """Return a row's primary key; that of a table without one is a number that its row has got."""
        if not self.primary:
            return row[-1:]
        return key_of(row, self.primary)

    def tablet(self, key: Key) -> int:
        """Return the tablet that a row is in; 0 for a table that is not partitioned."""
        partitions = self.partitions
        if partitions is None:
            return 0
        if partitions.place not in self.primary:
            return partitions.tablets[0]
        return partitions.tablet(key[self.primary.index(partitions.place)])

    def truncate(self) -> None:
        """Forget all rows, and the past."""
        for unique in self.uniques:
            unique.keys.clear()
        for index in self.indexes:
            index.keys.clear()
        self.rows.clear()
        self.order.clear()
        self.history.clear()
        self.next_auto = 1

    def as_of(self, time: float, commits: int | None = None) -> dict[Key, Row]:
        """Return the rows as they were at a time or, where it is given, after so many commits."""
        rows = dict(self.rows)
        for at, number, before in reversed(self.history):
            if (at <= time) if commits is None else (number <= commits):
                break
            for key, row in before.items():
                if row is None:
                    rows.pop(key, None)
                else:
                    rows[key] = row
        return rows


def key_of(row: Row, places: tuple[int, ...]) -> Key:
    """Return some columns of a row as a key: texts compare without regard to case."""
    return tuple([value.lower() if isinstance(value := row[place], str) else value for place in places])


Writes = dict[Table, dict[Key, Row | None]]


@final
class Transaction:
    """What one session has changed and not committed; ``wake`` is called when what it waits for has ended."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.writes: Writes = {}
        self.locks: dict[tuple[int, int, Key], None] = {}
        self.waits_for: Transaction | None = None
        self.waiters: list[Transaction] = []
        self.savepoints: list[tuple[str, Writes]] = []
        self.wake = wake
        self.read_only = False
        self.snapshot: float | None = None
        self.began = 0.0
        self.commits = 0
        """How many commits there were when it began: a snapshot has those."""

    def row(self, table: Table, key: Key) -> Row | None:
        """Return a row as this transaction sees it."""
        written = self.writes.get(table)
        if written is not None and key in written:
            return written[key]
        return self._seen(table).get(key)

    def _seen(self, table: Table) -> dict[Key, Row]:
        """Return what was committed, before the snapshot if there is one."""
        if self.snapshot is None or not table.history or table.history[-1][1] <= self.commits:
            return table.rows
        return table.as_of(self.snapshot, self.commits)

    def scan(self, table: Table) -> Iterator[tuple[Key, Row]]:
        """Yield every row that this transaction sees, by key."""
        rows = self._seen(table)
        written = self.writes.get(table)
        order = table.order if rows is table.rows else sorted(rows)
        if not written:
            for key in order:
                yield key, rows[key]
            return
        if new := [key for key in written if key not in rows]:
            order = sorted([*order, *new])
        for key in order:
            row = written[key] if key in written else rows[key]
            if row is not None:
                yield key, row

    def lookup(self, table: Table, index: Index, value: Key) -> list[tuple[Key, Row]]:
        """Return the rows that may have a value in an index, by key: all that do are among them."""
        rows, written = self._seen(table), self.writes.get(table, {})
        if rows is not table.rows:
            return list(self.scan(table))
        keys = sorted(dict.fromkeys((*index.keys.get(value, ()), *written)))
        found = [(key, written[key] if key in written else rows[key]) for key in keys]
        return [(key, row) for key, row in found if row is not None]

    def write(self, table: Table, key: Key, row: Row | None) -> None:
        """Change a row."""
        self.writes.setdefault(table, {})[key] = row

    def savepoint(self, name: str) -> None:
        """Remember the present state under a name."""
        self.release(name, missing_ok=True)
        self.savepoints.append((name, {table: dict(rows) for table, rows in self.writes.items()}))

    def release(self, name: str, *, missing_ok: bool = False) -> int:
        """Forget a savepoint; return its place."""
        for at, (known, _) in enumerate(self.savepoints):
            if known == name:
                del self.savepoints[at]
                return at
        if not missing_ok:
            raise SQLError(1305, "42000", "savepoint does not exist")
        return -1

    def back_to(self, name: str) -> None:
        """Undo everything since a savepoint, which stays."""
        for at, (known, writes) in enumerate(self.savepoints):
            if known == name:
                self.writes = {table: dict(rows) for table, rows in writes.items()}
                del self.savepoints[at + 1 :]
                return
        raise SQLError(1305, "42000", "savepoint does not exist")


@final
class Store:
    """The databases of a cluster, and who has locked which row."""

    def __init__(self) -> None:
        self.databases: dict[str, dict[str, Table]] = {name: {} for name in DATABASES}
        self.version = 1_700_000_000_000_000
        self.commits = 0
        self._next_table = FIRST_TABLE
        self._next_tablet = FIRST_TABLET
        self._locks: dict[tuple[int, int, Key], Transaction] = {}
        self.on_write: Callable[[Table, Row], None] | None = None
        """Called with each row that a statement writes, whatever becomes of its transaction."""
        self.on_commit: Callable[[Table, Row], None] | None = None
        """Called with each row that becomes everybody's."""

    def find(self, database: str, name: str) -> Table | None:
        """Return a table, None if there is none."""
        return self.databases.get(database, {}).get(name)

    def table(self, database: str, name: str) -> Table:
        """Return a table; raise SQLError 1146."""
        found = self.find(database, name)
        if found is None:
            raise SQLError(1146, "42S02", f"Table '{database}.{name}' doesn't exist")
        return found

    def by_number(self, number: int) -> Table | None:
        """Return the table of an id, None if there is none."""
        return next(
            (each for tables in self.databases.values() for each in tables.values() if each.number == number), None
        )

    def create(self, table: Table) -> None:
        """Add a table; raise SQLError 1050 if there is one of its name, 1049 without its database."""
        tables = self.databases.get(table.database)
        if tables is None:
            raise SQLError(1049, "42000", f"Unknown database '{table.database}'")
        if table.name in tables:
            raise SQLError(1050, "42S01", f"Table '{table.name}' already exists")
        tables[table.name] = table

    def new_number(self) -> int:
        """Return a new table's id, and count the schema's version on."""
        self._next_table += 100
        self.new_version()
        return self._next_table

    def new_tablets(self, count: int) -> tuple[int, ...]:
        """Return numbers of new tablets."""
        self._next_tablet += count
        return tuple(range(self._next_tablet - count, self._next_tablet))

    def new_version(self) -> int:
        """Count the schema's version on."""
        self.version += 8
        return self.version

    # ---- locks -----------------------------------------------------------------------

    def lock(self, transaction: Transaction, locks: list[tuple[int, int, Key]]) -> Transaction | None:
        """Lock all of them, or none: then return who holds one.  Raises SQLError 1213 when both would wait."""
        for lock in locks:
            holder = self._locks.get(lock)
            if holder is not None and holder is not transaction:
                self._wait(transaction, holder)
                return holder
        for lock in locks:
            self._locks[lock] = transaction
            transaction.locks[lock] = None
        return None

    def _wait(self, transaction: Transaction, holder: Transaction) -> None:
        at: Transaction | None = holder
        while at is not None:
            if at is transaction:
                raise SQLError(1213, "HY000", "Deadlock")
            at = at.waits_for
        transaction.waits_for = holder
        if transaction not in holder.waiters:
            holder.waiters.append(transaction)

    # ---- ends ------------------------------------------------------------------------

    def commit(self, transaction: Transaction, now: float) -> None:
        """Make a transaction's changes everybody's."""
        self.commits += 1
        for table, written in transaction.writes.items():
            before: dict[Key, Row | None] = {}
            for key, row in written.items():
                old = table.rows.get(key)
                if old is row:
                    continue
                before[key] = old
                self._put(table, key, old, row)
            if before:
                table.history.append((now, self.commits, before))
        self._end(transaction)

    def rollback(self, transaction: Transaction) -> None:
        """Forget a transaction's changes."""
        self._end(transaction)

    def _put(self, table: Table, key: Key, old: Row | None, row: Row | None) -> None:
        for unique in table.uniques:
            if old is not None and unique.keys.get(value := key_of(old, unique.places)) == key:
                del unique.keys[value]
        for index in table.indexes:
            if old is not None:
                index.remove(old, key)
            if row is not None:
                index.add(row, key)
        if row is None:
            del table.rows[key]
            del table.order[bisect_left(table.order, key)]
            return
        if self.on_commit is not None:
            self.on_commit(table, row)
        table.rows[key] = row
        if old is None:
            insort(table.order, key)
        for unique in table.uniques:
            value = key_of(row, unique.places)
            if None not in value:
                unique.keys[value] = key

    def _end(self, transaction: Transaction) -> None:
        for lock in transaction.locks:
            del self._locks[lock]
        transaction.locks.clear()
        transaction.writes.clear()
        transaction.savepoints.clear()
        waiters, transaction.waiters = transaction.waiters, []
        for waiter in waiters:
            waiter.waits_for = None
            waiter.wake()
