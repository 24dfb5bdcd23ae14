"""Types of key columns that are dates, times or strings; and which type a code means."""

# ruff: noqa: D102  # methods are described where they are declared first

from __future__ import annotations

from typing import Any, Final

from odp_trio.routing.collation import Collation, collation
from odp_trio.routing.columns import (
    BitType,
    ColumnType,
    DecimalType,
    FloatType,
    IntegerType,
    MemberType,
    NumberType,
    YearType,
)
from odp_trio.routing.murmur import murmur_int
from odp_trio.routing.scalars import CannotCompute, Hex, NoRow, SqlValue, text_of
from odp_trio.routing.temporal import DAY, duration_of, instant_of, microseconds_of, offset_of
from odp_trio.routing.values import Values
from odp_trio.topology.objects import (
    DECIMAL_INT,
    MYSQL_DATE,
    MYSQL_DATETIME,
    Moment,
    date_of,
    days_of,
    pack_date,
    pack_datetime,
)
from odp_trio.topology.partitioning import KeyColumn


class DateType(ColumnType):
    """DATE: in days (19), or packed (41, 52)."""

    def store(self, value: SqlValue, values: Values) -> Moment:
        return (*instant_of(value).moment[:3], 0)

    def match(self, value: SqlValue, values: Values) -> Moment:
        moment = instant_of(value).moment
        if moment[3] and not isinstance(value, int):
            raise NoRow(f"no value of column {self.column.name} has a time of day")
        return (*moment[:3], 0)

    def edge(self, value: SqlValue, values: Values) -> Moment:
        return instant_of(value).moment

    def hash(self, stored: Moment, seed: int) -> int:
        if self.column.type_code in MYSQL_DATE:
            return murmur_int(pack_date(stored), seed)
        return murmur_int(microseconds_of(stored) // DAY, seed)


class DatetimeType(ColumnType):
    """DATETIME: in microseconds (17), or packed (42, 53)."""

    def store(self, value: SqlValue, values: Values) -> Moment:
        return _rounded_moment(instant_of(value).moment, max(self.column.scale, 0))

    def match(self, value: SqlValue, values: Values) -> Moment:
        moment = instant_of(value).moment
        if moment[3] % 10 ** (6 - max(self.column.scale, 0)):
            raise NoRow(f"no value of column {self.column.name} has so small a part of a second")
        return moment

    def edge(self, value: SqlValue, values: Values) -> Moment:
        return instant_of(value).moment

    def hash(self, stored: Moment, seed: int) -> int:
        if self.column.type_code in MYSQL_DATETIME:
            return murmur_int(pack_datetime(stored), seed)
        return murmur_int(microseconds_of(stored), seed)


def _rounded_moment(moment: Moment, scale: int) -> Moment:
    of_day = _rounded(moment[3], scale)
    if of_day < DAY:
        return (*moment[:3], of_day)
    return (*date_of(days_of(*moment[:3]) + 1), of_day - DAY)


def _rounded(microseconds: int, scale: int) -> int:
    unit = int(10 ** (6 - scale))
    size = (abs(microseconds) + unit // 2) // unit * unit
    return size if microseconds >= 0 else -size


class TimestampType(DatetimeType):
    """TIMESTAMP: microseconds of UTC; text is in the session's time zone."""

    def store(self, value: SqlValue, values: Values) -> int:  # type: ignore[override]
        return self._utc(super().store(value, values), values)

    def match(self, value: SqlValue, values: Values) -> int:  # type: ignore[override]
        return self._utc(super().match(value, values), values)

    def edge(self, value: SqlValue, values: Values) -> int:  # type: ignore[override]
        return microseconds_of(instant_of(value).moment) - offset_of(values.time_zone)

    @staticmethod
    def _utc(moment: Moment, values: Values) -> int:
        microseconds = microseconds_of(moment) - offset_of(values.time_zone)
        if not 0 < microseconds <= _LAST_TIMESTAMP:
            raise CannotCompute("a timestamp is out of range")
        return microseconds

    def hash(self, stored: int, seed: int) -> int:  # type: ignore[override]
        return murmur_int(stored, seed)


_LAST_TIMESTAMP: Final = ((1 << 31) - 1) * 1_000_000 + 999_999


class TimeType(ColumnType):
    """TIME: microseconds."""

    def store(self, value: SqlValue, values: Values) -> int:
        return _rounded(duration_of(value).microseconds, max(self.column.scale, 0))

    def match(self, value: SqlValue, values: Values) -> int:
        microseconds = duration_of(value).microseconds
        if microseconds % 10 ** (6 - max(self.column.scale, 0)):
            raise NoRow(f"no value of column {self.column.name} has so small a part of a second")
        return microseconds

    def edge(self, value: SqlValue, values: Values) -> int:
        return duration_of(value).microseconds

    def hash(self, stored: int, seed: int) -> int:
        return murmur_int(stored, seed)


class StringType(ColumnType):
    """CHAR, VARCHAR, BINARY, VARBINARY; values are bytes in the column's character set."""

    def __init__(self, column: KeyColumn) -> None:
        super().__init__(column)
        self.collation: Collation = collation(column.collation)
        self.fixed = column.type_code == _CHAR

    def store(self, value: SqlValue, values: Values) -> bytes:
        text = self._bytes(text_of(value), values)
        length = len(text.decode(self.collation.encoding)) if self.collation.encoding else len(text)
        if length > self.column.length >= 0:
            raise CannotCompute(f"a string is too long for column {self.column.name}")
        if self.fixed and self.collation.encoding:
            return text.rstrip(b" ")
        if self.fixed:
            return text.ljust(self.column.length, b"\0")
        return text

    def match(self, value: SqlValue, values: Values) -> bytes:
        if not isinstance(value, str | bytes):
            raise CannotCompute(f"column {self.column.name} is compared with something that is no string")
        return self._bytes(value, values)

    def edge(self, value: SqlValue, values: Values) -> Any:
        return self.key(self.match(value, values))

    def key(self, stored: bytes) -> Any:
        if self.collation.pads and stored and min(stored) < 0x20:
            raise CannotCompute("strings with control characters are not ordered")
        return self.collation.sort_key(stored)

    def hash(self, stored: bytes, seed: int) -> int:
        return self.collation.hash(stored, seed)

    def _bytes(self, text: str | bytes, values: Values) -> bytes:
        encoding = self.collation.encoding
        try:
            if isinstance(text, str):
                return text.encode(encoding or values.encoding)
            if not encoding or isinstance(text, Hex):
                return bytes(text)
            return text.decode(values.encoding).encode(encoding)
        except UnicodeError as exc:
            raise CannotCompute(f"a string is not in the character set of column {self.column.name}") from exc


_CHAR: Final = 23
_MOST_BITS: Final = 64
_SIZES: Final = {1: 8, 2: 16, 3: 24, 4: 32, 5: 64}


def column_type(column: KeyColumn) -> ColumnType:
    """Return the type of a column; raise CannotCompute if it is not known."""
    code = column.type_code
    if code in _SIZES:
        half = 1 << (_SIZES[code] - 1)
        return IntegerType(column, -half, half - 1)
    if code - 5 in _SIZES:
        return IntegerType(column, 0, (1 << _SIZES[code - 5]) - 1)
    if code == 31 and column.precision > _MOST_BITS:
        raise CannotCompute(f"a column of {column.precision} bits is not known")
    if code == 31:
        return BitType(column, 0, (1 << max(column.precision, 1)) - 1)
    if code in DECIMAL_INT:
        return DecimalType(column)
    if code in (11, 12, 13, 14):
        return FloatType(column, single=code in (11, 13))
    found = _TYPES.get(code)
    if found is None:
        raise CannotCompute(f"column {column.name} has type {code}, which is not computed")
    made: ColumnType = found(column)
    return made


_TYPES: Final[dict[int, Any]] = {
    15: NumberType,
    16: NumberType,
    17: DatetimeType,
    18: TimestampType,
    19: DateType,
    20: TimeType,
    21: YearType,
    22: StringType,
    23: StringType,
    32: MemberType,
    33: MemberType,
    **dict.fromkeys(MYSQL_DATE, DateType),
    **dict.fromkeys(MYSQL_DATETIME, DatetimeType),
}
