"""INSERT, REPLACE, UPDATE, DELETE: what they would write and what must be locked first.

A statement is worked out as a whole before anything is changed, so that it can wait for a lock and begin anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cmp_to_key

from odp_trio.testing.fakes.aggregates import order_of
from odp_trio.testing.fakes.answers import SQLError, Value
from odp_trio.testing.fakes.compile import evaluator
from odp_trio.testing.fakes.functions import moment
from odp_trio.testing.fakes.nodes import Constant, Delete, Insert, Node, Update
from odp_trio.testing.fakes.query import Access
from odp_trio.testing.fakes.scope import Context, Evaluate, Scope
from odp_trio.testing.fakes.store import Key, Row, Table, Transaction, Unique, key_of
from odp_trio.testing.fakes.types import stored
from odp_trio.testing.fakes.values import number, written

Lock = tuple[int, int, Key]


@dataclass(slots=True)
class Change:
    """What a statement would do."""

    table: Table
    locks: list[Lock] = field(default_factory=list)
    writes: dict[Key, Row | None] = field(default_factory=dict)
    affected: int = 0
    insert_id: int = 0
    generated: bool = False
    info: str = ""
    warnings: list[tuple[str, int, str]] = field(default_factory=list)
    next_auto: int = 0

    def apply(self, transaction: Transaction) -> None:
        """Do it."""
        for key, row in self.writes.items():
            transaction.write(self.table, key, row)

    def row(self, transaction: Transaction, key: Key) -> Row | None:
        """Return a row as it is after what was worked out so far."""
        return self.writes[key] if key in self.writes else transaction.row(self.table, key)

    def lock_row(self, key: Key, row: Row | None) -> None:
        """Have a row locked, and the unique values it has."""
        self.locks.append((self.table.number, -1, key))
        if row is not None:
            for at, unique in enumerate(self.table.uniques):
                if None not in (value := key_of(row, unique.places)):
                    self.locks.append((self.table.number, at, value))

    def holder(self, transaction: Transaction, unique: Unique, value: Key) -> Key | None:
        """Return the key of the row that has a unique value; None if no row has."""
        for written_rows in (self.writes, transaction.writes.get(self.table, {})):
            for key, row in written_rows.items():
                if row is not None and key_of(row, unique.places) == value:
                    return key
        found = unique.keys.get(value)
        if found is None:
            return None
        row = self.row(transaction, found)
        return found if row is not None and key_of(row, unique.places) == value else None


class InsertPlan:
    """INSERT or REPLACE, compiled."""

    def __init__(self, insert: Insert, table: Table, scope: Scope) -> None:
        self.table = table
        self._insert = insert
        names = insert.columns or tuple(column.name.lower() for column in table.columns)
        for name in names:
            if name not in table.places:
                raise SQLError(1054, "42S22", f"Unknown column '{name}' in 'field list'")
        self._places = [table.places[name] for name in names]
        self._check_defaults()
        self._rows: list[list[Evaluate | None]] = []
        for at, row in enumerate(insert.rows):
            if row and len(row) != len(names):
                raise SQLError(1136, "21S01", f"Column count doesn't match value count at row {at + 1}")
            if not row and insert.columns:
                raise SQLError(1136, "21S01", f"Column count doesn't match value count at row {at + 1}")
            self._rows.append([None if _is_default(node) else evaluator(node, scope) for node in row])
        scope.tables.append((insert.table.alias, table, 0))
        self._updates = [(_place(table, name), evaluator(node, scope)) for name, node in insert.update]

    def _check_defaults(self) -> None:
        for place, column in enumerate(self.table.columns):
            if place in self._places or column.auto or not column.not_null or column.has_default:
                continue
            if column.sql != "timestamp" and not self._insert.ignore:
                raise SQLError(1364, "HY000", f"Field '{column.name}' doesn't have a default value")

    def work_out(self, context: Context, transaction: Transaction, selected: list[Row] | None) -> Change:
        """Return what is to be done."""
        change = Change(self.table, next_auto=self.table.next_auto)
        given = self._given(context) if selected is None else [list(row) for row in selected]
        duplicates = 0
        try:
            for at, values in enumerate(given):
                if selected is not None and len(values) != len(self._places):
                    raise SQLError(1136, "21S01", f"Column count doesn't match value count at row {at + 1}")
                row = self._row(context, values, at + 1, change)
                duplicates += self._put(context, transaction, change, row)
        finally:  # numbers that were drawn are gone, whatever becomes of their rows
            self.table.next_auto = max(self.table.next_auto, change.next_auto)
        if (len(given) > 1 or selected is not None) and not self._insert.ignore:
            change.info = f"Records: {len(given)}  Duplicates: {duplicates}  Warnings: {len(change.warnings)}"
        return change

    def _given(self, context: Context) -> list[list[Value]]:
        context.row = ()
        return [
            [_MISSING if evaluate is None else evaluate(context) for evaluate in row] if row else []
            for row in self._rows
        ]

    def _row(self, context: Context, values: list[Value], number_of_row: int, change: Change) -> Row:
        table = self.table
        given = dict(zip(self._places, values, strict=False)) if values else {}
        row: list[Value] = []
        for place, column in enumerate(table.columns):
            value = given.get(place, _MISSING)
            if column.auto and (value is _MISSING or value is None or value == 0):
                value = change.next_auto
                change.next_auto += 1
                if not change.generated:
                    change.insert_id, change.generated = value, True
            elif value is _MISSING:
                value = self._default(context, place)
            try:
                row.append(stored(column, value, number_of_row))
                if column.auto:
                    change.next_auto = max(change.next_auto, int(number(row[-1])) + 1)
            except SQLError as exc:
                if not self._insert.ignore or exc.errno != 1048:
                    raise
                change.warnings.append(("Warning", exc.errno, exc.message))
                row.append(0 if column.high else "")
        if not table.primary:
            row.append(table.next_row)
            table.next_row += 1
        return tuple(row)

    def _default(self, context: Context, place: int) -> Value:
        column = self.table.columns[place]
        if column.now:
            return moment(context, column.type.decimals)
        if column.default is None and column.not_null and not column.has_default:
            if column.sql == "timestamp":
                return moment(context)
            raise SQLError(1364, "HY000", f"Field '{column.name}' doesn't have a default value")
        return column.default

    def _put(self, context: Context, transaction: Transaction, change: Change, row: Row) -> int:
        """Work out one row; return 1 if there was one of its key before."""
        table, key = self.table, self.table.key(row)
        change.lock_row(key, row)
        conflicts: list[tuple[Key, str, Key]] = []
        if change.row(transaction, key) is not None:
            conflicts.append((key, "PRIMARY", key_values(row, table.primary)))
        for unique in table.uniques:
            value = key_of(row, unique.places)
            if None in value:
                continue
            holder = change.holder(transaction, unique, value)
            if holder is not None and holder not in [each for each, _, _ in conflicts]:
                conflicts.append((holder, unique.name, key_values(row, unique.places)))
        if not conflicts:
            change.writes[key] = row
            change.affected += 1
            return 0
        holder, index, value = conflicts[0]
        if self._insert.replace:
            for other, _, _ in conflicts:
                change.lock_row(other, change.row(transaction, other))
                change.writes[other] = None
                change.affected += 1
            change.writes[key] = row
            change.affected += 1
        elif self._updates:
            self._update(context, transaction, change, holder, row)
        elif self._insert.ignore:
            message = f"Duplicate entry '{'-'.join(map(written, value))}' for key '{index}'"
            change.warnings.append(("Warning", 1062, message))
        else:
            raise duplicate(value, index, change)
        return 1

    def _update(self, context: Context, transaction: Transaction, change: Change, holder: Key, given: Row) -> None:
        old = change.row(transaction, holder)
        assert old is not None
        context.row, context.given = old, given
        new = list(old)
        for place, evaluate in self._updates:
            new[place] = stored(self.table.columns[place], evaluate(context), 1)
        changed = tuple(new)
        change.lock_row(holder, changed)
        if self.table.auto >= 0:
            change.generated = False
            change.insert_id = int(number(old[self.table.auto]))
        if changed != old:
            change.affected += 2
            change.writes[holder] = changed


_MISSING: Value = "\0default\0"
"""A value that is not given; compared by identity."""


def _is_default(node: Node) -> bool:
    return isinstance(node, Constant) and node.word == "default"


def _place(table: Table, name: str) -> int:
    place = table.places.get(name)
    if place is None:
        raise SQLError(1054, "42S22", f"Unknown column '{name}' in 'field list'")
    return place


def key_values(row: Row, places: tuple[int, ...]) -> Key:
    """Return some values of a row as they are."""
    return tuple([row[place] for place in places])


class Duplicate(SQLError):
    """Error 1062: another transaction's row may be the reason, so it stands only once the lock is had."""

    def __init__(self, message: str, locks: list[Lock]) -> None:
        super().__init__(1062, "23000", message)
        self.locks = locks


def duplicate(value: Key, index: str, change: Change) -> Duplicate:
    """Return error 1062."""
    return Duplicate(f"Duplicate entry '{'-'.join(map(written, value))}' for key '{index}'", change.locks)


class UpdatePlan:
    """UPDATE or DELETE, compiled."""

    def __init__(self, statement: Update | Delete, table: Table, scope: Scope) -> None:
        self.table = table
        self._delete = isinstance(statement, Delete)
        scope.tables.append((statement.table.alias, table, 0))
        changes = statement.changes if isinstance(statement, Update) else ()
        self._changes = [(_place(table, name), None if _is_default(node) else evaluator(node, scope))
                         for name, node in changes]  # fmt: skip
        scope.clause = "where clause"
        self._access = Access(table, statement.where, scope)
        scope.clause = "order clause"
        self._order = [(evaluator(node, scope), descending) for node, descending in statement.order]
        self._limit = None if statement.limit is None else evaluator(statement.limit, scope)

    def work_out(self, context: Context, transaction: Transaction) -> Change:
        """Return what is to be done."""
        change = Change(self.table)
        found = list(self._access.rows(context, transaction))
        if self._order:
            found = self._sorted(context, found)
        if self._limit is not None:
            found = found[: int(number(self._limit(context)))]
        for at, (key, row) in enumerate(found):
            self._one(context, transaction, change, key, row, at + 1)
        if not self._delete:
            change.info = f"Rows matched: {len(found)}  Changed: {change.affected}  Warnings: 0"
        return change

    def _sorted(self, context: Context, found: list[tuple[Key, Row]]) -> list[tuple[Key, Row]]:
        def values(row: Row) -> list[Value]:
            context.row = row
            return [evaluate(context) for evaluate, _ in self._order]

        keyed = [(values(row), key, row) for key, row in found]

        def order(left: tuple[list[Value], Key, Row], right: tuple[list[Value], Key, Row]) -> int:
            for one, other, (_, descending) in zip(left[0], right[0], self._order, strict=True):
                if found := order_of(one, other):
                    return -found if descending else found
            return 0

        return [(key, row) for _, key, row in sorted(keyed, key=cmp_to_key(order))]

    def _one(self, context: Context, transaction: Transaction, change: Change, key: Key, row: Row, at: int) -> None:
        change.lock_row(key, row)
        if self._delete:
            change.writes[key] = None
            change.affected += 1
            return
        new = list(row)
        for place, evaluate in self._changes:
            context.row = tuple(new)
            column = self.table.columns[place]
            new[place] = column.default if evaluate is None else stored(column, evaluate(context), at)
        changed = tuple(new)
        if changed == row:
            return
        change.affected += 1
        other = self.table.key(changed)
        if other != key:
            change.lock_row(other, changed)
            if change.row(transaction, other) is not None:
                raise duplicate(key_values(changed, self.table.primary), "PRIMARY", change)
            change.writes[key] = None
        for unique in self.table.uniques:
            value = key_of(changed, unique.places)
            if None in value or value == key_of(row, unique.places):
                continue
            change.locks.append((self.table.number, self.table.uniques.index(unique), value))
            if change.holder(transaction, unique, value) not in (None, key):
                raise duplicate(key_values(changed, unique.places), unique.name, change)
        change.writes[other] = changed
