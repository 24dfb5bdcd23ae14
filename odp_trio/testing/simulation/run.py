"""One seed: a proxy before a cluster for so many hours of virtual time."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Final, final
from unittest.mock import patch

import msgspec
import trio
import trio.testing

from odp_trio.app import Proxy, open_proxy
from odp_trio.catalog import locations
from odp_trio.config import Secret, Settings
from odp_trio.net import loop_lag
from odp_trio.session import time_limits
from odp_trio.testing.ledger import Audit
from odp_trio.testing.simulation.clients import PATIENCE, Person, World
from odp_trio.testing.simulation.config import URL, ConfigServer
from odp_trio.testing.simulation.determinism import deterministic, streams
from odp_trio.testing.simulation.faults import Faults
from odp_trio.testing.simulation.network import PROXY, MemoryNetwork
from odp_trio.testing.simulation.rules import Broken, Rule, Rules
from odp_trio.testing.simulation.script import Step, make_script
from odp_trio.testing.simulation.servers import Journal, make_cluster
from odp_trio.testing.simulation.trace import Trace
from odp_trio.testing.simulation.watch import Watch

CLIENTS: Final = 5
LOOK_SECONDS: Final = 20.0
"""How often the proxy looks at time limits: less often than in earnest, since each look costs something."""
_LAG_SECONDS: Final = 7200.0
_CLEANING_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 30.0


class Outcome(msgspec.Struct, frozen=True):
    """What came of a seed."""

    seed: int
    hours: float
    broken: Broken | None
    digest: str
    """Of everything that happened: the same whenever the seed is run."""
    script: tuple[Step, ...]
    statements: int
    logins: int
    errors: int
    """That clients were told of, while something was wrong."""
    writes: int
    events: int
    cpu_seconds: float
    last: tuple[str, ...] = ()
    """What happened last, where a rule broke."""

    @property
    def clean(self) -> bool:
        """Whether no rule broke."""
        return self.broken is None


def settings_of(directory: str) -> Settings:
    """Return the settings of a simulated proxy."""
    return Settings(
        local_bound_ip=PROXY,
        listen_port=2883,
        obproxy_config_server_url=URL,
        observer_sys_password=Secret("proxyro_pw"),
        etc_dir=directory,
        enable_http=False,
        reactor="nested",
        server_state_refresh_interval=90.0,
        server_detect_refresh_interval=15.0,
        config_server_refresh_interval=300.0,
        hot_upgrade_exit_timeout=_DRAIN_SECONDS,
    )


def simulate(seed: int, hours: float = 24.0, *, clients: int = CLIENTS) -> Outcome:
    """Run one seed, to its end or until a rule breaks."""
    begun = time.process_time()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="odp-simulate-"))
        stack.enter_context(deterministic(seed))
        stack.enter_context(patch.object(loop_lag, "INTERVAL", _LAG_SECONDS))
        stack.enter_context(patch.object(locations, "_CLEANING_SECONDS", _CLEANING_SECONDS))
        stack.enter_context(patch.object(time_limits, "LOOK_SECONDS", LOOK_SECONDS))
        log = logging.getLogger("odp_trio")
        level, log.level, propagate, log.propagate = log.level, logging.ERROR, log.propagate, False
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            run: _Run = trio.run(_simulated, seed, hours, clients, directory, clock=clock)
        finally:
            log.level, log.propagate = level, propagate
            log.manager._clear_cache()  # type: ignore[attr-defined]  # the level was set behind its back
    broken = run.rules.broken
    return Outcome(
        seed, hours, broken, run.trace.digest, run.script, run.journal.statements, run.world.logins, run.rules.errors,
        len(run.world.ledger), run.trace.events, time.process_time() - begun,
        tuple(run.trace.last) if broken is not None else (),
    )  # fmt: skip


@final
class _Run:
    """The parts of one run."""

    def __init__(self, seed: int, hours: float, clients: int, directory: str, nursery: trio.Nursery) -> None:
        stream = streams(seed)
        self.hours = hours
        self.settings = settings_of(directory)
        self.trace, self.rules = Trace(), Rules(clients)
        self.cluster = make_cluster(seed, stream("cluster"))
        self.journal = Journal(self.cluster, self.rules, self.trace)
        self.config = ConfigServer(self.cluster, stream("config"))
        self.network = MemoryNetwork(self.cluster, self.config, stream("network"), nursery)
        self.world = World(self.network, self.rules, self.trace)
        self.proxy: Proxy | None = None
        self.faults = Faults(self.world, self.cluster, self.network, self.config, lambda: self.proxy, self.trace)
        self.watch = Watch(self.rules, self.cluster, self.network, self.faults, lambda: self.proxy, clients)
        self.script = make_script(stream("script"), hours)
        self.people = [Person(self.world, number, stream(f"client {number}")) for number in range(clients)]
        self.rng: Random = stream("proxy")
        self.stop_proxy, self.serves, self.ended = trio.Event(), trio.Event(), trio.Event()

    async def keep_proxy(self) -> None:
        """Run the proxy; again when it was asked to end, or was killed."""
        while not self.stop_proxy.is_set():
            self.faults.restart_wanted, self.faults.kill_wanted = trio.Event(), trio.Event()
            with trio.CancelScope() as scope:
                async with open_proxy(self.settings, rng=self.rng, network=self.network) as proxy:
                    self.proxy = proxy
                    self.serves.set()
                    await _first(
                        self.faults.restart_wanted.wait,
                        self.stop_proxy.wait,
                        partial(self._killed, scope),
                    )
                    self.trace.note("the proxy drains")
            ended, self.proxy = self.proxy, None
            self.trace.note("the proxy has ended")
            if ended is not None:
                self.watch.account(ended)
        self.ended.set()

    async def _killed(self, scope: trio.CancelScope) -> None:
        await self.faults.kill_wanted.wait()
        self.trace.note("the proxy is killed")
        scope.cancel()

    async def play(self) -> None:
        """Run clients and faults to the end, then look at what is left."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keep_proxy)
            nursery.start_soon(self.watch.run)
            await self.serves.wait()
            with trio.move_on_after(PATIENCE * 4 + self.hours * 3600) as everything:
                async with trio.open_nursery() as people:
                    for person in self.people:
                        people.start_soon(person.run)
                    people.start_soon(self.faults.play, self.script)
                    await trio.sleep_until(self.hours * 3600)
                    self.world.stop()
            self.rules.check(not everything.cancelled_caught, Rule.HANG, "clients do not come to an end")
            await trio.sleep(60)
            if self.proxy is not None:
                self.watch.look(self.proxy, calm=self.rules.calm)
                left = sorted(self.proxy.sessions.table)
                self.rules.check(not left, Rule.HANG, f"sessions {left} are there, and their clients are not")
            self.stop_proxy.set()
            await self.ended.wait()
            nursery.cancel_scope.cancel()
        open_sockets = self.network.open_sockets
        self.rules.check(not open_sockets, Rule.OPEN, f"{open_sockets} sockets of the proxy are open at the end")
        self._audit()

    def _audit(self) -> None:
        audit: Audit = self.world.ledger.audit(self.journal.rows())
        self.trace.note(str(audit))
        self.rules.check(not audit.doubled, Rule.TWICE, str(audit))
        self.rules.check(audit.clean, Rule.LOST, str(audit))


async def _first(*waits: Callable[[], object]) -> None:
    """Wait for the first of several."""
    async with trio.open_nursery() as nursery:

        async def one(wait: Callable[[], object]) -> None:
            await wait()  # type: ignore[misc]
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(one, wait)


async def _simulated(seed: int, hours: float, clients: int, directory: str) -> _Run:
    async with trio.open_nursery() as nursery:
        run = _Run(seed, hours, clients, directory, nursery)
        log = logging.getLogger("odp_trio")
        log.addHandler(run.watch)
        try:
            await _first(run.play, run.rules.noticed.wait)
        except Exception as exc:
            run.rules.check(False, Rule.CRASHED, f"{exc!r}")
            if run.rules.broken is None:
                raise
        finally:
            log.removeHandler(run.watch)
        nursery.cancel_scope.cancel()
    return run
