"""Runs drivers' scripts, direct and through the proxy, side by side; and compares what they have seen."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from odp_trio.app import open_proxy
from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.live import KernelProcess
from tests.live.drivers.checks import MOVING_TABLES
from tests.live.drivers.registry import DIFFERS, DIFFERS_ROTATED, Entry
from tests.live.drivers.script import SECOND_PASSWORD, SECOND_USER
from tests.live.rotation import RULE, WHEEL

DIRECT: Final = "direct"
PROXIED: Final = "proxied"
ROOT: Final = Path(__file__).parents[3]
_AT_ONCE: Final = 4
_LIMIT: Final = 400
_MOVE_EVERY: Final = 0.3
PASSWORD: Final = "driver_pw"


@dataclass
class Run:
    """What one script printed."""

    entry: Entry
    side: str
    lines: dict[str, dict[str, Any]]
    end: bool
    errors: str
    seconds: float
    servers: set[int]
    """Servers that got its statements; empty for a direct one."""


def user_of(entry: Entry) -> str:
    """Return the driver's own user, by whom its statements are known."""
    return "u_" + "".join(letter for letter in entry.name.lower() if letter.isalnum())[-24:]


def database_of(entry: Entry, side: str) -> str:
    """Return the side's own database; all have names of the same length."""
    return f"d_{user_of(entry)}_{side[-1]}"


def parsed(entry: Entry, side: str, output: str, errors: str, seconds: float) -> Run:
    """Read a script's lines; names that differ by side are written alike."""
    alike = output.replace(database_of(entry, side), "<db>").replace("@sys#demo", "@sys")
    lines, end = {}, False
    for line in map(json.loads, alike[: alike.rfind("\n") + 1].splitlines()):  # the last one may be half a line
        if "name" in line:
            line.pop("ms", None)
            assert line["name"] not in lines, f"two checks are named {line['name']}"
            lines[line["name"]] = line
        end = end or "end" in line
    return Run(entry, side, lines, end, errors, seconds, set())


async def run_one(entry: Entry, side: str, host: str, port: int, cluster: str) -> Run:
    """Run one script in its empty database."""
    start = time.monotonic()
    user = f"{user_of(entry)}@sys" + (f"#{cluster}" if side != DIRECT else "")
    target = [host, str(port), user, PASSWORD, database_of(entry, side)]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with trio.move_on_after(_LIMIT) as limit:
            await trio.run_process(
                [*entry.command, *target, *entry.arguments],
                stdout=output,
                stderr=errors,
                check=False,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable},
            )
        printed, said = (file.seek(0) or file.read().decode() for file in (output, errors))
    run = parsed(entry, side, printed, said, time.monotonic() - start)
    if limit.cancelled_caught:
        run.errors += f"\ndid not end within {_LIMIT} s; the last check was {next(reversed(run.lines), 'none')!r}"
    return run


async def move_leaders(bed: Testbed, databases: list[str]) -> None:
    """Let partitions change their leaders all the time; every other statement about one is told so."""
    number = 0
    while True:
        for database in databases:
            for table in (*MOVING_TABLES, "event"):
                await trio.sleep(_MOVE_EVERY)
                number += 1
                try:
                    await bed.move_leader(f"{database}.{table}", number % 3)
                except (LookupError, AssertionError):  # the table is not there yet, or no more
                    continue
                # Not to LOAD DATA LOCAL: its answer comes in two parts, and the bed changes whole ones.
                bed.miss(rf"^\s*(?!load)\w.*\b{table}\b", times=1)


async def run_all(kernel: KernelProcess, entries: list[Entry], sides: dict[str, int | None]) -> list[Run]:
    """Run every driver's script on every side; ``sides`` beside the direct one have a seed if the route is rotated."""
    runs: list[Run] = []
    async with open_testbed(kernel=kernel) as bed:
        await prepare(bed, entries, [DIRECT, *sides])
        for side, seed in sides.items():
            await _run_side(bed, entries, side, seed, runs)
    return runs


async def _run_side(bed: Testbed, entries: list[Entry], side: str, seed: int | None, runs: list[Run]) -> None:
    settings = settings_for(
        bed, enable_http=False, hot_upgrade_exit_timeout=0.2, own_rules="" if seed is None else RULE
    )
    if seed is not None:
        WHEEL.seed, WHEEL.place = seed, None
    limiter = trio.CapacityLimiter(_AT_ONCE)
    bed.forget_statements()

    async def run(entry: Entry, side: str, host: str, port: int) -> None:
        async with limiter:
            runs.append(await run_one(entry, side, host, port, bed.cluster))

    async with open_proxy(settings) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        host, port = proxy.addresses[0]
        async with trio.open_nursery() as movers:
            movers.start_soon(move_leaders, bed, [database_of(entry, side) for entry in entries])
            async with trio.open_nursery() as nursery:
                for entry in entries:
                    nursery.start_soon(run, entry, side, host, port)
                    if not any(found.side == DIRECT and found.entry is entry for found in runs):
                        nursery.start_soon(run, entry, DIRECT, "127.0.0.1", bed.kernel.port)
            movers.cancel_scope.cancel()
    for found in runs:
        if found.side == side:
            users = user_of(found.entry)
            found.servers = {s.observer for s in bed.statements(".") if s.user == users}


async def prepare(bed: Testbed, entries: list[Entry], sides: list[str]) -> None:
    """Make users and empty databases."""
    statements = [
        "set global local_infile=1",
        f"create user if not exists {SECOND_USER} identified by '{SECOND_PASSWORD}'",
        f"grant all on *.* to {SECOND_USER}",
    ]
    for entry in entries:
        user = user_of(entry)
        statements += [f"create user if not exists {user} identified by '{PASSWORD}'", f"grant all on *.* to {user}"]
        for side in sides:
            database = database_of(entry, side)
            statements += [f"drop database if exists {database}", f"create database {database}"]
    await bed.query(*statements)


def differences(direct: Run, other: Run, *, rotated: bool = False) -> list[str]:
    """Return what differs and should not, and what should differ and does not."""
    found = []
    for name, line in direct.lines.items():
        reason = next((DIFFERS[key] for key in ((direct.entry.name, name), ("*", name)) if key in DIFFERS), "")
        if rotated and ((direct.entry.name, name) in DIFFERS_ROTATED or ("*", name) in DIFFERS_ROTATED):
            continue
        same = seen(other.lines.get(name)) == seen(line)
        if same and reason:
            found.append(f"{name}: agrees, although {reason}")
        elif not same and not reason:
            found.append(f"{name}: {_difference(line, other.lines.get(name))}")
    found += [f"{name}: only {other.side}" for name in other.lines.keys() - direct.lines.keys()]
    return found


def seen(line: dict[str, Any] | None) -> Any:
    """Return what is compared of a line."""
    return None if line is None else (line["ok"], line["seen"])


def _difference(line: dict[str, Any], other: dict[str, Any] | None) -> str:
    if other is None:
        return "missing"
    found, others = line["seen"], other["seen"]
    if isinstance(found, list) and isinstance(others, list):
        for one, two in zip(found, others, strict=False):
            if one != two:
                return f"{str(one)[:1000]}\n   then {str(two)[:1000]}"
    return f"{str(line)[:1000]}\n   then {str(other)[:1000]}"


def run_blocking(kernel: KernelProcess, entries: list[Entry], sides: dict[str, int | None]) -> list[Run]:
    """Run everything in a Trio of its own."""
    return trio.run(partial(run_all, kernel, entries, sides))
