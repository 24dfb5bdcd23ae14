"""KILL: who may, whom it reaches, and how a statement is interrupted.

Sessions of this proxy are killed here: their statement runs on one OBServer of
several, on a server session that only the proxy knows.  ``KILL QUERY`` is sent to that
server, for that server session, through a connection made for it; before it is sent the
proxy looks whether the same statement is still running, so that it never hits the next one.
``KILL`` ends the client's connection with all its server sessions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import trio

from odp_trio.errors import NotOwner, StatementRefused, UnknownThread, UpstreamError
from odp_trio.session.asking import ask
from odp_trio.session.ids import SERVER_ID
from odp_trio.session.reasons import End, ServerEnd
from odp_trio.session.recording import note_server_end
from odp_trio.session.server_set import Upstream
from odp_trio.session.services import Services, Session
from odp_trio.session.upstream import Identity, client_is_not_asked, open_server_session, server_socket_options
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err

log = logging.getLogger("odp_trio.session")

SUPER: Final = 1 << 14
PROCESS: Final = 1 << 15
"""Bits of ``ob_proxy_user_privilege`` (seen on seekdb 1.3.0)."""
_SYS: Final = "sys"
_UNKNOWN_THREAD: Final = 1094
_ROUNDS: Final = 10
_QUIT: Final = packet(0, bytes((Com.QUIT,)))


class Killer(msgspec.Struct, frozen=True):
    """Who kills, or looks at the process list.  ``everything``: it is the proxy's own administrator."""

    cluster: str = ""
    tenant: str = ""
    user: str = ""
    privileges: int = 0
    everything: bool = False

    @property
    def is_sys(self) -> bool:
        """Whether it is of the tenant that looks after its cluster."""
        return self.tenant == _SYS


def killer_of(session: Session) -> Killer:
    """Return who a session is."""
    destination = session.destination
    assert destination is not None
    return Killer(destination.key, destination.tenant, destination.user, session.privileges)


def find_session(table: Mapping[int, Session], number: int) -> Session | None:
    """Return the session of this proxy with a connection id, or with a server session that has this id on its OBServer.

    One that is ending already is found no more.
    """
    found = table.get(number)
    if found is None and number & SERVER_ID:
        found = next((session for session in table.values() if number in session.server_ids()), None)
    return None if found is None or found.why is not None else found


def check_permission(killer: Killer, victim: Session, number: int) -> None:
    """Raise UnknownThread or NotOwner if ``killer`` may not kill ``victim``, whom it calls ``number``; ODP's rules."""
    destination = victim.destination
    if killer.everything:
        return
    if destination is None:  # it has not said yet who it is
        raise UnknownThread(f"Unknown thread id: {number}")
    same_cluster = destination.key == killer.cluster
    if killer.is_sys:
        allowed = same_cluster
    elif not same_cluster or destination.tenant != killer.tenant:
        raise UnknownThread(f"Unknown thread id: {number}")
    else:
        allowed = destination.user == killer.user or bool(killer.privileges & SUPER)
    if not allowed:
        raise NotOwner(f"You are not owner of thread {number}")


def is_visible(killer: Killer, other: Session) -> bool:
    """Whether somebody sees a session in the process list."""
    destination = other.destination
    if killer.everything:
        return True
    if destination is None or destination.key != killer.cluster:
        return False
    if killer.is_sys:
        return True
    own = destination.user == killer.user or bool(killer.privileges & PROCESS)
    return destination.tenant == killer.tenant and own


def kill_connection(victim: Session, by: object) -> None:
    """End a session, whatever it is doing."""
    log.info("%s: killed by %s", victim, by)
    victim.end(End.KILLED, f"by {by}")


async def kill_query(services: Services, victim: Session, killer: Session | None, by: object) -> None:
    """Interrupt the statement that a session is running; nothing is done if it runs none.

    ``killer`` is whose account is used at the server; without one, the victim's own.  Raises UpstreamError when the
    server cannot be had, StatementRefused with its ERR packet when it refuses.
    """
    for _ in range(_ROUNDS):
        if victim.interrupt():
            log.info("%s: interrupted by %s before its statement was sent", victim, by)
            return
        running = victim.running()
        if running is None:
            return
        side = await _open(services, victim, running[0], killer)
        try:
            if victim.running() == running:  # else it has gone elsewhere, or is over
                await _interrupt(side, victim, running[0], services.settings().connect_timeout)
                log.info("%s: interrupted by %s on %s", victim, by, side.address)
                return
        finally:
            side.close()
            note_server_end(services, killer or victim, side, ServerEnd.ERRAND)


async def _interrupt(side: Upstream, victim: Session, upstream: Upstream, timeout: float) -> None:
    reply = await ask(side, b"%cKILL QUERY %d" % (Com.QUERY, upstream.connection_id), timeout)
    try:
        side.stream.send(_QUIT)
    except OSError as exc:
        log.debug("%s: COM_QUIT not sent: %s", side.address, exc)
    if reply.errno and reply.errno != _UNKNOWN_THREAD:  # that: it has just ended
        error = parse_err(reply.refusal)
        raise StatementRefused(reply.refusal, error.errno, f"{victim}: {error.message} ({side.address})")


async def _open(services: Services, victim: Session, upstream: Upstream, killer: Session | None) -> Upstream:
    """Log in to the server that runs the victim's statement: as the killer, else as the victim."""
    settings, failure = services.settings(), UpstreamError(f"no account to log in to {upstream.address} with")
    for identity in _identities((killer, victim)):
        number = services.ids.allocate(services.table)
        errand = msgspec.structs.replace(
            identity,
            login=msgspec.structs.replace(identity.login, database=None),
            connection_id=number,
            proxy_session_id=number << 16 | identity.client_port,
            connect_time_us=services.wall_clock_us(),
        )
        services.counts.server_connects += 1
        try:
            server = await open_server_session(
                upstream.address,
                errand,
                timeout=settings.connect_timeout,
                options=server_socket_options(settings),
                ask_client=client_is_not_asked,
                answers=services.login_answers,
                tls=services.certificates.server,
                network=services.network,
            )
        except UpstreamError as exc:
            services.counts.server_connect_failures += 1
            failure = exc
            continue
        side = Upstream(server, services.reactor, lambda _: None)
        side.since = trio.current_time()
        return side
    raise failure


def _identities(sessions: Sequence[Session | None]) -> list[Identity]:
    """Return as whom one may log in; who has changed its user cannot be logged in again."""
    return [
        session.identity
        for session in sessions
        if session is not None
        and session.identity is not None
        and (session.router is None or not session.router.state.changed_user)
    ]
