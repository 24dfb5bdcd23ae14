"""What came of one fault, what of that must not be, and the table."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

import odp_trio
from odp_trio.testing.ledger import Audit
from odp_trio.testing.live import VERSION
from odp_trio.testing.matrix.fault import Fault

STALLS: Final = 10
"""Times a stall of the processor by which any figure may be longer than its bound: that says nothing of the proxy."""

SLOWER: Final = 0.5
"""Seconds by which a 99th percentile may be longer in any case: a few hundred statements say little about it."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one fault did."""

    name: str
    sees: str
    errors: int
    told: Mapping[str, Mapping[str, int]]
    """Errors by what clients were told, and by what they had asked."""
    gap: float
    """Longest time that any client was without an answer, in seconds."""
    gap_of_all: float
    """Longest time that every client was."""
    recovery: float | None
    """Seconds from the fault's end until every client was served again; None: it did not come."""
    rates: tuple[float, float, float]
    """Successful statements per second before, during and after."""
    p99: tuple[float, float]
    """Of statements for other servers than the victim, before and during, in seconds."""
    one_server: bool
    """Whether the fault befell one server, the victim."""
    left: float
    """Seconds from the fault's begin to the last statement of the load that the victim got while it lasted."""
    back: float | None
    """Seconds from the fault's end to the first one that it got then; None: it got none."""
    audit: Audit
    wrong: tuple[str, ...]
    """Reads whose answer was not what it must be."""
    seconds: float
    """Length of the fault."""
    stall: float
    """Longest time that this process waited for the processor, in seconds."""
    notes: Mapping[str, str]
    timings: Mapping[str, float]


def violations(fault: Fault, row: Row) -> list[str]:
    """Return what a row breaks of what must hold: every time."""
    bounds, found = fault.bounds, []
    if not row.audit.clean:
        found.append(f"ledger: {row.audit}")
    if row.wrong:
        found.append(f"{len(row.wrong)} reads were answered wrongly: {row.wrong[0]}")
    if bounds.errors is not None and row.errors > bounds.errors:
        found.append(f"{row.errors} errors, at most {bounds.errors} may be: {row.told}")
    for what, wanted in fault.notes.items():
        if not re.search(wanted, row.notes.get(what, "")):
            found.append(f"{what}: {row.notes.get(what, '')!r} is not {wanted!r}")
    return [*found, *_too_long(fault, row)]


def _too_long(fault: Fault, row: Row) -> list[str]:
    """Return what took longer than it may, with room for a busy processor."""
    bounds = fault.bounds
    limits: list[tuple[str, float | None, float]] = [
        ("longest gap of a client", row.gap, bounds.gap + bounds.gap_during * row.seconds),
        ("whole again after the fault", row.recovery, bounds.recovery),
        *((what, row.timings.get(what), most) for what, most in fault.limits.items()),
    ]
    if bounds.slower is not None:
        limits.append(("p99 of statements for other servers", row.p99[1], bounds.slower * row.p99[0] + SLOWER))
    if bounds.leaves is not None:
        limits.append(("last statement on the server", row.left, bounds.leaves))
    if bounds.returns is not None:
        limits.append(("first statement on the server again", row.back, bounds.returns))
    busy = STALLS * row.stall
    return [
        f"{what}: {'never' if took is None else f'{took:.2f} s'}, at most {most:.2f} + {busy:.2f} s may be"
        for what, took, most in limits
        if took is None or took > most + busy
    ]


def markdown(rows: Iterable[Row]) -> str:
    """Return the table for people."""
    lines = [
        "| fault | errors | longest gap of a client, of all | whole again after | statements/s before, during, after "
        "| acknowledged: lost | ran twice | unknown: there |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        audit = row.audit
        rates = ", ".join(f"{each:.0f}" for each in row.rates)
        recovery = "never" if row.recovery is None else f"{row.recovery:.2f} s"
        lines.append(
            f"| {row.name} | {row.errors} | {row.gap:.2f} s, {row.gap_of_all:.2f} s | {recovery} | {rates} "
            f"| {audit.acknowledged}: **{len(audit.lost)}** | **{len(audit.doubled)}** "
            f"| {audit.unknown}: {audit.unknown_there} |"
        )
    return "\n".join(lines)


def errors_markdown(rows: Iterable[Row]) -> str:
    """Return what clients were told, fault by fault."""
    lines = ["| fault | what clients were told | after |", "|---|---|---|"]
    for row in rows:
        for told, asked in row.told.items():
            lines.append(f"| {row.name} | {told} | {', '.join(f'{what} {n}' for what, n in asked.items())} |")
    return "\n".join(lines)


def victims_markdown(rows: Iterable[Row]) -> str:
    """Return how faults of one server looked from the routes."""
    lines = [
        "| fault | last statement there | first one again, after the fault | p99 of statements for other servers "
        "before, during |",
        "|---|---|---|---|",
    ]
    for row in rows:
        if row.one_server:
            back = "never" if row.back is None else f"{row.back:.2f} s"
            p99 = ", ".join(f"{1000 * each:.1f} ms" for each in row.p99)
            lines.append(f"| {row.name} | after {row.left:.2f} s of {row.seconds:.1f} s | {back} | {p99} |")
    return "\n".join(lines)


def notes_markdown(rows: Iterable[Row]) -> str:
    """Return what faults have seen for themselves."""
    lines = ["| fault | what | |", "|---|---|---|"]
    for row in rows:
        seen = {**row.notes, **{what: f"{seconds:.2f} s" for what, seconds in row.timings.items()}}
        lines += [f"| {row.name} | {what} | {note} |" for what, note in seen.items()]
    return "\n".join(lines)


def sees_markdown(rows: Iterable[Row]) -> str:
    """Return what a client sees of each fault."""
    lines = ["| fault | what a client sees |", "|---|---|"]
    return "\n".join([*lines, *(f"| {row.name} | {row.sees} |" for row in rows)])


def filled(page: str, **tables: str) -> str:
    """Return a page with its tables, each between ``<!-- name -->`` and ``<!-- /name -->``, replaced."""
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{table}\n\n{end}{rest.partition(end)[2]}"
    return page


def head(rows: Sequence[Row]) -> str:
    """Return what the numbers are of: versions, machine, and how busy it was."""
    stalls = sorted(row.stall for row in rows) or [0.0]
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return (
        f"odp-trio {odp_trio.__version__}{_commit()}, Python {platform.python_version()}, trio {trio.__version__}, "
        f"kernel pylibseekdb {VERSION}; {os.cpu_count()} cores ({processor}), {platform.system()} {platform.release()}"
        f". A timer that did nothing else was late by up to {stalls[-1]:.2f} s, in the median row by "
        f"{stalls[len(stalls) // 2]:.2f} s: "
        "so long the processor was busy with other things, and figures of that size say nothing of the proxy."
    )


def _commit() -> str:
    """Return the commit of the tree that this runs from, if git knows it."""
    git = ["git", "-C", str(Path(odp_trio.__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" (commit {found})"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
