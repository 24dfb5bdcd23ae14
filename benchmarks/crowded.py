"""The whole proxy with 10 and with 100,000 tables in its cache, and while everything is asked of it.

The proxy runs in this process, so that its table of locations can be filled; the load and the server are others.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, final

import trio

from benchmarks.canned import open_canned
from benchmarks.canned_answers import POINT_VALUE
from benchmarks.contenders import Backend
from benchmarks.figures import Sample
from benchmarks.load import PointLoad
from benchmarks.processes import load
from benchmarks.scenarios import Plan
from benchmarks.session import Account
from odp_trio.admin.metrics import write_metrics
from odp_trio.admin.routes import list_routes
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import build, from_flags
from odp_trio.model import Address, TenantKey
from odp_trio.routing.decide import decide
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.state.client import ClientState
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey

TABLES: Final = 100_000
_SQL: Final = "select c from t00000 where id=5001"
_CONNECTIONS: Final = 16
_SATURATED: Final = 64
_TICK: Final = 0.01


async def measure(plan: Plan, log_dir: Path) -> list[Sample]:
    """Load 10 and 100,000 tables in turn; then ask for everything beside a saturated lane."""
    samples: list[Sample] = []
    async with open_canned(log_dir) as backend, _proxy(backend) as proxy:
        account = replace(backend.account, port=proxy.addresses[0][1])
        server = Address("127.0.0.1", backend.account.port)
        ask = Ask(account, (f"--expect={POINT_VALUE}", f"--requests={plan.requests}"))
        await ask.load(1, 1, 0.05)  # the tenant is known now
        fill(proxy, 10, server)
        samples += [await _cost(ask, 10, "any of 10 tables", plan.seconds) for _ in range(plan.rounds)]
        many = min(TABLES, 10 * plan.table_rows)
        fill(proxy, many, server)
        for _ in range(plan.rounds):
            samples.append(await _cost(ask, 10, f"any of 10 of {many:,} tables", plan.seconds))
            samples.append(await _cost(ask, many, f"any of {many:,} tables", plan.seconds))
        samples += await _looked_at(proxy, ask, plan.seconds * 2, many)
    return samples


@final
class Ask:
    """The load that asks: an account, and what every run of it is told."""

    def __init__(self, account: Account, arguments: Sequence[str]) -> None:
        self._account, self._arguments = account, arguments

    async def load(self, connections: int, tables: int, seconds: float) -> PointLoad:
        """Ask about random ones of so many tables."""
        return await load(
            PointLoad,
            self._account,
            f"--sql={_SQL}",
            f"--tables={tables}",
            f"--connections={connections}",
            f"--seconds={seconds}",
            "--warm-up=0",
            *self._arguments,
        )


@asynccontextmanager
async def _proxy(backend: Backend) -> AsyncIterator[Proxy]:
    flags = {
        "listen_port": 0,
        "local_bound_ip": "127.0.0.1",
        "enable_http": False,
        "rootservice_list": f"127.0.0.1:{backend.account.port}",
        "rootservice_cluster_name": backend.cluster,
        "observer_sys_password": backend.proxyro_password,
        "statement_cache_size": 400_000,
    }
    async with open_proxy(build(from_flags(flags)).settings) as proxy:
        yield proxy


def fill(proxy: Proxy, tables: int, server: Address) -> None:
    """Put tables into the cache, and statements about them, as if they had been asked about."""
    known = proxy.locations.entries()[0].key
    request = RouteRequest(ClientState(), Values())
    view = proxy.views.view(TenantKey(known.cluster, known.tenant), "")
    assert view is not None
    for number in range(tables):
        key = TableKey(known.cluster, known.tenant, known.database, f"t{number:05d}")
        entry = TableEntry(key, 0.0, table_id=number, part_num=1)
        entry.location = Location(entry, 0, (Replica(server, leader=True),), 0.0)
        proxy.locations.store(entry)
        request.begin(proxy.statements.shape(_SQL.replace("00000", f"{number:05d}").encode())[0])
        decide(request, view)


async def _cost(ask: Ask, tables: int, what: str, seconds: float) -> Sample:
    """Measure the processor time of this process, logins included."""
    began = time.process_time()
    run = await ask.load(_CONNECTIONS, tables, seconds)
    cost = (time.process_time() - began) / run.requests * 1e6
    return Sample(f"crowded, {what}", "proxy CPU", "µs/request", "odp_trio", cost)


async def _looked_at(proxy: Proxy, ask: Ask, seconds: float, tables: int) -> list[Sample]:
    """Ask for everything that an operator can see, one after the other, beside a saturated lane; watch a timer."""
    samples: list[Sample] = []
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "nothing": trio.lowlevel.checkpoint,
        "metrics": lambda: write_metrics(proxy),
        "status": proxy.status,
        "busiest tables": lambda: list_routes(proxy.locations, like="%9", cluster="", tenant="", limit=100),
        "snapshot": proxy.snapshot,
    }
    for name, question in questions.items():
        late: list[float] = []
        took: list[float] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tick, late)
            nursery.start_soon(_repeat, question, took)
            await ask.load(_SATURATED, 10, seconds / len(questions))
            nursery.cancel_scope.cancel()
        late.sort()
        scenario = f"10-ms timer beside {_SATURATED} saturated connections and {tables:,} tables, asked for {name}"
        samples += [
            Sample(scenario, f"late, p{percent}", "ms", "odp_trio", late[int((len(late) - 1) * percent / 100)] * 1e3)
            for percent in (50, 99, 100)
            if late
        ]
        if took and name != "nothing":
            samples.append(Sample(scenario, "an answer takes", "ms", "odp_trio", sorted(took)[len(took) // 2] * 1e3))
    return samples


async def _tick(late: list[float]) -> None:
    while True:
        began = trio.current_time()
        await trio.sleep(_TICK)
        late.append(trio.current_time() - began - _TICK)


async def _repeat(question: Callable[[], Awaitable[object]], took: list[float]) -> None:
    """Ask again and again, with as long a pause as the answer took."""
    while True:
        began = trio.current_time()
        await question()
        took.append(trio.current_time() - began)
        await trio.sleep(max(took[-1], _TICK))
