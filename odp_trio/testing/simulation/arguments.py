"""The arguments of ``odp-trio simulate``; what they ask for is imported when it is run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any


def add_verb(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "simulate",
        help="run the proxy before faulty OBServers, in memory and in virtual time",
        description="Run random faults by seed and check what must hold whatever happens.",
    )
    verb.epilog = "Exit status: 0 every rule held, 1 one broke: its seed, its faults and how to run it again are shown."
    verb.set_defaults(verb=_simulate)
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--seed", metavar="N", type=int, help="one seed (default 1)")
    which.add_argument("--seeds", metavar="A-B", type=_span, help="all seeds from A to B")
    verb.add_argument("--hours", metavar="H", type=float, default=24.0, help="virtual time of each (default 24)")
    verb.add_argument("--json", action="store_true", help="print what came of them as JSON")


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    span = int(first), int(last or first)
    if span[0] > span[1]:
        raise ValueError(text)
    return span


_span.__name__ = "span of seeds"


def _simulate(options: argparse.Namespace) -> int:
    """Run the seeds in a process whose hashes of text are always the same: the order of a set may depend on them."""
    first, last = options.seeds or (options.seed if options.seed is not None else 1,) * 2
    if sys.flags.hash_randomization:
        words = ["simulate", f"--seeds={first}-{last}", f"--hours={options.hours:g}", *(["--json"] * options.json)]
        return subprocess.call([sys.executable, "-m", "odp_trio", *words], env={**os.environ, "PYTHONHASHSEED": "0"})
    from odp_trio.testing.simulation.command import run_seeds

    return run_seeds(range(first, last + 1), options.hours, as_json=options.json)
