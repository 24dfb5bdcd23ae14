"""What expressions are compiled against, and what they are computed with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from odp_trio.testing.fakes.answers import Column, SQLError, Value
from odp_trio.testing.fakes.nodes import Name, Select
from odp_trio.testing.fakes.store import Row, Table
from odp_trio.testing.fakes.types import Type


class Surroundings(Protocol):
    """What expressions ask of their session."""

    user_variables: dict[str, Value]
    database: str
    insert_id: int
    row_count: int
    found_rows: int

    def wall_time(self) -> float:
        """Seconds since 1970, of this statement."""

    def offset_seconds(self) -> int:
        """Seconds that the session's time zone is before UTC."""

    def system_variable(self, name: str, scope: str) -> Value:
        """Return a variable's value."""

    def set_user_variable(self, name: str, value: Value) -> None:
        """Remember a user variable."""

    def account(self, kind: str) -> str:
        """Return ``user()`` or ``current_user()``."""

    def connection_number(self) -> int:
        """Return ``connection_id()``."""

    def subquery(self, select: Select, values: list[Value]) -> list[Row]:
        """Return a subquery's rows."""

    def warn(self, number: int, message: str) -> None:
        """Have SHOW WARNINGS tell of something."""

    def pause(self, seconds: float) -> None:
        """Let the statement take so much longer."""


class Context:
    """What an expression is computed with: a row, the statement's literals, its session."""

    __slots__ = ("aggregates", "given", "row", "session", "values")

    def __init__(self, session: Surroundings, values: list[Value]) -> None:
        self.session = session
        self.values = values
        self.row: Row = ()
        self.aggregates: list[Value] = []
        self.given: Row = ()
        """The row that INSERT … ON DUPLICATE KEY UPDATE would have put in: VALUES(column)."""


Evaluate = Callable[[Context], Value]


class Compiled(msgspec.Struct, frozen=True):
    """An expression: how it is computed and what type it has.  ``column`` is that of a table's column."""

    evaluate: Evaluate
    type: Type
    column: Column | None = None


class Aggregate(msgspec.Struct, frozen=True):
    """One aggregate function of a SELECT."""

    name: str
    argument: Evaluate | None
    distinct: bool
    order: tuple[tuple[Evaluate, bool], ...] = ()
    separator: Evaluate | None = None


@dataclass(slots=True)
class Scope:
    """The tables that names are looked for in, with the place where each one's columns begin."""

    tables: list[tuple[str, Table, int]] = field(default_factory=list)
    session: Surroundings | None = None
    values: list[Value] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    clause: str = "field list"

    def resolve(self, name: Name) -> tuple[int, Table, str, int]:
        """Return place in the row, table, its alias and the column's place in it; raise SQLError 1054 or 1052."""
        found: list[tuple[int, Table, str, int]] = []
        wanted, wanted_table = name.name.lower(), name.table.lower()
        for alias, table, start in self.tables:
            if wanted_table and wanted_table != alias.lower():
                continue
            place = table.places.get(wanted)
            if place is not None:
                found.append((start + place, table, alias, place))
        full = f"{name.table}.{name.name}" if name.table else name.name
        if not found:
            raise SQLError(1054, "42S22", f"Unknown column '{full}' in '{self.clause}'")
        if len(found) > 1:
            raise SQLError(1052, "23000", f"Column '{full}' in {self.clause} is ambiguous")
        return found[0]
