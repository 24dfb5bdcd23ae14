"""One epoll for every session socket: readiness becomes a plain callback.

A task switch per event would cost more than everything else that the proxy
does, so sockets are registered here once and for all, and what can be done
without waiting is done in a callback.

How it gets to run.  ``inside``: Trio calls ``before_io_wait`` exactly when it
has nothing to do and is about to sleep; the reactor sleeps there instead, in
its own epoll, in which Trio's epoll is registered too.  ``nested``: one task
waits, through Trio, until our epoll has something; slower (a task switch per
wake-up) and needs nothing but Trio's public API.  Sockets in memory, whose
descriptors are below -1, are served by a task either way: ``memory_events``.

Traps of ``inside``, each of which has a test:

* Trio computed its timeout before the hook and will sleep that long once more;
  so whenever the deadline has passed, or a callback made a task runnable, Trio
  is nudged (``run_sync_soon``).
* An exception must not reach Trio, which would drop the instrument: it is
  given to the owner of the socket.
* Trio's epoll descriptor is not public.  Where it cannot be had, ``nested`` is
  used and a warning says so.
* ``wait_all_tasks_blocked(cushion)`` waits until Trio has slept through the cushion,
  and a nudge is no sleep: for that one, Trio sleeps once more.
* Two reactors that sleep there would sleep one after the other, each deaf to the
  other's sockets: all proxies of a loop share one.
"""

from __future__ import annotations

import logging
import math
import select
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NoReturn

import trio

if TYPE_CHECKING:
    from odp_trio.net.memory_events import MemoryEvents

EVENTS_PER_TURN: Final = 64
BUFFER_BYTES: Final = 65536
_FOREVER: Final = 86400.0
READ, WRITE = select.EPOLLIN, select.EPOLLOUT
BROKEN = select.EPOLLERR | select.EPOLLHUP
AGAIN: Final = 1 << 24
"""No event of the kernel: see ``call_again``."""

log = logging.getLogger("odp_trio.net")

Callback = Callable[[int], None]
OnError = Callable[[Exception], None]


class Reactor(trio.abc.Instrument):
    """Calls back when sockets are ready.  One for an event loop; use ``open_reactor()``.

    ``buffer``/``view`` are the one read buffer that all callbacks share: what is
    in it belongs to a callback only until it returns.
    """

    def __init__(self) -> None:
        self.buffer = bytearray(BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.turns = 0
        self.events = 0
        self.errors = 0
        self._epoll = select.epoll()
        self._callbacks: dict[int, tuple[Callback, OnError]] = {}
        self._trio_fd = -1
        self._token: trio.lowlevel.TrioToken | None = None
        self._woke = False
        self._again: set[int] = set()
        self._owners = 1
        self.listeners = 0
        """How many of the descriptors are no connections."""
        self._memory: MemoryEvents | None = None
        """Made for the first socket in memory."""

    # ---- sockets ------------------------------------------------------------

    def register(self, fd: int, callback: Callback, on_error: OnError, events: int = READ) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready, level-triggered.

        What the callback raises is handed to ``on_error``.
        """
        if fd < -1:
            self._callbacks[fd] = (callback, on_error)
            self._in_memory().register(fd, events)
            return
        self._epoll.register(fd, events)
        self._callbacks[fd] = (callback, on_error)

    def modify(self, fd: int, events: int) -> None:
        """Change what ``fd`` is watched for; to watch for nothing, unregister: a broken socket would spin."""
        if fd < -1:
            self._in_memory().modify(fd, events)
        else:
            self._epoll.modify(fd, events)

    def redirect(self, fd: int, callback: Callback, on_error: OnError) -> None:
        """Call somebody else about a registered descriptor."""
        self._callbacks[fd] = (callback, on_error)

    def call_again(self, fd: int) -> None:
        """Call back about ``fd`` in the next turn, ready or not: its owner has bytes that the kernel knows nothing of.

        The callback gets ``READ | AGAIN``, and may find that it does not want to read now.
        """
        if fd < -1:
            self._in_memory().call_again(fd, READ | AGAIN)
        else:
            self._again.add(fd)

    def unregister(self, fd: int) -> None:
        """Forget ``fd``; must come before it is closed.  Events of the same batch are dropped."""
        if self._callbacks.pop(fd, None) is not None:
            if fd < -1:
                self._in_memory().unregister(fd)
                return
            self._epoll.unregister(fd)
            self._again.discard(fd)

    def _in_memory(self) -> MemoryEvents:
        if self._memory is None:
            from odp_trio.net.memory_events import MemoryEvents  # a proxy that has a port never gets here

            self._memory = MemoryEvents(self.wake, self._note_runnable, self._call_back)
        return self._memory

    @property
    def sockets(self) -> int:
        """How many connections are registered."""
        return len(self._callbacks) - self.listeners

    def wake(self, task: trio.lowlevel.Task) -> None:
        """Make a parked task runnable, from a callback or from a task."""
        trio.lowlevel.reschedule(task)
        self._woke = True

    def start_soon(self, nursery: trio.Nursery, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task, from a callback or from a task."""
        nursery.start_soon(function, *args)
        self._woke = True

    def cancel(self, scope: trio.CancelScope) -> None:
        """Cancel a scope, from a callback or from a task."""
        scope.cancel()
        self._woke = True

    @property
    def attached(self) -> bool:
        """Whether it sleeps inside Trio's wait."""
        return self._trio_fd >= 0

    # ---- driving ------------------------------------------------------------

    def attach(self) -> bool:
        """Sleep inside Trio's wait from now on; answer False where that is not possible."""
        fd = trio_epoll_fd()
        if fd is None:
            return False
        self._epoll.register(fd, READ)
        self._trio_fd = fd
        self._token = trio.lowlevel.current_trio_token()
        trio.lowlevel.add_instrument(self)
        return True

    def detach(self) -> None:
        """Stop sleeping inside Trio's wait; keep the registrations."""
        if self._trio_fd >= 0:
            trio.lowlevel.remove_instrument(self)
            self._epoll.unregister(self._trio_fd)
            self._trio_fd = -1

    def lend(self) -> Reactor:
        """Return this reactor to one more owner, who closes it too."""
        self._owners += 1
        return self

    def close(self) -> None:
        """Detach and give the epoll back, when the last of its owners says so."""
        self._owners -= 1
        if self._owners:
            return
        if self.attached and _of_this_loop.get(None) is self:
            _of_this_loop.set(None)
        self.detach()
        if self._memory is not None:
            self._memory.close()
        self._epoll.close()

    async def run_nested(self) -> NoReturn:
        """Serve sockets from a task of their own (the fallback)."""
        fd = self._epoll.fileno()
        while True:
            if self._again:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(fd)
            self._turn(self._epoll.poll(0, EVENTS_PER_TURN))

    def before_io_wait(self, timeout: float) -> None:
        """Trio has nothing to run for ``timeout`` seconds: serve sockets until it has."""
        self._woke = False
        if timeout <= 0:
            self._turn(self._epoll.poll(0, EVENTS_PER_TURN))
            return
        poll, turn, now = self._epoll.poll, self._turn, time.monotonic
        deadline = None if timeout > _FOREVER else now() + timeout
        while True:
            if turn(poll(0 if self._again else None if deadline is None else timeout, EVENTS_PER_TURN)):
                if self._woke:
                    self._nudge()
                return
            if deadline is not None and (timeout := deadline - now()) <= 0:
                if not idleness_is_awaited():
                    self._nudge()
                return

    def _turn(self, batch: list[tuple[int, int]]) -> bool:
        """Run the callbacks of one batch; answer whether Trio has something to do."""
        trio_ready = False
        callbacks = self._callbacks
        self.turns += 1
        if self._again:
            batch = self._with_again(batch)
        self.events += len(batch)
        for fd, events in batch:
            entry = callbacks.get(fd)  # may have gone earlier in this batch
            if entry is None:
                trio_ready = trio_ready or fd == self._trio_fd
                continue
            try:
                entry[0](events)
            except Exception as exc:  # a bug of one session must not end the others
                self.errors += 1
                entry[1](exc)
        return trio_ready or self._woke

    def _call_back(self, fd: int, events: int) -> None:
        """Run the callback of a socket in memory."""
        self.events += 1
        self.turns += 1
        callback, on_error = self._callbacks[fd]
        try:
            callback(events)
        except Exception as exc:
            self.errors += 1
            on_error(exc)

    def _note_runnable(self) -> None:
        self._woke = True

    def _with_again(self, batch: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Add those that are to be called though nothing happened."""
        ready = dict(batch) | dict.fromkeys(self._again, READ | AGAIN)
        self._again.clear()
        return list(ready.items())

    def _nudge(self) -> None:
        """Make Trio's own wait, whose timeout is stale by now, return at once."""
        if self._token is not None:
            self._token.run_sync_soon(_nothing, idempotent=True)


_of_this_loop: Final[trio.lowlevel.RunVar[Reactor | None]] = trio.lowlevel.RunVar("odp_trio reactor")
"""The one that sleeps inside Trio's wait."""


def _nothing() -> None:
    """What Trio is nudged with."""


def trio_epoll_fd() -> int | None:
    """Return the descriptor of the epoll that Trio sleeps in; None where it cannot be had.

    Not public API: ``io_manager._epoll`` of the runner, as in trio 0.31 to 0.35.
    """
    try:
        from trio._core._run import GLOBAL_RUN_CONTEXT

        fd: int = GLOBAL_RUN_CONTEXT.runner.io_manager._epoll.fileno()
    except (ImportError, AttributeError):
        return None
    return fd


def idleness_is_awaited() -> bool:
    """Whether Trio sleeps to see if nothing happens meanwhile: for a test, or a clock that jumps.  Not public API."""
    try:
        from trio._core._run import GLOBAL_RUN_CONTEXT

        runner = GLOBAL_RUN_CONTEXT.runner
        return bool(runner.waiting_for_idle) or runner.clock_autojump_threshold != math.inf
    except (ImportError, AttributeError):
        return False


def open_reactor(mode: str = "auto") -> Reactor:
    """Make a reactor for the running loop.

    ``mode``: ``inside``/``auto`` sleep inside Trio's wait where possible (``attached`` tells);
    ``nested`` never does.  The caller runs ``run_nested()`` in a task when it is not attached.
    One that sleeps inside Trio's wait already is shared; each who opened it closes it.
    """
    if mode == "nested":
        return Reactor()
    found = _of_this_loop.get(None)
    if found is not None:
        return found.lend()
    reactor = Reactor()
    if reactor.attach():
        _of_this_loop.set(reactor)
    else:
        log.warning("Trio's epoll cannot be found: sockets are served from a task, which is slower")
    return reactor
