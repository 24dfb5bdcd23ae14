"""When a proxy that died is started again, and when it is given up.  Pure."""

from __future__ import annotations

from typing import Final, final

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0


@final
class Lives:
    """Remembers short lives in a row.

    A life of ``settle`` seconds or more forgives those before it, and the next
    one begins at once.  After a shorter one there is a pause that grows; after
    more than ``give_up_after`` in a row there is no next one.
    """

    def __init__(self, settle: float, give_up_after: int) -> None:
        self._settle = settle
        self._give_up_after = give_up_after
        self.short = 0

    def ended(self, lived: float) -> float | None:
        """Take the length of a life that was no success; return the pause before the next, or None to give up."""
        if lived >= self._settle:
            self.short = 0
            return 0.0
        self.short += 1
        if self.short > self._give_up_after:
            return None
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.short - 1, 16))
