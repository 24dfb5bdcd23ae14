"""What is kept for one session, against ``client_max_memory_size``.

It is added up where something new is kept, and weighed exactly only when so
much has come that the limit may have been reached: nothing is counted for a
statement that leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

DEFAULT_LIMIT: Final = 8 << 20
_LEAST_SHARE: Final = 16


@final
class Account:
    """The account of one session.  ``over``: more is kept than may be, and the session must end."""

    __slots__ = ("_grown", "_room", "limit", "over", "weight")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.over = False
        self.weight = 0
        """Bytes when they were weighed last."""
        self._grown = 0
        self._room = limit

    def allow(self, limit: int) -> None:
        """So much may be kept."""
        self.limit = limit
        self.settle(self.weight + self._grown)

    def grow(self, size: int, weigh: Callable[[], int]) -> None:
        """Something of ``size`` bytes is kept, perhaps in place of something else; ``weigh`` says how much is now."""
        self._grown += size
        if self._grown > self._room:
            self.settle(weigh())

    def settle(self, weight: int) -> None:
        """It was weighed.  Close to the limit it is not weighed for every byte: up to a sixteenth more may be kept."""
        self.weight, self._grown = weight, 0
        self._room = max(self.limit - weight, self.limit // _LEAST_SHARE)
        self.over = weight > self.limit
