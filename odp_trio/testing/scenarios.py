"""What may fail, as data: how each fault begins and ends before a proxy under load, and what clients may notice of it.

The bounds are what must hold; what was measured is in docs/availability.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import trio

from odp_trio.app import Proxy
from odp_trio.testing.bed import Testbed
from odp_trio.testing.load import Load, Plan

TENANT: Final = "mytenant"
VICTIM: Final = 1
"""The OBServer that faults of one server befall."""
CUTS: Final = 40
FLAPS: Final = 5
ELECTION: Final = 0.2
"""Seconds until the partitions of a dead leader have another one."""

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


@dataclass
class World:
    """What a fault may act upon."""

    bed: Testbed
    proxy: Proxy
    load: Load
    tablets: Sequence[int]
    notes: dict[str, float | str] = field(default_factory=dict)
    """What a fault has seen for itself; shown beside its row."""

    async def lead(self, partition: int, number: int) -> None:
        """Make a server the leader of a partition of the load's table."""
        await self.bed.move_tablet(self.tablets[partition], number)


Verb = Callable[[World], Awaitable[None]]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may notice at most; None is no bound.  Lost and doubled writes are never allowed."""

    errors: int | None = 0
    """Of all clients together."""
    gap: float | None = 1.0
    """Longest time that any client is without an answer, in seconds, beyond ``gap_during`` times the fault's length."""
    gap_during: float = 0.0
    recovery: float = 2.0
    """Seconds from the end of the fault until every client is served again."""
    slower: float | None = None
    """How many times as long the 99th percentile of statements for other servers may be; shown, not asserted."""
    leaves: float | None = None
    """Seconds from the fault's begin after which the server that it befell gets no statement any more."""
    returns: float | None = None
    """Seconds from the fault's end within which it gets statements again."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix."""

    name: str
    sees: str
    """What a client sees of it."""
    begin: Verb
    end: Verb
    bounds: Bounds
    settings: Mapping[str, Any] = {}
    plan: Mapping[str, Any] = {}
    """What differs from the usual load."""


async def nothing(world: World) -> None:
    """Do nothing."""


async def spread(bed: Testbed, plan: Plan) -> list[int]:
    """Give every partition of the load's table a leader of its own; return their tablets."""
    rows = await bed.query(
        "select tablet_id from oceanbase.__all_virtual_proxy_partition where tenant_name='sys' and table_id="
        "(select table_id from oceanbase.lab_proxy_schema where tenant_name='sys' "
        f"and database_name='{plan.database}' and table_name='writes' and tablet_id=0)"
    )
    tablets = [int(row["tablet_id"]) for row in rows]
    for number, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, number)
    return tablets


# ---- OBServers ----------------------------------------------------------------------


async def _kill(world: World) -> None:
    await world.bed.kill(VICTIM)
    await trio.sleep(ELECTION)
    await world.lead(VICTIM, 2)


async def _kill_unnoticed(world: World) -> None:
    await world.bed.kill(VICTIM, noticed=False)


async def _revive(world: World) -> None:
    await world.bed.revive(VICTIM)
    await world.lead(VICTIM, VICTIM)


async def _freeze(world: World) -> None:
    world.bed.freeze(VICTIM)


async def _refuse(world: World) -> None:
    world.bed.refuse(VICTIM)


async def _cut(world: World) -> None:
    """Lose answers, here and there: the statement ran, and its connection is reset before or in the answer."""
    for at in range(CUTS):
        world.bed.cut(at % 3, after_bytes=(0, 0, 5)[at % 3])
        await trio.sleep(0.03)


async def _flap(world: World) -> None:
    for _ in range(FLAPS):
        await world.bed.kill(VICTIM)
        await trio.sleep(0.15)
        await world.bed.revive(VICTIM)
        await trio.sleep(0.15)


async def _slow(world: World) -> None:
    world.bed.slow(VICTIM, 0.3)


async def _end_faults(world: World) -> None:
    world.bed.end_faults()


async def _kill_all(world: World) -> None:
    for observer in world.bed.observers:
        await world.bed.kill(observer.number, noticed=False)


async def _revive_all(world: World) -> None:
    for observer in world.bed.observers:
        await world.bed.revive(observer.number)


# ---- leaders, tenants, lists --------------------------------------------------------


async def _move_leader(world: World) -> None:
    await world.lead(0, VICTIM)
    world.bed.miss(r"writes.*(values\(0,|home = 0|\?)", times=-1, number=0)


async def _leader_back(world: World) -> None:
    world.bed.end_faults()
    await world.lead(0, 0)


async def _depose(world: World) -> None:
    """The old leader refuses writes with 4038 (not master) from the moment on at which the new one is there."""
    await world.lead(0, VICTIM)
    world.bed.answer(r"insert into writes values\(0,", errno=4038, message="not master", times=-1, number=0)


async def _move_tenant(world: World) -> None:
    """The tenant leaves servers 1 and 2; logins there, and statements of sessions that are there, get 5150."""
    bed = world.bed
    for partition in (1, 2):
        await world.lead(partition, 0)
    await bed.place_tenant(TENANT, [0])
    for number in (1, 2):
        bed.answer_login(errno=5150, message="tenant is not in this server", times=-1, number=number)
        bed.answer("writes", errno=5150, message="tenant is not in this server", times=-1, number=number)


async def _tenant_back(world: World) -> None:
    world.bed.end_faults()
    await world.bed.place_tenant(TENANT, [0, 1, 2])
    for partition in (1, 2):
        await world.lead(partition, partition)


async def _shrink(world: World) -> None:
    """An orderly way out: the leaders leave first, then the server leaves the list and ends."""
    await world.lead(2, 0)
    await trio.sleep(ELECTION)
    await world.bed.drop_server(2)


async def _grow(world: World) -> None:
    number = await world.bed.add_server(zone="zone3")
    await world.bed.place_tenant(TENANT, [0, 1, number])
    await world.lead(2, number)


# ---- tasks of the proxy -------------------------------------------------------------


def task_paths(proxy: Proxy) -> list[str]:
    """Return every task of the tree that runs and has none below it."""
    tasks = proxy.statistics().tasks
    paths = [task.path for task in tasks]
    return [
        task.path
        for task in tasks
        if task.state == "running" and not any(path.startswith(f"{task.path}/") for path in paths)
    ]


async def _crash_tasks(world: World) -> None:
    for path in task_paths(world.proxy):
        world.proxy.crash_task(path, RuntimeError("on purpose"))
        await trio.sleep(0.1)


async def _tasks_run(world: World) -> None:
    """Wait until every task that was crashed runs again."""
    with trio.move_on_after(10):
        while any(task.state != "running" for task in world.proxy.statistics().tasks):  # noqa: ASYNC110
            await trio.sleep(0.01)
    tasks = world.proxy.statistics().tasks
    world.notes["tasks"] = ", ".join(f"{task.path} {task.restarts}" for task in tasks if task.restarts)


def faults(plan: Plan) -> tuple[Fault, ...]:
    """Return the rows of the matrix, with bounds for a load."""
    clients = plan.clients
    return (
        Fault(
            name="nothing (for comparison)",
            sees="nothing",
            begin=nothing,
            end=nothing,
            bounds=Bounds(),
        ),
        Fault(
            name="one OBServer killed, listed INACTIVE, back",
            sees="a statement that ran there fails (reads outside transactions are repeated elsewhere), "
            "a transaction there is rolled back; the others notice nothing",
            begin=_kill,
            end=_revive,
            bounds=Bounds(errors=2 * clients),
        ),
        Fault(
            name="one OBServer killed, the list says ACTIVE, back",
            sees="the same; its leaders are asked for elsewhere",
            begin=_kill_unnoticed,
            end=_revive,
            bounds=Bounds(errors=2 * clients, gap=2.0),
        ),
        Fault(
            name=f"one OBServer killed and back, {FLAPS} times",
            sees="the same, each time",
            begin=_flap,
            end=_revive,
            bounds=Bounds(errors=2 * FLAPS * clients, gap=2.0),
        ),
        Fault(
            name=f"{CUTS} answers lost (reset when the statement had run)",
            sees="its error says that the outcome is unknown; reads outside transactions are repeated elsewhere",
            begin=_cut,
            end=_end_faults,
            bounds=Bounds(errors=2 * CUTS),
        ),
        Fault(
            name="one OBServer frozen, thaws",
            sees="a statement that was sent there waits until its time-out; further ones go elsewhere",
            begin=_freeze,
            end=_revive,
            bounds=Bounds(errors=2 * clients, gap_during=1.0, gap=2.0, recovery=3.0, slower=2.0),
            plan={"mix": {"abroad": 0.0, "read_weak": 0}},
        ),
        Fault(
            name="one OBServer refuses connections, accepts again",
            sees="nothing: sessions that are there stay, others go elsewhere",
            begin=_refuse,
            end=_revive,
            bounds=Bounds(),
        ),
        Fault(
            name="one OBServer slow (0.3 s a request)",
            sees="slowness, for what must go there",
            begin=_slow,
            end=_end_faults,
            bounds=Bounds(gap=3.0, slower=2.0),
            plan={"mix": {"abroad": 0.0, "read_weak": 0}},
        ),
        Fault(
            name="all OBServers killed, back",
            sees="errors until one is back; no connection to the proxy needs more than to be made again",
            begin=_kill_all,
            end=_revive_all,
            bounds=Bounds(errors=None, gap_during=1.0, gap=3.0, recovery=3.0),
        ),
        Fault(
            name="a partition's leader moved, the old one passes on",
            sees="nothing",
            begin=_move_leader,
            end=_leader_back,
            bounds=Bounds(),
        ),
        Fault(
            name="a partition's leader moved, the old one refuses (4038)",
            sees="a write that reached the old leader fails with 4038, once or twice",
            begin=_depose,
            end=_leader_back,
            bounds=Bounds(errors=4 * clients),
        ),
        Fault(
            name="the tenant moved to one server (5150)",
            sees="a statement that reached an old server fails with 5150, once or twice",
            begin=_move_tenant,
            end=_tenant_back,
            bounds=Bounds(errors=4 * clients),
        ),
        Fault(
            name="the server list shrinks by one, grows by another",
            sees="a statement that ran on the server as it ended fails; the others notice nothing",
            begin=_shrink,
            end=_grow,
            bounds=Bounds(errors=2 * clients),
        ),
        Fault(
            name="each task of the proxy crashes",
            sees="nothing; a new connection waits up to the pause before the listener's restart",
            begin=_crash_tasks,
            end=_tasks_run,
            bounds=Bounds(),
            settings={"enable_http": True, "prometheus_listen_port": 0},
        ),
    )
