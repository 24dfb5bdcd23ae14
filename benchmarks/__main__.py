"""``python -m benchmarks``: run a suite, print the table, write the JSON file and a part of a page."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import trio
from rich.console import Console

from benchmarks import contenders
from benchmarks.figures import Report, machine
from benchmarks.page import write_page
from benchmarks.parts import PARTS
from benchmarks.processes import Failed
from benchmarks.report import print_report, read_json, write_json
from benchmarks.runner import run
from benchmarks.scenarios import SUITES, Plan
from benchmarks.session import WrongAnswer
from odp_trio.testing.live import KernelUnavailable

_WIDTH = 150


def main(arguments: list[str] | None = None) -> int:
    """Run; 1 when an answer was wrong or a process failed, never because of a time."""
    options = _parse(arguments)
    plan = _plan(options)
    report = Report(options.suite, machine(), {}, {}, skipped=contenders.missing())  # before the run, for the load
    if options.resume and options.json.exists():
        report = _continued(read_json(options.json), report, options.only or plan.parts, plan.rounds)
    failures: list[BaseException] = []
    tell = _progress(Console(stderr=True))
    try:
        with tempfile.TemporaryDirectory(prefix="odp-trio-bench-") as logs:

            async def whole() -> Report:
                save = _saving(options.json)
                return await run(plan, options.only or plan.parts, Path(logs), report, save=save, tell=tell)

            report = trio.run(whole)
    except* (Failed, WrongAnswer, KernelUnavailable) as group:
        failures += group.exceptions
    if failures:
        print(*(f"failed: {failure}" for failure in failures), sep="\n", file=sys.stderr)
        return 1
    print_report(report, Console(width=max(_WIDTH, Console().width)))
    if options.page:
        write_page(options.page, report)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    """Return the suite's plan with what the command line says otherwise."""
    given = {name: getattr(options, name) for name in ("rounds", "seconds", "contenders", "threads")}
    return msgspec.structs.replace(SUITES[options.suite], **{name: value for name, value in given.items() if value})


def _continued(old: Report, new: Report, chosen: Sequence[str], wanted: int) -> Report:
    """Return an earlier report to go on with; a commit that adds rounds is named beside those that did."""
    if all(old.rounds.get(part, 0) >= wanted for part in chosen):
        return old
    commits = dict.fromkeys((*old.machine["commit"].split(", "), new.machine["commit"]))
    described = {**new.machine, "load": old.machine["load"], "commit": ", ".join(commits)}
    return msgspec.structs.replace(old, machine=described)


def _saving(path: Path | None) -> Callable[[Report], None]:
    def save(report: Report) -> None:
        if path is not None:
            write_json(report, path)

    return save


def _progress(console: Console) -> Callable[[str], None]:
    """Return a function that says what is done: in one line of a terminal, in lines of a file."""
    begun = time.monotonic()

    def tell(what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - begun), 60)
        line = f"{minutes}:{seconds:02d} {what}"
        if console.is_terminal:
            console.file.write(f"\r\x1b[K{line[: console.width - 1]}")
            console.file.flush()
        else:
            console.file.write(f"{line}\n")

    return tell


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    listed = "\n".join(f"  {name:<20}{part.what}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"parts:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", choices=tuple(SUITES), default="first")
    parser.add_argument("--only", type=_parts, metavar="PARTS", help="these parts, with commas between them")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="instead of the suite's own number")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="N", help="of each load")
    parser.add_argument(
        "--contender", dest="contenders", action="append", choices=contenders.NAMES, help="may be repeated"
    )
    parser.add_argument("--threads", type=_numbers, metavar="N,N", help="of sysbench")
    parser.add_argument("--json", type=Path, metavar="FILE", help="written after each round")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put tables and pictures into this page")
    parser.add_argument("--resume", action="store_true", help="keep what FILE has, and run only the rounds it lacks")
    options = parser.parse_args(arguments)
    if options.resume and options.json is None:
        parser.error("--resume needs --json FILE")
    if options.page and options.suite != "full":
        parser.error("--page needs --suite full")
    return options


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(PARTS)}")
    return parts


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
