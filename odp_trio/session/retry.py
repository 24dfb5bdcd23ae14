"""What may be tried again after a failure, and what must be learnt from it: pure, with truth tables in its tests.

Never twice: a statement that may have run is sent again only if it is
*repeatable*, that is, if nobody could notice (``sql.effects``).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from odp_trio.errors import ConnectFailed, InsecureServer, LoginRefused, NoDescriptor, UpstreamLost, UpstreamTimedOut
from odp_trio.topology.congestion import Failure

INITIALIZING: Final = 8001
STOPPING: Final = 8002
CHECKSUM: Final = 8003
NO_MEMORY: Final = 4013
TENANT_NOT_IN_SERVER: Final = 5150
CONNECT_ERROR: Final = 4124
CLUSTER_MISMATCH: Final = 4666
READ_ONLY: Final = 5081
REROUTE: Final = 5727
NO_PARTICIPANT: Final = 6279
"""The server cannot run this statement of a transaction that began elsewhere."""

_ELSEWHERE: Final = frozenset({INITIALIZING, STOPPING, TENANT_NOT_IN_SERVER, CONNECT_ERROR, CLUSTER_MISMATCH})
_RENEWS_ROUTE: Final = frozenset({TENANT_NOT_IN_SERVER, CONNECT_ERROR, CLUSTER_MISMATCH})
_SICK: Final = frozenset({INITIALIZING, STOPPING, CHECKSUM, NO_MEMORY})
DID_NOT_RUN: Final = frozenset({INITIALIZING, STOPPING, TENANT_NOT_IN_SERVER, READ_ONLY})
"""Errors that a server gives before it runs a statement."""

PASSING: Final = DID_NOT_RUN | _SICK | {4012}
"""Errors that say nothing of a statement but that the server cannot run it now: those above, and a time-out."""

WITHHELD: Final = DID_NOT_RUN | {CONNECT_ERROR, REROUTE, NO_PARTICIPANT}
"""Errors after which a statement may go elsewhere: the client is not shown them before that is ruled on."""


class Verdict(msgspec.Struct, frozen=True):
    """What a failed login on one server means for the next step."""

    try_next: bool
    renew_route: bool
    rebuild_cluster: bool = False
    """The server is of another cluster."""


def after_failed_login(failure: Exception) -> Verdict:
    """Rule on a login that failed on one server (protocol-level codes: OceanBase's)."""
    if isinstance(failure, LoginRefused):
        number = failure.errno
        return Verdict(number in _ELSEWHERE, number in _RENEWS_ROUTE, rebuild_cluster=number == CLUSTER_MISMATCH)
    # Nothing of the client's was changed by a connection that broke before its login was answered.
    return Verdict(isinstance(failure, ConnectFailed | UpstreamLost | InsecureServer), renew_route=False)


class Delivered(Enum):
    """How much of a statement a server can have."""

    NOT_WHOLE = "not whole"
    """Its last byte was never sent: it has not run."""
    WHOLE = "whole"


class Answered(Enum):
    """What came back before the failure."""

    NOTHING = "nothing"
    ERROR = "an error"
    """An ERR packet and nothing before it; the connection is well."""
    PART = "a part"
    """The client has been sent the beginning of an answer, or its first packet has begun to arrive."""


class Effect(Enum):
    """What running a statement does."""

    REPEATABLE = "repeatable"
    """It may run twice, and nobody would notice."""
    WRITES = "writes"
    """It may change something, or nobody knows."""


class Action(Enum):
    """What becomes of a failed statement."""

    ELSEWHERE = "retry elsewhere"
    REROUTE = "send to the address given"
    COORDINATOR = "send to the coordinator"
    """The server on which the transaction began."""
    TELL = "tell the client"
    """It gets an ERR packet, and its session goes on."""
    CLOSE = "close"
    """What the statement did, or the transaction that it belongs to, is lost or unknown: the session ends."""


class FailedStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that failed on a server."""

    answered: Answered
    delivered: Delivered = Delivered.WHOLE
    errno: int = 0
    """With an error."""
    effect: Effect = Effect.WRITES
    in_transaction: bool = False
    participant: bool = False
    """The server is not the one on which the transaction began, and that lets its statements go elsewhere."""
    bound: bool = False
    """The session has something on the server that no other has, or the statement may go nowhere else."""
    kept: bool = True
    """We still have the whole statement."""
    target: bool = False
    """The error names a server of the cluster that was not tried yet."""
    attempts_left: bool = True


def after_failed_statement(failed: FailedStatement) -> Action:
    """Rule on a statement that failed on one server."""
    movable = failed.kept and not failed.in_transaction and not failed.bound
    if failed.answered is Answered.PART:
        return Action.CLOSE
    if failed.answered is Answered.ERROR:
        if failed.participant and failed.kept and failed.errno in (NO_PARTICIPANT, *DID_NOT_RUN):
            return Action.COORDINATOR
        if not movable or not failed.attempts_left:
            return Action.TELL
        if failed.errno == REROUTE:
            return Action.REROUTE if failed.target else Action.TELL
        ran_not = failed.errno in DID_NOT_RUN
        repeated = failed.errno == CONNECT_ERROR and failed.effect is Effect.REPEATABLE
        return Action.ELSEWHERE if ran_not or repeated else Action.TELL
    if not movable:
        return Action.CLOSE
    if failed.delivered is Delivered.WHOLE and failed.effect is Effect.WRITES:
        return Action.CLOSE  # it may have run
    return Action.ELSEWHERE if failed.attempts_left else Action.TELL


def failure_of(error: Exception) -> Failure | None:
    """Say what a failed login or connection says of its server; None when it says nothing bad."""
    match error:
        case NoDescriptor():
            return None
        case ConnectFailed():
            return Failure.CONNECT
        case LoginRefused(errno=errno):
            return Failure.ERROR if errno in _SICK else None
        case UpstreamTimedOut():
            return Failure.TIMED_OUT
        case UpstreamLost():
            return Failure.LOST
        case _:
            return None


def failure_by_error(errno: int) -> Failure | None:
    """Say what an ERR packet says of its server; None when it says nothing bad."""
    return Failure.ERROR if errno in _SICK else None
