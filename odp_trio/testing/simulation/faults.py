"""How each fault of a script is made, and mended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, final

import trio

from odp_trio.app import Proxy
from odp_trio.config.changes import Change
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.records import FakeServer
from odp_trio.testing.simulation.clients import HASTE, THINK, World
from odp_trio.testing.simulation.config import FAULTS, ConfigServer
from odp_trio.testing.simulation.network import MemoryNetwork
from odp_trio.testing.simulation.rules import RECOVERY_SECONDS
from odp_trio.testing.simulation.script import Step
from odp_trio.testing.simulation.servers import TABLE, add_server, listed
from odp_trio.testing.simulation.trace import Trace

BURST: Final = 5.0
"""Seconds before a fault, and thrice as many behind its beginning, in which clients are in haste."""
BEFORE: Final = 20.0
"""Seconds of work before a fault."""
LEAST_SERVERS: Final = 3
MOST_SERVERS: Final = 6
ON_PURPOSE: Final = "on purpose, by the simulation"
_RELOADED: Final = (
    ("connect_timeout", ("1s", "5s")),
    ("server_detect_fail_threshold", ("2", "3")),
    ("enable_congestion", ("True", "True")),
    ("statement_cache_size", ("100", "1000")),
)


class Crash(Exception):
    """What a task or session is made to die of."""


@final
class Faults:
    """Makes the faults of a script, each in a task of its own."""

    def __init__(
        self,
        world: World,
        cluster: FakeCluster,
        network: MemoryNetwork,
        config: ConfigServer,
        proxy: Callable[[], Proxy | None],
        trace: Trace,
    ) -> None:
        self._world, self._cluster, self._network, self._config = world, cluster, network, config
        self._proxy, self._trace = proxy, trace
        self.restart_wanted = trio.Event()
        self.kill_wanted = trio.Event()
        self.crashed_sessions = 0
        self._busy = 0
        self._nursery: trio.Nursery

    async def play(self, script: tuple[Step, ...]) -> None:
        """Make all faults at their times."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for step in script:
                await trio.sleep_until(step.at - BEFORE)
                nursery.start_soon(self._one, step)

    async def _one(self, step: Step) -> None:
        rules = self._world.rules
        self._busy += 1
        self._world.stir(THINK)
        await trio.sleep_until(step.at - BURST)
        self._world.stir(HASTE)
        await trio.sleep_until(step.at)
        self._trace.note(f"fault {step}")
        rules.begin_fault(step)
        self._nursery.start_soon(self._calm_down)
        make: Callable[[Step, Random], Awaitable[None]] = getattr(self, f"_{step.what.replace(' ', '_')}")
        await make(step, Random(step.pick))
        rules.end_fault()
        self._trace.note(f"end of {step.what}")
        await trio.sleep(RECOVERY_SECONDS + 30)
        self._busy -= 1
        if not self._busy:
            self._world.stir(0.0)

    async def _calm_down(self) -> None:
        await trio.sleep(3 * BURST)
        self._world.stir(THINK)

    def _some(self, rng: Random) -> FakeServer:
        return rng.choice(listed(self._cluster))

    # ---- OBServers --------------------------------------------------------------------

    async def _kill(self, step: Step, rng: Random) -> None:
        server = self._some(rng)
        await self._cluster.kill(server.number)
        await self._move_away(server, rng)
        await trio.sleep(step.seconds)
        await self._revive(server)

    async def _revive(self, server: FakeServer) -> None:
        self._network.lost_hosts.discard(server.number)
        if server.listed:
            await self._cluster.revive(server.number)

    async def _move_away(self, server: FakeServer, rng: Random) -> None:
        if self._cluster.leader("shop", 0) == server.number:
            await trio.sleep(rng.uniform(0, 2))
            others = [each for each in listed(self._cluster) if each.listening and each is not server]
            if others:
                await self._cluster.move_leader(TABLE, rng.choice(others).number)

    async def _lose_host(self, step: Step, rng: Random) -> None:
        server = self._some(rng)
        self._network.lost_hosts.add(server.number)
        self._cluster.freeze(server.number)
        await self._move_away(server, rng)
        await trio.sleep(step.seconds)
        if server.number in self._network.lost_hosts:
            await self._cluster.kill(server.number)
        await self._revive(server)

    async def _freeze(self, step: Step, rng: Random) -> None:
        server = self._some(rng)
        self._cluster.freeze(server.number)
        await trio.sleep(step.seconds)
        await self._cluster.thaw(server.number)

    async def _slow(self, step: Step, rng: Random) -> None:
        server = self._some(rng)
        self._cluster.slow(server.number, rng.choice((0.2, 1.0, 4.0, 12.0)))
        await trio.sleep(step.seconds)
        self._cluster.slow(server.number, 0.0)

    async def _cut_answers(self, step: Step, rng: Random) -> None:
        servers = [self._some(rng) for _ in range(rng.choice((1, 1, 3)))]
        for server in servers:
            self._network.cuts[server.number] = rng.randrange(1, 8)
        await trio.sleep(max(step.seconds, 2 * BURST))
        for server in servers:
            self._network.cuts[server.number] = 0

    async def _refuse_logins(self, step: Step, rng: Random) -> None:
        server = self._some(rng)
        for _ in range(rng.randrange(1, 12)):
            self._cluster.answer_login(errno=rng.choice((8001, 8002, 5150, 4013, 1045)), number=server.number)
        await trio.sleep(max(step.seconds, 2 * BURST))
        server.logins.clear()

    async def _fail_statements(self, step: Step, rng: Random) -> None:
        server = self._some(rng)
        for _ in range(rng.randrange(1, 12)):
            self._cluster.answer("", errno=rng.choice((8001, 8002, 5150, 4013, 4012)), number=server.number)
        await trio.sleep(max(step.seconds, 2 * BURST))
        server.answers.clear()

    async def _move_leader(self, step: Step, rng: Random) -> None:
        del step
        await self._cluster.move_leader(TABLE, self._some(rng).number)

    async def _add_server(self, step: Step, rng: Random) -> None:
        del step, rng
        if len(listed(self._cluster)) < MOST_SERVERS:
            await add_server(self._cluster)

    async def _drop_server(self, step: Step, rng: Random) -> None:
        del step
        if len(listed(self._cluster)) > LEAST_SERVERS:
            await self._cluster.drop_server(self._some(rng).number)

    async def _move_tenant(self, step: Step, rng: Random) -> None:
        tenant = rng.choice(("shop", "bank"))
        present = [each.number for each in listed(self._cluster)]
        await self._cluster.place_tenant(tenant, rng.sample(present, rng.randrange(1, len(present) + 1)))
        await trio.sleep(step.seconds)
        await self._cluster.place_tenant(tenant, [each.number for each in listed(self._cluster)])

    # ---- the config server --------------------------------------------------------------

    async def _config_server(self, step: Step, rng: Random) -> None:
        self._config.fault = rng.choice(FAULTS)
        await trio.sleep(step.seconds * rng.choice((1, 20)))
        self._config.fault = ""

    # ---- the proxy ----------------------------------------------------------------------

    async def _crash_task(self, step: Step, rng: Random) -> None:
        proxy = self._proxy()
        if proxy is None:
            return
        paths = sorted(task.path for task in proxy.statistics().tasks if task.state == "running")
        path = rng.choice([path for path in paths if "/" in path or path == "loop_lag"] or paths)
        self._trace.note(f"crashes {path}")
        try:
            proxy.crash_task(path, Crash(ON_PURPOSE))
        except KeyError:
            return
        await trio.sleep(step.seconds)

    async def _crash_session(self, step: Step, rng: Random) -> None:
        del step
        proxy = self._proxy()
        if proxy is None or not proxy.sessions.table:
            return
        number = rng.choice(sorted(proxy.sessions.table))
        if proxy.sessions.table[number].lane is not None:
            self.crashed_sessions += 1
            proxy.crash_session(number, Crash(ON_PURPOSE))

    async def _reload(self, step: Step, rng: Random) -> None:
        proxy = self._proxy()
        if proxy is None:
            return
        name, values = rng.choice(_RELOADED)
        await proxy.configuration.alter([Change(name, rng.choice(values))])
        await trio.sleep(step.seconds)

    async def _restart(self, step: Step, rng: Random) -> None:
        del rng
        self.restart_wanted.set()
        await trio.sleep(max(step.seconds, 40))

    async def _kill_proxy(self, step: Step, rng: Random) -> None:
        del rng
        self.kill_wanted.set()
        await trio.sleep(step.seconds)
