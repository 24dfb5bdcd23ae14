"""Looks after a place for as long as there is one: who is hung there is killed."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import msgspec
import trio

from odp_trio.process.child import Child
from odp_trio.process.greeting import greets
from odp_trio.process.health import Probation, Signs, Verdict, judge
from odp_trio.process.place import Place

log = logging.getLogger("odp_trio.watch")


class Probing(msgspec.Struct, frozen=True):
    """How is probed.  Times are in seconds.

    ``address`` is where a greeting is to be had.  Where several processes listen there, nobody knows which of them
    would greet: then it is None, and what each says of itself must do.
    """

    interval: float
    timeout: float
    failures: int
    address: tuple[str, int] | None


async def probe_for_ever(place: Place, probing: Probing, stopping: Callable[[], bool]) -> None:
    """Kill whoever is hung in a place."""
    while True:
        child, probation = place.current, Probation(probing.failures)
        while child is place.current:
            await trio.sleep(probing.interval)
            if child is None or not child.serving.is_set() or stopping():
                continue
            if probation.hung(await _probe(child, probing)) and child is place.current:
                what = "greeting" if probing.address is not None else "sign of life"
                log.error("proxy %d is hung: no %s %d times in a row; killed", child.pid, what, probation.failed)
                child.signal(signal.SIGKILL)
                await child.gone.wait()


async def _probe(child: Child, probing: Probing) -> Verdict:
    """Ask for a greeting, unless the child has just said that nobody is accepted.

    Then the probe would only wait in the kernel's queue, and be in the way of clients who do.
    """
    limit = probing.timeout
    silence = trio.current_time() - child.beat_at
    if probing.address is None:
        return Verdict.WELL if silence <= limit else Verdict.SICK
    if not child.beat.accepting and silence <= limit:
        return Verdict.EXCUSED
    greeted = await greets(probing.address, limit)
    silence = trio.current_time() - child.beat_at
    return judge(Signs(greeted, silence, child.beat.accepting), silence_limit=limit)
