"""What an OBServer can be told to do wrong, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from odp_trio.model import Address


@dataclass(slots=True)
class Answer:
    """Answer a statement with an ERR packet instead of running it; ``times`` < 0 is for ever."""

    match: re.Pattern[str]
    errno: int
    sqlstate: str
    message: str
    times: int = 1
    reroute: Address | None = None
    """Named in the answer to a proxy, as error 5727 does."""


@dataclass(slots=True)
class Miss:
    """Report a partition miss in the answer to a statement; ``times`` < 0 is for ever."""

    match: re.Pattern[str]
    times: int = 1


@dataclass(slots=True)
class LoginError:
    """Answer logins with an ERR packet; ``times`` < 0 is for ever."""

    errno: int
    sqlstate: str
    message: str
    times: int = 1


@dataclass(slots=True)
class Faults:
    """The faults of one OBServer.  Those in the lists may be other servers' too, and are used up together."""

    slow: float = 0.0
    """Seconds that every request waits."""
    cut_after: int | None = None
    """Bytes of the next answer after which the connection is reset."""
    answers: list[Answer] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    logins: list[LoginError] = field(default_factory=list)
    thawed: trio.Event | None = None
    """While it is not None and not set, nothing moves."""

    def end(self) -> None:
        """Forget all of them but a freeze."""
        self.slow, self.cut_after = 0.0, None
        for armed in (self.answers, self.misses, self.logins):
            armed.clear()

    async def wait_thawed(self) -> None:
        """Wait while the server is frozen."""
        if self.thawed is not None:
            await self.thawed.wait()

    def take_answer(self, sql: str) -> Answer | None:
        """Return the armed answer for a statement and count it off."""
        return _take(self.answers, sql)

    def take_miss(self, sql: str) -> Miss | None:
        """Return the armed miss for a statement and count it off."""
        return _take(self.misses, sql)

    def take_login(self) -> LoginError | None:
        """Return the armed login error and count it off."""
        return next((fault for fault in self.logins if _count_off(fault)), None)


F = TypeVar("F", Answer, Miss)


def _take(faults: list[F], sql: str) -> F | None:
    found = next((fault for fault in faults if fault.times and fault.match.search(sql)), None)
    if found is not None:
        _count_off(found)
        faults[:] = [fault for fault in faults if fault.times]  # a bed may arm thousands
    return found


def _count_off(fault: Answer | Miss | LoginError) -> bool:
    """Use a fault once; answer whether it was not used up already, here or on another server that has it too."""
    if not fault.times:
        return False
    fault.times -= 1
    return True
