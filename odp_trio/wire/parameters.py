"""Parameters of COM_STMT_EXECUTE: read for routing, and written anew for a server that lacks their types.

Source: MySQL: COM_STMT_EXECUTE, Binary Protocol Value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from struct import Struct, error, unpack_from
from typing import Final

import msgspec

from odp_trio.errors import ClientProtocolError
from odp_trio.wire.fields import Cursor

Parameter = int | float | Decimal | str | bytes | dt.datetime | dt.date | dt.timedelta | None

HEAD_BYTES: Final = 10
"""Command, statement id, cursor flags, iteration count: what comes before the parameters."""
_UNSIGNED: Final = 0x8000
_INTS: Final = {0x01: 1, 0x02: 2, 0x0D: 2, 0x03: 4, 0x09: 4, 0x08: 8}
_NULL, _FLOAT, _DOUBLE = 0x06, 0x04, 0x05
_DECIMALS: Final = frozenset({0x00, 0xF6})
_DATES: Final = frozenset({0x0A, 0x0C, 0x07})
_TIME: Final = 0x0B
_NONE: Final[Mapping[int, bytes]] = {}
_FLOATS: Final = {_FLOAT: Struct("<f"), _DOUBLE: Struct("<d")}


class Execute(msgspec.Struct, frozen=True):
    """What routing needs of one COM_STMT_EXECUTE.  ``types`` is None when the packet brings none."""

    types: bytes | None
    values_at: int
    """Offset of the values in the payload."""


def parse_execute(payload: bytes | memoryview, count: int) -> Execute:
    """Find types and values of ``count`` parameters; raise ClientProtocolError when the payload is too short."""
    if not count:
        return Execute(None, HEAD_BYTES)
    flag_at = HEAD_BYTES + (count + 7) // 8
    if len(payload) <= flag_at:
        raise ClientProtocolError("COM_STMT_EXECUTE is too short for its parameters")
    if not payload[flag_at]:
        return Execute(None, flag_at + 1)
    values_at = flag_at + 1 + 2 * count
    if len(payload) < values_at:
        raise ClientProtocolError("COM_STMT_EXECUTE is too short for its parameter types")
    return Execute(bytes(payload[flag_at + 1 : values_at]), values_at)


def head_bytes(count: int) -> int:
    """Return the most bytes of a payload before its values: head, NULL bitmap, flag and types."""
    return HEAD_BYTES + ((count + 7) // 8 + 1 + 2 * count if count else 0)


def read_values(
    payload: bytes, count: int, types: bytes, values_at: int, encoding: str, long_data: Mapping[int, bytes] = _NONE
) -> Sequence[Parameter]:
    """Read the values; raise ClientProtocolError when they cannot be.

    ``long_data`` are the parameters that were sent before, by number: they have no value here.
    """
    values: list[Parameter] = []
    cursor = Cursor(payload, ClientProtocolError, values_at)
    for at in range(count):
        if payload[HEAD_BYTES + at // 8] >> at % 8 & 1:
            values.append(None)
        elif (sent := long_data.get(at)) is not None:
            values.append(_text(sent, types[2 * at], encoding))
        else:
            kind = types[2 * at] | types[2 * at + 1] << 8
            values.append(_value(cursor, kind & 0xFF, unsigned=bool(kind & _UNSIGNED), encoding=encoding))
    return values


def _value(cursor: Cursor, kind: int, *, unsigned: bool, encoding: str) -> Parameter:
    if (size := _INTS.get(kind)) is not None:
        number = cursor.uint(size)
        return number if unsigned or number < 1 << 8 * size - 1 else number - (1 << 8 * size)
    if kind in _FLOATS:
        return _float(cursor, _FLOATS[kind])
    if kind in _DATES:
        return _date(cursor.take(cursor.uint(1)), whole_day=kind == 0x0A)
    if kind == _TIME:
        return _time(cursor.take(cursor.uint(1)))
    if kind == _NULL:
        return None
    return _text(cursor.lestr(), kind, encoding)


def _text(raw: bytes, kind: int, encoding: str) -> Parameter:
    try:
        return Decimal(raw.decode("ascii")) if kind in _DECIMALS else raw.decode(encoding)
    except (UnicodeDecodeError, InvalidOperation):
        return raw


def _float(cursor: Cursor, form: Struct) -> float:
    try:
        number: float = form.unpack(cursor.take(form.size))[0]
    except error as exc:
        raise ClientProtocolError("a parameter is cut short") from exc
    return number


def _date(raw: bytes, *, whole_day: bool) -> Parameter:
    """Read a date or date-time; what Python's types cannot hold (year 0, day 0) is given as bytes."""
    year, month, day = unpack_from("<HBB", raw) if len(raw) >= 4 else (0, 0, 0)
    hour, minute, second = raw[4:7] if len(raw) >= 7 else (0, 0, 0)
    micros = int.from_bytes(raw[7:11], "little") if len(raw) >= 11 else 0
    try:
        if whole_day and len(raw) <= 4:
            return dt.date(year, month, day)
        return dt.datetime(year, month, day, hour, minute, second, micros)  # SQL has none either
    except (ValueError, OverflowError):
        return bytes(raw)


def _time(raw: bytes) -> Parameter:
    """Read a time; one of more days than Python's type holds is given as bytes."""
    if len(raw) < 8:
        return dt.timedelta(0)
    days = int.from_bytes(raw[1:5], "little")
    micros = int.from_bytes(raw[8:12], "little") if len(raw) >= 12 else 0
    try:
        length = dt.timedelta(days=days, hours=raw[5], minutes=raw[6], seconds=raw[7], microseconds=micros)
    except OverflowError:
        return bytes(raw)
    return -length if raw[0] else length


def with_types(payload: bytes, count: int, types: bytes) -> bytes:
    """Write a payload that brings no types with them, so that any server can run it; it may be cut behind the flag."""
    flag_at = HEAD_BYTES + (count + 7) // 8
    if not count or len(payload) <= flag_at or payload[flag_at]:
        return payload
    return payload[:flag_at] + b"\x01" + types + payload[flag_at + 1 :]
