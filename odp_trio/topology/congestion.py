"""Servers that fail: what counts as a failure, the lists that one may be on, and what is kept of each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, final

import msgspec

from odp_trio.model import Address
from odp_trio.topology.cluster import ServerState

BINS: Final = 17
"""Failures are counted in so many bins, of which sixteen cover the window."""
NETWORK_SECONDS: Final = 10.0
"""All servers of a cluster failing within this time (and that of a probe) is a matter of the network, not of them."""


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


class Listed(Enum):
    """A list that a server may be on, under ODP's name; the least bad first."""

    ALIVE = "alive"
    """The greylist: it failed too often, or came back from the dead a moment ago."""
    FORCED = "forced"
    """It, or its zone, is stopped on purpose."""
    DEAD = "dead"
    """The blacklist: the server list says that it does not serve."""
    DETECT = "detect"
    """Probes in a row have failed."""


BADNESS: Final = {listed: rank for rank, listed in enumerate(Listed)}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the lists; seconds."""

    enabled: bool = True
    threshold: int = 5
    window: float = 120.0
    retry: float = 20.0
    min_keep: float = 20.0
    mode: int = 1
    probe_threshold: int = 3
    probe_timeout: float = 5.0
    changes_per_second: int = 20

    @property
    def in_force(self) -> bool:
        """Whether there are lists at all."""
        return self.enabled and self.threshold > 0

    @property
    def network_window(self) -> float:
        """Servers that fail within so many seconds of each other fail at once."""
        return NETWORK_SECONDS + self.probe_timeout


class Change(msgspec.Struct, frozen=True):
    """A server was put on a list, or taken off it.  ``reason`` is in words."""

    address: Address
    listed: Listed
    put: bool
    reason: str
    at: float


class NetworkLost(msgspec.Struct, frozen=True):
    """Every server failed at once: it is our network."""

    since: float
    reason: str


class Refusals(msgspec.Struct, frozen=True):
    """Which servers of a cluster statements are kept away from, and why: what a view is lent.

    ``why`` gives the reason at the time of the question.  ``watched`` changes
    in place: servers whose good answers matter.  ``since`` has the time of the
    last change of state of those that the server list calls REPLAY.
    """

    lists: Mapping[Address, Listed] = {}
    why: Callable[[Address], str] = lambda _: ""
    watched: AbstractSet[Address] = frozenset()
    replaying: Mapping[Address, float] = {}


NO_REFUSALS: Final = Refusals()


@final
class FailureHistory:
    """Failures within a window, in 17 bins: each counts for the window at least, and at most a sixteenth longer."""

    __slots__ = ("_bins", "_turn", "_width")

    def __init__(self) -> None:
        self._bins = [0] * BINS
        self._turn = 0
        self._width = 0.0

    def add(self, now: float, window: float) -> None:
        """One more failure."""
        self._advance(now, window)
        self._bins[self._turn % BINS] += 1

    def count(self, now: float, window: float) -> int:
        """Return how many failures count."""
        self._advance(now, window)
        return sum(self._bins)

    def clear(self) -> None:
        """Forget all."""
        self._bins = [0] * BINS

    def _advance(self, now: float, window: float) -> None:
        width = window / (BINS - 1)
        if width != self._width:  # another setting: its bins are others
            self._width, self._turn = width, math.floor(now / width)
            self.clear()
            return
        turn = math.floor(now / width)
        for passed in range(self._turn + 1, min(turn, self._turn + BINS) + 1):
            self._bins[passed % BINS] = 0
        self._turn = max(turn, self._turn)


@final
class Entry(msgspec.Struct, eq=False):
    """What is kept of one server.

    ``alive`` and ``detect`` say since when it belongs on these lists;
    ``alive_on`` and ``detect_on`` whether it is on them, which is the same
    unless the change waits for its turn.  ``dead`` and ``forced`` hold at once.
    """

    address: Address
    zone: str
    state: ServerState
    state_since: float
    dead: float | None = None
    forced: str = ""
    """Why it is not to be used; empty when it may."""
    alive: float | None = None
    detect: float | None = None
    alive_on: bool = False
    detect_on: bool = False
    alive_why: str = ""
    detect_why: str = ""
    history: FailureHistory = msgspec.field(default_factory=FailureHistory)
    kinds: Counter[Failure] = msgspec.field(default_factory=Counter)
    """Failures in the history, by kind, since it was last empty."""
    failed_at: float = -math.inf
    """The last failure of a session."""
    trouble_at: float = -math.inf
    """The last failure, or failed probe."""
    answered_at: float = -math.inf
    """The last sign of life."""
    failed_probes: int = 0
    """In a row."""
    probe_error: str = ""
    spoke: bool = False
    """The last failed probe was answered, with an error: what runs there need not be lost."""
    trial: bool = False
    """One request may try it now."""
    failures: int = 0
    connect_failures: int = 0
    last_listed: dict[Listed, float] = msgspec.field(default_factory=dict)
    """When it was last put on each list."""

    @property
    def serves(self) -> bool:
        """Whether the server list says that it does."""
        return self.dead is None and not self.forced

    @property
    def tried_at(self) -> float:
        """When it last failed a session, or was put on the greylist."""
        return max(self.failed_at, -math.inf if self.alive is None else self.alive)

    @property
    def listed(self) -> Listed | None:
        """The worst list that it is on: that is why it is refused."""
        if self.detect_on:
            return Listed.DETECT
        if self.dead is not None:
            return Listed.DEAD
        if self.forced:
            return Listed.FORCED
        return Listed.ALIVE if self.alive_on else None

    @property
    def due_since(self) -> float | None:
        """Since when it belongs on a list because of failures or probes."""
        return min((since for since in (self.alive, self.detect) if since is not None), default=None)

    @property
    def waits(self) -> bool:
        """Whether it is to be put on a list, or taken off one, as soon as the budget allows."""
        return self.alive_on != (self.alive is not None) or self.detect_on != (self.detect is not None)

    def why(self, now: float, limits: Limits) -> str:
        """Say in words why it is refused; empty when it is not."""
        match self.listed:
            case Listed.DETECT:
                return f"{self.detect_why}; it is probed on"
            case Listed.DEAD:
                since = now if self.dead is None else self.dead
                return f"its state is {self.state.value} for {_seconds(now - since)} s"
            case Listed.FORCED:
                return self.forced
            case Listed.ALIVE:
                return f"{self.alive_why}; {self._next_trial(now, limits)}"
            case None:
                return ""

    def _next_trial(self, now: float, limits: Limits) -> str:
        if self.trial:
            return "one request may try it now"
        left = self.tried_at + limits.retry - now
        if limits.mode:
            return f"next trial in {_seconds(left)} s" if left > 0 else "the next good probe takes it off"
        return f"next trial in {_seconds(max(left, 0.0))} s"

    def describe_failures(self, count: int, limits: Limits) -> str:
        """Say what failed: ``5 connect failures in 120 s``."""
        kinds = [kind.value for kind in self.kinds]
        one = f"{kinds[0]} " if len(kinds) == 1 else ""
        several = f" ({', '.join(sorted(kinds))})" if len(kinds) > 1 else ""
        return f"{count} {one}failure{'s' * (count != 1)} in {_seconds(limits.window)} s{several}"

    def forget_failures(self) -> None:
        """What it did wrong counts no more."""
        self.history.clear()
        self.kinds.clear()


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
