"""How the rows that workers answer a command with become one answer, and who is asked at all: a column of the table
of commands.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum
from itertools import chain
from typing import Any, Final

import msgspec

from odp_trio.admin.across import folding
from odp_trio.admin.across.folding import Fold

Row = Sequence[Any]
ByWorker = Mapping[int, Sequence[Row]]
"""The rows of workers, by their numbers."""
RowFold = Callable[[Sequence[str], ByWorker], Sequence[Row]]
"""Takes the names of the columns and what workers have answered."""


class Asks(Enum):
    """Who does what a command says."""

    ONE = "the worker that is asked"
    ALL = "every worker; what they answer becomes one answer"
    OWNER = "the worker that has what is named"
    EACH = "every worker; it is done if one of them has what is named"


class Across(msgspec.Struct, frozen=True):
    """What becomes of a command where there are several workers."""

    asks: Asks
    meaning: str
    """For the documentation."""
    fold: RowFold | None = None
    limited: bool = False
    """``offset`` and ``count`` among its arguments are about all rows: each worker gives as many as could be wanted."""


def chained(_: Sequence[str], rows: ByWorker) -> Sequence[Row]:
    """Return the rows of one worker after the other."""
    return list(chain.from_iterable(rows.values()))


def merged(key: str, *, newest: str = "", **folds: str) -> RowFold:
    """Return how rows are folded that agree in the columns of ``key``.

    ``added="a, b"`` names columns that are folded by ``folding.added``, and so on; the others are those of the first
    row, or of the one that is greatest in the column ``newest``.
    """
    keys = _names(key)
    by_column: Mapping[str, Fold] = {
        column: getattr(folding, fold) for fold, columns in folds.items() for column in _names(columns)
    }

    def fold(columns: Sequence[str], rows: ByWorker) -> Sequence[Row]:
        places = {column: at for at, column in enumerate(columns)}
        at_key = [places[name] for name in keys]
        groups: dict[Hashable, list[Row]] = {}
        for row in chain.from_iterable(rows.values()):
            groups.setdefault(tuple(row[at] for at in at_key), []).append(row)
        at_newest = places[newest] if newest else None
        changed = [(places[column], one) for column, one in by_column.items()]
        return [_folded(group, at_newest, changed) for group in groups.values()]

    return fold


def _folded(group: Sequence[Row], newest: int | None, changed: Sequence[tuple[int, Fold]]) -> Row:
    if len(group) == 1:
        return group[0]
    chosen = group[0] if newest is None else max(group, key=lambda row: (row[newest] is not None, row[newest] or ""))
    row = list(chosen)
    for at, fold in changed:
        row[at] = fold([one[at] for one in group])
    return row


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",") if name.strip()]


def ordered(key: Callable[[Mapping[str, Any]], Any], *, reverse: bool = False) -> RowFold:
    """Return how rows are folded that stay as they are: in the order of something that is made of their columns."""

    def fold(columns: Sequence[str], rows: ByWorker) -> Sequence[Row]:
        return sorted(
            chain.from_iterable(rows.values()),
            key=lambda row: key(dict(zip(columns, row, strict=True))),
            reverse=reverse,
        )

    return fold


ONE: Final = Across(Asks.ONE, "any worker")
ROWS: Final = Across(Asks.ALL, "rows of every worker", chained)
OWNER: Final = Across(Asks.OWNER, "the worker that has it")
EACH: Final = Across(Asks.EACH, "done in every worker")
AGREED: Final = Across(Asks.ONE, "in all workers or in none")


def rows_of_all(fold: RowFold, meaning: str, *, limited: bool = False) -> Across:
    """Return that every worker is asked, and how their rows are folded."""
    return Across(Asks.ALL, meaning, fold, limited)
