"""What the names in a statement meant the last time: by tenant, by current database, by how names are compared.

The same text means another table for another tenant.  A shape has room for one meaning, that of the scope which had
it first; every other scope keeps its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count
from typing import Final, Protocol, final

from odp_trio.topology.location import Location, TableEntry

Home = Location | TableEntry
"""The location of a table that has only one, or else the table's entry."""
MOST_SCOPES: Final = 4096
MOST_HOMES: Final = 200_000
"""Of all scopes together, without those that the shapes have themselves."""
_numbers: Final = count(1)
"""One number is one scope, whichever proxy of the process it belongs to."""


class Named(Hashable, Protocol):
    """What names a table: a shape.  ``scope`` is the number of the one whose ``home`` it has, 0 for none."""

    scope: int
    home: object


@final
class Scope:
    """The tables that shapes name, for a tenant and a current database."""

    __slots__ = ("_scopes", "database", "homes", "lower", "number", "tables")

    def __init__(self, scopes: Scopes, number: int, tables: object, database: bytes, *, lower: bool) -> None:
        self.number, self.tables, self.database, self.lower = number, tables, database, lower
        self.homes: dict[Named, Home] = {}
        self._scopes = scopes

    def find(self, shape: Named) -> Home | None:
        """Return what a shape names; it may be gone."""
        return shape.home if shape.scope == self.number else self.homes.get(shape)  # type: ignore[return-value]

    def remember(self, shape: Named, entry: TableEntry) -> None:
        """Keep what a shape names."""
        home = entry if entry.location is None else entry.location
        if shape.scope == 0 or shape.scope == self.number:
            shape.scope, shape.home = self.number, home
            return
        self._scopes.make_room()
        self.homes[shape] = home


@final
class Scopes:
    """All scopes of a process.  When too much is remembered all of it is forgotten, and found again."""

    __slots__ = ("_known", "remembered")

    def __init__(self) -> None:
        self._known: dict[tuple[object, bytes, bool], Scope] = {}
        self.remembered = 0

    def of(self, tables: object, database: bytes, *, lower: bool) -> Scope:
        """Return the scope of a tenant's tables, a current database, and a way of comparing names."""
        scope = self._known.get((tables, database, lower))
        if scope is None:
            if len(self._known) >= MOST_SCOPES:
                self._forget()
                self._known.clear()
            scope = Scope(self, next(_numbers), tables, database, lower=lower)
            self._known[tables, database, lower] = scope
        return scope

    def make_room(self) -> None:
        """One more is going to be remembered."""
        if self.remembered >= MOST_HOMES:
            self._forget()
        self.remembered += 1

    def _forget(self) -> None:
        for scope in self._known.values():
            scope.homes = {}
        self.remembered = 0
