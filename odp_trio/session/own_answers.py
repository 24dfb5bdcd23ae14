"""What the session's task answers itself: KILL, the process list, EXPLAIN ROUTE, commands for the proxy.

A command that it does not answer after all is sent to a server: KILL of an id that is not this proxy's, for one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from odp_trio.errors import OdpError, QueryInterrupted, StatementRefused, UnknownThread
from odp_trio.session.explaining import answer_explain
from odp_trio.session.kill import (
    Killer,
    check_permission,
    find_session,
    is_visible,
    kill_connection,
    kill_query,
    killer_of,
)
from odp_trio.session.kill_elsewhere import KillOrder, killed_elsewhere
from odp_trio.session.placing import Placing
from odp_trio.session.router import Router
from odp_trio.session.services import Services, Session
from odp_trio.sql.facts import Kill, Literal, Parameter
from odp_trio.wire.command import Com, first_packet_end
from odp_trio.wire.fields import OBCapability, Status
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import LOCAL_STATUS, err_packet, ok_payload, text_result

PROCESS_LIST: Final = (
    "Id", "Tenant", "User", "Host", "db", "trans_count", "svr_session_count", "state", "tid", "pid",
)  # fmt: skip
"""Columns of ODP's SHOW PROCESSLIST."""


class OwnKill(QueryInterrupted):
    """A session killed itself: it is told so, and ends."""


async def own_answer(session: Session, services: Services, placing: Placing, data: bytes) -> bytes | None:
    """Return the answer to a command that the router left to the task; None when a server is to answer it after all.

    Raises OwnKill when it ends the session.
    """
    router = session.router
    assert router is not None
    command, facts, refused = data[4], router.request.shape.facts, router.statements.refusal is not None
    if command == Com.QUERY and router.explains:
        return await answer_explain(router, services.views, placing)
    if command == Com.QUERY and facts.internal:
        end = first_packet_end(data)
        whole = end == 4 + int.from_bytes(data[:3], "little") and facts.statements == 1
        return await services.internal(session, data[5:end], _status(session)) if whole else None
    if command == Com.PROCESS_KILL:
        number = int.from_bytes(data[5:9], "little") if len(data) >= 9 else None
        return await _kill(session, services, number, query=False)
    if command == Com.PROCESS_INFO or (command == Com.QUERY and facts.process_list):
        if session.ids_are_known:
            return None
        if services.workers.count > 1:
            return await services.internal(session, b"SHOW PROCESSLIST", _status(session))
        return _process_list(services, killer_of(session))
    if command in (Com.QUERY, Com.STMT_EXECUTE) and facts.kill is not None and not refused:
        return await _kill(session, services, _target(router, facts.kill), query=facts.kill.query)
    if command == Com.QUERY and not refused:
        return None
    return router.statements.answer_here(data[4 : first_packet_end(data)], router.state) or b""


def _target(router: Router, kill: Kill) -> int | None:
    """Return the id that a KILL names; None when only a server can say."""
    values, target = router.values, kill.target
    named: object = None
    if isinstance(target, Literal) and target.slot < len(values.literals):
        named = values.literals[target.slot].strip(b"'\"")
    elif isinstance(target, Parameter) and values.parameters is not None and target.index < len(values.parameters):
        named = values.parameters[target.index]
    text = named.decode("latin-1") if isinstance(named, bytes) else str(named)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def _kill(session: Session, services: Services, number: int | None, *, query: bool) -> bytes | None:
    victim = None if number is None else find_session(services.table, number)
    if number is None:
        return None
    try:
        if victim is None:
            order = KillOrder(number, query, killer_of(session), str(session))
            if await killed_elsewhere(services, order):
                return packet(1, ok_payload(_status(session)))
            own = services.ids.worker_of(number) is not None
            if session.ids_are_known and not own:
                return None  # of another proxy, or of a client without one: servers know it
            if own and query:  # it has just ended: OBServers say OK to that
                return packet(1, ok_payload(_status(session)))
            raise UnknownThread(f"Unknown thread id: {number}")
        check_permission(killer_of(session), victim, number)
        if victim is session and not query:
            raise OwnKill("Query execution was interrupted")
        if query and victim is not session:
            await kill_query(services, victim, session, session)
        elif not query:
            kill_connection(victim, session)
    except OwnKill:
        raise
    except StatementRefused as exc:
        return packet(1, exc.payload)
    except OdpError as exc:
        return err_packet(1, exc)
    return packet(1, ok_payload(_status(session)))


def _status(session: Session) -> int:
    """Return the flags of an OK of our own: whether the session is in a transaction, held or not, is as it was."""
    router = session.router
    assert router is not None
    status = router.tracker.status & Status.IN_TRANS | LOCAL_STATUS
    if router.holds_transaction:
        status |= Status.IN_TRANS
    return int(status if router.state.autocommit else status & ~Status.AUTOCOMMIT)


def _process_list(services: Services, killer: Killer) -> bytes:
    rows = process_rows(services.table.values(), killer)
    return text_result(PROCESS_LIST, (row for row in rows if row is not None))


def process_rows(sessions: Iterable[Session], killer: Killer) -> Iterator[Sequence[object] | None]:
    """Yield the process list as somebody sees it; None for each session that they do not see."""
    return (_process_row(session) if is_visible(killer, session) else None for session in sessions)


def _process_row(session: Session) -> Sequence[object]:
    destination, router = session.destination, session.router
    return (
        session.id,
        destination.tenant if destination else None,
        destination.user if destination else None,
        f"{session.peer[0]}:{session.peer[1]}",
        router.state.database.decode("utf-8", "replace") if router and router.state.database else None,
        session.traffic.statements,
        len(router.servers.by_address) if router else 0,
        session.activity,
        threading.get_native_id(),
        os.getpid(),
    )


def tells_ids(granted: int, version: int) -> bool:
    """Whether servers know the connection ids of clients: version 2, and the server's agreement at the login."""
    return version == 2 and bool(granted & OBCapability.CLIENT_SESSION_ID)
