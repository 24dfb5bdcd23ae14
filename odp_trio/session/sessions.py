"""The table of sessions: isolation, the connection limit, drain.

A session is a temporary child: when it dies of a bug it is logged, counted and
forgotten, and nobody else notices.
"""

from __future__ import annotations

import logging
import math
import socket
from collections import Counter
from collections.abc import Collection, Mapping
from contextvars import copy_context
from typing import Final, NoReturn, final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.net.connect import SocketOptions, tune_listener
from odp_trio.net.listener import Peer, accept_clients, unix_peer
from odp_trio.net.pace import Pace
from odp_trio.observe import Traffic
from odp_trio.session.conversation import converse
from odp_trio.session.entrance import SHORTEST_LIMIT, STEPS_PER_TURN, Entrance
from odp_trio.session.idle import IdleClients
from odp_trio.session.ids import ConnectionIds
from odp_trio.session.reasons import End
from odp_trio.session.recording import note_end
from odp_trio.session.resting import Watched
from odp_trio.session.server_loss import Answers, leave, working
from odp_trio.session.services import Services, Session

log = logging.getLogger("odp_trio.session")

_DRAIN_STEP: Final = 0.1
_LOOK_AGAIN: Final = 0.05
"""A client of another worker that leaves makes room too, and nobody says so."""


class Drained(msgspec.Struct, frozen=True):
    """What became of the sessions that were there when a drain began."""

    sessions: int
    cut: int
    """Those of them that were still in a statement or a transaction when the time was over."""
    seconds: float
    ends: dict[str, int]
    """By reason, as in the metrics."""

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(self.ends.items())) or "none"
        return f"drained {self.sessions} sessions in {self.seconds:.3g} s, {self.cut} of them cut; ends: {reasons}"


@final
class Sessions:
    """Every client session of one proxy.  ``table`` maps connection ids to sessions."""

    def __init__(self, services: Services, ids: ConnectionIds, nursery: trio.Nursery) -> None:
        self.table = services.table
        self.draining = False
        self.watched = Watched()
        self._answers = Answers()
        self._services = services
        self._ids = ids
        self._nursery = nursery
        self._context = copy_context()
        """That of the proxy: a callback of the reactor, or whoever ends a session, has another one."""
        self._pace = Pace(services.reactor, STEPS_PER_TURN)
        self._rouse, self._over = self._give_task, self._forget
        self._idle = IdleClients(lambda: self.table.values())
        services.admission.displace = self._displace
        self._listeners: list[socket.socket] = []
        self._room = trio.Event()
        self._empty = trio.Event()
        nursery.start_soon(self._end_unattended)

    @property
    def has_slot(self) -> bool:
        """Whether one more client may be accepted."""
        return self._services.admission.accepts(len(self.table))

    async def wait_slot(self) -> None:
        """Wait until one more client may be accepted."""
        while not self.has_slot:
            if self._room.is_set():  # else another listener waits for it too
                self._room = trio.Event()
            with trio.move_on_after(_LOOK_AGAIN if self._services.admission.tally is not None else math.inf):
                await self._room.wait()

    def listen_on(self, listener: socket.socket) -> None:
        """Give a listener, and so the sockets that it accepts, the options that are set for clients, now and later."""
        self._listeners = [known for known in self._listeners if known.fileno() != -1 and known is not listener]
        self._listeners.append(listener)
        tune_listener(listener, _client_options(self._services.settings()))

    async def accept(self, listener: socket.socket) -> NoReturn:
        """Take clients over from a listener, for ever."""
        await accept_clients(
            listener,
            self._services.reactor,
            has_slot=lambda: self.has_slot,
            wait_slot=self.wait_slot,
            serve=self.serve,
        )

    def serve(self, sock: socket.socket, peer: Peer, origin: str = "") -> None:
        """Take a client over.  ``origin`` says where it is, if it has no address."""
        sock.setblocking(False)
        self._services.counts.accepted += 1
        session = Session(self._ids.allocate(self.table), sock, peer, trio.current_time(), self._rouse, self._over)
        if not peer[1]:
            session.origin = origin or unix_peer(sock)
        self.table[session.id] = session
        self.watched.enter(session)
        settings = self._services.settings()
        if min(settings.login_timeout, settings.connect_timeout) < SHORTEST_LIMIT:
            session.rouse(session)
            return
        session.entrance = Entrance(session, self._services, settings, self._pace)
        session.entrance.enter()

    async def _end_unattended(self) -> None:
        """Sleep until the nursery is cancelled; then sessions that have no task get one that ends them."""
        try:
            await trio.sleep_forever()
        finally:
            for session in tuple(self.table.values()):
                if not session.has_task:
                    session.end(End.SHUTDOWN)

    def _give_task(self, session: Session) -> None:
        if not session.has_task:
            session.has_task = True
            self._context.run(self._services.reactor.start_soon, self._nursery, self._run, session)

    async def _run(self, session: Session) -> None:
        why = End.CRASHED
        try:
            with trio.CancelScope() as scope:
                session.scope = scope
                if session.why is not None:  # it was ended before its task began
                    scope.cancel()
                why = await converse(session, self._services)
            if scope.cancelled_caught:
                why = session.why or End.SHUTDOWN
        except trio.Cancelled:
            why = End.SHUTDOWN
            raise
        except Exception as exc:
            log.exception("%s crashed", session)
            session.detail = type(exc).__name__
        finally:
            self._forget(session, why)

    def _forget(self, session: Session, why: End) -> None:
        """A session has ended."""
        session.why = why
        session.sock.close()
        session.forwarding, session.has_task = None, True
        self._services.admission.leave(session.place)
        note_end(self._services, session, why)
        del self.table[session.id]
        session.lane = session.router = None
        self.watched.leave(session)
        self._room.set()
        if not self.table:
            self._empty.set()

    def _displace(self) -> bool:
        """Send the client away that has been idle for longest; answer whether there was one."""
        session = self._idle.take(trio.current_time())
        if session is None or session.lane is None:
            return False
        log.info("%s: sent away, as the one that was idle for longest: another client came", session)
        self._services.admission.leave(session.place)
        session.lane.end(End.DISPLACED)
        return True

    def traffic(self) -> Traffic:
        """Return what went through the lanes of all sessions, those that have ended included."""
        total = Traffic()
        total.add(self._services.counts.traffic)
        for session in self.table.values():
            total.add(session.traffic)
        return total

    def clusters(self) -> set[str]:
        """Return the clusters that clients are logged in to."""
        return {session.destination.key for session in self.table.values() if session.destination is not None}

    def settings_changed(self, settings: Settings) -> None:
        """Tell the sessions that are there of limits that they have copies of, and who waits for a place."""
        self._room.set()
        for listener in self._listeners:
            if listener.fileno() != -1:
                tune_listener(listener, _client_options(settings))
        for session in self.table.values():
            if (router := session.router) is not None:
                session.due = 0.0
                router.looks_at = settings.request_buffer_length
                router.account.allow(settings.client_max_memory_size)
                router.statements.lend(self._services.texts(), settings.max_prepared_stmt_count)
        self.watched.wake_all()

    # ---- servers ------------------------------------------------------------------------

    def working(self) -> Mapping[str, set[Address]]:
        """Return the servers that run a statement at this moment, by cluster."""
        return working(self.watched.awake)

    def server_dead(self, cluster: str, address: Address, why: str) -> None:
        """A server does not answer: statements that wait for it are told, connections to it are closed."""
        for session in self._of(cluster):
            session.server_dead(address, f"{address} does not answer: {why}")

    def leave_server(self, cluster: str, address: Address) -> None:
        """Close idle connections to a server that nothing should be sent to."""
        for session in self._of(cluster):
            leave(session, address)

    def answered(self, watched: Mapping[str, Collection[Address]]) -> Collection[tuple[str, Address]]:
        """Return which of the servers have finished a statement since the last call."""
        return self._answers.look(self.table, watched)

    def _of(self, cluster: str) -> list[Session]:
        return [
            session
            for session in self.table.values()
            if session.destination is not None and session.destination.key == cluster
        ]

    # ---- the end ------------------------------------------------------------------------

    async def drain(self, grace: float, spread: float = 0.0) -> Drained:
        """Let every session end between transactions; after ``grace`` seconds cancel the rest.

        Idle sessions are sent away at once, or one after the other over ``spread`` seconds, eldest first.
        Returns what became of them.
        """
        self.draining = True
        began, before = trio.current_time(), Counter(self._services.counts.ends)
        sessions = len(self.table)
        with trio.move_on_after(grace):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_away, spread)
                await self._wait_empty()
                nursery.cancel_scope.cancel()
        left = tuple(self.table.values())
        for session in left:
            session.end(End.SHUTDOWN, f"it was still at work after {grace:g} s")
        await self._wait_empty()
        ends = {why: count for why, count in (self._services.counts.ends - before).items() if count}
        return Drained(sessions, len(left), trio.current_time() - began, ends)

    async def _wait_empty(self) -> None:
        while self.table:
            if self._empty.is_set():  # else another drain waits for it too
                self._empty = trio.Event()
            await self._empty.wait()

    async def _send_away(self, spread: float) -> None:
        """Tell sessions to end: their number that may still go on falls to none over ``spread`` seconds, as in ODP."""
        began, told, all_of_them = trio.current_time(), 0, tuple(self.table.values())
        while told < len(all_of_them):
            passed = trio.current_time() - began
            due = len(all_of_them) if passed >= spread else int(len(all_of_them) * passed / spread)
            for session in all_of_them[told:due]:
                session.drain()
            told = max(told, due)
            await trio.sleep(_DRAIN_STEP)


def _client_options(settings: Settings) -> SocketOptions:
    return SocketOptions(
        settings.client_tcp_keepidle,
        settings.client_tcp_keepintvl,
        settings.client_tcp_keepcnt,
        settings.client_tcp_user_timeout,
        settings.client_sock_option_flag_out,
    )
