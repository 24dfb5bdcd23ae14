"""How a proxy is watched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from odp_trio.workers.asking import Question


def _pass_over(_: Question) -> None:
    return


class WatchOptions(msgspec.Struct, frozen=True):
    """How a proxy is watched.  Times are in seconds."""

    probe_interval: float = 1.0
    probe_timeout: float = 2.0
    probe_failures: int = 3
    settle: float = 10.0
    """A shorter life is a death at once."""
    give_up_after: int = 5
    """So many of those in a row may be; one more is too many."""
    start_limit: float = 30.0
    drain_limit: float = 60.0
    """How long a proxy that was told to drain may take before it is killed."""
    spare: bool = True
    status_file: Path | None = None
    ready_file: Path | None = None
    """Written when all workers serve; a single process writes its own."""
    proxy_id: int = 0
    """What all workers have in their connection ids, where the settings say nothing."""
    clusters: tuple[str, ...] = ()
    """For the ready file."""
    note: Callable[[Question], None] = _pass_over
    """Gets what workers have the parent keep; it must not raise, nor wait."""
