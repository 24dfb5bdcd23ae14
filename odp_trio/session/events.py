"""What a lane tells its session's task."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import msgspec
import trio

from odp_trio.errors import UpstreamLost
from odp_trio.net.reactor import Reactor
from odp_trio.session.reasons import End


class Parked(msgspec.Struct, frozen=True):
    """A command that the session's task must handle: what has come of it, from its header on."""

    command: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """The lane is over; both sockets are unregistered.  ``client_seq`` is where an ERR packet would go on."""

    why: End
    error: Exception | None = None
    tell_seq: int | None = None
    """Sequence number of an ERR packet that the client may be sent now; None where it would break a response."""


class Failed(msgspec.Struct, frozen=True):
    """The running statement failed on its server; both sockets are unregistered.  What becomes of it is to be ruled on.

    Either ``error`` says why the connection is of no use any more, or ``refusal``
    is the ERR packet that the client has not been shown, and the connection is well.
    """

    error: UpstreamLost | None = None
    refusal: bytes = b""
    errno: int = 0
    unanswered: bool = True
    """Nothing of an answer has come."""
    whole: bool = True
    """All of the statement was sent."""
    received: bool = True
    """All of the statement came from the client."""
    waiting: bytes = b""
    """What the client sent behind it."""


LaneEvent = Parked | Failed | Ended


def server_lost(error: Exception | None) -> UpstreamLost:
    """Say that a server connection is gone."""
    reason = str(getattr(error, "strerror", None) or error) if error else "closed by the server"
    lost = UpstreamLost(f"the connection to the OBServer was lost ({reason})")
    lost.__cause__ = error
    return lost


@final
class EventBox:
    """Hands one event at a time from a callback to the one task that waits for it.

    ``unheard`` is called of an event that comes while there is no such task, if it is set.
    """

    __slots__ = ("_event", "_reactor", "_task", "unheard")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.unheard: Callable[[LaneEvent], None] | None = None
        self._event: LaneEvent | None = None
        self._task: trio.lowlevel.Task | None = None

    def put(self, event: LaneEvent) -> None:
        """Give an event, and wake who waits."""
        self._event = event
        if self._task is not None:
            task, self._task = self._task, None
            self._reactor.wake(task)
        elif self.unheard is not None:
            self.unheard(event)

    async def wait(self) -> LaneEvent:
        """Sleep until there is an event."""
        if self._event is None:
            self._task = trio.lowlevel.current_task()

            def abort(_: object) -> trio.lowlevel.Abort:
                self._task = None
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(abort)
        event, self._event = self._event, None
        assert event is not None
        return event
