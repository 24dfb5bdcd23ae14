"""COM_CHANGE_USER: the one command whose answer may ask the client something."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from odp_trio.config import Settings
from odp_trio.errors import (
    AccessDenied,
    NotSupported,
    ServerProtocolError,
    TooManyClients,
    UpstreamLost,
    UpstreamTimedOut,
)
from odp_trio.net.channel import PacketChannel, PeerGone, PeerTooSlow
from odp_trio.net.stream import Stream
from odp_trio.session.login import Destination
from odp_trio.wire.command import Com
from odp_trio.wire.handshake import parse_change_user
from odp_trio.wire.login_name import parse_login_name
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import err_packet
from odp_trio.wire.state import parse_ok_head, plain_ok


class ChangedUser(msgspec.Struct, frozen=True):
    """Whose session it is now, and the OK in which the server says what there is to know."""

    user: str
    ok: bytes


async def change_user(
    client: PacketChannel,
    server_stream: Stream,
    payload: bytes,
    destination: Destination,
    settings: Settings,
    tracker: ResponseTracker,
    admit: Callable[[str], None],
) -> ChangedUser | None:
    """Pass the command on with ``user@tenant``, and the auth switch that may follow; return who it is now, if accepted.

    The tenant and the cluster cannot be changed: that is refused (1235), and the session goes on as it was.
    So is a user for whom ``admit`` raises TooManyClients.  The server has ``connect_timeout`` for each of its answers.
    """
    command = parse_change_user(payload)
    try:
        name = parse_login_name(command.user.decode("utf-8", "surrogateescape"), settings.username_separator)
        admit(name.user)
    except (AccessDenied, TooManyClients) as exc:
        await client.send(err_packet(1, exc))
        return None
    if (name.tenant or destination.tenant) != destination.tenant or (
        name.cluster or destination.cluster
    ) != destination.cluster:
        await client.send(err_packet(1, NotSupported("COM_CHANGE_USER cannot change tenant or cluster")))
        return None
    user = f"{name.user}@{destination.tenant}".encode("utf-8", "surrogateescape")
    try:
        server = PacketChannel(server_stream, ServerProtocolError)
        server.read_limit = server.write_limit = settings.connect_timeout
        ok = await _exchange(client, server, msgspec.structs.replace(command, user=user).to_bytes(), tracker)
    except ServerProtocolError as exc:
        raise UpstreamLost(f"COM_CHANGE_USER: {exc}") from exc
    return ChangedUser(name.user, ok) if ok else None


async def _exchange(client: PacketChannel, server: PacketChannel, command: bytes, tracker: ResponseTracker) -> bytes:
    """Return the server's OK; nothing if it refuses."""
    seq, payload = 0, command
    while True:
        seq, payload = await _ask(server, seq, payload)
        if payload[:1] != b"\xfe":
            break
        await client.send_packet(seq, payload)
        seq, payload = await client.receive()
    if payload[:1] == b"\xff":
        await client.send_packet(seq, payload)
        await _receive(server)  # the extra OK
        return b""
    tracker.status = parse_ok_head(payload)[2]
    await client.send_packet(seq, plain_ok(payload))
    return payload


async def _ask(server: PacketChannel, seq: int, payload: bytes) -> tuple[int, bytes]:
    try:
        await server.send(packet(seq, payload))
    except PeerTooSlow as exc:
        raise UpstreamTimedOut(str(exc)) from exc
    except PeerGone as exc:
        raise UpstreamLost(str(exc)) from exc
    return await _receive(server)


async def _receive(server: PacketChannel) -> tuple[int, bytes]:
    try:
        return await server.receive()
    except PeerTooSlow as exc:
        raise UpstreamTimedOut(f"the OBServer did not answer {Com.CHANGE_USER.name}: {exc}") from exc
    except PeerGone as exc:
        raise UpstreamLost(f"the OBServer closed the connection during {Com.CHANGE_USER.name}") from exc
