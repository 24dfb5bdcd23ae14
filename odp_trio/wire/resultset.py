"""OK, ERR, EOF and text result sets of our own making.

Sources: MySQL: Protocol::OK_Packet, ERR_Packet, EOF_Packet, ColumnDefinition41.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from odp_trio.errors import OdpError, ServerProtocolError
from odp_trio.wire.fields import Status, lenenc_int, lenenc_str, server_cursor
from odp_trio.wire.packets import PacketReader, packet

_VAR_STRING, _LONGLONG = 0xFD, 0x08
_UTF8MB4_GENERAL_CI, _BINARY = 45, 63
LOCAL_STATUS = Status.AUTOCOMMIT | Status.NO_INDEX_USED
"""The flags of an OceanBase session at rest."""


def ok_payload(status: int = LOCAL_STATUS, affected_rows: int = 0, info: str = "", *, tracked: bool = False) -> bytes:
    """Build an OK payload; ``info`` has its length before it for a client with SESSION_TRACK (``tracked``)."""
    head = b"\0" + lenenc_int(affected_rows) + b"\0" + int(status).to_bytes(2, "little") + b"\0\0"
    return head + (lenenc_str(info.encode()) if tracked and info else info.encode())


def err_payload(errno: int, sqlstate: str, message: str) -> bytes:
    """Build an ERR payload."""
    return b"\xff" + errno.to_bytes(2, "little") + b"#" + sqlstate.encode("ascii")[:5] + message.encode()[:8192]


def err_packet(seq: int, error: Exception) -> bytes:
    """Build the ERR packet that tells a client of ``error``: the only way from an exception to the wire.

    What we did not raise on purpose becomes 4016, without its details.
    """
    if isinstance(error, OdpError):
        return packet(seq, err_payload(error.errno, error.sqlstate, str(error)))
    return packet(seq, err_payload(OdpError.errno, OdpError.sqlstate, "internal error of the proxy"))


class ServerError(msgspec.Struct, frozen=True):
    """An ERR packet taken apart."""

    errno: int
    sqlstate: str
    message: str


def parse_err(payload: bytes) -> ServerError:
    """Read an ERR payload of a server; before a login is known there may be no SQLSTATE."""
    cursor = server_cursor(payload)
    if cursor.uint(1) != 0xFF:
        raise ServerProtocolError("an ERR packet begins with 0xff")
    errno = cursor.uint(2)
    sqlstate = "HY000"
    if payload[cursor.pos : cursor.pos + 1] == b"#":
        cursor.take(1)
        sqlstate = cursor.take(5).decode("ascii", "replace")
    return ServerError(errno, sqlstate, cursor.rest().decode(errors="replace"))


def eof_payload(status: int = LOCAL_STATUS, warnings: int = 0) -> bytes:
    """Build an EOF payload."""
    return b"\xfe" + warnings.to_bytes(2, "little") + int(status).to_bytes(2, "little")


def text_result(columns: Sequence[str], rows: Iterable[Sequence[object]], seq: int = 1) -> bytes:
    """Build a whole text result set: numbers as LONGLONG where a column has only them, None as NULL."""
    table = [list(row) for row in rows]
    numeric = [bool(table) and all(isinstance(row[at], int) for row in table) for at in range(len(columns))]
    behind = seq + len(columns) + 2
    found = [result_head(list(zip(columns, numeric, strict=True)), seq=seq)]
    found += [result_row(behind + at, row) for at, row in enumerate(table)]
    found.append(result_tail(behind + len(table)))
    return b"".join(found)


def result_head(columns: Sequence[tuple[str, bool]], status: int = LOCAL_STATUS, seq: int = 1) -> bytes:
    """Build what comes before the rows; each column has a name and is a LONGLONG or, if False, a VAR_STRING."""
    payloads = [lenenc_int(len(columns)), *(_definition(name, number) for name, number in columns), eof_payload(status)]
    return b"".join(packet(seq + offset, payload) for offset, payload in enumerate(payloads))


def result_row(seq: int, cells: Sequence[object]) -> bytes:
    """Build one row, None as NULL."""
    return packet(seq, b"".join(map(_value, cells)))


def result_tail(seq: int, status: int = LOCAL_STATUS, warnings: int = 0) -> bytes:
    """Build what comes behind the rows."""
    return packet(seq, eof_payload(status, warnings))


def _definition(name: str, number: bool) -> bytes:
    charset, length, kind = (_BINARY, 20, _LONGLONG) if number else (_UTF8MB4_GENERAL_CI, 1024, _VAR_STRING)
    return b"".join(
        (
            lenenc_str(b"def"),
            b"\0\0\0",
            lenenc_str(name.encode()),
            lenenc_str(name.encode()),
            b"\x0c",
            charset.to_bytes(2, "little"),
            length.to_bytes(4, "little"),
            bytes((kind,)),
            b"\0\0\0\0\0",
        )
    )


def _value(cell: object) -> bytes:
    if cell is None:
        return b"\xfb"
    return lenenc_str((str(int(cell)) if isinstance(cell, bool) else str(cell)).encode())


def parse_row(answer: bytes) -> tuple[list[tuple[int, int]], list[bytes | None]]:
    """Read a text result set of one row: type and flags of each column, and the values; raise ServerProtocolError."""
    reader = PacketReader(ServerProtocolError)
    reader.feed(answer)
    payloads = (found[1] for found in iter(reader.next_packet, None))
    count = server_cursor(next(payloads, b"")).lenenc()
    columns = [_kind_and_flags(next(payloads, b"")) for _ in range(count)]
    next(payloads, b"")
    cursor = server_cursor(next(payloads, b""))
    values: list[bytes | None] = []
    for _ in range(count):
        if cursor.data[cursor.pos : cursor.pos + 1] == b"\xfb":
            cursor.take(1)
            values.append(None)
        else:
            values.append(cursor.lestr())
    return columns, values


def _kind_and_flags(definition: bytes) -> tuple[int, int]:
    """Return type and flags of a column definition."""
    cursor = server_cursor(definition)
    for _ in range(6):
        cursor.lestr()
    cursor.take(7)  # the length of what follows, character set, length
    return cursor.uint(1), cursor.uint(2)
