"""What a check asked and what it saw, for the report."""

from __future__ import annotations

from collections import deque
from typing import Final, final

import msgspec

KEPT: Final = 60
"""Lines of one check; the middle of a longer one is left out."""
_LONGEST: Final = 400


class Note(msgspec.Struct, frozen=True):
    """One line: ``who`` is a session, or the suite itself."""

    who: str
    asked: str
    seen: str


@final
class Notes:
    """The lines of one check, the first and the last of them."""

    def __init__(self) -> None:
        self._first: list[Note] = []
        self._last: deque[Note] = deque(maxlen=KEPT // 2)
        self.left_out = 0

    def add(self, who: str, asked: str, seen: object = "") -> None:
        """Write a line."""
        note = Note(who, _short(asked), _short(str(seen)))
        if len(self._first) < KEPT // 2:
            self._first.append(note)
            return
        self.left_out += len(self._last) == self._last.maxlen
        self._last.append(note)

    def lines(self) -> list[Note]:
        """Return them, oldest first."""
        gap = [Note("", f"… {self.left_out} more", "")] if self.left_out else []
        return [*self._first, *gap, *self._last]


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"
