"""What it costs to be looked at: the same proxy with nothing on, with metrics, with everything on.

Everything: metrics scraped every five seconds, a digest log of one statement in a hundred, a console that looks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from benchmarks import scenarios
from benchmarks.canned import open_canned
from benchmarks.canned_answers import POINT_VALUE
from benchmarks.contenders import Backend, Contender, odp_trio_command
from benchmarks.figures import Sample
from benchmarks.processes import first_answer, free_port, running
from benchmarks.scenarios import Plan

_STATEMENTS: Final = {
    "observed, point select": "select c from sbtest1 where id=5001",
    "observed, prepared": "select c from sbtest1 where id=?",
}
_CONNECTIONS: Final = 16
_SCRAPES: Final = 5.0
NOTHING, METRICS, EVERYTHING = "nothing on", "metrics", "everything on"
_QUIET: Final = ",slow_query_time_threshold=0s,query_digest_time_threshold=0s"


def _options(name: str, place: Path) -> str:
    if name == NOTHING:
        return f"{_QUIET},enable_monitor_stat=false"
    if name == METRICS:
        return _QUIET
    return f",log_dir={place},query_digest_sample_rate=0.01"


@asynccontextmanager
async def _open(name: str, backend: Backend) -> AsyncIterator[Contender]:
    account = replace(backend.account, port=free_port(), host="127.0.0.1")
    place, http = backend.log_dir / f"logs-{account.port}", free_port()
    place.mkdir()
    log = backend.log_dir / f"observed-{account.port}.log"
    async with running(odp_trio_command(backend, account.port, _options(name, place), http), log) as process:
        await first_answer(account, process, log)
        async with trio.open_nursery() as nursery:
            if name == EVERYTHING:
                await nursery.start(_look, http)
                nursery.start_soon(_scrape, http)
            yield Contender(name, account, process.pid)
            nursery.cancel_scope.cancel()


async def _look(port: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Do as the console does: take every record that comes."""
    async with open_websocket_url(f"ws://127.0.0.1:{port}/api/live") as websocket:
        await websocket.get_message()
        task_status.started()
        try:
            while True:
                await websocket.get_message()
        except ConnectionClosed:
            return


async def _scrape(port: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            (await client.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status()
            await trio.sleep(_SCRAPES)


async def measure(plan: Plan, log_dir: Path) -> list[Sample]:
    """Ask each in turn, as often as the plan says."""
    samples: list[Sample] = []
    async with open_canned(log_dir) as backend, AsyncExitStack() as stack:
        contenders = [await stack.enter_async_context(_open(name, backend)) for name in (NOTHING, METRICS, EVERYTHING)]
        for _ in range(plan.rounds):
            for scenario, sql in _STATEMENTS.items():
                for contender in contenders:
                    samples += await scenarios.point_select(
                        scenario, contender, backend, plan, connections=_CONNECTIONS, sql=sql, expect=POINT_VALUE
                    )
    return samples
