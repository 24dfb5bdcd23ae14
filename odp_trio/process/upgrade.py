"""A new version takes over the sockets of a running proxy that nobody watches."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from odp_trio.process.child import Child, start_child, wait_serving, why_not
from odp_trio.process.inherited import Inherited
from odp_trio.process.link import Serve

log = logging.getLogger("odp_trio.process")

START_LIMIT: Final = 30.0
"""Seconds within which a new version must serve."""


async def take_over(
    command: Sequence[str], sockets: Inherited, version: int, environment: Mapping[str, str], nursery: trio.Nursery
) -> int | None:
    """Start the new version and wait until it serves; return its process id, or None, and log why not.

    The new process outlives this one.  ``nursery`` watches it as long as both are there.
    """
    try:
        new = start_child(command, sockets, environment)
    except OSError as exc:
        log.error("hot upgrade failed, nothing has changed: the new version cannot be started: %s", exc)
        return None
    nursery.start_soon(_attend, new)
    log.info("hot upgrade: process %d is starting", new.pid)
    new.tell(Serve(version, when_ready=True, outlive=True))
    if await wait_serving(new, START_LIMIT):
        log.info("hot upgrade: process %d serves; this one drains", new.pid)
        return new.pid
    log.error("hot upgrade failed, nothing has changed: %s", why_not(new, START_LIMIT))
    new.signal(signal.SIGKILL)
    return None


async def _attend(child: Child) -> None:
    await child.attend()
