"""Tasks of the proxy crash, and its process dies under ``odp-trio watch``."""

from __future__ import annotations

import os
import signal

import trio

from odp_trio.app import Proxy
from odp_trio.testing.matrix.fault import Bounds, Fault, World, nothing

_AGAIN = "another proxy serves after"
_GREETING = "longest wait of a new connection for the greeting"


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
    """Crash one after the other, and see that each runs again."""
    for path in task_paths(world.proxy):
        begun = trio.current_time()
        world.proxy.crash_task(path, RuntimeError("on purpose"))
        await _runs_again(world.proxy, path)
        world.timings[f"{path} runs again after"] = trio.current_time() - begun


async def _runs_again(proxy: Proxy, path: str) -> None:
    with trio.fail_after(5):
        while not any(  # noqa: ASYNC110  # of the supervisor's record
            task.path == path and task.restarts and task.state == "running" for task in proxy.statistics().tasks
        ):
            await trio.sleep(0.005)


async def _all_run(world: World) -> None:
    paths = task_paths(world.proxy)
    tasks = [task for task in world.proxy.statistics().tasks if task.path in paths]
    world.notes["tasks not restarted exactly once"] = (
        ", ".join(f"{task.path} {task.restarts}" for task in tasks if task.restarts != 1) or "none"
    )


async def _kill_proxy(world: World) -> None:
    """Kill the proxy with -9, and knock at its port all the time."""
    watched = world.watched
    assert watched is not None
    knocks = []

    async def knock() -> None:
        knocks.append(await watched.knock(1.5))

    victim = await watched.wait_serving()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(knock)
        await trio.sleep(0.2)
        begun = trio.current_time()
        os.kill(victim, signal.SIGKILL)
        await watched.wait_serving(but=victim)
        world.timings[_AGAIN] = trio.current_time() - begun
    world.notes["new connections meanwhile"] = (
        f"{knocks[0].served} served, {knocks[0].refused} refused, {knocks[0].unserved} cut off before the greeting"
    )
    world.timings[_GREETING] = knocks[0].slowest


def watch_faults(clients: int) -> tuple[Fault, ...]:
    """Return the faults of a proxy under ``odp-trio watch``."""
    return (
        Fault(
            name="the proxy is killed with -9 under odp-trio watch",
            sees="its connection is lost; a new one waits in the listen queue until the next proxy serves it",
            begin=_kill_proxy,
            end=nothing,
            bounds=Bounds(errors=3 * clients, gap=4.0, recovery=3.0),
            settings={"short_async_task_timeout": 5.0},
            notes={"new connections meanwhile": " 0 refused"},
            limits={_AGAIN: 1.0, _GREETING: 1.0},
            under_watch=True,
        ),
    )


def task_faults() -> tuple[Fault, ...]:
    """Return the faults of tasks."""
    return (
        Fault(
            name="each task of the proxy crashes",
            sees="nothing; a new connection waits in the listen queue for the listener's restart",
            begin=_crash_tasks,
            end=_all_run,
            bounds=Bounds(),
            notes={"tasks not restarted exactly once": "^none$"},
            limits={"front/listener runs again after": 1.0, "http runs again after": 1.0},
            settings={"enable_http": True, "prometheus_listen_port": 0},
            by_config_server=True,  # which has tasks of its own
        ),
    )
