"""Writing ends down: the same word for the log, the metrics and the ledger."""

from __future__ import annotations

import logging

import trio

from odp_trio.events import SessionBegan, SessionEnded
from odp_trio.session.ledger import EndRecord
from odp_trio.session.reasons import QUIET, End, ServerEnd
from odp_trio.session.server_set import Upstream
from odp_trio.session.services import Services, Session

log = logging.getLogger("odp_trio.session")


def note_login(services: Services, session: Session, server: str) -> None:
    """Write down that a client has logged in."""
    services.counts.logins += 1
    tell_of_login(services, session, server)
    if services.diagnosis is not None and services.diagnosis.wants_connections:
        seconds = trio.current_time() - session.since
        services.diagnosis.logged_in(_record(services, session, server, seconds, "", ""))


def tell_of_login(services: Services, session: Session, server: str) -> None:
    """Announce that a client has logged in; ``server`` is empty for the proxy itself."""
    if services.events.wanted and (where := session.destination) is not None:
        who = (session.client, where.user, where.tenant, where.cluster)
        services.events.tell(SessionBegan(trio.current_time(), session.id, *who, server))


def note_end(services: Services, session: Session, why: End) -> None:
    """Write down that a client's session has ended."""
    counts, traffic = services.counts, session.traffic
    counts.ends[why.value] += 1
    counts.traffic.add(traffic)
    if session.router is not None:
        services.measured.tenant(session.router.key.cluster, session.router.key.tenant).traffic.add(traffic)
    seconds = trio.current_time() - session.since
    server = "" if session.last_server is None else str(session.last_server)
    end = _record(services, session, server, seconds, why.value, session.detail, statements=traffic.statements)
    services.ends.clients.append(end)
    if services.diagnosis is not None and services.diagnosis.wants_connections:
        services.diagnosis.ended(end, why)
    if services.events.wanted:
        who = (session.client, end.user, end.tenant, end.cluster)
        now = trio.current_time()
        services.events.tell(SessionEnded(now, end.id, *who, why.value, end.detail, seconds, traffic.statements))
    log.log(
        logging.DEBUG if why in QUIET else logging.INFO,
        "%s ended: %s, after %.3g s and %d statements%s",
        session,
        why.value,
        seconds,
        traffic.statements,
        f" ({session.detail})" if session.detail else "",
    )


def note_server_end(services: Services, session: Session, upstream: Upstream, why: ServerEnd, detail: str = "") -> None:
    """Write down that a server session has ended."""
    services.counts.server_ends[why.value] += 1
    seconds = trio.current_time() - upstream.since
    services.ends.servers.append(
        _record(
            services, session, str(upstream.address), seconds, why.value, detail, server_session=upstream.connection_id
        )
    )
    log.debug("%s: server session %d on %s ended: %s", session, upstream.connection_id, upstream.address, why.value)


def _record(
    services: Services,
    session: Session,
    server: str,
    seconds: float,
    reason: str,
    detail: str,
    *,
    server_session: int = 0,
    statements: int = 0,
) -> EndRecord:
    destination, traffic = session.destination, session.traffic
    return EndRecord(
        id=session.id,
        client=f"{session.peer[0]}:{session.peer[1]}",
        user=destination.user if destination else "",
        tenant=destination.tenant if destination else "",
        cluster=destination.cluster if destination else "",
        server=server,
        server_session=server_session,
        began=services.wall_clock_us() / 1e6 - seconds,
        seconds=seconds,
        statements=statements,
        client_bytes=0 if server_session else traffic.client_bytes_in,
        server_bytes=0 if server_session else traffic.server_bytes_in,
        reason=reason,
        detail=detail,
    )
