"""``root@proxysys``: a login to the proxy itself.

The commands are one table; help is printed from it.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from odp_trio.admin.status import ProxyStatus
from odp_trio.errors import (
    AccessDenied,
    NotSupported,
    OdpError,
    OutOfOrder,
    QueryInterrupted,
    SyntaxRefused,
    UnknownThread,
)
from odp_trio.net.channel import PacketChannel
from odp_trio.session.compression import stream_behind_login
from odp_trio.session.kill import Killer, find_session, kill_connection, kill_query
from odp_trio.session.ledger import Ends
from odp_trio.session.login import Credentials, Destination
from odp_trio.session.own_answers import PROCESS_LIST, process_rows
from odp_trio.session.reasons import End
from odp_trio.session.services import Services, Session
from odp_trio.sql.grammar import InternalKind, InternalStatement, parse_internal
from odp_trio.wire.auth import token_matches
from odp_trio.wire.command import Com, command_name
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import err_packet, ok_payload, text_result

log = logging.getLogger("odp_trio.admin")

ADMIN_USER = "root"
Rows = Sequence[Sequence[object]]


class Command(msgspec.Struct, frozen=True):
    """One SHOW command: its columns, the rows it reads off the status, and what it is for."""

    columns: tuple[str, ...]
    rows: Callable[[ProxyStatus], Rows]
    help: str


class Ledger(msgspec.Struct, frozen=True):
    """One SHOW command about what has been: its columns, the rows it reads off the ledger of ends."""

    columns: tuple[str, ...]
    rows: Callable[[Ends], Rows]
    help: str


def _clusters(status: ProxyStatus) -> Rows:
    return [
        (cluster.name, cluster.version, address, state, cluster.refreshes, cluster.failures, cluster.last_failure)
        for cluster in status.clusters
        for address, state in (cluster.servers or {"": ""}).items()
    ]


def _tasks(status: ProxyStatus) -> Rows:
    return [(task.path, task.state, task.restarts, task.last_error) for task in status.tasks]


def _reasons(status: ProxyStatus) -> Rows:
    sides = (("client", status.ends), ("server", status.server_ends))
    return [(reason, side, count) for side, ends in sides for reason, count in sorted(ends.items())]


def _client_ends(ends: Ends) -> Rows:
    return [
        (
            *(end.id, end.client, end.user, end.tenant, end.cluster, end.server, _moment(end.began)),
            *(f"{end.seconds:.3f}", end.statements, end.client_bytes, end.server_bytes, end.reason, end.detail),
        )
        for end in ends.newest()
    ]


def _server_ends(ends: Ends) -> Rows:
    return [
        (
            *(end.id, end.server_session, end.server, end.user, end.tenant, end.cluster),
            *(_moment(end.began), f"{end.seconds:.3f}", end.reason, end.detail),
        )
        for end in ends.newest(servers=True)
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _numbers(status: ProxyStatus) -> Rows:
    record = msgspec.to_builtins(status)
    return [(name, value) for name, value in record.items() if isinstance(value, int | float)]


def _help(_: ProxyStatus) -> Rows:
    return [
        *((f"SHOW {name}", command.help) for name, command in COMMANDS.items()),
        ("SHOW PROCESSLIST", "the clients"),
        ("KILL [CONNECTION | QUERY] id", "end a client, or only its statement"),
    ]


COMMANDS: dict[str, Command | Ledger] = {
    "PROXYCLUSTER": Command(
        ("cluster", "version", "server", "state", "refreshes", "failures", "last_failure"),
        _clusters,
        "the clusters and their servers",
    ),
    "PROXYTREE": Command(("task", "state", "restarts", "last_error"), _tasks, "the supervised tasks"),
    "PROXYENDS": Ledger(
        (
            "id",
            "client",
            "user",
            "tenant",
            "cluster",
            "server",
            "began",
            "seconds",
            "statements",
            "client_bytes",
            "server_bytes",
            "reason",
            "detail",
        ),
        _client_ends,
        "the last clients that ended, and why",
    ),
    "PROXYSERVERENDS": Ledger(
        ("id", "server_session", "server", "user", "tenant", "cluster", "began", "seconds", "reason", "detail"),
        _server_ends,
        "the last server sessions that ended, and why",
    ),
    "PROXYENDREASONS": Command(("reason", "side", "ends"), _reasons, "how many ended for which reason"),
    "PROXYSTAT": Command(("name", "value"), _numbers, "counters and gauges"),
    "PROXYHELP": Command(("command", "what_it_shows"), _help, "these commands"),
}


async def serve_admin(
    status: Callable[[], ProxyStatus],
    services: Callable[[], Services],
    session: Session,
    client: PacketChannel,
    credentials: Credentials,
    destination: Destination,
) -> None:
    """Check the password, then answer commands until the client quits; raise AccessDenied."""
    password = services().settings().obproxy_sys_password
    if destination.user != ADMIN_USER or not password:
        raise AccessDenied(f"{destination.user!r} may not log in here (no such user, or no password configured)")
    if not token_matches(credentials.packet.auth, password.value, credentials.scramble):
        raise AccessDenied("wrong password for the proxy's own account")
    session.state = "admin"
    await client.send_packet(credentials.seq + 1, ok_payload())
    client.stream = stream_behind_login(client, credentials, services().settings())
    while True:
        seq, payload = await client.receive()
        if seq:
            raise OutOfOrder(f"packet 0 expected, got {seq}")
        if payload[:1] == bytes((Com.QUIT,)):
            return
        await client.send(await answer(payload, status, services(), session))


async def answer(payload: bytes, status: Callable[[], ProxyStatus], services: Services, session: Session) -> bytes:
    """Return the whole response to one command of an admin session."""
    command = payload[0] if payload else 0
    try:
        if command in (Com.PING, Com.INIT_DB):
            return packet(1, ok_payload())
        if command == Com.PROCESS_INFO:
            return _process_list(services)
        if command == Com.PROCESS_KILL and len(payload) >= 5:
            return await _kill(services, session, int.from_bytes(payload[1:5], "little"), query=False)
        if command != Com.QUERY:
            raise NotSupported(f"{command_name(command)} is not supported by the proxy itself")
        statement = parse_internal(payload[1:].decode(errors="replace"))
        if statement.kind is InternalKind.PROCESS_LIST:
            return _process_list(services)
        if statement.kind is InternalKind.KILL:
            return await _kill(services, session, statement.number, query=statement.query)
        return _show(statement, status, services)
    except OdpError as exc:
        return err_packet(1, exc)


def _process_list(services: Services) -> bytes:
    return text_result(PROCESS_LIST, process_rows(services.table.values(), Killer(everything=True)))


async def _kill(services: Services, session: Session, number: int, *, query: bool) -> bytes:
    victim = find_session(services.table, number)
    if victim is None:
        raise UnknownThread(f"Unknown thread id: {number}")
    if victim is session and not query:
        session.end(End.KILLED, "by itself")
        raise QueryInterrupted("Query execution was interrupted")
    if query:
        await kill_query(services, victim, None, session)
    else:
        kill_connection(victim, session)
    return packet(1, ok_payload())


def _show(statement: InternalStatement, status: Callable[[], ProxyStatus], services: Services) -> bytes:
    if statement.kind is not InternalKind.SHOW:
        return packet(1, ok_payload())
    command = COMMANDS.get(statement.subject)
    if command is None:
        near = difflib.get_close_matches(statement.subject, COMMANDS, n=2) or ["PROXYHELP"]
        raise SyntaxRefused(f"SHOW {statement.subject} is unknown; did you mean SHOW {' or SHOW '.join(near)}?")
    found = command.rows(services.ends) if isinstance(command, Ledger) else command.rows(status())
    return text_result(command.columns, [row for row in found if statement.matches(str(row[0]))])
