"""Latency against offered load: the open-loop client at shares of what odp_trio can do at most on this machine.

Client and server share one processor and the proxy has the others: what a proxy adds is then not the scheduler's choice
among three processes on two processors.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from typing import Final

import msgspec

from benchmarks.canned import open_canned
from benchmarks.canned_answers import POINT_VALUE
from benchmarks.contenders import DIRECT, ODP_TRIO, Backend, Contender, open_contenders
from benchmarks.cpu import run_on
from benchmarks.figures import Sample
from benchmarks.load import PointLoad
from benchmarks.open_loop import SHARES, OpenLoad
from benchmarks.processes import load, output_of, python
from benchmarks.rounds import Measured, Round, Run, rotated

_SQL: Final = "select c from sbtest1 where id=5001"
_CONNECTIONS: Final = 32


@asynccontextmanager
async def opened(run: Run) -> AsyncIterator[Round]:
    """Start everybody before the canned server; find out how much odp_trio can do."""
    names = dict.fromkeys((DIRECT, *run.plan.contenders, ODP_TRIO))
    async with open_canned(run.logs) as backend, open_contenders(backend, names) as contenders:
        others = os.sched_getaffinity(0) - {_cpu()}
        if others:
            run_on(backend.pid, {_cpu()})
            for contender in contenders:
                if contender.pid is not None:
                    run_on(contender.pid, others)

        async def one_round(number: int) -> Measured:
            run.tell("how much odp_trio can do")
            most = await _most(next(one for one in contenders if one.name == ODP_TRIO), run)
            return await _round(run, backend, rotated(contenders, number), number, most), []

        yield one_round


def _cpu() -> int:
    """Return the processor of client and server."""
    return min(os.sched_getaffinity(0))


async def _most(contender: Contender, run: Run) -> float:
    """Return how many statements a second a closed loop of as many connections gets through."""
    asked = (f"--sql={_SQL}", f"--expect={POINT_VALUE}", f"--connections={_CONNECTIONS}")
    much = (f"--seconds={run.plan.seconds}", f"--requests={run.plan.requests}", f"--warm-up={run.plan.warm_up}")
    found = await load(PointLoad, contender.account, *asked, *much, f"--cpu={_cpu()}")
    return found.requests / found.seconds


async def _round(run: Run, backend: Backend, contenders: Sequence[Contender], number: int, most: float) -> list[Sample]:
    samples: list[Sample] = []
    for percent, contender in product(run.plan.offered, contenders):
        scenario = f"open loop, {percent} % of what odp_trio can do"
        run.tell(f"{scenario}: {contender.name}")
        rate = most * percent / 100
        seconds = min(run.plan.seconds, run.plan.requests / rate)
        watched = [backend.pid] if contender.pid is None else [backend.pid, contender.pid]
        out = await output_of(
            python(
                "benchmarks.open_loop",
                *contender.account.arguments(),
                f"--sql={_SQL}",
                f"--expect={POINT_VALUE}",
                f"--connections={_CONNECTIONS}",
                f"--rate={rate}",
                f"--seconds={seconds}",
                f"--warm-up={min(run.plan.warm_up, seconds)}",
                f"--seed={number + 1}",
                f"--cpu={_cpu()}",
                *(f"--watch={pid}" for pid in watched),
            )
        )
        samples += _samples(scenario, contender.name, rate, msgspec.json.decode(out, type=OpenLoad))
    return samples


def _samples(scenario: str, name: str, rate: float, found: OpenLoad) -> Iterator[Sample]:
    if found.watched_cpu[1:]:
        yield Sample(scenario, "proxy CPU", "µs/request", name, found.watched_cpu[1] / found.requests * 1e6)
    yield Sample(scenario, "offered", "1/s", name, rate)
    yield Sample(scenario, "answered", "1/s", name, found.requests / found.seconds)
    for share, value in zip(SHARES, found.latency_us, strict=True):
        yield Sample(scenario, f"latency p{share * 100:g}", "µs", name, value)
