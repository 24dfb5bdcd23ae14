"""What may be known of a supervisor and its children at one moment."""

from __future__ import annotations

from enum import Enum

import msgspec


class ChildState(Enum):
    """What a child is doing."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


class ChildStatistics(msgspec.Struct, frozen=True):
    """One child at one moment.  ``since`` and ``next_attempt`` are Trio times."""

    name: str
    state: ChildState
    since: float
    restarts: int
    last_error: str
    next_attempt: float | None
    children: tuple[ChildStatistics, ...]


class SupervisorStatistics(msgspec.Struct, frozen=True):
    """A supervisor's children, eldest first."""

    name: str
    children: tuple[ChildStatistics, ...]
