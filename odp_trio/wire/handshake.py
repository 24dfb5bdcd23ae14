"""Greeting, login packet, TLS request, auth switch, change user.

Sources: MySQL: Protocol::HandshakeV10, HandshakeResponse41, SSLRequest,
AuthSwitchRequest, COM_CHANGE_USER.  What an OBServer puts into them: seen on
seekdb 1.3.0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import msgspec

from odp_trio.errors import ClientProtocolError, ServerProtocolError
from odp_trio.wire.auth import NATIVE_PASSWORD, SCRAMBLE_BYTES
from odp_trio.wire.fields import Capability, Cursor, client_cursor, lenenc_str, length_of, server_cursor

OFFERED: Final = (
    0xFFFF & ~(Capability.COMPRESS | Capability.SSL)
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.SESSION_TRACK
)
"""What we offer to clients.  DEPRECATE_EOF is not among it: OceanBase always sends EOF packets."""

UTF8MB4_BIN = 46
_NAMES: Final = {
    name: lenenc_str(name)
    for name in (
        b"__mysql_client_type",
        b"__connection_id",
        b"__proxy_connection_id",
        b"__cluster_name",
        b"__cluster_id",
        b"__global_vars_version",
        b"__proxy_capability_flag",
        b"__proxy_scramble",
        b"__client_ip",
        b"__proxy_version",
        b"__client_addr_port",
        b"__client_session_id",
        b"__client_connect_time",
    )
}
"""The attributes of every login to an OBServer, written before."""
_MAX_ATTRIBUTES_BYTES = 65536
_GREETING: Final = struct.Struct("<I8sxHBHHB10x")
"""What is behind the version: connection id, scramble, capabilities, charset, status, capabilities, a length."""
_LOGIN: Final = struct.Struct("<IIB23x")
"""Capabilities, longest packet, charset."""


class Greeting(msgspec.Struct, frozen=True):
    """HandshakeV10.  ``scramble`` has 20 bytes, none of them NUL."""

    version: bytes
    connection_id: int
    scramble: bytes
    capabilities: int = OFFERED
    charset: int = UTF8MB4_BIN
    status: int = 0
    plugin: bytes = NATIVE_PASSWORD

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return b"".join(
            (
                b"\x0a",
                self.version,
                b"\0",
                self.connection_id.to_bytes(4, "little"),
                self.scramble[:8],
                b"\0",
                (self.capabilities & 0xFFFF).to_bytes(2, "little"),
                bytes((self.charset,)),
                self.status.to_bytes(2, "little"),
                (self.capabilities >> 16).to_bytes(2, "little"),
                bytes((SCRAMBLE_BYTES + 1,)),
                bytes(10),
                self.scramble[8:],
                b"\0",
                self.plugin,
                b"\0",
            )
        )


def parse_greeting(payload: bytes) -> Greeting:
    """Read an OBServer's greeting; raise ServerProtocolError if it is none we can log in after."""
    cursor = server_cursor(payload)
    if (version := cursor.uint(1)) != 10:
        raise ServerProtocolError(f"a greeting of protocol version {version}; only 10 is known")
    server_version = cursor.nul()
    connection_id, scramble, low, charset, status, high, length = _GREETING.unpack(cursor.take(_GREETING.size))
    capabilities = low | high << 16
    scramble += cursor.take(max(13, length - 8))[: SCRAMBLE_BYTES - 8]
    plugin = cursor.nul() if cursor.left else NATIVE_PASSWORD
    return Greeting(server_version, connection_id, scramble, capabilities, charset, status, plugin)


class LoginPacket(msgspec.Struct, frozen=True):
    """HandshakeResponse41.  ``user`` and ``database`` are raw bytes; ``auth`` is a secret."""

    capabilities: int
    max_packet: int
    charset: int
    user: bytes
    auth: bytes
    database: bytes | None = None
    plugin: bytes | None = None
    attributes: Mapping[bytes, bytes] = {}

    def __repr__(self) -> str:
        return f"LoginPacket(user={self.user!r}, database={self.database!r}, flags=0x{self.capabilities:x})"

    def to_bytes(self) -> bytes:
        """Write the payload; which fields appear is decided by ``capabilities``."""
        flags = self.capabilities
        pieces = [
            flags.to_bytes(4, "little"),
            self.max_packet.to_bytes(4, "little"),
            bytes((self.charset,)),
            bytes(23),
            self.user + b"\0",
        ]
        if flags & Capability.PLUGIN_AUTH_LENENC:
            pieces.append(lenenc_str(self.auth))
        elif flags & Capability.SECURE_CONNECTION:
            pieces.append(bytes((len(self.auth),)) + self.auth)
        else:
            pieces.append(self.auth + b"\0")
        if flags & Capability.CONNECT_WITH_DB:
            pieces.append((self.database or b"") + b"\0")
        if flags & Capability.PLUGIN_AUTH:
            pieces.append((self.plugin or NATIVE_PASSWORD) + b"\0")
        if flags & Capability.CONNECT_ATTRS:
            pairs: list[bytes] = []
            for name, value in self.attributes.items():
                pairs += (_NAMES.get(name) or lenenc_str(name), length_of(value), value)
            pieces.append(lenenc_str(b"".join(pairs)))
        return b"".join(pieces)


SSL_REQUEST_BYTES = 32
"""The payload of an SSLRequest: the head of a login packet, up to the user name."""


def ssl_request(login: LoginPacket) -> bytes:
    """Write the SSLRequest that goes before a login packet."""
    return (login.capabilities | Capability.SSL).to_bytes(4, "little") + login.to_bytes()[4:SSL_REQUEST_BYTES]


def wants_tls(payload: bytes) -> bool:
    """Whether a client's first packet has the SSL bit set: an SSLRequest, or a login that presumes TLS."""
    return len(payload) >= 4 and bool(int.from_bytes(payload[:4], "little") & Capability.SSL)


def parse_login(payload: bytes, offered: int = OFFERED) -> LoginPacket:
    """Read a client's HandshakeResponse41; raise ClientProtocolError if it is none.

    ``capabilities`` of the answer are what the client asked for *and* was
    offered; the layout is read as the client says.
    """
    cursor = client_cursor(payload)
    asked = cursor.uint(4)
    if not asked & Capability.PROTOCOL_41:
        raise ClientProtocolError("a login of the protocol before MySQL 4.1 is not supported")
    cursor.pos = 0
    asked, max_packet, charset = _LOGIN.unpack(cursor.take(_LOGIN.size))
    user = cursor.nul()
    auth = _auth_response(cursor, asked)
    database = _nul_or_rest(cursor) if asked & Capability.CONNECT_WITH_DB else None
    # Some Connector/J versions write one NUL too many here (MySQL bug 79612).
    if cursor.left and asked & Capability.PLUGIN_AUTH and cursor.data[cursor.pos] == 0:
        cursor.take(1)
    plugin = _nul_or_rest(cursor) if asked & Capability.PLUGIN_AUTH and cursor.left else None
    attributes = _attributes(cursor) if asked & Capability.CONNECT_ATTRS and cursor.left else {}
    return LoginPacket(asked & offered, max_packet, charset, user, auth, database or None, plugin, attributes)


def _auth_response(cursor: Cursor, asked: int) -> bytes:
    if asked & Capability.PLUGIN_AUTH_LENENC:
        return cursor.lestr()
    if asked & Capability.SECURE_CONNECTION:
        return cursor.take(cursor.uint(1))
    return cursor.nul()


def _nul_or_rest(cursor: Cursor) -> bytes:
    """Read a string that ends at a NUL or, as some clients write it, at the end of the packet."""
    return cursor.nul() if 0 in cursor.data[cursor.pos :] else cursor.rest()


def _attributes(cursor: Cursor) -> dict[bytes, bytes]:
    total = cursor.lenenc()
    if total > _MAX_ATTRIBUTES_BYTES:
        raise cursor.fail(f"connect attributes of {total} bytes")
    inner = client_cursor(cursor.take(min(total, cursor.left)))
    attributes: dict[bytes, bytes] = {}
    while inner.left:
        try:
            name = inner.lestr()
            attributes[name] = inner.lestr()
        except ClientProtocolError:  # mysql-connector-python counts characters, not bytes: servers do not mind
            break
    return attributes


class AuthSwitch(msgspec.Struct, frozen=True):
    """AuthSwitchRequest: use this plugin with this 20-byte scramble."""

    scramble: bytes
    plugin: bytes = NATIVE_PASSWORD

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return b"\xfe" + self.plugin + b"\0" + self.scramble + b"\0"


def parse_auth_switch(payload: bytes) -> AuthSwitch:
    """Read an OBServer's AuthSwitchRequest."""
    cursor = server_cursor(payload)
    if cursor.uint(1) != 0xFE:
        raise ServerProtocolError("an auth switch request begins with 0xfe")
    plugin = cursor.nul()
    return AuthSwitch(cursor.rest().removesuffix(b"\0"), plugin)


class ChangeUser(msgspec.Struct, frozen=True):
    """COM_CHANGE_USER.  ``tail`` is everything behind the database, kept as it came."""

    user: bytes
    auth: bytes
    database: bytes
    tail: bytes

    def __repr__(self) -> str:
        return f"ChangeUser(user={self.user!r}, database={self.database!r})"

    def to_bytes(self) -> bytes:
        """Write the payload, command byte included."""
        return b"\x11" + self.user + b"\0" + bytes((len(self.auth),)) + self.auth + self.database + b"\0" + self.tail


def parse_change_user(payload: bytes) -> ChangeUser:
    """Read COM_CHANGE_USER (payload with its command byte); raise ClientProtocolError."""
    cursor = client_cursor(payload)
    if cursor.uint(1) != 0x11:
        raise ClientProtocolError("COM_CHANGE_USER begins with 0x11")
    user = cursor.nul()
    auth = cursor.take(cursor.uint(1))
    return ChangeUser(user, auth, _nul_or_rest(cursor), cursor.rest())
