"""One seed for everything that chance or the machine would decide: order of tasks, clocks, threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final
from unittest.mock import patch

import trio
import trio._core._run as scheduler

WALL: Final = 1_767_225_600.0
"""What the clock on the wall shows when virtual time is 0."""


async def _inline(
    function: Callable[..., Any],
    *args: Any,
    thread_name: str | None = None,
    abandon_on_cancel: bool = False,
    limiter: object = None,
) -> Any:
    """Run what a thread was to run, here: virtual time would not wait for a thread."""
    del thread_name, abandon_on_cancel, limiter
    await trio.lowlevel.checkpoint()
    return function(*args)


def _wall() -> float:
    try:
        return WALL + trio.current_time()
    except RuntimeError:
        return WALL


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Make whatever ``trio.run`` runs within the block depend on the seed only.

    Trio's own switch for the order of tasks is not public: ``_ALLOW_DETERMINISTIC_SCHEDULING`` and ``_r``, as in
    trio 0.31 to 0.35.
    """
    before = scheduler._r.getstate()
    with (
        patch.object(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
        patch.object(trio.to_thread, "run_sync", _inline),
        patch.object(time, "time", _wall),
        patch.object(time, "time_ns", lambda: int(_wall() * 1e9)),
    ):
        scheduler._r.seed(seed)
        try:
            yield
        finally:
            scheduler._r.setstate(before)


def streams(seed: int) -> Callable[[str], Random]:
    """Return what makes a source of chance for each part, so that one more draw in one part changes no other."""
    return lambda part: Random(f"{seed}/{part}")
