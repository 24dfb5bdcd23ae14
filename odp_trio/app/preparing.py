"""What a proxy needs soon, but not for its first statement: imported when who has waited for the proxy is served."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from types import ModuleType
from typing import Final

import trio

from odp_trio.catalog.clusters import Clusters
from odp_trio.sql.dml import prepare

log = logging.getLogger("odp_trio")

PARTITIONS: Final = "odp_trio.routing.partition"
HTTP: Final = "odp_trio.admin.http"
_LONGEST: Final = 0.3
_POLL: Final = 0.02
_PAUSE: Final = 0.05
"""A login and a statement take a tenth of it.  Imports are in a thread, but two threads of Python take turns."""


async def first_statements(clusters: Clusters) -> None:
    """Return a moment after the clusters are known that somebody may wait for; after 0.3 seconds in any case."""
    with trio.move_on_after(_LONGEST):
        while not all(cluster.available for cluster in clusters.resources()):  # noqa: ASYNC110  # of several
            await trio.sleep(_POLL)
        await trio.sleep(_PAUSE)


async def prepare_statements(clusters: Clusters) -> None:
    """Make and import what statements need, in a thread: they must not wait for it."""
    try:
        await trio.to_thread.run_sync(prepare, abandon_on_cancel=True)
        await first_statements(clusters)
        await trio.to_thread.run_sync(import_module, PARTITIONS, abandon_on_cancel=True)
    except Exception:  # then the first statement fails of it, visibly, and is routed without facts
        log.exception("preparing for statements")


async def import_http(clusters: Clusters) -> ModuleType:
    """Return the module of HTTP: with all that it needs it takes a quarter of a second, in a thread."""
    if HTTP not in sys.modules:
        await first_statements(clusters)
    return await trio.to_thread.run_sync(import_module, HTTP, abandon_on_cancel=True)
