"""What is known of texts that clients prepare, shared by all sessions of the process.

A thousand connections of one application prepare the same statements: their
texts, what was worked out of them and the number of their parameters are kept
once.  Nothing of a server or of a session is in here.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from odp_trio.sql.facts import Shape

ENTRY_BYTES: Final = 400
"""What an entry takes besides its text and its literals."""


class PreparedText(msgspec.Struct, frozen=True):
    """One text.  ``dialect`` is what the session's variables said of quotes when it was read."""

    text: bytes
    dialect: int
    shape: Shape
    literals: tuple[bytes, ...]
    parameters: int

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.text) + sum(map(len, self.literals)) + ENTRY_BYTES


@final
class PreparedTexts:
    """A bounded cache by text.

    Two generations: what is used moves to the young one; when that has half of the entries or half of the bytes it
    becomes the old one, and what was old and unused is gone.
    """

    __slots__ = (
        "_half_bytes",
        "_half_entries",
        "_old",
        "_young",
        "_young_bytes",
        "evictions",
        "hits",
        "misses",
        "size",
    )

    def __init__(self, entries: int, size: int) -> None:
        self._half_entries, self._half_bytes = entries // 2, size // 2
        self._young: dict[tuple[int, bytes], PreparedText] = {}
        self._old: dict[tuple[int, bytes], PreparedText] = {}
        self._young_bytes = 0
        self.size = 0
        """Bytes of all entries, about."""
        self.hits = self.misses = self.evictions = 0

    def get(self, text: bytes, dialect: int) -> PreparedText | None:
        """Return what is known of a text, None if nothing is."""
        key = dialect, text
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is None:
                self.misses += 1
                return None
            self.size -= found.size
            self._put(key, found)
        self.hits += 1
        return found

    def add(self, known: PreparedText) -> None:
        """Keep what was learnt of a text; one that would take more than its share is not kept."""
        key = known.dialect, known.text
        if known.size > self._half_bytes or not self._half_entries or key in self._young:
            return
        old = self._old.pop(key, None)
        if old is not None:
            self.size -= old.size
        self._put(key, known)

    def _put(self, key: tuple[int, bytes], known: PreparedText) -> None:
        if len(self._young) >= self._half_entries or self._young_bytes + known.size > self._half_bytes:
            self.evictions += len(self._old)
            self.size = self._young_bytes
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = known
        self._young_bytes += known.size
        self.size += known.size

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
