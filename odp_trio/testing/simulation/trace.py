"""What happened, in the order in which it did: a digest of all of it, and the last of it in words."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final, final

import trio

KEPT: Final = 400


@final
class Trace:
    """Events of one run.  Two runs of a seed have the same ``digest``."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=12)
        self.last: deque[str] = deque(maxlen=KEPT)
        self.events = 0

    def note(self, what: str) -> None:
        """Add an event."""
        line = f"{trio.current_time():.6f} {what}"
        self._hash.update(line.encode() + b"\n")
        self.last.append(line)
        self.events += 1

    @property
    def digest(self) -> str:
        """A hash of all events so far."""
        return self._hash.hexdigest()
