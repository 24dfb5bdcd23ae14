"""What can be done to the OBServers of a demo from its terminal: ``kill 2``, ``revive 2`` …"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from odp_trio.testing.bed import Testbed

HELP: Final = """\
  kill N     OBServer N (127.0.0.N) is gone     revive N  it is back
  freeze N   it accepts, and never answers      thaw N    it goes on
  slow N S   its answers take S seconds more    heal      all is well"""

_READER: Final = trio.CapacityLimiter(1)


class BadVerb(Exception):
    """A line that cannot be understood; the message says what can."""


def verbs(bed: Testbed) -> Mapping[str, Callable[[int], Awaitable[object]]]:
    """Return what takes the number of an OBServer, counted from 0."""

    async def freeze(number: int) -> None:
        bed.freeze(number)

    return {"kill": bed.kill, "revive": bed.revive, "freeze": freeze, "thaw": bed.thaw}


async def obey(bed: Testbed, line: str) -> str:
    """Do what a line says; return what was done, or the help; raise BadVerb."""
    words = line.split()
    if not words or words == ["help"]:
        return HELP
    known = verbs(bed)
    if words == ["heal"]:
        for index in range(len(bed.observers)):
            await bed.revive(index)
        bed.end_faults()
        return "every OBServer is well"
    match words:
        case [verb, number] if verb in known:
            observer = _observer(bed, number)
            await known[verb](observer)
            return f"{verb} {bed.observers[observer].address}: done"
        case ["slow", number, seconds]:
            observer = _observer(bed, number)
            bed.slow(observer, _seconds(seconds))
            return f"requests to {bed.observers[observer].address} wait {seconds} s"
        case _:
            raise BadVerb(f"{line.strip()!r} is not understood\n{HELP}")


def _observer(bed: Testbed, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= len(bed.observers):
        raise BadVerb(f"{text!r} is no OBServer: 1 to {len(bed.observers)}")
    return int(text) - 1


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise BadVerb(f"{text!r} is no number of seconds: 0 to 3600")
    return seconds


async def read_verbs(bed: Testbed, say: Callable[[str], None]) -> None:
    """Obey the lines of standard input until it ends."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True, limiter=_READER):
        try:
            say(await obey(bed, line))
        except BadVerb as exc:
            say(str(exc))
