"""The parent process: opens the sockets of a proxy and watches its one process, or its workers."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.process.inherited import NOTHING_INHERITED, Inherited
from odp_trio.process.place import bind_places
from odp_trio.process.sd_notify import Notifier
from odp_trio.process.watch import DRAIN_MARGIN, Watch
from odp_trio.process.watch_options import WatchOptions

_PROXY_IDS: Final = {1: 1 << 8, 2: 1 << 13}
"""By client_session_id_version."""


def workers_of(settings: Settings) -> int:
    """Return how many processes the proxy shall be."""
    return settings.workers or len(os.sched_getaffinity(0))


def run_watch(
    settings: Settings,
    command: Sequence[str],
    options: WatchOptions,
    *,
    ready_file: Path | None = None,
    inherited: Inherited = NOTHING_INHERITED,
) -> int:
    """Run the watch of a proxy and return its exit status; raise OSError for a port that cannot be had."""
    count = workers_of(settings)
    sockets, listeners = bind_places(settings, count, inherited)
    chance = random.SystemRandom()
    options = msgspec.structs.replace(
        options,
        drain_limit=settings.hot_upgrade_exit_timeout + DRAIN_MARGIN,
        ready_file=ready_file if count > 1 else None,
        proxy_id=settings.proxy_id or chance.randrange(1, _PROXY_IDS[settings.client_session_id_version]),
        clusters=tuple(settings.clusters),
    )

    async def watch() -> int:
        return await Watch(command, sockets, options, Notifier(), listeners).run()

    return trio.run(watch)
