"""Something that fails again and again: how often, why, and when that is worth a line in the log."""

from __future__ import annotations

from typing import Final

import msgspec

REMINDER_SECONDS: Final = 600.0
"""How often a failure that stays the same is logged again."""


class Trouble(msgspec.Struct):
    """Failures in a row.  ``since`` is the time of the first one."""

    failures: int = 0
    reason: str = ""
    since: float = 0.0
    _logged_at: float = 0.0

    def note(self, reason: str, now: float) -> bool:
        """Count a failure; answer whether to log it: it is the first, another one, or the last line was long ago."""
        news = not self.failures or reason != self.reason or now - self._logged_at >= REMINDER_SECONDS
        if not self.failures:
            self.since = now
        self.failures += 1
        self.reason = reason
        if news:
            self._logged_at = now
        return news

    def clear(self) -> int:
        """It works again; return how many failures there were."""
        failures, self.failures, self.reason = self.failures, 0, ""
        return failures
