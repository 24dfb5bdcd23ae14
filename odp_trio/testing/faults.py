"""What an OBServer can be told to do wrong, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeVar

import trio


@dataclass(slots=True)
class Answer:
    """Answer a statement with an ERR packet instead of running it; ``times`` < 0 is for ever."""

    match: re.Pattern[str]
    errno: int
    sqlstate: str
    message: str
    times: int = 1


@dataclass(slots=True)
class Miss:
    """Report a partition miss in the answer to a statement."""

    match: re.Pattern[str]
    times: int = 1


@dataclass(slots=True)
class LoginError:
    """Answer logins with an ERR packet."""

    errno: int
    sqlstate: str
    message: str
    times: int = 1


@dataclass(slots=True)
class Faults:
    """The faults of one OBServer."""

    slow: float = 0.0
    """Seconds that every request waits."""
    cut_after: int | None = None
    """Bytes of the next answer after which the connection is reset."""
    answers: list[Answer] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    logins: list[LoginError] = field(default_factory=list)
    thawed: trio.Event | None = None
    """While it is not None and not set, nothing moves."""

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
        if not self.logins:
            return None
        fault = self.logins[0]
        fault.times -= 1
        if not fault.times:
            self.logins.pop(0)
        return fault


F = TypeVar("F", Answer, Miss)


def _take(faults: list[F], sql: str) -> F | None:
    for fault in faults:
        if fault.match.search(sql):
            fault.times -= 1
            if not fault.times:
                faults.remove(fault)
            return fault
    return None
