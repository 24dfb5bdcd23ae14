"""SELECT: a plan is made once for a shape of statements, and run with each one's values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cmp_to_key
from typing import Any, Final, Protocol, final

from odp_trio.testing.fakes.aggregates import aggregated, distinct, order_of
from odp_trio.testing.fakes.answers import Column, SQLError, Value
from odp_trio.testing.fakes.compile import compile_node, evaluator
from odp_trio.testing.fakes.lexer import Tokens
from odp_trio.testing.fakes.nodes import (
    Call,
    Constant,
    Item,
    Literal,
    Name,
    Node,
    Select,
    Star,
    SystemVariable,
    UserVariable,
)
from odp_trio.testing.fakes.scope import Compiled, Context, Evaluate, Scope
from odp_trio.testing.fakes.store import Index, Key, Row, Table
from odp_trio.testing.fakes.types import ColumnType, Type
from odp_trio.testing.fakes.values import number, truth

_MOST_ROWS: Final = 1 << 62


class Reader(Protocol):
    """Rows as somebody sees them."""

    def row(self, table: Table, key: Key) -> Row | None:
        """Return one row."""

    def scan(self, table: Table) -> Iterator[tuple[Key, Row]]:
        """Yield all rows by key."""

    def lookup(self, table: Table, index: Index, value: Key) -> list[tuple[Key, Row]]:
        """Return the rows that may have a value in an index, by key: all that do are among them."""


@final
class Past:
    """Rows as they were at a time."""

    def __init__(self, time: float) -> None:
        self._time = time

    def row(self, table: Table, key: Key) -> Row | None:
        """Return one row."""
        return table.as_of(self._time).get(key)

    def scan(self, table: Table) -> Iterator[tuple[Key, Row]]:
        """Yield all rows by key."""
        rows = table.as_of(self._time)
        return iter(sorted(rows.items()))

    def lookup(self, table: Table, index: Index, value: Key) -> list[tuple[Key, Row]]:
        """Return all rows: indexes know the present only."""
        del index, value
        return list(self.scan(table))


class Access:
    """How the rows of one table that a condition allows are found: by a key where it says it, else all."""

    def __init__(self, table: Table, where: Node | None, scope: Scope) -> None:
        self._table = table
        self._condition = None if where is None else evaluator(where, scope)
        equal = _equal(table, where, scope)
        self._keys = _key_evaluators(table.primary, equal)
        self._index = next((each for each in table.indexes if set(each.places) <= equal.keys()), None)
        self._looked_up = None if self._index is None else _key_evaluators(self._index.places, equal)

    def rows(self, context: Context, reader: Reader) -> Iterator[tuple[Key, Row]]:
        """Yield key and row of what meets the condition."""
        condition = self._condition
        for key, row in self._candidates(context, reader):
            context.row = row
            if condition is None or truth(condition(context)):
                yield key, row

    def _candidates(self, context: Context, reader: Reader) -> Iterable[tuple[Key, Row]]:
        table = self._table
        if self._keys is None:
            return self._by_index(context, reader)
        keys = _wanted(table, table.primary, self._keys, context)
        if keys is None:
            return reader.scan(table)
        found = [(key, row) for key in dict.fromkeys(keys) if (row := reader.row(table, key)) is not None]
        return sorted(found) if len(found) > 1 else found

    def _by_index(self, context: Context, reader: Reader) -> Iterable[tuple[Key, Row]]:
        table, index = self._table, self._index
        if index is None or self._looked_up is None:
            return reader.scan(table)
        values = _wanted(table, index.places, self._looked_up, context)
        if values is None or len(values) > 1:
            return reader.scan(table)
        return reader.lookup(table, index, values[0]) if values else ()


def _wanted(
    table: Table, places: tuple[int, ...], evaluators: list[list[Evaluate]], context: Context
) -> list[Key] | None:
    """Return the keys that meet the condition; None if that cannot be said."""
    keys: list[Key] = [()]
    for place, alternatives in zip(places, evaluators, strict=True):
        values = [_key_value(table, place, evaluate(context)) for evaluate in alternatives]
        if any(value is NotImplemented for value in values):
            return None
        keys = [(*key, value) for key in keys for value in values if value is not None]
    return keys


def _key_value(table: Table, place: int, value: Value) -> Any:
    """Return a value as it is in keys; None if no row can have it, NotImplemented if that cannot be said."""
    kind = table.columns[place].type
    if value is None:
        return None
    if kind.is_integer:
        found = number(value)
        return int(found) if found == int(found) else None
    if kind.is_text:
        return value.lower() if isinstance(value, str) else NotImplemented
    return NotImplemented


def _equal(table: Table, where: Node | None, scope: Scope) -> dict[int, list[Evaluate]]:
    """Return what columns are to be equal to, by place; several are alternatives."""
    if not (table.primary or table.indexes):
        return {}
    equal: dict[int, list[Evaluate]] = {}
    for part in _conjuncts(where):
        if part.name not in ("=", "in") or not isinstance(part.arguments[0], Name):
            continue
        place = table.places.get(part.arguments[0].name.lower())
        if place is not None and all(map(_is_fixed, part.arguments[1:])):
            equal.setdefault(place, [evaluator(each, scope) for each in part.arguments[1:]])
    return equal


def _key_evaluators(places: tuple[int, ...], equal: dict[int, list[Evaluate]]) -> list[list[Evaluate]] | None:
    return [equal[place] for place in places] if places and all(place in equal for place in places) else None


def _conjuncts(where: Node | None) -> Iterator[Call]:
    if isinstance(where, Call):
        if where.name == "and":
            for argument in where.arguments:
                yield from _conjuncts(argument)
        else:
            yield where


def _is_fixed(node: Node) -> bool:
    if isinstance(node, Literal | Constant | UserVariable | SystemVariable):
        return True
    return isinstance(node, Call) and node.name in ("+", "-", "*", "neg") and all(map(_is_fixed, node.arguments))


Tables = Callable[[str, str], Table]


class SelectPlan:
    """One SELECT, compiled.  ``sources`` are the tables it reads."""

    def __init__(self, select: Select, scope: Scope, tables: Tables, tokens: Tokens) -> None:
        self.sources: list[Table] = []
        self.select = select
        self._inner: list[tuple[Table, SelectPlan]] = []
        place = 0
        for source in select.sources:
            if source.select is None:
                table = tables(source.database, source.table)
            else:
                table = self._derived(source.table, source.select, scope, tables, tokens)
            self.sources.append(table)
            scope.tables.append((source.alias, table, place))
            place += len(table.columns)
        self._items: list[Compiled] = []
        self.columns: list[Column] = []
        for item in select.items:
            self._add_item(item, scope, tokens)
        scope.clause = "where clause"
        self._access = Access(self.sources[0], select.where, scope) if len(self.sources) == 1 else None
        self._where = None if select.where is None else evaluator(select.where, scope)
        self._joins = [None if source.on is None else evaluator(source.on, scope) for source in select.sources]
        scope.clause = "group statement"
        self._group = [self._by(node, scope) for node in select.group]
        scope.clause = "having clause"
        self._having = None if select.having is None else self._by(select.having, scope)
        scope.clause = "order clause"
        self._order = [(self._by(node, scope), descending) for node, descending in select.order]
        self._limit = None if select.limit is None else evaluator(select.limit, scope)
        self._offset = None if select.offset is None else evaluator(select.offset, scope)
        self._aggregates = scope.aggregates
        self._union = [
            (SelectPlan(each, Scope(session=scope.session, values=scope.values), tables, tokens), everything)
            for each, everything in select.union
        ]
        self.found = 0
        """How many rows there were before LIMIT."""
        self.keys: list[Key] = []
        """Of the rows that were read from the first table; for locks."""

    def _derived(self, name: str, select: Select, scope: Scope, tables: Tables, tokens: Tokens) -> Table:
        """Return a table that is filled when the statement is run."""
        plan = SelectPlan(select, Scope(session=scope.session, values=scope.values), tables, tokens)
        columns = [
            ColumnType(each.name, "", Type(each.kind, each.length, each.flags, each.decimals, each.charset))
            for each in plan.columns
        ]
        table = Table(0, "", name, columns, (), [], 0)
        self._inner.append((table, plan))
        return table

    def _add_item(self, item: Item, scope: Scope, tokens: Tokens) -> None:
        if isinstance(item.node, Star):
            self._add_star(item.node, scope)
            return
        compiled = compile_node(item.node, scope)
        name = item.alias
        if not name:
            text = tokens.sql[tokens.tokens[item.start].start : tokens.tokens[item.end - 1].end]
            name = _item_name(item.node, text, scope)
        self._items.append(compiled)
        column = compiled.column
        self.columns.append(
            compiled.type.column(name)
            if column is None
            else Column(
                name,
                column.kind,
                column.length,
                column.flags,
                column.decimals,
                column.charset,
                column.database,
                column.table,
                column.origin_table,
                column.origin,
            )
        )

    def _add_star(self, star: Star, scope: Scope) -> None:
        if not scope.tables:
            raise SQLError(1096, "HY000", "No tables used")
        for alias, table, _ in scope.tables:
            if star.table and star.table.lower() != alias.lower():
                continue
            for column in table.columns:
                compiled = compile_node(Name(column.name, alias), scope)
                self._items.append(compiled)
                assert compiled.column is not None
                self.columns.append(compiled.column)

    def _by(self, node: Node, scope: Scope) -> Evaluate:
        """Return what is grouped or ordered by: a column of the result by number or name, or an expression."""
        if isinstance(node, Literal) and node.kind == "int":
            place = scope.values[node.place]
            assert isinstance(place, int)
            if not 0 < place <= len(self._items):
                raise SQLError(1054, "42S22", f"Unknown column '{place}' in '{scope.clause}'")
            return self._items[place - 1].evaluate
        if isinstance(node, Name) and not node.table:
            for item, compiled in zip(self.select.items, self._items, strict=False):
                if item.alias.lower() == node.name.lower() and item.alias:
                    return compiled.evaluate
        return evaluator(node, scope)

    # ---- running ---------------------------------------------------------------------

    def run(self, context: Context, reader: Reader) -> list[Row]:
        """Return the rows."""
        for table, plan in self._inner:
            rows_of_it = plan.run(context, reader)
            table.rows = {(at,): row for at, row in enumerate(rows_of_it)}
            table.order = list(table.rows)
        found = list(self._source_rows(context, reader))
        if self._aggregates or self._group:
            made = self._grouped(context, found)
        else:
            made = [self._made(context, row) for row in found]
        if self.select.distinct:
            made = list({distinct(row): (row, by) for row, by in made}.values())
        if self._order:
            made.sort(key=cmp_to_key(self._compare))
        rows = [row for row, _ in made]
        for plan, everything in self._union:
            rows += plan.run(context, reader)
            if not everything:
                rows = list({distinct(row): row for row in rows}.values())
        self.found = len(rows)
        first = 0 if self._offset is None else int(number(self._offset(context)))
        count = _MOST_ROWS if self._limit is None else int(number(self._limit(context)))
        return rows[first : first + count]

    def _source_rows(self, context: Context, reader: Reader) -> Iterator[Row]:
        self.keys = []
        if not self.sources:
            context.row = ()
            if self._where is None or truth(self._where(context)):
                yield ()
            return
        if self._access is not None:
            for key, row in self._access.rows(context, reader):
                self.keys.append(key)
                yield row
            return
        for row in self._joined(context, reader, (), 0):
            context.row = row
            if self._where is None or truth(self._where(context)):
                yield row

    def _joined(self, context: Context, reader: Reader, left: Row, at: int) -> Iterator[Row]:
        if at == len(self.sources):
            yield left
            return
        table, condition = self.sources[at], self._joins[at]
        matched = False
        for _, row in reader.scan(table):
            both = left + row[: len(table.columns)]
            context.row = both
            if condition is None or truth(condition(context)):
                matched = True
                yield from self._joined(context, reader, both, at + 1)
        if not matched and self.select.sources[at].left:
            yield from self._joined(context, reader, left + (None,) * len(table.columns), at + 1)

    def _made(self, context: Context, row: Row) -> tuple[Row, list[Value]]:
        context.row = row
        return (
            tuple([item.evaluate(context) for item in self._items]),
            [evaluate(context) for evaluate, _ in self._order],
        )

    def _grouped(self, context: Context, rows: list[Row]) -> list[tuple[Row, list[Value]]]:
        groups: dict[tuple[Value, ...], list[Row]] = {}
        for row in rows:
            context.row = row
            groups.setdefault(distinct([by(context) for by in self._group]), []).append(row)
        if not groups and not self._group:
            groups[()] = []
        made = []
        width = sum(len(table.columns) for table in self.sources)
        for members in groups.values():
            context.aggregates = [aggregated(each, context, members) for each in self._aggregates]
            context.row = members[0] if members else (None,) * width
            if self._having is None or truth(self._having(context)):
                made.append(self._made(context, context.row))
        return made

    def _compare(self, left: tuple[Row, list[Value]], right: tuple[Row, list[Value]]) -> int:
        for one, other, (_, descending) in zip(left[1], right[1], self._order, strict=True):
            found = order_of(one, other)
            if found:
                return -found if descending else found
        return 0


def _item_name(node: Node, text: str, scope: Scope) -> str:
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Literal) and isinstance(value := scope.values[node.place], str):
        return value
    return "NULL" if isinstance(node, Constant) and node.word == "null" else text
