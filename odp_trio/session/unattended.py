"""A logged-in session that has no task: what its lane cannot do is done at once, if it is an end, or gets it one."""

from __future__ import annotations

from typing import Final

from odp_trio.session.events import Ended, LaneEvent, Parked
from odp_trio.session.forwarding import Forwarding
from odp_trio.session.reasons import End, with_client
from odp_trio.session.services import Session
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet

_QUIT: Final = packet(0, bytes((Com.QUIT,)))


def unheard(session: Session, forwarding: Forwarding, event: LaneEvent) -> None:
    """Do with an event of the lane what the session's task would, if it had one."""
    if session.has_task:  # it has not begun yet
        return
    match event:
        case Parked(data=data) if data == _QUIT:
            forwarding.say_quit()
            _end(session, forwarding, End.CLIENT_QUIT)
        case Ended(why=End.CLIENT_GONE):
            _end(session, forwarding, End.CLIENT_GONE)
        case _:
            session.rouse(session)


def _end(session: Session, forwarding: Forwarding, why: End) -> None:
    forwarding.close(with_client(why))
    session.over(session, why)
