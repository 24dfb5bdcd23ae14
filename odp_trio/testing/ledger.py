"""A ledger of writes: what clients were told about each, held against what is there.

Every write has a number of its own, ``(client, sequence)``, and is one row of
a table without a unique key, so that a statement that ran twice is seen as two
rows.  Pure: whoever reads the tables hands in the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import final

import msgspec

Number = tuple[int, int]
"""Client and sequence number."""


class Fate(Enum):
    """What a client knows of its write."""

    UNKNOWN = "unknown"
    """It was sent, and nobody said what became of it: there once, or absent."""
    ACKNOWLEDGED = "acknowledged"
    """An OK was seen, in a transaction that of its COMMIT: there exactly once."""
    FAILED = "failed"
    """An error said so, or it was rolled back, or the connection went before its COMMIT was sent: absent."""


class Audit(msgspec.Struct, frozen=True):
    """What is there, held against what clients were told."""

    acknowledged: int
    failed: int
    unknown: int
    unknown_there: int
    """Of the unknown ones, those that are there."""
    lost: tuple[Number, ...]
    """Acknowledged and not there."""
    doubled: tuple[Number, ...]
    """There more than once."""
    undead: tuple[Number, ...]
    """There, although the client was told that it failed."""
    strange: tuple[Number, ...]
    """There, and never written."""

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, nothing ran twice, and nothing ran that was said to have failed."""
        return not (self.lost or self.doubled or self.undead or self.strange)

    def __str__(self) -> str:
        said = f"{self.acknowledged} acknowledged, {self.failed} failed, {self.unknown} unknown"
        found = {
            "acknowledged and lost": self.lost,
            "there twice": self.doubled,
            "said to have failed and there": self.undead,
            "there and never written": self.strange,
        }
        wrong = [f"{len(numbers)} {what}: {_some(numbers)}" for what, numbers in found.items() if numbers]
        return "; ".join([said, *wrong] if wrong else [said, "clean"])


def _some(numbers: tuple[Number, ...]) -> str:
    shown = ", ".join(f"{client}/{sequence}" for client, sequence in numbers[:5])
    return f"{shown} …" if len(numbers) > 5 else shown


@final
class Ledger:
    """The writes of one load."""

    def __init__(self) -> None:
        self._fates: dict[Number, Fate] = {}
        self._next: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._fates)

    def __iter__(self) -> Iterator[Number]:
        return iter(self._fates)

    def begin(self, client: int) -> Number:
        """Return the number of a new write, whose fate is unknown until it is settled."""
        self._next[client] += 1
        number = (client, self._next[client])
        self._fates[number] = Fate.UNKNOWN
        return number

    def settle(self, numbers: Iterable[Number], fate: Fate) -> None:
        """Note what the client was told; raise KeyError for a write not begun, ValueError for a settled one."""
        for number in numbers:
            if self._fates[number] is not Fate.UNKNOWN:
                raise ValueError(f"write {number} is settled already: {self._fates[number].value}")
            self._fates[number] = fate

    def fate(self, number: Number) -> Fate:
        """Return what the client knows of a write; raise KeyError for one that was not begun."""
        return self._fates[number]

    def audit(self, rows: Iterable[Number]) -> Audit:
        """Hold the ledger against the rows that are there, each as often as it is there."""
        there = Counter(rows)
        told = Counter(self._fates.values())
        by_fate = {
            fate: [number for number, known in self._fates.items() if known is fate and bool(there[number]) is present]
            for fate, present in ((Fate.ACKNOWLEDGED, False), (Fate.FAILED, True), (Fate.UNKNOWN, True))
        }
        return Audit(
            acknowledged=told[Fate.ACKNOWLEDGED],
            failed=told[Fate.FAILED],
            unknown=told[Fate.UNKNOWN],
            unknown_there=len(by_fate[Fate.UNKNOWN]),
            lost=tuple(by_fate[Fate.ACKNOWLEDGED]),
            doubled=tuple(number for number, count in there.items() if count > 1),
            undead=tuple(by_fate[Fate.FAILED]),
            strange=tuple(number for number, count in there.items() if count and number not in self._fates),
        )
