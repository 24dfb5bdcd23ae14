"""What came of it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence

import msgspec

from odp_trio.conformance.notes import Note


class Outcome(enum.Enum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    """What must hold does not."""
    BROKEN = "broken"
    """It could not be seen whether it holds: the check itself ended with an error."""
    SKIPPED = "skipped"


class Result(msgspec.Struct, frozen=True):
    """One check and what came of it."""

    id: str
    group: str
    sentence: str
    proves: tuple[str, ...]
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    notes: Sequence[Note] = ()


class Run(msgspec.Struct, frozen=True):
    """All the results of one target."""

    target: str
    version: str
    began: str
    """UTC, ISO 8601."""
    seconds: float
    results: Sequence[Result]

    def counts(self) -> dict[str, int]:
        """Return how many checks had each outcome."""
        counted = Counter(result.outcome for result in self.results)
        return {outcome.value: counted[outcome] for outcome in Outcome}

    @property
    def good(self) -> bool:
        """Whether something passed and nothing else than skips happened beside."""
        counts = self.counts()
        return counts["passed"] > 0 and not counts["failed"] and not counts["broken"]
