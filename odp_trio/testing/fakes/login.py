"""How a client becomes a session: the login packet, checked as an OBServer does.

Seen on seekdb 1.3.0; that a tenant which is not there is refused with 5150: as OceanBase's servers do.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import SQLError, encode_state
from odp_trio.testing.fakes.setting import names
from odp_trio.testing.fakes.variables import OB_VERSION
from odp_trio.wire.auth import NATIVE_PASSWORD, SCRAMBLE_BYTES, printable, token_matches, xor
from odp_trio.wire.fields import Capability, OBCapability, Status, lenenc_str
from odp_trio.wire.handshake import Greeting, LoginPacket
from odp_trio.wire.state import SessionState

if TYPE_CHECKING:
    from odp_trio.testing.fakes.connection import FakeConnection
    from odp_trio.testing.fakes.session import Session

CAPABILITIES: Final = 0x309CF7DF
LEGACY_SCRAMBLE: Final = b"aaaaaaaabbbbbbbbbbbb"
SUPPORTED: Final = 0xFFFFFF & ~(
    OBCapability.CHECKSUM
    | OBCapability.SAFE_WEAK_READ
    | OBCapability.READ_STALE_FEEDBACK
    | OBCapability.OB_PROTOCOL_V2
    | OBCapability.V2_COMPRESS
)
"""Bits of the proxy protocol that are granted."""
_NLS: Final = ("nls_date_format", "nls_timestamp_format", "nls_timestamp_tz_format")


def scramble_of(seed: int, connection: int) -> bytes:
    """Return a connection's scramble: the same for the same seed."""
    return printable(hashlib.sha1(b"%d:%d" % (seed, connection)).digest()[:SCRAMBLE_BYTES])


def greeting(connection: FakeConnection) -> bytes:
    """Return the greeting's payload."""
    return Greeting(b"5.7.25", connection.id, connection.scramble, CAPABILITIES).to_bytes()


def wanted_plugin(login: LoginPacket) -> bool:
    """Whether a client answers in the way that is checked here."""
    return login.plugin is None or login.plugin == NATIVE_PASSWORD


def denied(user: str, token: bytes) -> SQLError:
    """Return error 1045."""
    used = "YES" if token else "NO"
    return SQLError(1045, "42000", f"Access denied for user '{user}'@'xxx.xxx.xxx.xxx' (using password: {used})")


def check(connection: FakeConnection, login: LoginPacket, token: bytes) -> None:
    """Check user, tenant and password; raise SQLError."""
    name = login.user.decode("utf-8", "replace")
    user, at, tenant = name.partition("@")
    connection.user, connection.tenant = user, tenant or "sys"
    attributes = login.attributes
    if connection.by_proxy and not login.capabilities & Capability.CONNECT_ATTRS:
        raise denied(user, token)
    cluster = connection.cluster
    wanted = attributes.get(b"__cluster_name", b"").decode("utf-8", "replace")
    if wanted and wanted != cluster.name:
        raise SQLError(4666, "HY000", f"cluster name does not match to '{cluster.name}'")
    known = cluster.tenants.get(connection.tenant)
    if "#" in name or ":" in name or (at and not tenant) or known is None or user not in cluster.users:
        raise denied(user, token)
    if user == "proxyro" and connection.tenant != "sys":
        raise denied(user, token)
    if connection.server.number not in known.servers:
        raise SQLError(5150, "HY000", f"Tenant not in this server: '{connection.tenant}'")
    password = cluster.users[user]
    if not any(token_matches(token, password, scramble) for scramble in _scrambles(connection, login)):
        raise denied(user, token)


def _scrambles(connection: FakeConnection, login: LoginPacket) -> list[bytes]:
    """Return the scrambles that a token may answer."""
    if connection.by_proxy:
        told = login.attributes.get(b"__proxy_scramble", b"")
        return [xor(told, connection.scramble) if len(told) == SCRAMBLE_BYTES else LEGACY_SCRAMBLE]
    return [connection.scramble, LEGACY_SCRAMBLE] if connection.user == "proxyro" else [connection.scramble]


def asked_scramble(connection: FakeConnection, login: LoginPacket) -> bytes:
    """Return the scramble of a later question for the password: a proxy's client has answered the proxy's."""
    return _scrambles(connection, login)[0]


_CHARSETS: Final = {8: "latin1", 28: "gbk", 63: "binary", 249: "gb18030"}


def set_charset(session: Session, number: int) -> None:
    """Have a session speak the character set that its login names."""
    charset = _CHARSETS.get(number)
    if charset is not None:
        names(session, charset, "")


def proxy_ok(connection: FakeConnection) -> bytes:
    """Return the payload of a proxy's OK: every system variable of the session."""
    session = connection.session
    assert session is not None
    state = SessionState(
        {name.encode(): value.encode() for name, value in session.variables.items()},
        {b"_min_cluster_version": f"'{OB_VERSION}'".encode()},
        session.database.encode(),
    )
    head = b"\0\0\0" + (Status.AUTOCOMMIT | Status.NO_INDEX_USED | Status.SESSION_STATE_CHANGED).to_bytes(2, "little")
    return head + b"\0\0\0" + lenenc_str(encode_state(state))


def client_ok(connection: FakeConnection, *, tracking: bool) -> bytes:
    """Return the payload of a plain client's OK."""
    session = connection.session
    assert session is not None
    status = Status.AUTOCOMMIT | Status.NO_INDEX_USED
    if not tracking:
        return b"\0\0\0" + status.to_bytes(2, "little") + b"\0\0"
    block = b"".join(
        b"\0" + lenenc_str(lenenc_str(name.encode()) + lenenc_str(session.variables[name].encode())) for name in _NLS
    )
    return b"\0\0\0" + (status | Status.SESSION_STATE_CHANGED).to_bytes(2, "little") + b"\0\0\0" + lenenc_str(block)
