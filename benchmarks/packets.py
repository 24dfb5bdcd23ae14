"""The packets that the canned server and the load client exchange.

Written by hand and without the proxy's own wire package, so that a mistake
there cannot agree with itself here.  Source: MySQL: client/server protocol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

VARCHAR = 253
LONGLONG = 8
AUTOCOMMIT = 0x0002
STATE_CHANGED = 0x4000
_UTF8MB4 = 45
_BINARY = 63

# LONG_PASSWORD LONG_FLAG PROTOCOL_41 TRANSACTIONS SECURE_CONNECTION PLUGIN_AUTH; with a database CONNECT_WITH_DB
_CLIENT_FLAGS = 0x0001 | 0x0004 | 0x0200 | 0x2000 | 0x8000 | 0x80000
_CONNECT_WITH_DB = 0x0008


def lenenc(number: int) -> bytes:
    """Write a length-encoded integer."""
    if number < 251:
        return bytes((number,))
    if number < 1 << 16:
        return b"\xfc" + number.to_bytes(2, "little")
    return b"\xfd" + number.to_bytes(3, "little")


def text(value: bytes) -> bytes:
    """Write a length-encoded string."""
    return lenenc(len(value)) + value


def packet(seq: int, payload: bytes) -> bytes:
    """Put the header before one payload of less than 16 MiB."""
    return len(payload).to_bytes(3, "little") + bytes((seq & 0xFF,)) + payload


def packets(payloads: Iterable[bytes], first_seq: int = 1) -> bytes:
    """Number and join the packets of one answer."""
    return b"".join(packet(first_seq + index, payload) for index, payload in enumerate(payloads))


def ok(*, proxy: bool) -> bytes:
    """Return the payload of an OK: seven bytes, on a proxy connection eight."""
    return b"\0\0\0\x22\0\0\0" + b"\0" * proxy


def eof(status: int = AUTOCOMMIT) -> bytes:
    """Return the payload of an EOF."""
    return b"\xfe\0\0" + status.to_bytes(2, "little")


def column(name: str, kind: int = VARCHAR) -> bytes:
    """Return the payload of a column definition."""
    charset = _UTF8MB4 if kind == VARCHAR else _BINARY
    names = text(b"def") + text(b"") * 3 + text(name.encode()) + text(b"")
    return (
        names + b"\x0c" + charset.to_bytes(2, "little") + (1024).to_bytes(4, "little") + bytes((kind,)) + b"\0\0\0\0\0"
    )


def result(definitions: Sequence[bytes], rows: Sequence[bytes], *, proxy: bool) -> bytes:
    """Return a whole result set; on a proxy connection one more OK follows it."""
    payloads = [lenenc(len(definitions)), *definitions, eof(), *rows, eof()]
    if proxy:
        payloads.append(ok(proxy=True))
    return packets(payloads)


def text_row(values: Iterable[str | None]) -> bytes:
    """Return the payload of a row of the text protocol."""
    return b"".join(b"\xfb" if value is None else text(value.encode()) for value in values)


def token(password: str, scramble: bytes) -> bytes:
    """Answer a mysql_native_password challenge."""
    if not password:
        return b""
    stage1 = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(scramble + hashlib.sha1(stage1).digest()).digest()
    return bytes(a ^ b for a, b in zip(stage1, mask, strict=True))


def scramble_of(greeting: bytes) -> bytes:
    """Return the 20 bytes of challenge in a HandshakeV10 payload."""
    after_version = greeting.index(b"\0", 1) + 1 + 4
    rest = after_version + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10
    return greeting[after_version : after_version + 8] + greeting[rest : rest + 12]


def login(user: str, password: str, database: str, scramble: bytes, more: int = 0) -> bytes:
    """Return the payload of a HandshakeResponse41; ``more`` are further capabilities."""
    flags = _CLIENT_FLAGS | more | (_CONNECT_WITH_DB if database else 0)
    auth = token(password, scramble)
    return b"".join(
        (
            flags.to_bytes(4, "little"),
            (1 << 24).to_bytes(4, "little"),
            bytes((_UTF8MB4,)),
            bytes(23),
            user.encode() + b"\0",
            bytes((len(auth),)) + auth,
            database.encode() + b"\0" if database else b"",
            b"mysql_native_password\0",
        )
    )


def query(sql: str) -> bytes:
    """Return a whole COM_QUERY packet."""
    return packet(0, b"\x03" + sql.encode())


def prepare(sql: str) -> bytes:
    """Return a whole COM_STMT_PREPARE packet."""
    return packet(0, b"\x16" + sql.encode())


def execute(statement: int, values: Sequence[int], *, first: bool = False) -> bytes:
    """Return a whole COM_STMT_EXECUTE packet with integers; the first one of a statement says so of their types."""
    payload = b"\x17" + statement.to_bytes(4, "little") + b"\0" + (1).to_bytes(4, "little")
    if values:
        types = bytes((LONGLONG, 0)) * len(values) if first else b""
        payload += bytes((len(values) + 7) // 8) + bytes((first,)) + types
    return packet(0, payload + b"".join(value.to_bytes(8, "little", signed=True) for value in values))
