"""The grammar's callbacks: from the tokens of a DML statement, bottom up, to its tables and conditions.

They are called while it is parsed: no tree is built and nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, final

import msgspec

from odp_trio.sql.conditions import (
    ALWAYS,
    Column,
    Row,
    Truth,
    both,
    called,
    compared,
    either,
    is_in,
    is_null,
    is_operand,
    negated,
    row,
    truth,
    value_or_opaque,
)
from odp_trio.sql.facts import (
    EVERYTHING,
    Boolean,
    Call,
    Condition,
    Default,
    Literal,
    Null,
    Opaque,
    Operand,
    Operator,
    Parameter,
    TableRef,
    UserVariable,
)
from odp_trio.sql.grammar import Parser, Token, read_tables
from odp_trio.sql.lexer import split
from odp_trio.sql.sources import Dml, Join, Source, is_quoted, name, query, restricted
from odp_trio.sql.vocabulary import NILADIC

_OPERATORS = {
    "EQ": Operator.EQ,
    "NULL_SAFE_EQ": Operator.NULL_SAFE_EQ,
    "LT": Operator.LT,
    "LE": Operator.LE,
    "GT": Operator.GT,
    "GE": Operator.GE,
}


def parse_dml(tokens: Sequence[Token]) -> Dml:
    """Read the tokens of one statement; raise NotInGrammar where the grammar ends."""
    parser, callbacks = _parser()
    callbacks.seen, callbacks.ctes = [], set()
    found: Dml = parser.parse(tokens)
    every = (*found.tables[:1], *callbacks.seen)
    real = (table for table in every if table.database is not None or table.name.lower() not in callbacks.ctes)
    return msgspec.structs.replace(found, tables=tuple(dict.fromkeys(real)))


def prepare() -> None:
    """Read the grammar's tables and compile patterns before a statement needs them; safe in any thread."""
    _parser()
    split(b"/**/")
    split(b"")


@cache
def _parser() -> tuple[Parser, _Callbacks]:
    callbacks = _Callbacks()
    return Parser(read_tables(), callbacks), callbacks


def _names(children: Iterable[Any]) -> list[Token]:
    return [child for child in children if isinstance(child, Token) and child.type == "NAME"]


@final
class _Callbacks:
    """One method a rule.  ``seen`` are all tables in the order of the text, ``ctes`` the names WITH gives."""

    def __init__(self) -> None:
        self.seen: list[TableRef] = []
        self.ctes: set[str] = set()

    def dml(self, children: list[Any]) -> Dml:
        found = children[0]
        return Dml(found.tables, found.alternatives) if isinstance(found, Source) else found

    # ---- queries ------------------------------------------------------------------

    def query(self, children: list[Any]) -> Source:
        return query(children)

    inner = union = query

    def bracketed(self, children: list[Any]) -> Source:
        return next(child for child in children if isinstance(child, Source))

    def no_table(self, children: list[Any]) -> Source:
        return Source()

    def select(self, children: list[Any]) -> Source:
        source = next((child for child in children if isinstance(child, Source)), Source())
        condition = next((child for child in children if isinstance(child, Truth)), ALWAYS)
        return restricted(source, condition)

    def with_(self, children: list[Any]) -> dict[str, Source]:
        return {key: source for child in children if isinstance(child, tuple) for key, source in [child]}

    def cte(self, children: list[Any]) -> tuple[str, Source]:
        source = next(child for child in children if isinstance(child, Source))
        self.ctes.add(name(children[0]).lower())
        return name(children[0]).lower(), source

    def from_(self, children: list[Any]) -> Source:
        return next(child for child in children if isinstance(child, Source))

    def where(self, children: list[Any]) -> Truth:
        return truth(children[-1])

    def tables(self, children: list[Any]) -> Source:
        sources = [child for child in children if isinstance(child, Source)]
        first = sources[0]
        on = first.on
        for source in sources[1:]:
            on = both(on, source.on)
        every = tuple(table for source in sources for table in source.tables)
        joined = sum(source.joined for source in sources)
        return Source(every, first.alternatives, on, first.derived, joined, first.optional)

    def joined(self, children: list[Any]) -> Source:
        first = next(child for child in children if isinstance(child, Source))
        joins = [child for child in children if isinstance(child, Join)]
        on = first.on
        for join in joins:
            on = both(on, join.on)
        every = (*first.tables, *(table for join in joins for table in join.source.tables))
        optional = first.optional or any(join.optional for join in joins)
        return Source(every, first.alternatives, on, first.derived, first.joined + len(joins), optional)

    def inner_join(self, children: list[Any]) -> Join:
        source = next(child for child in children if isinstance(child, Source))
        return Join(source, next((child for child in children if isinstance(child, Truth)), ALWAYS))

    def outer_join(self, children: list[Any]) -> Join:
        source = next(child for child in children if isinstance(child, Source))
        return Join(source, ALWAYS, children[0].value.upper != "LEFT")

    def on(self, children: list[Any]) -> Truth:
        return truth(children[-1])

    def using(self, children: list[Any]) -> Truth:
        return ALWAYS

    def factor(self, children: list[Any]) -> Source:
        return Source((children[0],))

    def derived(self, children: list[Any]) -> Source:
        source = next(child for child in children if isinstance(child, Source))
        return Source(source.tables, source.alternatives, derived=True)

    def nested_tables(self, children: list[Any]) -> Source:
        return next(child for child in children if isinstance(child, Source))

    def table_function(self, children: list[Any]) -> Source:
        return Source()

    # ---- tables --------------------------------------------------------------------

    def table(self, children: list[Any]) -> TableRef:
        table: TableRef = children[0]
        for child in children[1:]:
            if isinstance(child, list):
                table = msgspec.structs.replace(table, partition=child[0] if len(child) == 1 else None)
            elif isinstance(child, str):
                table = msgspec.structs.replace(table, alias=child)
        self.seen.append(table)
        return table

    def plain_name(self, children: list[Any]) -> TableRef:
        return TableRef(name(children[0]), quoted=is_quoted(children[0]))

    def qualified_name(self, children: list[Any]) -> TableRef:
        first, last = _names(children)
        return TableRef(name(last), name(first), quoted=is_quoted(last))

    def linked_name(self, children: list[Any]) -> TableRef:
        first, link = _names(children)
        return TableRef(name(first), dblink=name(link), quoted=is_quoted(first))

    def qualified_linked_name(self, children: list[Any]) -> TableRef:
        database, table, link = _names(children)
        return TableRef(name(table), name(database), dblink=name(link), quoted=is_quoted(table))

    def partition(self, children: list[Any]) -> list[str]:
        return [name(child).upper() for child in _names(children)]

    def alias(self, children: list[Any]) -> str:
        return name(children[-1])

    # ---- INSERT, UPDATE, DELETE, MERGE --------------------------------------------------

    def insert(self, children: list[Any]) -> Dml:
        table = next(child for child in children if isinstance(child, TableRef))
        found: Dml = children[-1]
        return Dml((table, *found.tables), found.alternatives, found.insert_columns)

    def insert_values(self, children: list[Any]) -> Dml:
        columns = next((child for child in children if isinstance(child, tuple)), None)
        rows: list[list[Operand]] = children[-1]
        alternatives = tuple(
            tuple(
                Condition(columns[at] if columns is not None else at, Operator.EQ, (value,))
                for at, value in enumerate(row)
                if columns is None or at < len(columns)
            )
            for row in rows
        )
        return Dml((), alternatives, columns)

    def insert_set(self, children: list[Any]) -> Dml:
        pairs: list[tuple[Column, Operand]] = children[-1]
        conditions = tuple(Condition(column.name, Operator.EQ, (value,)) for column, value in pairs)
        return Dml((), (conditions,), tuple(column.name for column, _ in pairs))

    def insert_select(self, children: list[Any]) -> Dml:
        source = next(child for child in children if isinstance(child, Source))
        return Dml(source.tables, EVERYTHING, next((child for child in children if isinstance(child, tuple)), None))

    def column_list(self, children: list[Any]) -> tuple[str, ...]:
        return tuple(name(child).lower() for child in _names(children))

    def no_columns(self, children: list[Any]) -> None:
        return None

    def rows(self, children: list[Any]) -> list[list[Operand]]:
        return [child for child in children if isinstance(child, list)]

    def row(self, children: list[Any]) -> list[Operand]:
        values = next((child for child in children if isinstance(child, tuple)), ())
        return [value_or_opaque(value, "an expression over columns") for value in values]

    def constant_row(self, children: list[Any]) -> list[Operand]:
        return list(children[0].value.operands)

    def assignments(self, children: list[Any]) -> list[tuple[Column, Operand]]:
        return [child for child in children if isinstance(child, tuple)]

    def assignment(self, children: list[Any]) -> tuple[Column, Operand]:
        column = children[0] if isinstance(children[0], Column) else Column("")
        return column, value_or_opaque(children[-1], "an expression over columns")

    def update(self, children: list[Any]) -> Source:
        source = next(child for child in children if isinstance(child, Source))
        return restricted(source, next((child for child in children if isinstance(child, Truth)), ALWAYS))

    delete = delete_from = update

    def delete_using(self, children: list[Any]) -> Source:
        first = next(child for child in children if isinstance(child, Source))
        return self.update([child for child in children if child is not first])

    def delete_bare(self, children: list[Any]) -> Source:
        return self.update([Source((child,)) if isinstance(child, TableRef) else child for child in children])

    def named_tables(self, children: list[Any]) -> None:
        return None

    def target(self, children: list[Any]) -> None:
        return None

    def merge(self, children: list[Any]) -> Source:
        table = next(child for child in children if isinstance(child, TableRef))
        other = next(child for child in children if isinstance(child, Source))
        return restricted(Source((table, *other.tables), joined=2), truth(children[-1]))

    # ---- conditions --------------------------------------------------------------------

    def either(self, children: list[Any]) -> Truth:
        return either(truth(children[0]), truth(children[2]))

    def both(self, children: list[Any]) -> Truth:
        return both(truth(children[0]), truth(children[2]))

    def unknown_condition(self, children: list[Any]) -> Truth:
        return ALWAYS

    def comparison(self, children: list[Any]) -> list[Operator]:
        return [_OPERATORS[children[0].type]] if children[0].type in _OPERATORS else []

    def compared(self, children: list[Any]) -> Truth:
        left, operators, right = children
        return compared(left, operators[0] if operators else None, right)

    def is_test(self, children: list[Any]) -> Truth:
        kinds = [child.type for child in children[1:]]
        return is_null(children[0]) if kinds == ["IS", "NULL"] else ALWAYS

    def in_list(self, children: list[Any]) -> Truth:
        return is_in(children[0], next(child for child in children[1:] if isinstance(child, tuple)))

    def in_constants(self, children: list[Any]) -> Truth:
        return is_in(children[0], children[2].value.operands)

    def between(self, children: list[Any]) -> Truth:
        value, low, high = children[0], children[2], children[4]
        return both(compared(value, Operator.GE, low), compared(value, Operator.LE, high))

    # ---- values ----------------------------------------------------------------------------

    def calculation(self, children: list[Any]) -> object:
        left, token, right = children
        if not is_operand(left) or not is_operand(right) or token.type == "BIT":
            return Opaque("an expression over columns")
        return called(token.value.upper or token.value.text, (left, right))

    def negative(self, children: list[Any]) -> object:
        return negated(children[-1])

    def positive(self, children: list[Any]) -> object:
        return children[-1]

    def opaque(self, children: list[Any]) -> Opaque:
        return Opaque("an expression that is not computed")

    def literal(self, children: list[Any]) -> Operand:
        return Literal(children[0].value.slot) if len(children) == 1 else Opaque("strings side by side")

    def prefixed(self, children: list[Any]) -> Literal:
        return Literal(children[0].value.slot, prefix=children[0].value.text)

    def parameter(self, children: list[Any]) -> Parameter:
        return Parameter(children[0].value.slot)

    def variable(self, children: list[Any]) -> Operand:
        text = children[0].value.text
        if text.startswith("@@"):
            return Opaque("a system variable")
        return UserVariable(text[1:].strip("`'\"").lower())

    def null(self, children: list[Any]) -> Null:
        return Null()

    def true(self, children: list[Any]) -> Boolean:
        return Boolean(True)

    def false(self, children: list[Any]) -> Boolean:
        return Boolean(False)

    def default(self, children: list[Any]) -> Default:
        return Default()

    def subquery(self, children: list[Any]) -> Opaque:
        return Opaque("a sub-query")

    def parenthesised(self, children: list[Any]) -> object:
        return children[1]

    def row_value(self, children: list[Any]) -> Row:
        return row((children[1], *children[3]))

    def column(self, children: list[Any]) -> Column | Call:
        *qualifier, last = (name(child) for child in _names(children))
        if last.upper() in NILADIC and not qualifier and not is_quoted(children[0]):
            return Call(last.upper(), ())
        return Column(last.lower(), tuple(qualifier))

    def function(self, children: list[Any]) -> object:
        arguments = next((child for child in children if isinstance(child, tuple)), ())
        function = name(children[0]).upper()
        if all(map(is_operand, arguments)):
            return called(function, tuple(arguments))
        return Opaque(f"{function}() over columns")

    def expressions(self, children: list[Any]) -> tuple[object, ...]:
        return tuple(child for child in children if not isinstance(child, Token))


# Rule names that are words of Python.
setattr(_Callbacks, "with", _Callbacks.with_)
setattr(_Callbacks, "from", _Callbacks.from_)
