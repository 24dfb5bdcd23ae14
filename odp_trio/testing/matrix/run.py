"""One fault before a fresh proxy under load."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import trio

from odp_trio.app import open_proxy
from odp_trio.model import Address
from odp_trio.testing import measures
from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.ledger import Audit
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.load import Load, Mix, Plan, open_load, rows_statement, table_statements
from odp_trio.testing.matrix.cluster import cluster_faults
from odp_trio.testing.matrix.config_server import SECOND, config_server_faults
from odp_trio.testing.matrix.fault import TENANT, VICTIM, Bounds, Fault, World, nothing, spread
from odp_trio.testing.matrix.process import task_faults, watch_faults
from odp_trio.testing.matrix.row import Row
from odp_trio.testing.matrix.servers import server_faults
from odp_trio.testing.matrix.watched import open_watched
from odp_trio.testing.ocp import ConfigServerBed, open_config_server
from odp_trio.testing.ocp_answers import ServedCluster

CLIENTS: Final = 16
BY_CONFIG_SERVER: Final[Mapping[str, Any]] = {
    "clusters": {},
    "rootservice_cluster_name": "",
    "ignore_local_config": False,
    "short_async_task_timeout": 2.0,
}
"""Settings of a proxy that is told its clusters by a config server."""
SETTINGS: Final[Mapping[str, Any]] = {
    "enable_http": False,
    "hot_upgrade_exit_timeout": 2.0,
    "server_state_refresh_interval": 0.3,
    "short_async_task_timeout": 0.5,
    "connect_timeout": 0.5,
    "observer_query_timeout_delta": 1.0,
    "delay_update_entry_interval": 0.3,
    "congestion_retry_interval": 1.0,
    "min_keep_congestion_interval": 1.0,
    "server_detect_refresh_interval": 0.2,
    "detect_server_timeout": 1.0,
    "server_detect_fail_threshold": 1,
}
"""Times of a proxy that make faults short; every one has a longer default."""
_FLOWING: Final = 60.0
"""Seconds within which every client must be served, before a fault and after it."""
_SETTLED: Final = 30.0
_TICK: Final = 0.01


class Phases(msgspec.Struct, frozen=True):
    """How long the load runs before, during and after a fault, in seconds."""

    before: float = 3.0
    during: float = 5.0
    after: float = 3.0


SHORT: Final = Phases(0.7, 1.5, 0.7)


def usual_plan(**changes: Any) -> Plan:
    """Return the load of the matrix: 16 clients of an ordinary tenant."""
    mix = Mix(**changes.pop("mix", {}))
    return Plan(f"app@{TENANT}#demo", "app_pw", statement_timeout=1.0, mix=mix, **changes)


async def run_fault(fault: Fault, kernel: KernelProcess, phases: Phases, clients: int = CLIENTS) -> Row:
    """Run one fault before a fresh proxy; raise RuntimeError when the load does not even begin to flow."""
    plan = usual_plan(clients=clients, **fault.plan)
    async with (
        open_testbed(kernel=kernel) as bed,
        _config_server(bed) as config_server,
    ):
        await bed.query(*table_statements(plan))
        tablets = await spread(bed, plan)
        with TemporaryDirectory(prefix="odp-trio-matrix-") as etc:
            changes = {**SETTINGS, **fault.settings}
            if fault.by_config_server:
                told = {"obproxy_config_server_url": config_server.url, "etc_dir": etc}
                changes = {**SETTINGS, **BY_CONFIG_SERVER, **told, **fault.settings}
            world = World(bed, plan, tablets, settings_for(bed, **changes), config_server)
            await fault.prepare(world)
            async with _open_watched(world, changes, Path(etc)) if fault.under_watch else _open_proxy(world):
                times = await _under_load(fault, world, phases)
            audit = await _audited(bed, world.load)
        return _row(fault, world, times, audit)


@asynccontextmanager
async def _open_proxy(world: World) -> AsyncIterator[None]:
    async with open_proxy(world.settings) as proxy:
        world.started, world.address = proxy, Address(*proxy.addresses[0])
        yield


@asynccontextmanager
async def _open_watched(world: World, changes: Mapping[str, Any], place: Path) -> AsyncIterator[None]:
    async with open_watched(world.bed, changes, place) as watched:
        world.watched, world.address = watched, watched.address
        yield


@asynccontextmanager
async def _config_server(bed: Testbed) -> AsyncIterator[ConfigServerBed]:
    async with open_config_server({bed.cluster: bed.rslist}) as config_server:
        config_server.set_cluster(SECOND, ServedCluster(bed.rslist, real_name=bed.cluster))
        yield config_server


async def _under_load(fault: Fault, world: World, phases: Phases) -> Sequence[float]:
    """Run the load from before the fault to after it; return when it was started, began, ended, and was over."""
    async with (
        open_load(world.plan, world.address) as load,
        trio.open_nursery() as nursery,
    ):
        world.running = load
        nursery.start_soon(_watch_processor, world)
        if fault.flows and not await load.wait_flowing(trio.current_time(), _FLOWING):
            raise RuntimeError(f"the load does not flow: {measures.kinds(load.failures)}")
        start = trio.current_time()
        await trio.sleep(phases.before)
        begun = trio.current_time()
        await fault.begin(world)
        await trio.sleep(max(0.0, begun + max(phases.during, fault.at_least) - trio.current_time()))
        ended = trio.current_time()
        await fault.end(world)
        await load.wait_flowing(ended, _FLOWING)
        await trio.sleep(phases.after)
        if fault.bounds.returns is not None:
            with trio.move_on_after(fault.bounds.returns):
                while not any(at >= ended for at in _on_victim(world)):  # noqa: ASYNC110  # of the bed's record
                    await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
        return start, begun, ended, trio.current_time()


async def _watch_processor(world: World) -> None:
    """Note by how much a timer of this process is late: so long it, and all in it, had to wait for the processor."""
    while True:
        due = trio.current_time() + _TICK
        await trio.sleep_until(due)
        world.stall = max(world.stall, trio.current_time() - due)


async def _audited(bed: Testbed, load: Load) -> Audit:
    """Read the table straight on the kernel, when nobody can write to it any more."""
    user = load.plan.user.partition("@")[0]
    sessions = f"select id from information_schema.processlist where user = '{user}'"
    with trio.move_on_after(_SETTLED):
        while sum(observer.open_connections for observer in bed.observers):  # noqa: ASYNC110  # of relays, many
            await trio.sleep(0.01)
        while await bed.query(sessions):  # noqa: ASYNC110
            await trio.sleep(0.01)
    rows = await bed.query(rows_statement(load.plan))
    return load.ledger.audit((int(row["client"]), int(row["seq"])) for row in rows)


def _on_victim(world: World) -> list[float]:
    """Return when the victim got statements of the load."""
    return [each.at for each in world.bed.statements("writes") if each.observer == VICTIM]


def _row(fault: Fault, world: World, times: Sequence[float], audit: Audit) -> Row:
    start, begun, ended, over = times
    load = world.load
    clients = load.plan.clients
    failures = [failed for failed in load.failures if failed.at >= start]
    gap, gap_of_all = measures.gaps(load.answers, clients, begun, over)
    elsewhere = [answer for answer in load.answers if answer.partition not in (-1, VICTIM)]
    victim = _on_victim(world)
    return Row(
        name=fault.name,
        sees=fault.sees,
        errors=len(failures),
        told=measures.kinds(failures),
        gap=gap,
        gap_of_all=gap_of_all,
        recovery=measures.recovery(load.answers, failures, clients, ended),
        rates=(
            measures.rate(load.answers, start, begun),
            measures.rate(load.answers, begun, ended),
            measures.rate(load.answers, ended, over),
        ),
        p99=(
            measures.percentile((answer.seconds for answer in elsewhere if start <= answer.at < begun), 0.99),
            measures.percentile((answer.seconds for answer in elsewhere if begun <= answer.at < ended), 0.99),
        ),
        one_server=fault.one_server,
        left=max((at - begun for at in victim if begun <= at < ended), default=0.0),
        back=min((at - ended for at in victim if at >= ended), default=None),
        audit=audit,
        wrong=tuple(load.wrong),
        seconds=ended - begun,
        stall=world.stall,
        notes=world.notes,
        timings=world.timings,
    )


def faults(clients: int = CLIENTS) -> tuple[Fault, ...]:
    """Return the rows of the matrix, with bounds for so many clients."""
    control = Fault(name="nothing, for comparison", sees="nothing", begin=nothing, end=nothing, bounds=Bounds())
    return (
        control,
        *server_faults(clients),
        *cluster_faults(clients),
        *config_server_faults(),
        *task_faults(),
        *watch_faults(clients),
    )
