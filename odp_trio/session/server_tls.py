"""TLS towards an OBServer: asked for between its greeting and the login."""

from __future__ import annotations

import ssl

from odp_trio.errors import InsecureServer, ServerProtocolError, UpstreamLost
from odp_trio.model import Address
from odp_trio.net.certificates import ServerTls
from odp_trio.net.channel import PacketChannel
from odp_trio.net.tls import TlsFailed, TlsStream
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import Greeting, LoginPacket, ssl_request


async def secure(
    channel: PacketChannel, address: Address, greeting: Greeting, login: LoginPacket, tls: ServerTls | None, seq: int
) -> str:
    """Begin TLS if it is wanted and offered; return its version, empty for plain text.

    Raises InsecureServer where TLS is insisted on and cannot be had, or the server's certificate is not believed;
    UpstreamLost when the handshake breaks.
    """
    if tls is None:
        return ""
    if tls.context is None or not greeting.capabilities & Capability.SSL:
        if tls.required:
            raise InsecureServer(f"{address}: {tls.problem or 'the server does not offer TLS'} (server_ssl_mode)")
        return ""
    if channel.leftover():
        raise ServerProtocolError("bytes behind a greeting")
    await channel.send_packet(seq, ssl_request(login))
    stream = TlsStream(channel.stream, tls.context, server_hostname=address.ip)
    try:
        await stream.handshake()
    except TlsFailed as exc:
        if isinstance(exc.__cause__, ssl.SSLCertVerificationError):
            raise InsecureServer(f"{address}: {exc}") from exc
        raise UpstreamLost(f"{address}: the server offers TLS, and its handshake failed: {exc}") from exc
    channel.stream = stream
    return stream.version
