"""Queries put together: CTEs, branches, joins; which table is the first, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from odp_trio.sql.conditions import ALWAYS, Truth, both, of_table
from odp_trio.sql.facts import EVERYTHING, Alternatives, Operator, TableRef
from odp_trio.sql.grammar import Token
from odp_trio.sql.lexer import unquoted


class Dml(msgspec.Struct, frozen=True):
    """What the grammar finds."""

    tables: tuple[TableRef, ...] = ()
    alternatives: Alternatives = EVERYTHING
    insert_columns: tuple[str, ...] | None = None


class Source(msgspec.Struct, frozen=True):
    """A query, or what stands in FROM: its tables, what is said of the first, and what ON says."""

    tables: tuple[TableRef, ...] = ()
    alternatives: Alternatives = EVERYTHING
    on: Truth = ALWAYS
    derived: bool = False
    """The first table is inside a sub-query, whose own conditions ``alternatives`` are."""
    joined: int = 1
    optional: bool = False
    """RIGHT or FULL JOIN: without a row of the first table its columns are NULL."""


class Join(msgspec.Struct, frozen=True):
    """One join."""

    source: Source
    on: Truth
    optional: bool = False
    """RIGHT or FULL: the tables before it may have no row."""


def name(token: Token) -> str:
    """Return the name that a token holds, without its quotes."""
    return unquoted(token.value)


def is_quoted(token: Token) -> bool:
    """Whether a name stands in quotes."""
    return bool(token.value.kind == "QUOTED")


def query(children: Sequence[Any]) -> Source:
    """Put a query together: CTEs, then branches; the first branch's first table decides."""
    ctes: dict[str, Source] = {}
    branches: list[Source] = []
    for child in children:
        if isinstance(child, dict):
            ctes = child
        elif isinstance(child, Source):
            branches.append(child)
    inside = tuple(table for source in ctes.values() for table in source.tables if table.name.lower() not in ctes)
    tables = tuple(table for branch in branches for table in branch.tables)
    first = branches[0] if branches else Source()
    if first.tables and first.tables[0].database is None and first.tables[0].name.lower() in ctes:
        behind = ctes[first.tables[0].name.lower()]
        real = tuple(table for table in tables if table.name.lower() not in ctes)
        return Source(tuple(dict.fromkeys((*behind.tables, *real))), behind.alternatives, derived=True)
    real = tuple(table for table in tables if table.database is not None or table.name.lower() not in ctes)
    same = [branch for branch in branches[1:] if branch.tables and _same(branch.tables[0], first)]
    alternatives = first.alternatives
    for branch in same:
        alternatives = (*alternatives, *branch.alternatives)
    known = EVERYTHING if () in alternatives else tuple(dict.fromkeys(alternatives))
    return Source((*real, *inside), known, derived=first.derived)


def _same(table: TableRef, first: Source) -> bool:
    return bool(first.tables) and (table.name, table.database) == (first.tables[0].name, first.tables[0].database)


def restricted(source: Source, condition: Truth) -> Source:
    """Apply WHERE to what FROM names."""
    if not source.tables or source.derived:
        return source
    found = both(source.on, condition)
    alternatives = of_table(found, source.tables[0], alone=source.joined == 1)
    if source.optional:  # `t1.a IS NULL` may mean that t1 has no such row: all of t1 has a say in that
        kept = tuple(
            tuple(each for each in conditions if each.operator is not Operator.NULL_SAFE_EQ)
            for conditions in alternatives
        )
        alternatives = EVERYTHING if () in kept else kept
    return Source(source.tables, alternatives, joined=source.joined)
