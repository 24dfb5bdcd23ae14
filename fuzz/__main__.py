"""``python -m fuzz``: run harnesses, keep what they find, write fuzz/runs.json and docs/fuzzing.md."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from fuzz.figures import PAGE, page, read_runs, write_runs
from fuzz.harnesses import NAMES
from fuzz.keeping import keep
from fuzz.runs import add, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 when a harness found something."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for each harness (default: 1)")
    parser.add_argument("--only", action="append", choices=NAMES, help="a harness; may be given again")
    parser.add_argument("--missing", action="store_true", help="run only what has not been clean for that long")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"), help="working corpora (default: build/fuzz)")
    parser.add_argument("--keep", action="store_true", help="write the kept inputs into fuzz/corpus afterwards")
    options = parser.parse_args(arguments)
    if options.minutes and importlib.util.find_spec("atheris") is None:
        print("atheris is not there: pip install 'odp-trio[fuzz]'", file=sys.stderr)
        return 2
    found = False
    for name in options.only or NAMES:
        seconds = round(60 * options.minutes)
        if options.missing:
            seconds -= read_runs()[name].clean_seconds
        if seconds > 0:
            outcome = run(name, seconds, options.work)
            runs = read_runs()
            add(runs[name], outcome)
            write_runs(runs)
            found = found or bool(outcome.raised)
            print(f"{name}: {outcome.executions:,} in {outcome.seconds} s, {outcome.edges} edges", flush=True)
            print(outcome.raised, end="", flush=True)
        if options.keep:
            print(f"{name}: {keep(name, options.work)} inputs are kept", flush=True)
    if PAGE.exists():
        PAGE.write_text(page())
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
