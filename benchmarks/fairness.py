"""Who waits for whom: a session that asks now and then beside others that ask without a pause, and a busy crowd.

All before the canned server, HAProxy and odp_trio in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from benchmarks.canned import open_canned
from benchmarks.canned_answers import POINT_VALUE
from benchmarks.contenders import HAPROXY, ODP_TRIO, Contender, missing
from benchmarks.crowd import Trickle
from benchmarks.crowds import opened
from benchmarks.figures import Sample
from benchmarks.load import PointLoad
from benchmarks.processes import load, output_of, python
from benchmarks.scenarios import Plan

_ASKED: Final = ("--sql=select c from sbtest1 where id=5001", f"--expect={POINT_VALUE}")
_FLOODS: Final = (0, 1, 64)
"""Sessions that ask without a pause, beside the one that does so ten times a second."""
_RATE: Final = 10
_CROWD: Final = 1_000
_FULL_SECONDS: Final = 2.0


async def measure(plan: Plan, log_dir: Path) -> list[Sample]:
    """fairness: a trickle beside a flood, and a crowd that is busy"""
    samples: list[Sample] = []
    absent = {skipped.what for skipped in missing()}
    small = plan.seconds < _FULL_SECONDS
    async with open_canned(log_dir) as backend:
        for name in (HAPROXY, ODP_TRIO):
            if name not in absent:
                async with opened(name, backend) as contender:
                    for flood in _FLOODS:
                        samples += await _beside(contender, flood, 1.0 if small else 10.0)
                    samples += await _busy(contender, 50 if small else _CROWD, plan.seconds)
    return samples


async def _beside(contender: Contender, flood: int, seconds: float) -> list[Sample]:
    trickles: list[Trickle] = []
    loads: list[PointLoad] = []

    async def trickle() -> None:
        given = ("--connections=1", f"--rate={_RATE}", f"--seconds={seconds}")
        out = await output_of(python("benchmarks.crowd", "trickle", *contender.account.arguments(), *_ASKED, *given))
        trickles.append(msgspec.json.decode(out, type=Trickle))

    async def pour() -> None:
        given = (f"--connections={flood}", f"--seconds={seconds + 1}", f"--watch={contender.pid}")
        loads.append(await load(PointLoad, contender.account, *_ASKED, *given))

    async with trio.open_nursery() as nursery:
        if flood:
            nursery.start_soon(pour)
            await trio.sleep(0.7)
        nursery.start_soon(trickle)
    name, scenario = contender.name, f"{_RATE} statements a second of one session beside {flood} that never pause"
    late = trickles[0].late
    samples = [Sample(scenario, f"p{share}", "ms", name, _percentile(late, share) * 1e3) for share in (50, 99)]
    samples += [Sample(scenario, "of the others", "requests/s", name, run.requests / run.seconds) for run in loads]
    return samples


async def _busy(contender: Contender, count: int, seconds: float) -> list[Sample]:
    given = (f"--connections={count}", f"--seconds={2 * seconds}", f"--watch={contender.pid}")
    run = await load(PointLoad, contender.account, *_ASKED, *given)
    scenario, name = f"{count} sessions, all busy", contender.name
    return [
        Sample(scenario, "proxy CPU", "µs/request", name, run.watched_cpu[0] / run.requests * 1e6),
        Sample(scenario, "throughput", "requests/s", name, run.requests / run.seconds),
        Sample(scenario, "p50", "ms", name, run.p50_us / 1e3),
        Sample(scenario, "p99", "ms", name, run.p99_us / 1e3),
        Sample(scenario, "answers of the session with fewest", "% of the mean", name, run.fewest / run.mean * 100),
        Sample(scenario, "answers of the session with most", "% of the mean", name, run.most / run.mean * 100),
    ]


def _percentile(found: Sequence[float], percent: int) -> float:
    return sorted(found)[int((len(found) - 1) * percent / 100)]
