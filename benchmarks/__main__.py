"""``python -m benchmarks``: run a suite, print the table, write the JSON file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec
import trio
from rich.console import Console

from benchmarks import canned, cold, contenders, live, micro, observed, routing
from benchmarks.figures import Report, Sample, Skipped, figures, machine
from benchmarks.processes import Failed
from benchmarks.report import print_report, write_json
from benchmarks.scenarios import SUITES, Plan
from benchmarks.session import WrongAnswer
from odp_trio.testing.live import KernelUnavailable

_WIDTH = 150
PARTS = ("canned", "live", "micro", "routing", "cold", "observed")


def main(arguments: list[str] | None = None) -> int:
    """Run; 1 when an answer was wrong or a process failed, never because of a time."""
    options = _parse(arguments)
    plan = SUITES[options.suite]
    if options.rounds:
        plan = msgspec.structs.replace(plan, rounds=options.rounds)
    described = machine()  # before the run, for the load average
    failures: list[BaseException] = []
    try:
        with tempfile.TemporaryDirectory(prefix="odp-trio-bench-") as logs:
            samples, skipped = trio.run(run, plan, options.only, Path(logs))
    except* (Failed, WrongAnswer, KernelUnavailable) as group:
        failures += group.exceptions
    if failures:
        print(*(f"failed: {failure}" for failure in failures), sep="\n", file=sys.stderr)
        return 1
    report = Report(options.suite, plan.rounds, described, figures(samples), tuple(skipped))
    print_report(report, Console(width=max(_WIDTH, Console().width)))
    if options.json:
        write_json(report, options.json)
    return 0


async def run(plan: Plan, parts: tuple[str, ...], logs: Path) -> tuple[list[Sample], list[Skipped]]:
    """Run the parts one after the other."""
    samples: list[Sample] = []
    skipped = list(contenders.missing())
    if "canned" in parts:
        samples += await canned.measure(plan, logs)
    if "live" in parts:
        more, why_not = await live.measure(plan, logs)
        samples += more
        skipped += why_not
    if "micro" in parts:
        samples += micro.measure(plan.seconds / 3)
    if "routing" in parts:
        for _ in range(plan.rounds):
            samples += routing.measure(plan.seconds / 6)
    if "cold" in parts:
        more, why_not = await cold.measure(plan, logs)
        samples += more
        skipped += why_not
    if "observed" in parts:
        samples += await observed.measure(plan, logs)
    return samples, skipped


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--suite", choices=tuple(SUITES), default="first")
    parser.add_argument("--rounds", type=int, default=0, help="instead of the suite's own number")
    parser.add_argument("--only", type=_parts, default=PARTS, metavar=",".join(PARTS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    sys.exit(main())
