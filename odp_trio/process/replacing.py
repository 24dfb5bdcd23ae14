"""A hot upgrade of every place: new processes come to serve in all of them, or in none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from odp_trio.process.child import Child, wait_prepared, wait_serving, why_not
from odp_trio.process.link import Listen
from odp_trio.process.place import Place

log = logging.getLogger("odp_trio.watch")

Pair = tuple[Place, Child]


async def prepare_all(candidates: Sequence[Pair], limit: float) -> str:
    """Wait until all could take clients; say why one cannot, or nothing."""
    problems: list[str] = []

    async def prepare(child: Child, scope: trio.CancelScope) -> None:
        if not await wait_prepared(child, limit):
            problems.append(why_not(child, limit))
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for _, child in candidates:
            nursery.start_soon(prepare, child, nursery.cancel_scope)
    return problems[0] if problems else ""


async def listen_all(candidates: Sequence[Pair], limit: float, served: Callable[[Place, Child], None]) -> None:
    """Have all take clients; ``served`` is called for each when it does, or ends, or does not in time."""

    async def listen(place: Place, child: Child) -> None:
        if not child.serving.is_set():
            child.tell(Listen())
        if not await wait_serving(child, limit):
            log.error("%s", why_not(child, limit))
        served(place, child)

    async with trio.open_nursery() as nursery:
        for place, child in candidates:
            nursery.start_soon(listen, place, child)
