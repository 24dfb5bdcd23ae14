"""Logging in to an OBServer on behalf of a client, without knowing its password.

The client answered *our* scramble.  The server is told how to get from its own
scramble to ours (``__proxy_scramble`` is their XOR), so the client's token can
be forwarded as it is (seen on seekdb 1.3.0).
"""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.config.values import compression_level
from odp_trio.errors import (
    ConnectFailed,
    LoginRefused,
    ServerProtocolError,
    UpstreamError,
    UpstreamLost,
    UpstreamTimedOut,
)
from odp_trio.model import Address
from odp_trio.net.certificates import ServerTls
from odp_trio.net.channel import PacketChannel, PeerGone
from odp_trio.net.coded import Coded
from odp_trio.net.connect import SocketOptions, is_connected
from odp_trio.net.network import KERNEL, Network
from odp_trio.net.ob20_stream import OB20Stream
from odp_trio.net.stream import Stream
from odp_trio.session.server_tls import secure
from odp_trio.state.login_answers import LoginAnswer, LoginAnswers
from odp_trio.wire.auth import xor
from odp_trio.wire.compressed import ServerCodec
from odp_trio.wire.fields import Capability, OBCapability
from odp_trio.wire.framing import Framing, agreed_framing, framing_capabilities
from odp_trio.wire.handshake import Greeting, LoginPacket, parse_greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err

ASKED: Final = (
    OBCapability.PARTITION_TABLE
    | OBCapability.CHANGE_USER
    | OBCapability.READ_WEAK
    | OBCapability.SAFE_WEAK_READ
    | OBCapability.CHECKSUM_SWITCH
    | OBCapability.PL_ROUTE
    | OBCapability.READ_STALE_FEEDBACK
    | OBCapability.DUP_SESS_INFO_SYNC
    | OBCapability.LOCAL_FILES
    | OBCapability.CLIENT_SESSION_ID
)
"""What we ask of an OBServer whatever the framing: no extra OK after COM_STATISTICS."""

_WITH_OB20: Final = (
    OBCapability.PROXY_REROUTE
    | OBCapability.SESSION_SYNC
    | OBCapability.NEW_EXTRA_INFO
    | OBCapability.SESSION_VAR_SYNC
    | OBCapability.FEEDBACK_PROXY
)
_TRACING: Final = OBCapability.FULL_LINK_TRACING | OBCapability.FULL_LINK_TRACING_EXT

_NEVER: Final = Capability.COMPRESS | Capability.SSL | Capability.PLUGIN_AUTH_LENENC | Capability.DEPRECATE_EOF
_ALWAYS: Final = (
    Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.SESSION_TRACK
)
_LOST: Final = (errno.ECONNRESET, errno.EPIPE)
"""What can happen to a connection that has come about."""
_PROXY_VERSION: Final = b"4.3.1.0"
"""The ODP release whose behaviour towards an OBServer this one has."""


class Asked(msgspec.Struct, frozen=True):
    """What the configuration asks of every server session of a client."""

    capabilities: int = int(ASKED)
    level: int = 0
    """zlib's, of requests."""


def asked_of_servers(settings: Settings) -> Asked:
    """Return what is asked: OB 2.0 and what needs it come and go together, as in ODP; or compression without it."""
    level = compression_level(settings.compression_algorithm)
    ob20 = settings.enable_ob_protocol_v2
    asked = ASKED | framing_capabilities(ob20=ob20, compressed=settings.enable_compression_protocol, level=level)
    if ob20:
        asked |= _WITH_OB20
        if settings.enable_full_link_trace:
            asked |= _TRACING
    if settings.client_session_id_version == 1:  # ids are this proxy's affair
        asked &= ~OBCapability.CLIENT_SESSION_ID
    return Asked(int(asked), level)


def server_socket_options(settings: Settings) -> SocketOptions:
    """Return the options of connections to servers."""
    return SocketOptions(
        settings.server_tcp_keepidle,
        settings.server_tcp_keepintvl,
        settings.server_tcp_keepcnt,
        settings.server_tcp_user_timeout,
        settings.sock_option_flag_out,
        settings.sock_recv_buffer_size_out,
        settings.sock_send_buffer_size_out,
    )


class Identity(msgspec.Struct, frozen=True):
    """Who logs in, for every server session of one client session."""

    login: LoginPacket
    user: bytes
    """``user@tenant``, without the cluster."""
    scramble: bytes
    connection_id: int
    proxy_session_id: int
    client_ip: str
    client_port: int
    connect_time_us: int
    cluster: str | None
    """Told to the server, which then checks it; None to leave it out."""
    cluster_id: int | None = None
    tell_client_ip: bool = True
    global_variables: bytes = b"0"
    """Version of the global variables that the client session has: 0 at its first login."""
    asked: Asked = Asked()

    def __repr__(self) -> str:
        return f"Identity(user={self.user!r}, connection_id={self.connection_id})"


def for_further_logins(identity: Identity, answer: LoginAnswer) -> Identity:
    """Return who logs in to further servers: without a database, which may be gone, and no more for the first time."""
    login = msgspec.structs.replace(identity.login, database=None)
    return msgspec.structs.replace(identity, login=login, global_variables=answer.global_version)


class ServerSession(msgspec.Struct):
    """One logged-in connection to an OBServer.  The caller owns the stream."""

    address: Address
    sock: socket.socket
    """Below the stream."""
    stream: Stream
    connection_id: int
    """The server's own id for it."""
    answer: LoginAnswer
    """The OK that answered the login."""
    capabilities: int = 0
    """What both sides have: bits of OBCapability."""
    tls: str = ""
    """The version of TLS in use; empty: none."""


@final
class Begun:
    """A connection to a server that was begun, perhaps up to the login that was sent, and is to be gone on with.

    ``since``: when it was begun, or the login was sent.
    """

    __slots__ = ("address", "channel", "error", "greeting", "since", "sock", "trial")

    def __init__(self, address: Address, sock: socket.socket, since: float, *, trial: bool) -> None:
        self.address, self.sock, self.since, self.trial = address, sock, since, trial
        self.channel = PacketChannel(sock, ServerProtocolError)
        """With all that has come of the server's next packet."""
        self.greeting: Greeting | None = None
        """The server's, once the login has been sent."""
        self.error: UpstreamError | None = None
        """Why it came to nothing."""


def login_packet(identity: Identity, server_scramble: bytes, server_connection_id: int) -> LoginPacket:
    """Build the login to a server out of the client's own."""
    login = identity.login
    flags = (login.capabilities | _ALWAYS) & ~_NEVER
    flags = flags | Capability.CONNECT_WITH_DB if login.database else flags & ~Capability.CONNECT_WITH_DB
    return msgspec.structs.replace(
        login,
        capabilities=int(flags),
        user=identity.user,
        plugin=b"mysql_native_password",
        attributes=_attributes(identity, server_scramble, server_connection_id),
    )


def _attributes(identity: Identity, server_scramble: bytes, server_connection_id: int) -> dict[bytes, bytes]:
    """Return the connect attributes in ODP's order."""
    attributes = {name: value for name, value in identity.login.attributes.items() if name.startswith(b"__ob_client")}
    attributes[b"__mysql_client_type"] = b"__ob_proxy"
    attributes[b"__connection_id"] = _number(server_connection_id)
    attributes[b"__proxy_connection_id"] = _number(identity.proxy_session_id)
    if identity.cluster is not None:
        attributes[b"__cluster_name"] = identity.cluster.encode()
        if identity.cluster_id is not None:
            attributes[b"__cluster_id"] = _number(identity.cluster_id)
    attributes[b"__global_vars_version"] = identity.global_variables
    attributes[b"__proxy_capability_flag"] = _number(identity.asked.capabilities)
    if identity.login.auth:
        attributes[b"__proxy_scramble"] = xor(identity.scramble, server_scramble)
    if identity.tell_client_ip:
        attributes[b"__client_ip"] = identity.client_ip.encode()
    attributes[b"__proxy_version"] = _PROXY_VERSION
    attributes[b"__client_addr_port"] = _number(identity.client_port)
    attributes[b"__client_session_id"] = _number(identity.connection_id)
    attributes[b"__client_connect_time"] = _number(identity.connect_time_us)
    return attributes


def _number(value: int) -> bytes:
    return str(value).encode("ascii")


AskClient = Callable[[int, bytes], Awaitable[tuple[int, bytes]]]
"""Pass a packet (number and payload) to the client and return its answer."""


async def client_is_not_asked(seq: int, payload: bytes) -> tuple[int, bytes]:
    """A further server wants another answer than the one that the client gave at its login: that cannot be had."""
    raise ServerProtocolError("the server asks for the password in another form; the client cannot be asked again")


async def open_server_session(
    address: Address,
    identity: Identity,
    *,
    timeout: float,
    options: SocketOptions,
    ask_client: AskClient,
    answers: LoginAnswers,
    tls: ServerTls | None = None,
    network: Network = KERNEL,
    begun: Begun | None = None,
) -> ServerSession:
    """Connect and log in within ``timeout`` seconds each; time that the client takes does not count.

    What the server answers is looked up in ``answers``.  ``begun`` is a connection to go on with.

    Raises ConnectFailed (nothing was sent), LoginRefused (the server's ERR
    packet, for the client to see), UpstreamLost (no answer, or a broken one),
    InsecureServer (TLS that is insisted on cannot be had).
    """
    if begun is None:
        begun = Begun(address, network.begin_connection(address, options), trio.current_time(), trial=False)
    sock, channel = begun.sock, begun.channel
    try:
        if begun.error is not None:
            raise begun.error
        with trio.CancelScope(deadline=begun.since + timeout) as scope:
            version = ""
            if begun.greeting is None:
                greeted = await _greeted(channel, address)
                scope.deadline = trio.current_time() + timeout
                begun.greeting, version = await _send_login(address, channel, greeted, identity, tls)
            ask = partial(_while_the_clock_stands, scope, ask_client)
            payload = await _answered(address, channel, ask)
            return logged_in(begun, payload, identity, answers, version)
        if not is_connected(sock):
            raise ConnectFailed(f"{address}: no answer to a connection attempt within {timeout:g} s")
        raise UpstreamTimedOut(f"{address}: no answer to the login within {timeout:g} s")
    except (PeerGone, ServerProtocolError) as exc:
        sock.close()
        raise UpstreamLost(f"{address}: {exc}") from exc
    except BaseException:
        sock.close()
        raise


async def _greeted(channel: PacketChannel, address: Address) -> tuple[int, bytes]:
    """Wait for the connection and the greeting in one: the server speaks first.

    Raises ConnectFailed when the connection does not come about, PeerGone when it is lost.
    """
    try:
        return await channel.receive(later=True)
    except PeerGone as exc:
        cause = exc.__cause__
        if isinstance(cause, OSError) and cause.errno not in _LOST:
            raise ConnectFailed(f"{address}: {cause.strerror}") from cause
        raise


async def _send_login(
    address: Address,
    channel: PacketChannel,
    greeted: tuple[int, bytes],
    identity: Identity,
    tls: ServerTls | None,
) -> tuple[Greeting, str]:
    """Answer a greeting; return it, and the version of TLS that was begun before."""
    seq, payload = greeted
    _refuse_if_error(payload, address)
    greeting = parse_greeting(payload)
    login = login_packet(identity, greeting.scramble, greeting.connection_id)
    if version := await secure(channel, address, greeting, login, tls, seq + 1):
        seq, login = seq + 1, msgspec.structs.replace(login, capabilities=login.capabilities | Capability.SSL)
    await channel.send(packet(seq + 1, login.to_bytes()))
    return greeting, version


async def _answered(address: Address, channel: PacketChannel, ask_client: AskClient) -> bytes:
    """Return the OK that answers a login."""
    seq, payload = await channel.receive(later=True)
    while payload[:1] == b"\xfe":  # an auth switch request concerns the client: it holds the password
        answer_seq, answer = await ask_client(seq, payload)
        await channel.send_packet(answer_seq, answer)
        seq, payload = await channel.receive()
    _refuse_if_error(payload, address)
    if payload[:1] != b"\0" or channel.leftover():
        raise ServerProtocolError("the answer to a login is neither OK nor ERR")
    return payload


def logged_in(begun: Begun, ok: bytes, identity: Identity, answers: LoginAnswers, version: str = "") -> ServerSession:
    """Return what a login came to that was answered with OK; ``version`` is that of TLS."""
    assert begun.greeting is not None
    told, number = answers.shared(ok), begun.greeting.connection_id
    agreed = identity.asked.capabilities & told.capabilities
    stream = _framed(begun.channel.stream, agreed, number, identity.asked, checksum=told.checksum)
    return ServerSession(begun.address, begun.sock, stream, number, told, agreed, version)


def _framed(stream: Stream, agreed: int, connection_id: int, asked: Asked, *, checksum: bool) -> Stream:
    """Begin the framing that was agreed on: everything behind the login's OK is in it."""
    match agreed_framing(asked.capabilities, agreed):
        case Framing.OB20:
            return OB20Stream(stream, connection_id)
        case Framing.OB20_COMPRESSED:
            return OB20Stream(stream, connection_id, asked.level)
        case Framing.COMPRESSED:
            return Coded(stream, ServerCodec(asked.level, checksum=checksum))
        case Framing.PLAIN:
            return stream


async def _while_the_clock_stands(
    scope: trio.CancelScope, ask_client: AskClient, seq: int, payload: bytes
) -> tuple[int, bytes]:
    """Let the client take its time: it has limits of its own, and the server is not to be blamed."""
    left, scope.deadline = scope.deadline - trio.current_time(), math.inf
    answer = await ask_client(seq, payload)
    scope.deadline = trio.current_time() + left
    return answer


def _refuse_if_error(payload: bytes, address: Address) -> None:
    if payload[:1] == b"\xff":
        error = parse_err(payload)
        raise LoginRefused(payload, error.errno, f"{error.message} ({address})")
