"""Which client has been idle for longest: the one that goes when there is no room for another.

The look of ``time_limits`` knows since when a session does nothing, to the
second.  All sessions are gone through at most once a second, however many
clients come; in between the best of the last time are taken, if they still are idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import Final, final

from odp_trio.session.services import Session

_AFRESH_SECONDS: Final = 1.0
_KEPT: Final = 256


@final
class IdleClients:
    """Finds them among ``sessions``."""

    __slots__ = ("_best", "_looked_at", "_sessions")

    def __init__(self, sessions: Callable[[], Iterable[Session]]) -> None:
        self._sessions = sessions
        self._best: deque[Session] = deque()
        self._looked_at = float("-inf")

    def take(self, now: float) -> Session | None:
        """Return a client that is idle, the one that has been so for longest; None if there is none."""
        if (found := self._next()) is None and now - self._looked_at >= _AFRESH_SECONDS:
            self._looked_at = now
            idle = (session for session in self._sessions() if session.is_idle)
            self._best.extend(nsmallest(_KEPT, idle, key=lambda session: session.idle_since(now)))
            found = self._next()
        return found

    def _next(self) -> Session | None:
        while self._best:
            session = self._best.popleft()
            if session.is_idle:
                return session
        return None
