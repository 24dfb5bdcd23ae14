"""The client's side of a login: greeting, credentials, who and where.

The order of checks and what a client gets for each is ODP's.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.errors import AccessDenied, ClientProtocolError, OutOfOrder, UnknownCluster
from odp_trio.model import LoginName
from odp_trio.net.channel import PacketChannel
from odp_trio.net.tls import TlsStream
from odp_trio.state.client import ClientState
from odp_trio.wire.auth import NATIVE_PASSWORD, SCRAMBLE_BYTES
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import SSL_REQUEST_BYTES, AuthSwitch, Greeting, LoginPacket, parse_login, wants_tls
from odp_trio.wire.login_name import parse_login_name
from odp_trio.wire.proxy_protocol import ProxyHeader, begins_header, parse_proxy_header

ADMIN_TENANT: Final = "proxysys"
DEFAULT_TENANT: Final = "sys"
_EXPECTED_FIRST: Final = 1
_READ_ALL: Final = 1 << 20


class LoginTimeout(ClientProtocolError):
    """The client did not log in within the time it has."""


class Credentials(msgspec.Struct, frozen=True):
    """What a client logged in with.  ``seq`` is the number of its last packet."""

    packet: LoginPacket
    seq: int
    typed_name: str
    scramble: bytes
    tls: str = ""
    """The version of TLS in use; empty: none."""

    @property
    def tracks_session(self) -> bool:
        """Whether the client wants session-state blocks."""
        return bool(self.packet.capabilities & Capability.SESSION_TRACK)


async def receive_login(
    channel: PacketChannel,
    greeting: Greeting,
    timeout: float,
    proxied: Callable[[ProxyHeader], None],
    tls: ssl.SSLContext | None = None,
    greeted_at: float | None = None,
) -> Credentials:
    """Greet, and read the login within ``timeout`` seconds; ``proxied`` gets a PROXY header that comes before it.

    ``greeted_at``: the client was greeted then, and some of the login may have come.

    ``tls`` is what TLS is begun with if the client asks for it; the greeting must have offered it.
    Raises ClientProtocolError (OutOfOrder, LoginTimeout) for what is no login, TlsFailed,
    PeerGone when the client leaves.
    """
    with trio.move_on_at((trio.current_time() if greeted_at is None else greeted_at) + timeout):
        if greeted_at is None:
            await channel.send_packet(0, greeting.to_bytes())
        await _read_proxy_header(channel, proxied)
        seq, payload = await channel.receive()
        if seq != _EXPECTED_FIRST:
            raise OutOfOrder(f"packet {_EXPECTED_FIRST} expected, got {seq}")
        version = ""
        if wants_tls(payload):
            version = await _begin_tls(channel, payload, tls)
            seq, payload = await channel.receive()
            if seq != _EXPECTED_FIRST + 1:
                raise OutOfOrder(f"packet {_EXPECTED_FIRST + 1} expected, got {seq}")
        packet = parse_login(payload, greeting.capabilities)
        if needs_switch(packet):
            seq, packet = await _switch_to_native(channel, seq, packet, greeting.scramble)
        return Credentials(packet, seq, packet.user.decode("utf-8", "surrogateescape"), greeting.scramble, version)
    raise LoginTimeout(f"no login within {timeout:g} s")


async def _begin_tls(channel: PacketChannel, payload: bytes, tls: ssl.SSLContext | None) -> str:
    """Shake hands; what came behind the SSLRequest goes to the TLS engine, which takes nothing that is no TLS."""
    if tls is None:
        raise ClientProtocolError("TLS was not offered")
    if len(payload) != SSL_REQUEST_BYTES:
        raise ClientProtocolError("a login that says it came by TLS, and did not")
    channel.stream = stream = TlsStream(channel.stream, tls, server_side=True, early=channel.leftover())
    await stream.handshake()
    return stream.version


async def _read_proxy_header(channel: PacketChannel, proxied: Callable[[ProxyHeader], None]) -> None:
    data = channel.peek(_READ_ALL) or await channel.more()
    while begins_header(data):
        header = parse_proxy_header(data)
        if header is not None:
            channel.skip(header.size)
            proxied(header)
            return
        data = await channel.more()


def needs_switch(packet: LoginPacket) -> bool:
    """Whether the client is to be asked for native password."""
    named_other = packet.plugin not in (None, b"", NATIVE_PASSWORD)
    return named_other or len(packet.auth) not in (0, SCRAMBLE_BYTES)


async def _switch_to_native(
    channel: PacketChannel, seq: int, packet: LoginPacket, scramble: bytes
) -> tuple[int, LoginPacket]:
    """Ask for native password with the same scramble, as an OBServer does."""
    await channel.send_packet(seq + 1, AuthSwitch(scramble).to_bytes())
    seq, auth = await channel.receive()
    if len(auth) not in (0, SCRAMBLE_BYTES):
        raise ClientProtocolError(f"a native-password answer of {len(auth)} bytes")
    return seq, msgspec.structs.replace(packet, auth=auth, plugin=NATIVE_PASSWORD)


class Destination(msgspec.Struct, frozen=True):
    """Where a login goes."""

    user: str
    tenant: str
    cluster: str
    """Empty: the config server's default."""
    cluster_id: int | None
    key: str = ""
    """The cluster as it is held: ``name:2`` if there are several of the name.  Empty until it is known."""

    @property
    def upstream_user(self) -> bytes:
        """The name that an OBServer is given: never with the cluster."""
        return f"{self.user}@{self.tenant}".encode("utf-8", "surrogateescape")

    @property
    def is_admin(self) -> bool:
        """Whether it is the proxy itself that is logged in to."""
        return self.tenant == ADMIN_TENANT


def choose_destination(name: LoginName, settings: Settings) -> Destination:
    """Fill in what a login name leaves out; raise AccessDenied or UnknownCluster (no details: see ``denial``)."""
    if name.tenant == ADMIN_TENANT:
        return Destination(name.user, ADMIN_TENANT, name.cluster or "", name.cluster_id)
    if settings.enable_full_username and not (name.tenant and name.cluster):
        raise AccessDenied(f"{name.user!r}: tenant and cluster must be named (enable_full_username)")
    tenant, cluster = name.tenant, name.cluster
    if tenant is None and cluster is None and settings.proxy_tenant_name:
        tenant = settings.proxy_tenant_name
    destination = Destination(
        name.user, tenant or DEFAULT_TENANT, cluster or settings.default_cluster or "", name.cluster_id
    )
    if (
        destination.user == settings.observer_sys_user
        and destination.tenant == "sys"
        and not settings.skip_proxyro_check
    ):
        raise AccessDenied(f"{destination.user!r} is the proxy's own account")
    if not destination.cluster and not settings.obproxy_config_server_url:
        raise UnknownCluster("the login names no cluster and none is configured as the default")
    return destination


def parse_name(credentials: Credentials, settings: Settings) -> LoginName:
    """Take the name that was typed apart."""
    return parse_login_name(credentials.typed_name, settings.username_separator)


def denial(credentials: Credentials, client_ip: str) -> AccessDenied:
    """Return the 1045 that a client is shown: the name as typed, never the reason."""
    used = "YES" if credentials.packet.auth else "NO"
    return AccessDenied(f"Access denied for user '{credentials.typed_name}'@'{client_ip}' (using password: {used})")


def impose(state: ClientState, settings: Settings) -> None:
    """Apply what the configuration says of every session's variables."""
    if settings.obproxy_read_consistency:
        state.impose(b"ob_read_consistency", b"WEAK")
    if not settings.obproxy_read_only:
        state.impose(b"tx_read_only", b"1")
    state.init_sql = settings.init_sql.encode()
