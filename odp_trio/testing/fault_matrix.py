"""The fault matrix: every fault under load, and what clients noticed.  ``python -m odp_trio.testing.fault_matrix``."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from rich.console import Console

import odp_trio
from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.testing import measures
from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.demo import say, settings_for
from odp_trio.testing.ledger import Audit
from odp_trio.testing.live import VERSION, KernelProcess
from odp_trio.testing.load import Load, Mix, Plan, open_load, rows_statement, table_statements
from odp_trio.testing.scenarios import SETTINGS, TENANT, VICTIM, Fault, World, faults, spread

_FLOWING: Final = 15.0
"""Seconds within which every client must be served, before a fault and after it."""
_SETTLED: Final = 10.0


class Phases(msgspec.Struct, frozen=True):
    """How long the load runs before, during and after a fault, in seconds."""

    before: float = 3.0
    during: float = 5.0
    after: float = 3.0


SHORT: Final = Phases(0.7, 1.5, 0.7)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one fault did."""

    name: str
    sees: str
    errors: int
    kinds: Mapping[str, int]
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
    left: float
    """Seconds from the fault's begin to the last statement of the load that the victim got while it lasted."""
    back: float | None
    """Seconds from the fault's end to the first one that it got then; None: it got none."""
    audit: Audit
    wrong: tuple[str, ...]
    """Reads whose answer was not what it must be."""
    seconds: float
    """Length of the fault."""
    notes: Mapping[str, float | str]


def usual_plan(**changes: Any) -> Plan:
    """Return the load of the matrix: 16 clients of an ordinary tenant."""
    mix = Mix(**changes.pop("mix", {}))
    return Plan(f"app@{TENANT}#demo", "app_pw", statement_timeout=1.0, mix=mix, **changes)


async def run_fault(fault: Fault, kernel: KernelProcess, phases: Phases, clients: int = 16) -> Row:
    """Run one fault before a fresh proxy; raise RuntimeError when the load does not even begin to flow."""
    plan = usual_plan(clients=clients, **fault.plan)
    async with open_testbed(kernel=kernel) as bed:
        await bed.query(*table_statements(plan))
        tablets = await spread(bed, plan)
        settings = settings_for(bed, **{**SETTINGS, **fault.settings})
        async with open_proxy(settings) as proxy:
            load, times, world = await _under_load(fault, bed, proxy, plan, tablets, phases)
        audit = await _audited(bed, load)
        return _row(fault, load, times, world, audit)


async def _under_load(
    fault: Fault, bed: Testbed, proxy: Proxy, plan: Plan, tablets: Sequence[int], phases: Phases
) -> tuple[Load, Sequence[float], World]:
    async with open_load(plan, Address(*proxy.addresses[0])) as load:
        world = World(bed, proxy, load, tablets)
        if not await load.wait_flowing(trio.current_time(), _FLOWING):
            raise RuntimeError(f"the load does not flow: {measures.kinds(load.failures)}")
        start = trio.current_time()
        await trio.sleep(phases.before)
        begun = trio.current_time()
        await fault.begin(world)
        await trio.sleep(max(0.0, begun + phases.during - trio.current_time()))
        ended = trio.current_time()
        await fault.end(world)
        await load.wait_flowing(ended, _FLOWING)
        await trio.sleep(phases.after)
        over = trio.current_time()
    return load, (start, begun, ended, over), world


async def _audited(bed: Testbed, load: Load) -> Audit:
    """Read the table straight on the kernel, when nobody can write to it any more."""
    user = load.plan.user.partition("@")[0]
    sessions = f"select id from information_schema.processlist where user = '{user}'"
    with trio.move_on_after(_SETTLED):
        while sum(observer.open_connections for observer in bed.observers):  # noqa: ASYNC110  # of relays, many
            await trio.sleep(0.01)
        while await bed.query(sessions):  # noqa: ASYNC110
            await trio.sleep(0.01)
    rows = await bed.query(rows_statement(load.plan))
    return load.ledger.audit((int(row["client"]), int(row["seq"])) for row in rows)


def _row(fault: Fault, load: Load, times: Sequence[float], world: World, audit: Audit) -> Row:
    start, begun, ended, over = times
    clients = load.plan.clients
    failures = [failed for failed in load.failures if failed.at >= start]
    gap, gap_of_all = measures.gaps(load.answers, clients, begun, over)
    elsewhere = [answer for answer in load.answers if answer.partition not in (-1, VICTIM)]
    victim = [each.at for each in world.bed.statements("writes") if each.observer == VICTIM]
    return Row(
        name=fault.name,
        sees=fault.sees,
        errors=len(failures),
        kinds=measures.kinds(failures),
        gap=gap,
        gap_of_all=gap_of_all,
        recovery=measures.recovery(load.answers, failures, clients, ended),
        rates=(
            measures.rate(load.answers, start, begun),
            measures.rate(load.answers, begun, ended),
            measures.rate(load.answers, ended, over),
        ),
        p99=(
            measures.percentile((answer.seconds for answer in elsewhere if start <= answer.at < begun), 0.99),
            measures.percentile((answer.seconds for answer in elsewhere if begun <= answer.at < ended), 0.99),
        ),
        left=max((at - begun for at in victim if begun <= at < ended), default=0.0),
        back=min((at - ended for at in victim if at >= ended), default=None),
        audit=audit,
        wrong=tuple(load.wrong),
        seconds=ended - begun,
        notes=world.notes,
    )


def violations(fault: Fault, row: Row) -> list[str]:
    """Return what a row breaks of what must hold."""
    bounds, found = fault.bounds, []
    if not row.audit.clean:
        found.append(f"ledger: {row.audit}")
    if row.wrong:
        found.append(f"{len(row.wrong)} reads were answered wrongly: {row.wrong[0]}")
    if bounds.errors is not None and row.errors > bounds.errors:
        found.append(f"{row.errors} errors, at most {bounds.errors} may be: {dict(row.kinds)}")
    if bounds.gap is not None and row.gap > (limit := bounds.gap + bounds.gap_during * row.seconds):
        found.append(f"a client was without an answer for {row.gap:.2f} s, at most {limit:.2f} s may be")
    if row.recovery is None or row.recovery > bounds.recovery:
        found.append(f"recovery took {row.recovery} s, at most {bounds.recovery} s may be")
    if bounds.leaves is not None and row.left > bounds.leaves:
        found.append(f"the server got statements for {row.left:.2f} s, at most {bounds.leaves} s may be")
    if bounds.returns is not None and (row.back is None or row.back > bounds.returns):
        found.append(f"the server got statements again after {row.back} s, at most {bounds.returns} s may be")
    return found


# ---- the table ------------------------------------------------------------------------


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
    lines = ["| fault | what clients were told | times |", "|---|---|---|"]
    lines += [f"| {row.name} | {kind} | {count} |" for row in rows for kind, count in sorted(row.kinds.items())]
    return "\n".join(lines)


def head() -> str:
    """Return what the numbers are of: versions and machine."""
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return (
        f"odp-trio {odp_trio.__version__}, Python {platform.python_version()}, trio {trio.__version__}, kernel: "
        f"pylibseekdb {VERSION}; {os.cpu_count()} cores ({processor}), {platform.system()} {platform.release()}."
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


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
    parser = argparse.ArgumentParser(prog="python -m odp_trio.testing.fault_matrix", description=__doc__)
    parser.add_argument("--only", default="", help="run the faults whose name contains this")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--short", action="store_true", help="phases as short as in the test")
    parser.add_argument("--log", type=Path, help="write the proxy's log to this file")
    given = parser.parse_args(arguments)
    if given.log is None:
        logging.getLogger("odp_trio").addHandler(logging.NullHandler())
        logging.getLogger("odp_trio").propagate = False
    else:
        logging.basicConfig(filename=given.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    chosen = [fault for fault in faults(usual_plan()) if given.only in fault.name]
    console = Console(stderr=True, highlight=False)
    rows = trio.run(_main, chosen, SHORT if given.short else Phases(), partial(say, console))
    print(head(), markdown(rows), errors_markdown(rows), sep="\n\n")
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    return 1 if any(violations(fault, row) for fault, row in zip(chosen, rows, strict=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
