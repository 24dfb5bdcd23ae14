"""How late a timer is beside a lane that is saturated: the proxy in this process, the load in another."""

from __future__ import annotations

from dataclasses import replace

import trio

from benchmarks.contenders import Backend
from benchmarks.figures import Sample
from benchmarks.load import PointLoad
from benchmarks.processes import load
from benchmarks.scenarios import Plan
from odp_trio.app import open_proxy
from odp_trio.config import build, from_flags

_PERIOD = 0.1
_CONNECTIONS = 64


async def lateness(backend: Backend, plan: Plan, *, sql: str, expect: str) -> list[Sample]:
    """Tick every 100 ms under full load; report how late the ticks were."""
    flags = {
        "listen_port": 0,
        "local_bound_ip": "127.0.0.1",
        "enable_http": False,
        "rootservice_list": f"127.0.0.1:{backend.account.port}",
        "rootservice_cluster_name": backend.cluster,
        "observer_sys_password": backend.proxyro_password,
    }
    late: list[float] = []

    async def tick() -> None:
        while True:
            start = trio.current_time()
            await trio.sleep(_PERIOD)
            late.append(trio.current_time() - start - _PERIOD)

    async with open_proxy(build(from_flags(flags)).settings) as proxy, trio.open_nursery() as nursery:
        account = replace(backend.account, port=proxy.addresses[0][1])
        nursery.start_soon(tick)
        await load(
            PointLoad,
            account,
            f"--sql={sql}",
            f"--expect={expect}",
            f"--connections={_CONNECTIONS}",
            f"--seconds={plan.seconds * 2}",
            f"--requests={plan.requests}",
            f"--warm-up={plan.warm_up}",
        )
        nursery.cancel_scope.cancel()
    late.sort()
    scenario = f"100-ms timer beside {_CONNECTIONS} saturated connections"
    return [
        Sample(scenario, f"late, p{percent}", "ms", "odp_trio", late[int(len(late) * percent / 100)] * 1e3)
        for percent in (50, 99)
        if late
    ]
