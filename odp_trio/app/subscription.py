"""Events as an asynchronous iterator: bounded, and honest about what was lost."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, final

import trio

from odp_trio.events import Announcements, Event, EventsLost


@final
class Subscription(AsyncIterator[Event]):
    """What happens from now on, one event at a time: ``async for event in subscription``.

    At most ``limit`` events wait; who is slower loses the oldest, and gets an ``EventsLost`` in their place.  The
    iteration ends behind the last event when the proxy has ended, or at ``close()``.  One that is forgotten is closed
    when it is collected.  One task may iterate at a time.
    """

    def __init__(
        self,
        announcements: Announcements,
        limit: int = 1000,
        wake: Callable[[trio.lowlevel.Task], None] = trio.lowlevel.reschedule,
    ) -> None:
        """Begin to listen; raise ValueError for a limit below one.

        ``wake`` makes a task runnable, from a callback too.
        """
        if limit < 1:
            raise ValueError(f"a subscription of {limit} events: at least one must fit")
        self._waiting: deque[Event] = deque()
        self._limit = limit
        self._lost = 0
        self._over = False
        self._task: trio.lowlevel.Task | None = None
        self._reschedule = wake
        reference = weakref.ref(self)

        def hear(event: Event) -> None:
            subscription = reference()
            if subscription is not None:
                subscription._hear(event)

        self._finalizer = weakref.finalize(self, announcements.leave, hear)
        self._finalizer.atexit = False
        announcements.listen(hear)

    def _hear(self, event: Event) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(event)
        self._wake()

    def end(self) -> None:
        """Hear no more; what waits is still given out."""
        self._finalizer()
        self._over = True
        self._wake()

    def close(self) -> None:
        """Hear no more, and forget what waits."""
        self._waiting.clear()
        self._lost = 0
        self.end()

    def _wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            self._reschedule(task)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not (self._waiting or self._over):
            await self._wait()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if self._lost:
            lost, self._lost = self._lost, 0
            return EventsLost(trio.current_time(), lost)
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.popleft()

    async def _wait(self) -> None:
        if self._task is not None:
            raise trio.BusyResourceError("another task waits for these events")
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
