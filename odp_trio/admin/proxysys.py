"""``root@proxysys``: a login to the proxy itself.

The commands are one table; help is printed from it.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence

import msgspec

from odp_trio.admin.status import ProxyStatus
from odp_trio.config import Settings
from odp_trio.errors import AccessDenied, NotSupported, OdpError, OutOfOrder, SyntaxRefused
from odp_trio.net.channel import PacketChannel
from odp_trio.session.compression import stream_behind_login
from odp_trio.session.login import Credentials, Destination
from odp_trio.session.services import Session
from odp_trio.sql.grammar import InternalKind, parse_internal
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


def _clusters(status: ProxyStatus) -> Rows:
    return [
        (cluster.name, cluster.version, address, state, cluster.refreshes, cluster.failures, cluster.last_failure)
        for cluster in status.clusters
        for address, state in (cluster.servers or {"": ""}).items()
    ]


def _tasks(status: ProxyStatus) -> Rows:
    return [(task.path, task.state, task.restarts, task.last_error) for task in status.tasks]


def _ends(status: ProxyStatus) -> Rows:
    return sorted(status.ends.items())


def _numbers(status: ProxyStatus) -> Rows:
    record = msgspec.to_builtins(status)
    return [(name, value) for name, value in record.items() if isinstance(value, int | float)]


def _help(_: ProxyStatus) -> Rows:
    return [(f"SHOW {name}", command.help) for name, command in COMMANDS.items()]


COMMANDS: dict[str, Command] = {
    "PROXYCLUSTER": Command(
        ("cluster", "version", "server", "state", "refreshes", "failures", "last_failure"),
        _clusters,
        "the clusters and their servers",
    ),
    "PROXYTREE": Command(("task", "state", "restarts", "last_error"), _tasks, "the supervised tasks"),
    "PROXYENDS": Command(("reason", "sessions"), _ends, "why sessions ended"),
    "PROXYSTAT": Command(("name", "value"), _numbers, "counters and gauges"),
    "PROXYHELP": Command(("command", "what_it_shows"), _help, "these commands"),
}


async def serve_admin(
    status: Callable[[], ProxyStatus],
    settings: Callable[[], Settings],
    session: Session,
    client: PacketChannel,
    credentials: Credentials,
    destination: Destination,
) -> None:
    """Check the password, then answer commands until the client quits; raise AccessDenied."""
    password = settings().obproxy_sys_password
    if destination.user != ADMIN_USER or not password:
        raise AccessDenied(f"{destination.user!r} may not log in here (no such user, or no password configured)")
    if not token_matches(credentials.packet.auth, password.value, credentials.scramble):
        raise AccessDenied("wrong password for the proxy's own account")
    session.state = "admin"
    client.read_limit = settings().default_inactivity_timeout
    await client.send_packet(credentials.seq + 1, ok_payload())
    client.stream = stream_behind_login(client, credentials, settings())
    while True:
        seq, payload = await client.receive()
        if seq:
            raise OutOfOrder(f"packet 0 expected, got {seq}")
        if payload[:1] == bytes((Com.QUIT,)):
            return
        await client.send(answer(payload, status))


def answer(payload: bytes, status: Callable[[], ProxyStatus]) -> bytes:
    """Return the whole response to one command of an admin session."""
    command = payload[0] if payload else 0
    try:
        if command in (Com.PING, Com.INIT_DB):
            return packet(1, ok_payload())
        if command != Com.QUERY:
            raise NotSupported(f"{command_name(command)} is not supported by the proxy itself")
        return _query(payload[1:].decode(errors="replace"), status)
    except OdpError as exc:
        return err_packet(1, exc)


def _query(sql: str, status: Callable[[], ProxyStatus]) -> bytes:
    statement = parse_internal(sql)
    if statement.kind is not InternalKind.SHOW:
        return packet(1, ok_payload())
    command = COMMANDS.get(statement.subject)
    if command is None:
        near = difflib.get_close_matches(statement.subject, COMMANDS, n=2) or ["PROXYHELP"]
        raise SyntaxRefused(f"SHOW {statement.subject} is unknown; did you mean SHOW {' or SHOW '.join(near)}?")
    rows = [row for row in command.rows(status()) if statement.matches(str(row[0]))]
    return text_result(command.columns, rows)
