"""Tasks of the proxy crash."""

from __future__ import annotations

import trio

from odp_trio.app import Proxy
from odp_trio.testing.matrix.fault import Bounds, Fault, World


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
    again = []
    for path in task_paths(world.proxy):
        begun = trio.current_time()
        world.proxy.crash_task(path, RuntimeError("on purpose"))
        await _runs_again(world.proxy, path)
        again.append(f"{path} {trio.current_time() - begun:.2f} s")
    world.notes["running again after"] = ", ".join(again)


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


def process_faults() -> tuple[Fault, ...]:
    """Return the faults."""
    return (
        Fault(
            name="each task of the proxy crashes",
            sees="nothing; a new connection waits in the listen queue for the listener's restart",
            begin=_crash_tasks,
            end=_all_run,
            bounds=Bounds(),
            notes={"tasks not restarted exactly once": "^none$", "running again after": "listener"},
            settings={"enable_http": True, "prometheus_listen_port": 0},
        ),
    )
