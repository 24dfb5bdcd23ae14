"""A login to the proxy itself: ``root@proxysys``, and ``inspector@proxysys`` for health checks.

What it may say is the table of ``admin.commands``, which is imported when somebody asks: it is not needed to start.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

import trio

from odp_trio.errors import AccessDenied, NotSupported, OdpError, OutOfOrder
from odp_trio.net.channel import PacketChannel
from odp_trio.session.compression import stream_behind_login
from odp_trio.session.kill import Killer, killer_of
from odp_trio.session.login import Credentials, Destination
from odp_trio.session.recording import tell_of_login
from odp_trio.session.services import Session
from odp_trio.wire.auth import token_matches
from odp_trio.wire.command import Com, command_name
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import err_packet, ok_payload

if TYPE_CHECKING:
    from odp_trio.app import Proxy

ADMINISTRATOR: Final = "root"
INSPECTOR: Final = "inspector"
_OK: Final = packet(1, ok_payload())


async def serve_admin(
    proxy: Callable[[], Proxy],
    session: Session,
    client: PacketChannel,
    credentials: Credentials,
    destination: Destination,
) -> None:
    """Check the password, then answer commands until the client quits; raise AccessDenied."""
    settings = proxy().settings()
    passwords = {ADMINISTRATOR: settings.obproxy_sys_password, INSPECTOR: settings.inspector_password}
    password = passwords.get(destination.user)
    if not password:
        raise AccessDenied(f"{destination.user!r} may not log in here (no such user, or no password configured)")
    if not token_matches(credentials.packet.auth, password.value, credentials.scramble):
        raise AccessDenied(f"wrong password for the proxy's own account {destination.user!r}")
    session.state = "admin"
    tell_of_login(proxy().services, session, "")
    await client.send_packet(credentials.seq + 1, ok_payload())
    client.stream = stream_behind_login(client, credentials, settings)
    while True:
        client.read_limit = proxy().settings().default_inactivity_timeout
        seq, payload = await client.receive()
        if seq:
            raise OutOfOrder(f"packet 0 expected, got {seq}")
        if payload[:1] == bytes((Com.QUIT,)):
            return
        await client.send(await answer(proxy(), session, payload))


async def answer(proxy: Proxy, session: Session, payload: bytes) -> bytes:
    """Return the whole response to one packet of a session of the proxy itself."""
    try:
        sql = _as_text(payload)
        if sql is None:
            return _OK
        table = await commands()
        found: bytes = await table.answer_proxysys(proxy, session, _killer(session), sql)
    except OdpError as exc:
        return err_packet(1, exc)
    return found


def _killer(session: Session) -> Killer:
    """Return who it is: the inspector sees nobody."""
    destination = session.destination
    return Killer(user=destination.user if destination else "", everything=_is_root(session))


def _is_root(session: Session) -> bool:
    return session.destination is not None and session.destination.user == ADMINISTRATOR


def _as_text(payload: bytes) -> str | None:
    """Return what a command says, in SQL; None for one that is answered with OK."""
    match payload[0] if payload else -1:
        case Com.PING | Com.INIT_DB | Com.RESET_CONNECTION:
            return None
        case Com.QUERY:
            return payload[1:].decode(errors="replace")
        case Com.PROCESS_INFO:
            return "SHOW PROCESSLIST"
        case Com.PROCESS_KILL if len(payload) >= 5:
            return f"KILL {int.from_bytes(payload[1:5], 'little')}"
        case command:
            raise NotSupported(f"{command_name(max(command, 0))} is not supported by the proxy itself")


async def answer_client(proxy: Callable[[], Proxy], session: Session, sql: bytes, status: int) -> bytes | None:
    """Answer a command for the proxy in a session of a cluster; None when a server is to answer it."""
    table = await commands()
    try:
        text = sql.decode(errors="replace")
        found: bytes | None = await table.answer_client(proxy(), session, killer_of(session), text, status)
    except OdpError as exc:
        return err_packet(1, exc)
    return found


async def commands() -> ModuleType:
    """Return the table's module, imported in a thread the first time."""
    if not _loaded:
        load = partial(import_module, "odp_trio.admin.commands.answer")
        _loaded.append(await trio.to_thread.run_sync(load))
    return _loaded[0]


_loaded: list[ModuleType] = []
