"""Moments as text: Trio's times, and seconds ago, by the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import trio

from odp_trio.session.services import Services


def moment(seconds: float) -> str:
    """Write seconds since the epoch, in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Clock(msgspec.Struct, frozen=True):
    """Trio's time and the wall clock at one moment."""

    now: float
    wall: float

    def at(self, time: float | None) -> str | None:
        """Write one of Trio's times; None stays."""
        return None if time is None else moment(self.wall - (self.now - time))

    def ago(self, seconds: float | None) -> str | None:
        """Write a moment so many seconds ago; None stays."""
        return None if seconds is None else moment(self.wall - seconds)

    def nanoseconds(self, time: float | None) -> int | None:
        """Return one of Trio's times as nanoseconds since the epoch."""
        return None if time is None else int((self.wall - (self.now - time)) * 1e6) * 1000


def clock(services: Services) -> Clock:
    """Return this moment."""
    return Clock(trio.current_time(), services.wall_clock_us() / 1e6)
