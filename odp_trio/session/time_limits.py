"""Time-outs of sessions, at no cost for a statement: one task looks at those that do something every second.

What a session does is told apart by identity: every command has a text object
of its own, and so has whatever a socket would not take.  The same object at two
looks means that nothing has moved between them.

Whose turn it is decides which limit holds: the client's to take an answer
(``net_write_timeout``), the server's to take a statement, the client's to go on
with a command (``net_read_timeout``), the server's to answer or to go on with
its answer (``ob_query_timeout`` and a delta), the client's to ask (``wait_timeout``).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from itertools import islice
from typing import Final, NoReturn, Protocol, final

import trio

from odp_trio.config import Settings
from odp_trio.errors import SessionMemoryExceeded, UpstreamTimedOut
from odp_trio.model import Address, TenantKey
from odp_trio.net.channel import STEP_BYTES
from odp_trio.session.lane import Lane
from odp_trio.session.reasons import End
from odp_trio.session.resting import Watched
from odp_trio.session.router import Router
from odp_trio.session.services import Session
from odp_trio.sql.facts import DML, Kind
from odp_trio.state.client import TIME_LIMITS
from odp_trio.topology.congestion import Failure
from odp_trio.wire.command import Com

LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 500
"""Sessions that are looked at without letting others run."""
_LIMITED: Final = (DML - {Kind.LOAD_DATA}) | {Kind.SET, Kind.USE, Kind.SHOW, Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK}
_LAST_DATA_RECEIVED: Final = struct.Struct("=I")
_LAST_DATA_RECEIVED_AT: Final = 52


class Started(Protocol):
    """Trio's task_status, or a supervisor's."""

    def started(self, value: object = None) -> None:
        """Report that the service runs."""
        ...


ServerFailed = Callable[[TenantKey, Address, Failure], None]


@final
class TimeLimits:
    """Ends what takes too long: servers that do not answer, clients that do not ask, read or go on writing."""

    def __init__(
        self,
        watched: Callable[[], Watched],
        settings: Callable[[], Settings],
        server_failed: ServerFailed,
    ) -> None:
        self._watched = watched
        self._settings = settings
        self._server_failed = server_failed

    async def watch(self, *, task_status: Started) -> NoReturn:
        """Look at every session that does not rest, every second."""
        task_status.started()
        while True:
            await trio.sleep(LOOK_SECONDS)
            watched = self._watched()
            watched.advance(trio.current_time())
            sessions = iter(tuple(watched.awake))
            while chunk := tuple(islice(sessions, _AT_ONCE)):
                now = trio.current_time()
                for session in chunk:
                    self.glance(session, now)
                await trio.lowlevel.checkpoint()

    def glance(self, session: Session, now: float) -> None:
        """Look at one session, or lay it to rest if it has done nothing since the last look and nothing can be due."""
        if now >= session.due or not _rests(session):
            self.look(session, now)
        elif session.lane is not None:
            self._watched().rest(session, session.lane)

    def look(self, session: Session, now: float) -> None:
        """Look at one session, and end what is due."""
        session.due = 0.0
        lane, router = session.lane, session.router
        if lane is None or router is None or not lane.is_open:
            _look_at_task(session, now)
            return
        if _is_over_memory_limit(lane, router) and lane.carry_out():
            return
        ended = lane.tracker.ended
        seen = (router.text, lane.owed, ended, lane.owed_to_server)
        if session.seen is None or any(old is not new for old, new in zip(session.seen, seen, strict=True)):
            session.seen, session.seen_at = seen, now
            session.step = None
        if not lane.half_read:
            session.step = None
        waited = now - session.seen_at
        if lane.owed:
            if waited >= seconds(router, b"net_write_timeout"):
                lane.end(End.CLIENT_TOO_SLOW)
        elif lane.owed_to_server:
            self._look_at_server(lane, router, waited, "taken what was sent")
        elif lane.half_read if ended else lane.receives:
            self._look_at_command(session, lane, router, now)
        elif not ended:
            self._look_at_server(lane, router, waited, "answered" if lane.unanswered else "gone on with its answer")
        else:
            limit = seconds(router, b"wait_timeout")
            silent = _silent(session.sock, waited) if waited >= limit else waited
            if silent >= limit:
                lane.end(End.IDLE)
            elif not router.account.over:
                session.due = now + limit - silent

    def _look_at_command(self, session: Session, lane: Lane, router: Router, now: float) -> None:
        """A command is on its way: it is to go on by so many bytes, or to end, in ``net_read_timeout``."""
        come = lane.traffic.client_bytes_in
        if session.step is None or come - session.step[0] >= STEP_BYTES:
            session.step = (come, now)
        elif now - session.step[1] >= seconds(router, b"net_read_timeout"):
            lane.end(End.CLIENT_TOO_SLOW)

    def _look_at_server(self, lane: Lane, router: Router, waited: float, what: str) -> None:
        """A server has the statement: it is silent while it computes, but not for longer than its own limit."""
        if lane.upstream is None:
            return
        settings = self._settings()
        limit = settings.default_inactivity_timeout
        if _is_limited(router):
            limit = min(limit, query_timeout(router) + settings.observer_query_timeout_delta)
        if waited >= limit and _silent(lane.upstream.sock, waited) >= limit:
            address = lane.upstream.address
            self._server_failed(router.key, address, Failure.TIMED_OUT)
            lane.server_dead(UpstreamTimedOut(f"{address} has not {what} for {limit:g} s"))


def _look_at_task(session: Session, now: float) -> None:
    """A login, or its task is at work: these have limits of their own, once it has a task."""
    session.seen = None
    if session.entrance is not None and now - session.since >= LOOK_SECONDS:
        session.entrance.leave_to_task()


def _rests(session: Session) -> bool:
    """Whether a session that was idle has done nothing since."""
    lane, router, seen = session.lane, session.router, session.seen
    return (
        seen is not None
        and lane is not None
        and router is not None
        and router.text is seen[0]
        and lane.tracker.ended
        and not lane.half_read
    )


def _is_over_memory_limit(lane: Lane, router: Router) -> bool:
    """Whether too much is kept for a session, with what is on its way; then it is under sentence."""
    account = router.account
    if account.weight + lane.kept_bytes + router.state.shared.size > account.limit:
        account.settle(router.weigh() + lane.kept_bytes)
    if account.over:
        lane.sentence(End.MEMORY_LIMIT, SessionMemoryExceeded("exceed memory limit: client_max_memory_size"))
    return account.over


def _is_limited(router: Router) -> bool:
    """Whether the time-out of queries holds for the running command.

    Not for DDL, routines, LOAD DATA, several statements in one text and the unknown: their server may rightly be
    silent for longer.
    """
    if router.what == Com.QUERY or router.what == Com.STMT_EXECUTE:
        facts = router.request.shape.facts
        return facts.kind in _LIMITED and facts.statements <= 1
    return True


def query_timeout(router: Router) -> float:
    """Return the time-out of the running statement: its hint's, else the session's; seconds."""
    hinted = router.request.shape.facts.query_timeout_us
    return (hinted if hinted is not None else _value(router, b"ob_query_timeout")) / 1e6


def seconds(router: Router, name: bytes) -> float:
    """Return a time limit of the session that is in seconds: one of ``TIME_LIMITS``."""
    return float(_value(router, name))


def _value(router: Router, name: bytes) -> int:
    text = router.state.variable(name)
    return int(text) if text is not None and text.isdigit() else TIME_LIMITS[name]


def _silent(sock: socket.socket, waited: float) -> float:
    """Return for how many seconds a peer has sent nothing: less than ``waited`` after pings, which are all alike."""
    if sock.family == socket.AF_UNIX:
        return waited
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return waited
    milliseconds: int = _LAST_DATA_RECEIVED.unpack_from(info, _LAST_DATA_RECEIVED_AT)[0]
    return min(waited, milliseconds / 1000)
