"""What a lane tells its session's task."""

from __future__ import annotations

from enum import Enum

import msgspec

from odp_trio.errors import UpstreamLost


class End(Enum):
    """Why a session came to its end.  A closed list: the same words in log and metrics."""

    CLIENT_QUIT = "client_quit"
    CLIENT_GONE = "client_gone"
    CLIENT_PROTOCOL = "client_protocol_error"
    SERVER_GONE = "server_gone"
    SERVER_PROTOCOL = "server_protocol_error"
    DRAINED = "drained"
    LOGIN_TIMEOUT = "login_timeout"
    LOGIN_REFUSED = "login_refused"
    KILLED = "killed"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"


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


LaneEvent = Parked | Ended


def server_lost(error: OSError | None, *, running: bool, unanswered: bool) -> UpstreamLost:
    """Say that a server connection is gone, and what that means for the statement that ran, if one did."""
    reason = (error.strerror or str(error)) if error else "closed by the server"
    meaning = "no statement was running"
    if running:
        meaning = "its outcome is unknown" if unanswered else "in the middle of an answer"
    return UpstreamLost(f"the connection to the OBServer was lost ({reason}); {meaning}")
