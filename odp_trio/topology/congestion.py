"""Servers that fail: what counts as a failure."""

from __future__ import annotations

from enum import Enum


class Failure(Enum):
    """What an OBServer did wrong, as a session saw it.  At most one counts for a statement."""

    CONNECT = "connect"
    """It refused a connection, or did not answer to it in time."""
    LOST = "lost"
    """A connection broke while it was needed."""
    TIMED_OUT = "timed_out"
    """No answer in time."""
    ERROR = "error"
    """8001 (initialising), 8002 (stopping), 8003 (checksum), 4013 (no memory)."""
    GIVEN_UP = "given_up"
    """The client left while the server was being connected to for too long."""
