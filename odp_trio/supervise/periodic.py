"""A step again and again: ``every`` meets the failures that are expected of it.

A server that refuses or a query that times out is no bug: the step is tried
again, later and later if that is wanted, and who keeps the data is told, so
that it can say since when they are stale.  Anything else is a bug and goes up
to the supervisor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import NoReturn, final

import trio

from odp_trio.errors import CatalogError
from odp_trio.supervise.restart import Backoff


@final
class Bell:
    """Wakes a task, again and again.  A ring that nobody waits for is kept, and two such are one."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Wake who waits, or the next one who does."""
        self._rung.set()

    async def wait(self) -> None:
        """Sleep until the bell is rung."""
        await self._rung.wait()
        self._rung = trio.Event()


async def every(
    period: Callable[[], float],
    step: Callable[[], Awaitable[object]],
    *,
    rng: Random,
    expected: tuple[type[Exception], ...] = (CatalogError, OSError),
    backoff: Backoff | None = None,
    jitter: Callable[[], float] = lambda: 0.0,
    wake: Bell | None = None,
    on_success: Callable[[], None] | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> NoReturn:
    """Run ``step`` now, ``period()`` seconds after each end of it, and when ``wake`` is rung.

    The pause is up to ``jitter()`` of itself longer or shorter, so that many
    do not act in step; both are asked each time, since settings change.  After
    a failure of a kind in ``expected`` the pause is ``backoff``'s instead, if
    there is one.  Any other exception comes out.
    """
    bell = wake or Bell()
    failures = 0
    while True:
        try:
            await step()
        except Exception as exc:
            if not _is_expected(exc, expected):
                raise
            failures += 1
            if on_failure is not None:
                on_failure(exc)
        else:
            failures = 0
            if on_success is not None:
                on_success()
        if failures and backoff is not None:
            pause = backoff.delay(failures, rng)
        else:
            spread = jitter()
            pause = period() * (1 + rng.uniform(-spread, spread))
        with trio.move_on_after(pause):
            await bell.wait()


def _is_expected(error: Exception, expected: tuple[type[Exception], ...]) -> bool:
    """A step with a nursery of its own fails with a group: that is expected if all of it is."""
    if isinstance(error, ExceptionGroup):
        return error.split(expected)[1] is None
    return isinstance(error, expected)
