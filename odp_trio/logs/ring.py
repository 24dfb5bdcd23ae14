"""The last lines of level WARN and above, for SHOW WARNLOG and /api/warnlog."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final, final

import msgspec

_LINES: Final = 1000
_LENGTH: Final = 2000
"""Characters of a line that are kept."""


class WarnLine(msgspec.Struct, frozen=True):
    """One line."""

    log_id: int
    """Counts the lines of this process, from 1."""
    thread_id: int
    time: float
    """Seconds of the wall clock."""
    level: str
    logger: str
    log: str

    @property
    def moment(self) -> str:
        """When, in local time, as ODP writes it."""
        return datetime.fromtimestamp(self.time).strftime("%Y-%m-%d %H:%M:%S.%f")


COLUMNS: Final = ("log_id", "thread_id", "time", "log")
"""Of SHOW WARNLOG, as in ODP."""


@final
class WarnRing:
    """Keeps the last lines; older ones are forgotten."""

    def __init__(self, lines: int = _LINES) -> None:
        self._lines: deque[WarnLine] = deque(maxlen=lines)
        self._count = 0
        self.levels: Counter[str] = Counter()
        """How many lines there were, in all, by level."""

    def add(self, thread_id: int, time: float, level: str, logger: str, text: str) -> None:
        """Keep a line."""
        self._count += 1
        self.levels[level] += 1
        shown = text if len(text) <= _LENGTH else f"{text[:_LENGTH]}..."
        self._lines.append(WarnLine(self._count, thread_id, time, level, logger, shown))

    def lines(self, log_id: int = 0, thread_id: int = 0, since: float = 0.0) -> Sequence[WarnLine]:
        """Return the lines from a number on, of one thread (0: of any), not older than ``since``, the oldest first."""
        return [
            line
            for line in tuple(self._lines)
            if line.log_id >= log_id and thread_id in (0, line.thread_id) and line.time >= since
        ]

    def rows(self, log_id: int = 0, thread_id: int = 0, since: float = 0.0) -> list[tuple[int, int, str, str]]:
        """Return the rows of ``SHOW WARNLOG [log_id[, thread_id[, 'time']]]``."""
        return [
            (line.log_id, line.thread_id, line.moment, f"{line.level} [{line.logger}] {line.log}")
            for line in self.lines(log_id, thread_id, since)
        ]
