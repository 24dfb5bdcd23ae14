"""How late the event loop is: a timer that says how much later than wanted it was served."""

from __future__ import annotations

from typing import Final, NoReturn

import trio

from odp_trio.observe import Histogram

INTERVAL: Final = 0.25
"""Seconds between two looks."""


async def watch_loop(lag: Histogram, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
    """Count in how late each look was, four times a second: what a client that comes then waits for."""
    task_status.started()
    while True:
        due = trio.current_time() + INTERVAL
        await trio.sleep_until(due)
        lag.add(max(0, int((trio.current_time() - due) * 1e9)))
