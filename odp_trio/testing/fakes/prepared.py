"""Prepared statements of the binary protocol: parameters read, rows written."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from odp_trio.errors import ClientProtocolError
from odp_trio.testing.fakes.answers import Column, Kind, SQLError, Value
from odp_trio.testing.fakes.values import number, raw, written
from odp_trio.wire.fields import Cursor, lenenc_str

_SIZES: Final = {Kind.TINY: 1, Kind.SHORT: 2, Kind.YEAR: 2, Kind.LONG: 4, 9: 4, Kind.LONGLONG: 8}
_UNSIGNED: Final = 0x20


@dataclass(slots=True)
class Prepared:
    """One prepared statement.  ``long`` is what COM_STMT_SEND_LONG_DATA has brought, by parameter."""

    sql: str
    parameters: int
    columns: list[Column]
    types: list[tuple[int, int]] = field(default_factory=list)
    long: dict[int, bytes] = field(default_factory=dict)
    cursor: list[Sequence[Value]] | None = None

    def open(self, columns: Sequence[Column], rows: Sequence[Sequence[Value]]) -> None:
        """Keep rows that are to be fetched."""
        self.columns, self.cursor = list(columns), list(rows)


def read_parameters(prepared: Prepared, payload: bytes) -> list[Value]:
    """Return the values of COM_STMT_EXECUTE; types that it leaves out are those of the time before."""
    count = prepared.parameters
    if not count:
        return []
    cursor = Cursor(payload, ClientProtocolError, 10)
    try:
        nulls = cursor.take((count + 7) // 8)
        if cursor.uint(1):
            prepared.types = [(cursor.uint(1), cursor.uint(1)) for _ in range(count)]
        if len(prepared.types) != count:
            raise SQLError(1210, "HY000", "Incorrect arguments to mysqld_stmt_execute")
        values: list[Value] = []
        for at, (kind, flags) in enumerate(prepared.types):
            if at in prepared.long:
                raw = prepared.long[at]
                values.append(raw if kind == Kind.BLOB and b"\0" in raw else raw.decode("utf-8", "surrogateescape"))
            elif nulls[at // 8] >> at % 8 & 1 or kind == Kind.NULL:
                values.append(None)
            else:
                values.append(_read(cursor, kind, unsigned=bool(flags & 0x80)))
    except ClientProtocolError as exc:
        raise SQLError(1210, "HY000", "Incorrect arguments to mysqld_stmt_execute") from exc
    prepared.long.clear()
    return values


def _read(cursor: Cursor, kind: int, *, unsigned: bool) -> Value:
    if kind in _SIZES:
        return int.from_bytes(cursor.take(_SIZES[kind]), "little", signed=not unsigned)
    if kind == Kind.FLOAT:
        return float(struct.unpack("<f", cursor.take(4))[0])
    if kind == Kind.DOUBLE:
        return float(struct.unpack("<d", cursor.take(8))[0])
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
        return _read_moment(cursor.take(cursor.uint(1)))
    if kind == Kind.TIME:
        return _read_time(cursor.take(cursor.uint(1)))
    raw = cursor.lestr()
    if kind in (0, Kind.DECIMAL):
        return Decimal(raw.decode("latin-1"))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _read_moment(raw: bytes) -> str:
    if not raw:
        return "0000-00-00 00:00:00"
    year, month, day = struct.unpack_from("<HBB", raw)
    found = f"{year:04d}-{month:02d}-{day:02d}"
    if len(raw) >= 7:
        found += " {:02d}:{:02d}:{:02d}".format(*raw[4:7])
    if len(raw) >= 11:
        found += f".{int.from_bytes(raw[7:11], 'little'):06d}"
    return found


def _read_time(raw: bytes) -> str:
    if not raw:
        return "00:00:00"
    negative, days, hours, minutes, seconds = struct.unpack_from("<BIBBB", raw)
    return f"{'-' if negative else ''}{days * 24 + hours:02d}:{minutes:02d}:{seconds:02d}"


def binary_row(row: Sequence[Value], columns: Sequence[Column]) -> bytes:
    """Write a row of the binary protocol."""
    nulls = bytearray((len(columns) + 9) // 8)
    pieces: list[bytes] = []
    for at, (value, column) in enumerate(zip(row, columns, strict=True)):
        if value is None:
            nulls[(at + 2) // 8] |= 1 << (at + 2) % 8
        else:
            pieces.append(_write(value, column.kind))
    return b"\0" + bytes(nulls) + b"".join(pieces)


def _write(value: Value, kind: int) -> bytes:
    if kind in _SIZES:
        size = _SIZES[kind]
        return (int(number(value)) & (1 << 8 * size) - 1).to_bytes(size, "little")
    if kind == Kind.DOUBLE:
        return struct.pack("<d", float(number(value)))
    if kind == Kind.FLOAT:
        return struct.pack("<f", float(number(value)))
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
        return _write_moment(written(value))
    if kind == Kind.TIME:
        return _write_time(written(value))
    return lenenc_str(raw(value))


def _write_moment(text: str) -> bytes:
    day, _, time = text.partition(" ")
    year, month, date = (int(part) for part in day.split("-"))
    head = struct.pack("<HBB", year, month, date)
    if not time:
        return b"\x04" + head
    clock, _, fraction = time.partition(".")
    head += bytes(int(part) for part in clock.split(":"))
    if not fraction:
        return b"\x07" + head if any(head[4:]) else b"\x04" + head[:4]
    return b"\x0b" + head + int(fraction.ljust(6, "0")).to_bytes(4, "little")


def _write_time(text: str) -> bytes:
    negative = text.startswith("-")
    hours, minutes, seconds = (int(part) for part in text.lstrip("-").partition(".")[0].split(":"))
    return b"\x08" + struct.pack("<BIBBB", negative, hours // 24, hours % 24, minutes, seconds)
