"""Values that the server writes into partition bounds and defaults: its serialised objects, read.

A row of objects is a varint count and the objects; an object is four bytes
(type code, collation level, collation id, scale) and a value.
"""

from __future__ import annotations

import struct
from decimal import Context, Decimal
from enum import Enum
from typing import Final, final

DIGITS: Final = Context(prec=160)
_DECIMAL_BYTES: Final = 64
_DECIMAL_DIGITS: Final = 81
"""Of a stored decimal: 512 bits; more digits than any column may have are no decimal."""
"""Wide enough for every DECIMAL; the default context would round."""

Moment = tuple[int, int, int, int]
"""Year, month, day and microseconds of the day; ``0000-00-00`` is ``(0, 0, 0, 0)``."""


class Extreme(Enum):
    """What is below or above every value."""

    MIN = "MINVALUE"
    MAX = "MAXVALUE"


Value = None | int | float | bytes | Decimal | Moment | Extreme
Row = tuple[Value, ...]

_INT8, _INT16, _INT24, _INT32, _INT64 = 1, 2, 3, 4, 5
_UINT8, _UINT16, _UINT24, _UINT32, _UINT64 = 6, 7, 8, 9, 10
_FLOAT, _DOUBLE, _UFLOAT, _UDOUBLE = 11, 12, 13, 14
_NUMBER, _UNUMBER = 15, 16
_DATETIME, _TIMESTAMP, _DATE, _TIME, _YEAR = 17, 18, 19, 20, 21
_EXTEND: Final = 25
_STRINGS: Final = frozenset({22, 23, 27, 28, 29, 30})
_SMALL: Final = frozenset({_INT16, _INT24, _INT32, _UINT16, _UINT24, _UINT32})
_UNSIGNED: Final = frozenset({_UINT8, _UINT16, _UINT24, _UINT32, _UINT64})
_LONG: Final = frozenset({_INT64, _UINT64, _TIMESTAMP, _TIME, 31, 32, 33})
DECIMAL_INT: Final = frozenset({39, 50})
MYSQL_DATE: Final = frozenset({41, 52})
MYSQL_DATETIME: Final = frozenset({42, 53})
_DAY: Final = 86_400_000_000


def days_of(year: int, month: int, day: int) -> int:
    """Return days from 1970-01-01, in the Gregorian calendar carried back without end."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of so many days from 1970-01-01."""
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def moment_of(microseconds: int) -> Moment:
    """Return the moment so many microseconds after 1970-01-01."""
    days, rest = divmod(microseconds, _DAY)
    return (*date_of(days), rest)


def pack_date(moment: Moment) -> int:
    """Return a date as the MySQL-compatible types store it."""
    year, month, day, _ = moment
    return year * 512 + month * 32 + day


def unpack_date(packed: int) -> Moment:
    """Return the date that is stored so."""
    return packed >> 9, packed >> 5 & 15, packed & 31, 0


def pack_datetime(moment: Moment) -> int:
    """Return a datetime as the MySQL-compatible types store it."""
    year, month, day, of_day = moment
    seconds, micro = divmod(of_day, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return micro | second << 24 | minute << 30 | hour << 36 | day << 41 | (year * 13 + month) << 46


def unpack_datetime(packed: int) -> Moment:
    """Return the datetime that is stored so."""
    year, month = divmod(packed >> 46, 13)
    hour, minute, second = packed >> 36 & 31, packed >> 30 & 63, packed >> 24 & 63
    return year, month, packed >> 41 & 31, (hour * 3600 + minute * 60 + second) * 1_000_000 + (packed & 0xFFFFFF)


class UnknownObject(ValueError):
    """An object of a type whose bytes are not known."""


@final
class ObjectReader:
    """Reads serialised objects; raises ValueError when the bytes cannot be such."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether all bytes are read."""
        return self._at >= len(self._data)

    def row(self) -> Row:
        """Read a count and so many objects."""
        return tuple(self.object() for _ in range(self.varint()))

    def varint(self) -> int:
        """Read an unsigned number, least significant seven bits first."""
        number = shift = 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                if number >> 64:
                    raise ValueError("a number has more than 64 bits")
                return number
            shift += 7
            if shift > 63:
                raise ValueError("a number has more than ten bytes")

    def object(self) -> Value:
        """Read one object."""
        code = self._take(4)[0]
        if code == 0:
            return None
        if code in (_INT8, _UINT8):
            return self._signed(self._take(1)[0], 8, code)
        if code in _SMALL:
            return self._signed(self.varint(), 32, code)
        if code in _LONG:
            return self._signed(self.varint(), 64, _UINT64 if code in (31, 32, 33) else code)
        if code == _YEAR:
            stored = self._take(1)[0]
            return stored + 1900 if stored else 0
        if code in _STRINGS:
            text = self._take(self.varint())
            self._take(1)
            return text
        return self._rare(code)

    def _rare(self, code: int) -> Value:
        if code == _DATETIME:
            return moment_of(self._signed(self.varint(), 64, code))
        if code == _DATE:
            return (*date_of(self._signed(self.varint(), 32, code)), 0)
        if code in MYSQL_DATE:
            return unpack_date(self.varint())
        if code in MYSQL_DATETIME:
            return unpack_datetime(self._signed(self.varint(), 64, code))
        if code in DECIMAL_INT:
            length, scale = self.varint(), self.varint()
            if length > _DECIMAL_BYTES or scale > _DECIMAL_DIGITS:
                raise ValueError(f"a decimal of {length} bytes with {scale} digits behind the point")
            return Decimal(int.from_bytes(self._take(length), "little", signed=True)).scaleb(-scale, DIGITS)
        if code == _EXTEND:
            return self._extreme()
        if code in (_DOUBLE, _UDOUBLE):
            return float(struct.unpack("<d", struct.pack("<Q", self.varint()))[0])
        if code in (_FLOAT, _UFLOAT):
            return float(struct.unpack("<f", struct.pack("<I", self.varint() & 0xFFFFFFFF))[0])
        raise UnknownObject(f"an object of type {code}, which is not known")

    def _extreme(self) -> Extreme:
        number = self._signed(self.varint(), 64, _INT64)
        if number == -2:
            return Extreme.MAX
        if number == -3:
            return Extreme.MIN
        raise UnknownObject(f"a special value {number}, which is not known")

    @staticmethod
    def _signed(number: int, bits: int, code: int) -> int:
        number &= (1 << bits) - 1
        return number - (1 << bits) if code not in _UNSIGNED and number >> (bits - 1) else number

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise ValueError("it ends in the middle of an object")
        self._at += length
        return taken


def read_range_bound(data: bytes) -> tuple[Row, ...]:
    """Read a RANGE bound: one row."""
    reader = ObjectReader(data)
    row = reader.row()
    if not row or not reader.done:
        raise ValueError(f"{len(row)} objects, and bytes after them" if row else "no objects")
    return (row,)


def read_list_bound(data: bytes) -> tuple[Row, ...]:
    """Read a LIST bound: rows one after the other, each with a projector that is always empty."""
    reader = ObjectReader(data)
    rows = []
    while not reader.done:
        rows.append(reader.row())
        for _ in range(reader.varint()):
            reader.varint()
    return tuple(rows)


def read_value(data: bytes) -> Value:
    """Read a bare object: the default of a column."""
    return ObjectReader(data).object()
