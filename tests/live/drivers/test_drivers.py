"""Other people's drivers see the same through the proxy as on the server itself, while statements and leaders move.

Each driver's script runs twice, straight on the kernel and through the proxy before three OBServers, and prints a line
for each check; the lines must be equal.  ``ODP_TRIO_SEEDS=1,2`` runs them once more for each seed, with routes rotated
at random.
"""

from __future__ import annotations

import os

import pytest

from odp_trio.testing.live import KernelProcess
from tests.live.drivers.play import DIRECT, PROXIED, Run, differences, run_blocking
from tests.live.drivers.registry import DRIVERS, Entry

pytestmark = [pytest.mark.live, pytest.mark.slow]
SEEDS = tuple(map(int, os.environ["ODP_TRIO_SEEDS"].split(","))) if "ODP_TRIO_SEEDS" in os.environ else ()
SIDES: dict[str, int | None] = {PROXIED: None} | {f"rotated {seed}": seed for seed in SEEDS}
AT_LEAST = 50

drivers = pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, id=entry.name, marks=pytest.mark.skipif(bool(entry.missing), reason=entry.missing))
        for entry in DRIVERS
    ],
)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, kernel: KernelProcess) -> dict[tuple[str, str], Run]:
    """Run what is needed for the tests that were asked for, side by side."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = {found["entry"].name for found in params if "entry" in found}
    entries = [entry for entry in DRIVERS if entry.name in chosen and not entry.missing]
    return {(run.entry.name, run.side): run for run in run_blocking(kernel, entries, SIDES)}


@drivers
def test_a_driver_does_what_it_should(runs: dict[tuple[str, str], Run], entry: Entry) -> None:
    run = runs[entry.name, DIRECT]

    assert run.end, run.errors
    assert {name: line.get("why") for name, line in run.lines.items() if not line["ok"]}.keys() == entry.lacks.keys()
    good = sum(line["ok"] for line in run.lines.values())
    print(f"{entry.name} {entry.version()}: {good} checks, {len(entry.lacks)} not on this kernel, {run.seconds:.1f} s")
    assert good >= AT_LEAST
    assert len(run.lines) == entry.checks, "registry.py and docs/drivers.md say another number"


@drivers
@pytest.mark.parametrize("side", SIDES)
def test_a_driver_cannot_tell_that_a_proxy_is_between(
    runs: dict[tuple[str, str], Run], entry: Entry, side: str
) -> None:
    run = runs[entry.name, side]

    assert run.end, run.errors
    found = differences(runs[entry.name, DIRECT], run, rotated=side != PROXIED)
    print(f"{entry.name}, {side}: {len(run.lines)} checks compared, {run.seconds:.1f} s")
    assert not found, "\n".join(found)
    assert sum(line["ok"] for line in run.lines.values()) >= AT_LEAST
    assert run.servers == {0, 1, 2}
