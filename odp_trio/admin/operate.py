"""What an operator does to a running proxy, whichever way it is asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, final

from odp_trio.admin.across.trees import of_worker
from odp_trio.admin.what_if import did_you_mean
from odp_trio.errors import UnknownTask, UnknownThread
from odp_trio.session.kill import Killer, find_session, kill_connection, kill_query
from odp_trio.session.kill_elsewhere import KillOrder, killed_elsewhere
from odp_trio.supervise.statistics import SupervisorStatistics

if TYPE_CHECKING:
    from odp_trio.app import Proxy

log = logging.getLogger("odp_trio.admin")


@final
class Operator:
    """Operations on one proxy; ``by`` is who asked, for the log."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def kill(self, number: int, *, query: bool, by: str) -> None:
        """End a client's session, or only its statement; raise UnknownThread, or what the server says."""
        services = self._proxy.services
        victim = find_session(services.table, number)
        if victim is None:
            if not await killed_elsewhere(services, KillOrder(number, query, Killer(everything=True), by)):
                raise UnknownThread(f"Unknown thread id: {number}")
            return
        if query:
            await kill_query(services, victim, None, by)
        else:
            kill_connection(victim, by)

    def restart_task(self, path: str, *, by: str) -> None:
        """End the present life of a supervised task and begin its next one; raise UnknownTask.

        ``worker:1/`` before a path names a worker; this one does nothing for another one.
        """
        worker, inside = of_worker(path)
        if worker is not None and worker != self._proxy.workers.number:
            raise UnknownTask(f"there is no task {path!r} in worker {self._proxy.workers.number}")
        try:
            supervisor, name = self._proxy.root.find(inside)
            supervisor.restart(name)
        except KeyError:
            known = task_paths(self._proxy.root.statistics())
            raise UnknownTask(f"there is no task {path!r} that runs{did_you_mean(path, known)}") from None
        log.info("task %s is restarted by %s", path, by)

    def drain(self, *, by: str) -> None:
        """Begin the orderly end: no new clients, sessions end between transactions, then the process."""
        log.warning("the proxy is drained by %s", by)
        self._proxy.workers.drain_all(by)


def task_paths(root: SupervisorStatistics) -> list[str]:
    """Return the paths of all tasks."""
    from odp_trio.admin.status import flatten

    return [task.path for task in flatten(root.children)]
