"""When, and whether, a failed child is started again: pure decisions.

The words and meanings are OTP's.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from random import Random
from typing import final

import msgspec


class Restart(Enum):
    """Which ends of a child call for another start."""

    PERMANENT = "permanent"
    """Every end, a return included."""
    TRANSIENT = "transient"
    """Failures only."""
    TEMPORARY = "temporary"
    """None."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait before another start, in seconds: ``first``, growing by ``factor`` up to ``limit``."""

    first: float = 0.1
    limit: float = 30.0
    factor: float = 2.0
    jitter: float = 0.1
    """Share by which a delay may be longer, so that many do not start in step."""

    def delay(self, attempt: int, rng: Random) -> float:
        """Return the wait before attempt number ``attempt`` (1 is the first restart)."""
        exponent = min(attempt - 1, 64)  # beyond that every delay is the limit, and floats overflow
        return min(self.limit, self.first * self.factor**exponent) * (1 + self.jitter * rng.random())


class Intensity(msgspec.Struct, frozen=True):
    """How many restarts within how many seconds are too many."""

    restarts: int = 5
    period: float = 60.0


class RestartIn(msgspec.Struct, frozen=True):
    """Start again after ``delay`` seconds."""

    delay: float


class Finish(msgspec.Struct, frozen=True):
    """The child is done."""


class Escalate(msgspec.Struct, frozen=True):
    """The child failed too often: its supervisor gives up."""


Decision = RestartIn | Finish | Escalate


@final
class RestartLedger:
    """Remembers a child's restarts and rules on the next one.

    A life longer than the intensity's period (or, without an intensity, than
    the back-off's limit) forgives the failures before it.
    """

    def __init__(self, restart: Restart, backoff: Backoff, intensity: Intensity | None, rng: Random) -> None:
        self._restart = restart
        self._backoff = backoff
        self._intensity = intensity
        self._rng = rng
        self._attempt = 0
        self._restarts: deque[float] = deque()

    def exited(self, now: float, lived: float, error: Exception | None) -> Decision:
        """Rule on a child that ended at ``now`` after ``lived`` seconds, by ``error`` or by returning."""
        if self._restart is Restart.TEMPORARY or (self._restart is Restart.TRANSIENT and error is None):
            return Finish()
        period = self._intensity.period if self._intensity else self._backoff.limit
        if lived >= period:
            self._attempt = 0
            self._restarts.clear()
        if self._intensity is not None and not self._admits(now, self._intensity):
            return Escalate()
        self._attempt += 1
        return RestartIn(self._backoff.delay(self._attempt, self._rng))

    def _admits(self, now: float, intensity: Intensity) -> bool:
        while self._restarts and now - self._restarts[0] >= intensity.period:
            self._restarts.popleft()
        if len(self._restarts) >= intensity.restarts:
            return False
        self._restarts.append(now)
        return True
