"""Run parts round after round; nothing that was measured is lost when a run ends early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import trio

from benchmarks.figures import Report, Skipped
from benchmarks.parts import PARTS
from benchmarks.rounds import Part, Run
from benchmarks.scenarios import Plan
from odp_trio.testing.live import KernelUnavailable


async def run(
    plan: Plan,
    chosen: Sequence[str],
    logs: Path,
    report: Report,
    *,
    save: Callable[[Report], None],
    tell: Callable[[str], None],
    parts: Mapping[str, Part] = PARTS,
) -> Report:
    """Give each part the rounds that it lacks in ``report``; call ``save`` after each."""
    for at, name in enumerate(chosen, 1):
        title = f"{name} ({at} of {len(chosen)})"
        have = report.rounds.get(name, 0)
        if have >= plan.rounds:
            tell(f"{title}: has {have} rounds already")
            continue
        progress = Progress(title, plan.rounds, tell)
        try:
            async with parts[name].open(Run(plan, logs, progress.step)) as one_round:
                for number in range(have, plan.rounds):
                    progress.number = number
                    begun = trio.current_time()
                    samples, skipped = await one_round(number)
                    report = report.and_round(name, samples, skipped, trio.current_time() - begun)
                    save(report)
        except KernelUnavailable as exc:
            skip = Skipped(name, str(exc))
            report = msgspec.structs.replace(report, skipped=tuple(dict.fromkeys((*report.skipped, skip))))
    return report


class Progress:
    """Says where a part is, in front of what it says itself."""

    def __init__(self, title: str, rounds: int, tell: Callable[[str], None]) -> None:
        self.number = 0
        self._title = title
        self._rounds = rounds
        self._tell = tell

    def step(self, what: str) -> None:
        """Say what is measured now."""
        self._tell(f"{self._title}, round {self.number + 1} of {self._rounds}: {what}")
