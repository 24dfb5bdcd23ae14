"""Compression of a client's connection: offered in the greeting, begun behind the login's OK."""

from __future__ import annotations

from odp_trio.config import Settings
from odp_trio.net.channel import PacketChannel
from odp_trio.net.coded import Coded
from odp_trio.net.stream import Stream
from odp_trio.session.login import Credentials
from odp_trio.wire.compressed import ClientCodec
from odp_trio.wire.fields import Capability


def stream_behind_login(client: PacketChannel, credentials: Credentials, settings: Settings) -> Stream:
    """Return the stream for what follows the login's OK: the same one, or compression around it.

    Compression takes what the client has sent already out of the channel.
    """
    if not credentials.packet.capabilities & Capability.COMPRESS:
        return client.stream
    level = max(1, settings.client_compression_level)  # it may have been set to 0 since the greeting
    return Coded(client.stream, ClientCodec(level), client.leftover())
