"""``odp-trio conformance``.

Exit status: 0 every check that could run passed; 1 a check failed or ended with an error, nothing could be checked, or
the target could not be had; 2 a mistake in the arguments; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

from odp_trio.conformance.options import PASSWORDS, SWITCHES, VALUES

FAILED = 1


def add_verb(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser(
        "conformance",
        help="does a proxy behave as ODP does?",
        description="Check a proxy before an OceanBase; with nothing given, ours before the embedded kernel.",
        epilog="Exit status: 0 every check that could run passed, 1 one failed or the target could not be had, "
        "2 wrong arguments.  Passwords come from files or from " + ", ".join(f"${name}" for name in PASSWORDS.values()),
    )
    verb.set_defaults(verb=run)
    where = verb.add_argument_group("what is checked")
    for name, (value, text) in VALUES.items():
        where.add_argument(f"--{name}", metavar=value, help=text)
    for name, text in SWITCHES.items():
        where.add_argument(f"--{name}", action="store_true", help=text)
    verb.add_argument("--group", action="append", default=[], metavar="NAME", help="only this group; may be repeated")
    verb.add_argument("--check", action="append", default=[], metavar="ID", help="only this check, * for any letters")
    verb.add_argument("--list", action="store_true", help="name the checks and what they prove, and run none")
    verb.add_argument(
        "--differ",
        nargs=2,
        metavar=("A", "B"),
        help="print where two proxies (HOST:PORT) answer otherwise; direct stands for a server itself",
    )
    verb.add_argument("--quiet", action="store_true", help="show failures and the summary only")
    verb.add_argument("--junit", metavar="FILE", type=Path, help="write a JUnit report")
    verb.add_argument("--json", metavar="FILE", type=Path, help="write everything as JSON")
    verb.add_argument("--html", metavar="FILE", type=Path, help="write a page for people")


def run(options: argparse.Namespace) -> int:
    """Run the checks that are asked for; return the exit status."""
    if options.differ:
        from odp_trio.conformance.differ_command import run as run_differ

        return run_differ(options)
    from odp_trio.conformance.registry import chosen
    from odp_trio.conformance.terminal import list_checks

    checks = chosen(options.group, options.check)
    if options.list:
        list_checks(checks, print)
        return 0
    import trio
    from rich.console import Console

    from odp_trio.conformance.options import target_of
    from odp_trio.conformance.page import page
    from odp_trio.conformance.reports import as_json, junit
    from odp_trio.conformance.results import Run
    from odp_trio.conformance.runner import run_checks
    from odp_trio.conformance.terminal import Terminal, show_summary
    from odp_trio.testing.demo import say

    for file in (options.junit, options.json, options.html):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()  # a report that cannot be written is said before, not after, the checks
    console = Console(highlight=False)
    _quiet_logs()

    async def work() -> Run:
        chosen_target = target_of(lambda name: getattr(options, name), partial(say, console))
        async with chosen_target as target:
            console.print(f"[bold]{target.name}[/]: {len(checks)} checks", soft_wrap=True)
            with Terminal(console, checks, quiet=options.quiet) as terminal:
                return await run_checks(target, checks, starts=terminal.starts, ends=terminal.ends)

    done = trio.run(work)
    show_summary(console, done)
    for file, report in ((options.junit, junit), (options.json, as_json), (options.html, page)):
        if file is not None:
            file.write_text(report(done), encoding="utf-8")
            console.print(f"written: {file}", soft_wrap=True)
    return 0 if done.good else FAILED


def _quiet_logs() -> None:
    """Keep what the proxies under test log off the terminal: crashes and faults on purpose are no news here."""
    import logging

    if not os.environ.get("ODP_CONFORMANCE_LOG"):
        logging.getLogger("odp_trio").addHandler(logging.NullHandler())
        logging.getLogger("odp_trio").propagate = False
