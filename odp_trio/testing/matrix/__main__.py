"""``python -m odp_trio.testing.matrix``: run the matrix and print it."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import trio
from rich.console import Console

from odp_trio.testing.bed import open_testbed
from odp_trio.testing.demo import say
from odp_trio.testing.matrix.fault import Fault
from odp_trio.testing.matrix.row import (
    Row,
    errors_markdown,
    filled,
    head,
    markdown,
    notes_markdown,
    sees_markdown,
    victims_markdown,
    violations,
)
from odp_trio.testing.matrix.run import SHORT, Phases, faults, run_fault


async def _main(chosen: Sequence[Fault], phases: Phases, progress: Callable[[str], None]) -> list[Row]:
    rows = []
    async with open_testbed(progress=progress) as bed:
        kernel = bed.kernel
        for fault in chosen:
            progress(fault.name)
            row = await run_fault(fault, kernel, phases)
            rows.append(row)
            gap = f"longest gap {row.gap:.2f} s"
            progress(f"  {row.errors} errors, {gap}, {row.audit}")
            for broken in violations(fault, row):
                progress(f"  BROKEN: {broken}")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix and print it; return 1 when something that must hold does not."""
    parser = argparse.ArgumentParser(prog="python -m odp_trio.testing.matrix", description=__doc__)
    parser.add_argument("--only", default="", help="run the faults whose name contains this")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--page", type=Path, help="replace the tables of this page, as docs/availability.md has them")
    parser.add_argument("--short", action="store_true", help="phases as short as in the test")
    parser.add_argument("--log", type=Path, help="write the proxy's log to this file")
    given = parser.parse_args(arguments)
    if given.log is None:
        logging.getLogger("odp_trio").addHandler(logging.NullHandler())
        logging.getLogger("odp_trio").propagate = False
    else:
        logging.basicConfig(filename=given.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    chosen = [fault for fault in faults() if given.only in fault.name]
    console = Console(stderr=True, highlight=False)
    rows = trio.run(_main, chosen, SHORT if given.short else Phases(), partial(say, console))
    matrix, told = f"{head(rows)}\n\n{markdown(rows)}", errors_markdown(rows)
    victims, notes = victims_markdown(rows), notes_markdown(rows)
    print(matrix, victims, told, notes, sep="\n\n")
    if given.page is not None:
        page = filled(
            given.page.read_text(encoding="utf-8"),
            matrix=matrix,
            victims=victims,
            told=told,
            notes=notes,
            sees=sees_markdown(rows),
        )
        given.page.write_text(page, encoding="utf-8")
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    return 1 if any(violations(fault, row) for fault, row in zip(chosen, rows, strict=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
