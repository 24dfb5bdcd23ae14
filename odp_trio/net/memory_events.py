"""Which sockets in memory are ready: the part of the reactor that has no epoll.

A socket says when something has changed; what is ready then is called back about from a task of Trio's system, as
often as it stays ready.  The task is there only if a socket in memory was ever registered.
"""

from __future__ import annotations

from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP
from typing import Final, final

import trio

from odp_trio.net.memory import memory_socket

_ALWAYS: Final = EPOLLERR | EPOLLHUP


@final
class MemoryEvents:
    """Readiness of the sockets in memory that one reactor watches.

    ``wake`` makes a task runnable, ``made_runnable`` is told of another one that was, ``call_back`` serves a socket.
    """

    def __init__(
        self,
        wake: Callable[[trio.lowlevel.Task], None],
        made_runnable: Callable[[], None],
        call_back: Callable[[int, int], None],
    ) -> None:
        self._wake = wake
        self._made_runnable = made_runnable
        self._call_back = call_back
        self._wanted: dict[int, int] = {}
        self._ready: dict[int, int] = {}
        self._parked: trio.lowlevel.Task | None = None
        self._serves = self._closed = False

    def register(self, fd: int, events: int) -> None:
        """Watch a socket; raise KeyError for one that is closed."""
        sock = memory_socket(fd)
        sock.watcher, sock.wake = self._changed, self._wake
        self.modify(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Change what a socket is watched for."""
        self._wanted[fd] = events
        self._changed(fd)

    def unregister(self, fd: int) -> None:
        """Forget a socket."""
        if self._wanted.pop(fd, None) is not None:
            memory_socket(fd).watcher = None
        self._ready.pop(fd, None)

    def call_again(self, fd: int, events: int) -> None:
        """Call back about a socket in the next turn with these events, ready or not."""
        self._ready[fd] = events
        self._kick()

    def close(self) -> None:
        """End the task."""
        self._closed = True
        self._kick()

    def _events(self, fd: int) -> int:
        wanted = self._wanted.get(fd)
        return 0 if wanted is None else memory_socket(fd).readiness() & (wanted | _ALWAYS)

    def _changed(self, fd: int) -> None:
        if self._events(fd):
            self._ready.setdefault(fd, 0)
            self._kick()

    def _kick(self) -> None:
        if self._parked is not None:
            task, self._parked = self._parked, None
            self._wake(task)
        elif not self._serves and not self._closed:
            self._serves = True
            trio.lowlevel.spawn_system_task(self._serve, name="sockets in memory")
            self._made_runnable()

    async def _serve(self) -> None:
        while not self._closed:
            batch, self._ready = self._ready, {}
            for fd, again in batch.items():
                if fd not in self._wanted:  # it has gone earlier in this batch
                    continue
                if events := self._events(fd) | again:
                    self._call_back(fd, events)
                if fd in self._wanted and self._events(fd):
                    self._ready.setdefault(fd, 0)
            if self._ready:
                await trio.lowlevel.checkpoint()
            else:
                self._parked = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._parked, self._closed = None, True
        return trio.lowlevel.Abort.SUCCEEDED
