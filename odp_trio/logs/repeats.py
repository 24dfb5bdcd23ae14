"""The same message about the same source over and over: some are written, the rest is counted.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

WINDOW: Final = 60.0
"""Seconds in which repetitions are counted."""
_KINDS: Final = 4096
"""Kinds of messages that are known at a time; of further ones the oldest are forgotten."""

Kind = tuple[str, int, str]
"""The name of a logger, a level, and what messages have in common."""


@final
class _Seen:
    __slots__ = ("count", "since", "text")

    def __init__(self, since: float, text: str) -> None:
        self.since = since
        self.text = text
        self.count = 0


@final
class Repeats:
    """Counts messages by kind."""

    def __init__(self) -> None:
        self._seen: dict[Kind, _Seen] = {}
        self.left_out = 0
        """All that were ever left out."""

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, kind: Kind, text: str, limit: int, now: float) -> bool:
        """Whether a message is to be written; ``limit`` is how many of a kind may be in a window, 0: all of them."""
        if not limit:
            return True
        seen = self._seen.get(kind)
        if seen is None:
            if len(self._seen) >= _KINDS:
                del self._seen[next(iter(self._seen))]
            seen = self._seen[kind] = _Seen(now, text)
        seen.count += 1
        if seen.count <= limit:
            return True
        self.left_out += 1
        return False

    def over(self, limit: int, now: float) -> Iterator[tuple[Kind, str, int]]:
        """End the windows whose time has come; yield the first message of each and how many like it were left out."""
        while self._seen:
            kind, seen = next(iter(self._seen.items()))
            if now - seen.since < WINDOW:
                return
            del self._seen[kind]
            if limit and seen.count > limit:
                yield kind, seen.text, seen.count - limit
