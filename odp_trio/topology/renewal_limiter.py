"""How many locations may be renewed in a second: after a change of leaders many are wrong at once."""

from __future__ import annotations

from typing import final


@final
class RenewalLimiter:
    """How many renewals may start in a second, in the whole process.

    Normally ``normal``.  When more than that become dirty within one second, only
    ``limited`` for the next 10 to 20 seconds; ``chance`` says where in between (0 to 1).
    """

    __slots__ = ("_dirty", "_limited_until", "_second", "_started", "limited", "normal", "refused")

    def __init__(self, normal: int = 100, limited: int = 10) -> None:
        self.normal = normal
        self.limited = limited
        self.refused = 0
        self._second = -1
        self._started = 0
        self._dirty = 0
        self._limited_until = 0.0

    def note_dirty(self, now: float, chance: float) -> None:
        """One more entry became dirty."""
        self._turn(now)
        self._dirty += 1
        if self._dirty > self.normal and now >= self._limited_until:
            self._limited_until = now + 10.0 + 10.0 * chance

    def admit(self, now: float) -> bool:
        """Whether one more renewal may start now; counts it if so."""
        self._turn(now)
        if self._started >= (self.limited if now < self._limited_until else self.normal):
            self.refused += 1
            return False
        self._started += 1
        return True

    def is_limited(self, now: float) -> bool:
        """Whether the lower limit is in force."""
        return now < self._limited_until

    def _turn(self, now: float) -> None:
        if (second := int(now)) != self._second:
            self._second, self._started, self._dirty = second, 0, 0
