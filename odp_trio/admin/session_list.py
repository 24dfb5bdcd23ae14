"""The sessions of clients as records, those that somebody looks for."""

from __future__ import annotations

from collections.abc import Collection
from heapq import nlargest
from typing import Final

import msgspec
import trio

from odp_trio.session.services import Session

_SLICE: Final = 500


class SessionStatus(msgspec.Struct, frozen=True):
    """One client."""

    id: int
    """Its connection id, which KILL takes."""
    client: str
    user: str
    tenant: str
    cluster: str
    server: str
    """The OBServer that its last statement ran on, or is running on; empty: none yet."""
    state: str
    """login, admin, parked (its next statement waits for something), active, idle."""
    seconds: float
    """Since it connected."""
    statements: int
    errors: int
    client_bytes: int
    server_bytes: int
    servers: int
    """Sessions that it has on OBServers."""
    in_transaction: bool
    tls: str


def session_status(session: Session, now: float) -> SessionStatus:
    """Return what one session is doing; ``now`` is a Trio time."""
    destination, traffic, router, lane = session.destination, session.traffic, session.router, session.lane
    return SessionStatus(
        id=session.id,
        client=session.client,
        user=destination.user if destination else "",
        tenant=destination.tenant if destination else "",
        cluster=destination.cluster if destination else "",
        server=str(session.server or ""),
        state=session.activity,
        seconds=round(now - session.since, 3),
        statements=traffic.statements,
        errors=traffic.errors,
        client_bytes=traffic.client_bytes_in,
        server_bytes=traffic.server_bytes_in,
        servers=len(router.servers.by_address) if router is not None else 0,
        in_transaction=lane is not None and lane.tracker.in_transaction,
        tls=session.tls,
    )


async def list_sessions(
    sessions: Collection[Session], *, search: str = "", state: str = "", limit: int = 100
) -> tuple[tuple[SessionStatus, ...], int]:
    """Return the sessions that have every word of ``search`` somewhere, busiest first, and how many there are in all.

    Walks them in slices: others run between.
    """
    words = search.lower().split()
    found: list[Session] = []
    everybody = tuple(sessions)
    for start in range(0, len(everybody), _SLICE):
        found += [
            session
            for session in everybody[start : start + _SLICE]
            if (not state or session.activity == state) and (not words or _has(words, _text(session)))
        ]
        await trio.lowlevel.checkpoint()
    now = trio.current_time()
    busiest = nlargest(limit, found, key=lambda session: (session.traffic.statements, session.id))
    return tuple(session_status(session, now) for session in busiest), len(found)


def _has(words: list[str], text: str) -> bool:
    return all(word in text for word in words)


def _text(session: Session) -> str:
    destination = session.destination
    who = f"{destination.user}@{destination.tenant}#{destination.cluster}" if destination else ""
    return f"{session.id} {who} {session.client} {session.server or ''} {session.activity}".lower()
