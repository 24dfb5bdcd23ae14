"""Which sessions must be looked at: those that do something, and those that rest until it can be that they are due.

A session that does nothing is laid to rest: nobody looks at it until a second has come in which a time-out of it can
be due, or its client speaks.  The latter costs nothing for a statement: the callback of a resting client's socket
is another one, which puts the session among those that are looked at and the lane's own callback back in its place.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from math import floor
from typing import final

from odp_trio.session.ending import Ending
from odp_trio.session.services import Session


@final
class Watched:
    """The sessions of one proxy, sorted by whether they rest.  A session is in it from its beginning to its end."""

    __slots__ = ("_at", "_awake", "_resting", "_until")

    def __init__(self) -> None:
        self._awake: dict[int, Session] = {}
        self._resting: dict[int, Session] = {}
        self._until: dict[int, dict[int, Session]] = {}
        """Those that rest, and some that did, by the second in which they can be due."""
        self._at = 0

    @property
    def awake(self) -> Collection[Session]:
        """Those that do something or did so a moment ago: whoever runs a statement is one of them."""
        return self._awake.values()

    @property
    def resting(self) -> int:
        """How many rest."""
        return len(self._resting)

    def enter(self, session: Session) -> None:
        """A session begins."""
        self._awake[session.id] = session

    def leave(self, session: Session) -> None:
        """A session ends."""
        self._awake.pop(session.id, None)
        self._rouse(session)

    def rest(self, session: Session, lane: Ending) -> None:
        """Look no more at a session that is idle before it is due, unless its client speaks."""
        second = floor(session.due)
        if second <= self._at:  # it is looked at in a moment
            return
        del self._awake[session.id]
        self._resting[session.id] = session
        self._until.setdefault(second, {})[session.id] = session
        lane.tell_of_client(partial(self.wake, session))

    def wake(self, session: Session) -> None:
        """Look at a session from now on, every second."""
        if self._rouse(session):
            self._awake[session.id] = session

    def wake_all(self) -> None:
        """Look at all of them: what they were laid to rest by has changed."""
        self._awake.update(self._resting)
        self._resting.clear()
        self._until.clear()

    def advance(self, now: float) -> None:
        """Wake those that can be due by now."""
        second = floor(now)
        if not self._at or second - self._at > len(self._until):
            seconds: Collection[int] = [at for at in self._until if at <= second]
        else:
            seconds = range(self._at, second + 1)
        for at in seconds:
            for session in tuple(self._until.get(at, {}).values()):
                self.wake(session)
        self._at = second

    def _rouse(self, session: Session) -> bool:
        """Let one that rests do so no more; answer whether it did."""
        if self._resting.pop(session.id, None) is None:
            return False
        second = floor(session.due)
        together = self._until[second]
        del together[session.id]
        if not together:
            del self._until[second]
        return True
