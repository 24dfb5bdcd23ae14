"""Many sessions before the canned server: what a login costs, a storm of logins beside running statements, a crowd.

Each session of a proxy has two descriptors: where a process may have 20,000 of them a crowd is a little below 10,000.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import trio

from benchmarks.canned import open_canned
from benchmarks.canned_answers import POINT_VALUE
from benchmarks.contenders import HAPROXY, ODP_TRIO, Backend, Contender, missing, odp_trio_command, open_contender
from benchmarks.cpu import cpu_seconds, rss_kib
from benchmarks.crowd import LoginLoad, Trickle
from benchmarks.figures import Sample
from benchmarks.processes import first_answer, free_port, output_of, python, running
from benchmarks.scenarios import Plan

_ASKED: Final = ("--sql=select c from sbtest1 where id=5001", f"--expect={POINT_VALUE}")
_CROWD: Final = 10_000
_STORM: Final = 2_000
_SMALL: Final = 30
"""Sessions of both in a smoke run."""
_A_SECOND: Final = 1_000
"""Sessions of a crowd that come in a second."""
_BEFORE: Final = 1.0
_RATE: Final = 400
_STATEMENTS: Final = 16
"""The trickle beside a storm: seconds that it runs alone, requests a second, sessions."""


async def measure(plan: Plan, log_dir: Path) -> list[Sample]:
    """many sessions: logins, a storm of them beside running statements, an idle crowd"""
    small = plan.requests < _A_SECOND
    samples: list[Sample] = []
    absent = {skipped.what for skipped in missing()}
    async with open_canned(log_dir) as backend:
        for name in (HAPROXY, ODP_TRIO):
            if name not in absent:
                async with opened(name, backend) as contender:
                    samples += await _logins(contender, 30 if small else 2_000)
                    samples += await _storm(contender, _SMALL if small else _STORM)
                async with opened(name, backend) as contender:
                    samples += await _idle(contender, _SMALL if small else min(_CROWD, _most()), plan.seconds)
    return samples


def _most() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100


@asynccontextmanager
async def opened(name: str, backend: Backend) -> AsyncIterator[Contender]:
    """Run HAProxy, or odp_trio without a limit on its clients."""
    if name != ODP_TRIO:
        async with open_contender(name, backend) as contender:
            yield contender
        return
    account = replace(backend.account, port=free_port(), host="127.0.0.1")
    log = backend.log_dir / f"crowd-{account.port}.log"
    async with running(odp_trio_command(backend, account.port, ",client_max_connections=0"), log) as process:
        await first_answer(account, process, log)
        yield Contender(name, account, process.pid)


async def _logins(contender: Contender, count: int) -> list[Sample]:
    samples = []
    for at_a_time in (1, 8):
        given = (f"--connections={at_a_time}", f"--requests={count}", f"--watch={contender.pid}")
        out = await output_of(python("benchmarks.crowd", "logins", *contender.account.arguments(), *_ASKED, *given))
        run = msgspec.json.decode(out, type=LoginLoad)
        scenario = f"connect, log in, ask once, leave, {at_a_time} at a time"
        samples.append(Sample(scenario, "proxy CPU", "µs/login", contender.name, run.watched_cpu[0] / run.logins * 1e6))
        samples.append(Sample(scenario, "login p50", "ms", contender.name, run.p50_ms))
    return samples


async def _storm(contender: Contender, count: int) -> list[Sample]:
    """Let many log in within a second, beside a trickle of statements of sessions that were there before."""
    trickles: list[Trickle] = []
    seconds = 4 * _BEFORE if count >= _A_SECOND else 1.5 * _BEFORE

    async def trickle() -> None:
        given = (f"--connections={_STATEMENTS}", f"--rate={_RATE}", f"--seconds={seconds}")
        out = await output_of(python("benchmarks.crowd", "trickle", *contender.account.arguments(), *_ASKED, *given))
        trickles.append(msgspec.json.decode(out, type=Trickle))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        await trio.sleep(_BEFORE)
        async with _held(contender, count, 1.0) as run:
            pass
    name, scenario = contender.name, f"{count} logins in a second"
    return [
        Sample(scenario, "until all are in", "s", name, run.ended - run.began),
        Sample(scenario, "proxy CPU", "µs/login", name, run.watched_cpu[0] / run.logins * 1e6),
        Sample(scenario, "login p50", "ms", name, run.p50_ms),
        Sample(scenario, "login p99", "ms", name, run.p99_ms),
        *_beside(scenario, name, trickles[0], run),
    ]


def _beside(scenario: str, name: str, trickle: Trickle, storm: LoginLoad) -> list[Sample]:
    """Return how late answers were while the logins were under way, and otherwise."""
    among = [late for due, late in zip(trickle.due, trickle.late, strict=True) if storm.began <= due <= storm.ended]
    others = [late for due, late in zip(trickle.due, trickle.late, strict=True) if due < storm.began]
    return [
        Sample(scenario, f"statements {when}, p{percent}", "ms", name, _percentile(found, percent) * 1e3)
        for when, found in (("before", others), ("beside", among))
        for percent in (50, 99)
        if found
    ]


def _percentile(found: Sequence[float], percent: int) -> float:
    return sorted(found)[int((len(found) - 1) * percent / 100)]


@asynccontextmanager
async def _held(contender: Contender, count: int, seconds: float) -> AsyncIterator[LoginLoad]:
    """Log so many in within some seconds, and hold them for as long as the block."""
    given = (f"--connections={count}", f"--seconds={seconds}", f"--watch={contender.pid}")
    command = python("benchmarks.crowd", "storm", *contender.account.arguments(), *_ASKED, *given)
    async with running_with_pipes(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with trio.fail_after(60 + seconds):
            yield msgspec.json.decode(await process.stdout.receive_some(), type=LoginLoad)
        await process.stdin.aclose()
        with trio.move_on_after(30):
            await process.wait()


@asynccontextmanager
async def running_with_pipes(command: Sequence[str]) -> AsyncIterator[trio.Process]:
    """Run a process that is told its end by the end of its input."""
    process = await trio.lowlevel.open_process(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()
                await process.wait()


async def _idle(contender: Contender, count: int, seconds: float) -> list[Sample]:
    """Weigh a crowd that has asked once, and see what it costs at rest."""
    assert contender.pid is not None
    before = rss_kib(contender.pid)
    async with _held(contender, count, count / _A_SECOND):
        await trio.sleep(min(2.0, seconds))
        cpu, begun = cpu_seconds(contender.pid), trio.current_time()
        await trio.sleep(2 * seconds)
        share = (cpu_seconds(contender.pid) - cpu) / (trio.current_time() - begun)
        weight = (rss_kib(contender.pid) - before) / count
    scenario = f"{count} idle sessions, each of which has asked once"
    return [
        Sample(scenario, "memory of the proxy", "KiB/session", contender.name, weight),
        Sample(scenario, "of a core, at rest", "%", contender.name, share * 100),
    ]
