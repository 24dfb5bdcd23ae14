"""``odp-trio simulate``: seed after seed, with progress; what broke is printed so that it can be run again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console

from odp_trio.testing.simulation.run import Outcome, simulate

_SHOWN: Final = 40
"""Last events that are printed of a seed that failed."""


def run_seeds(seeds: Sequence[int], hours: float, *, as_json: bool = False) -> int:
    """Run seeds, print what came of them; return 1 when a rule broke in one of them."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    outcomes = []
    for at, seed in enumerate(seeds):
        with console.status(f"seed {seed} ({at + 1} of {len(seeds)})"):
            outcome = simulate(seed, hours)
        outcomes.append(outcome)
        console.print(line(outcome), markup=False)
        if outcome.broken is not None:
            console.print(account(outcome), markup=False)
    failed = [outcome.seed for outcome in outcomes if not outcome.clean]
    spent = sum(outcome.cpu_seconds for outcome in outcomes)
    told = f"rules broke in {len(failed)}: {', '.join(map(str, failed))}" if failed else "no rule broke"
    statements = sum(outcome.statements for outcome in outcomes)
    console.print(
        f"{len(outcomes)} seeds, {hours * len(outcomes):g} virtual hours, {statements} statements, "
        f"{spent:.1f} s of CPU: {told}",
        markup=False,
    )
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(outcomes), indent=2) + b"\n")
    return 1 if failed else 0


def line(outcome: Outcome) -> str:
    """Return one line about a seed."""
    return (
        f"seed {outcome.seed}: {'ok' if outcome.clean else 'BROKEN'}, {outcome.statements} statements, "
        f"{outcome.writes} writes, {outcome.logins} logins, {len(outcome.script)} faults, {outcome.errors} errors, "
        f"trace {outcome.digest}, {outcome.cpu_seconds:.1f} s of CPU"
    )


def account(outcome: Outcome) -> str:
    """Return what broke, what went before, and the command that runs it again."""
    assert outcome.broken is not None
    faults = [str(step) for step in outcome.script if step.at <= outcome.broken.at]
    return "\n".join(
        (
            f"  {outcome.broken}",
            "  faults until then:",
            *(f"    {fault}" for fault in faults),
            "  the last events:",
            *(f"    {event}" for event in outcome.last[-_SHOWN:]),
            f"  again: odp-trio simulate --seed {outcome.seed} --hours {outcome.hours:g}",
        )
    )
