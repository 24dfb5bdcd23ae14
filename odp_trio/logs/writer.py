"""A thread that writes what others give it: whoever logs never waits for a disk or a pipe.

The queue is bounded.  What does not find room in it is dropped and counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar, final

T = TypeVar("T")

_LIMIT: Final = 8192
_PAUSE: Final = 0.02
"""Seconds between two batches: a thread that wakes for each line would take the interpreter from the loop each time."""
_PATIENCE: Final = 1.0
"""Seconds that the first lines wait for ``go``: before the port is open nothing is imported for them."""


@final
class Writer(Generic[T]):
    """Gives what it gets to ``write``, in batches, in a thread; ``tend`` is called there every second or so.

    What ``write`` raises drops its batch.  ``put`` may be called from any thread and never blocks.
    """

    def __init__(self, write: Callable[[list[T]], None], tend: Callable[[], None], limit: int = _LIMIT) -> None:
        self._write = write
        self._tend = tend
        self._limit = limit
        self._queue: deque[T] = deque()
        self._wanted = threading.Event()
        self._go = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """What found no room, in all."""

    def put(self, item: T) -> None:
        """Have something written."""
        if len(self._queue) >= self._limit:
            self.dropped += 1
            return
        self._queue.append(item)
        if not self._wanted.is_set():
            self._wanted.set()

    def start(self) -> None:
        """Start the thread.  It is a daemon: ``close`` lets it finish."""
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def go(self) -> None:
        """Write from now on: what is needed for it may be imported."""
        self._go.set()

    def close(self, limit: float = 10.0) -> None:
        """Write what is left, for at most ``limit`` seconds.  What comes later is not written."""
        if self._thread is None:
            return
        self._closing.set()
        self._go.set()
        self._wanted.set()
        self._thread.join(limit)
        self._thread = None

    def _run(self) -> None:
        self._wanted.wait()
        self._go.wait(_PATIENCE)
        tended = time.monotonic()
        while not self._closing.is_set():
            self._wanted.wait(1.0)
            self._wanted.clear()
            self._empty()
            if time.monotonic() - tended >= 1.0:
                self._tend()
                tended = time.monotonic()
            self._closing.wait(_PAUSE)
        self._empty()
        self._tend()

    def _empty(self) -> None:
        while batch := [self._queue.popleft() for _ in range(min(len(self._queue), 256))]:
            try:
                self._write(batch)
            except Exception:  # the thread must go on; what does not come is counted
                self.dropped += len(batch)
