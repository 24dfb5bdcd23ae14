"""Column types: how they are told to a client, and what a value becomes that is put into one.

Seen on seekdb 1.3.0.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

import msgspec

from odp_trio.testing.fakes.answers import (
    AUTO_INCREMENT,
    BINARY,
    NO_CHARSET,
    NOT_NULL,
    PART_KEY,
    PRIMARY,
    UNSIGNED,
    UTF8MB4,
    Column,
    Kind,
    SQLError,
    Value,
)

UNIQUE: Final = 0x0004
BLOB_FLAG: Final = 0x0010
TIMESTAMP_FLAG: Final = 0x0400
_INTEGERS: Final = {
    "tinyint": (Kind.TINY, 8, 4), "bool": (Kind.TINY, 8, 1), "boolean": (Kind.TINY, 8, 1),
    "smallint": (Kind.SHORT, 16, 6), "mediumint": (9, 24, 9), "int": (Kind.LONG, 32, 11),
    "integer": (Kind.LONG, 32, 11), "bigint": (Kind.LONGLONG, 64, 20),
}  # fmt: skip
_TEXTS: Final = {
    "text": 65535, "tinytext": 255, "mediumtext": 16777215, "longtext": 536870911,
    "blob": 65535, "tinyblob": 255, "mediumblob": 16777215, "longblob": 536870911, "json": 536870911,
}  # fmt: skip
_TIMES: Final = {
    "datetime": (Kind.DATETIME, 19), "timestamp": (Kind.TIMESTAMP, 19), "date": (Kind.DATE, 10),
    "time": (Kind.TIME, 10), "year": (Kind.YEAR, 4),
}  # fmt: skip
_WHOLE: Final = re.compile(r"\s*[-+]?\d+\s*\Z")


class Type(msgspec.Struct, frozen=True):
    """The type of a column or an expression, as a column definition tells it."""

    kind: int
    length: int
    flags: int = 0
    decimals: int = 0
    charset: int = NO_CHARSET

    def column(self, name: str) -> Column:
        """Return the definition of a column that has no table."""
        return Column(name, self.kind, self.length, self.flags, self.decimals, self.charset)

    @property
    def is_integer(self) -> bool:
        """Whether its values are whole numbers."""
        return self.kind in (Kind.TINY, Kind.SHORT, Kind.LONG, Kind.LONGLONG, 9, Kind.YEAR)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts or bytes."""
        return self.kind in (Kind.VAR_STRING, Kind.STRING, Kind.BLOB)


class ColumnType(msgspec.Struct, frozen=True):
    """One column of a table."""

    name: str
    sql: str
    type: Type
    not_null: bool = False
    auto: bool = False
    default: Value = None
    has_default: bool = False
    now: bool = False
    """Whether the default is the present time."""
    low: int = 0
    high: int = 0
    characters: int = 0


def column_type(
    name: str, kind: str, length: int, scale: int, *, unsigned: bool, not_null: bool, auto: bool, keys: int
) -> ColumnType:
    """Return a column by its SQL type; ``keys`` are flags of the keys it is in.  Raises SQLError 1064."""
    flags = keys | (NOT_NULL if not_null else 0)
    low = high = characters = 0
    if kind in _INTEGERS:
        number, bits, shown = _INTEGERS[kind]
        low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
        shown = length or (shown - 1 if unsigned and number != Kind.LONGLONG else shown)
        flags |= (UNSIGNED if unsigned else 0) | (AUTO_INCREMENT if auto else 0)
        found = Type(number, shown, flags)
    elif kind in ("decimal", "numeric", "dec"):
        length = length or 10
        found = Type(Kind.DECIMAL, length + (1 if scale else 0) + (0 if unsigned else 1), flags, scale)
    elif kind in ("double", "real", "float"):
        found = Type(*((Kind.FLOAT, 12) if kind == "float" else (Kind.DOUBLE, 23)), flags, 31)
    elif kind in ("varchar", "char", "varbinary", "binary", "enum"):
        binary = "binary" in kind
        characters = length or 1
        number = Kind.STRING if kind in ("char", "binary", "enum") else Kind.VAR_STRING
        found = Type(number, characters * (1 if binary else 4), flags | (BINARY if binary else 0),
                     0, NO_CHARSET if binary else UTF8MB4)  # fmt: skip
    elif kind in _TEXTS:
        binary = "blob" in kind
        characters = _TEXTS[kind]
        found = Type(Kind.BLOB, characters, flags | BLOB_FLAG | (BINARY if binary else 0), 0,
                     NO_CHARSET if binary else UTF8MB4)  # fmt: skip
    elif kind in _TIMES:
        number, shown = _TIMES[kind]
        more = TIMESTAMP_FLAG if kind == "timestamp" else 0
        found = Type(number, shown + (length + 1 if length else 0), flags | BINARY | more, length)
    else:
        raise SQLError(1064, "42000", f"You have an error in your SQL syntax near '{kind}' at line 1")
    return ColumnType(name, kind, found, not_null, auto, low=low, high=high, characters=characters)


def stored(column: ColumnType, value: Value, row: int) -> Value:
    """Return what a value becomes in a column; raise SQLError 1048, 1264, 1366 or 1406."""
    if value is None:
        if column.not_null:
            raise SQLError(1048, "23000", f"Column '{column.name}' cannot be null")
        return None
    kind = column.type.kind
    if column.high:
        return _whole(column, value, row)
    if column.type.is_text:
        if isinstance(value, bytes):
            value = value if column.type.charset == NO_CHARSET else value.decode("utf-8", "replace")
        elif not isinstance(value, str):
            value = str(value)
        if len(value) > column.characters:
            raise SQLError(1406, "22001", f"Data too long for column '{column.name}' at row {row}")
        return value
    if kind == Kind.DECIMAL:
        return _decimal(column, value, row)
    if kind in (Kind.DOUBLE, Kind.FLOAT):
        return float(_decimal(column, value, row))
    return _time(column, value, row)


def _whole(column: ColumnType, value: Value, row: int) -> int:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        value = int(value) if _WHOLE.match(value) else _decimal(column, value, row)
    number = int(Decimal(repr(value) if isinstance(value, float) else value or 0).to_integral_value(ROUND_HALF_UP))
    if not column.low <= number <= column.high:
        raise SQLError(1264, "22003", f"Out of range value for column '{column.name}' at row {row}")
    return number


def _decimal(column: ColumnType, value: Value, row: int) -> Decimal:
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        kind = "integer" if column.high else "decimal"
        message = f"Incorrect {kind} value"
        raise SQLError(1366, "HY000", f"{message}: '{value!s}' for column '{column.name}' at row {row}") from None
    if column.type.kind == Kind.DECIMAL:
        return number.quantize(Decimal(1).scaleb(-column.type.decimals), ROUND_HALF_UP)
    return number


def _time(column: ColumnType, value: Value, row: int) -> Value:
    written = str(value)
    if column.type.kind == Kind.YEAR:
        return int(written)
    if column.type.kind == Kind.TIME:
        return written.rpartition(" ")[2]
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError:
        name = "date" if column.type.kind == Kind.DATE else "datetime"
        message = f"Incorrect {name} value: '{written}' for column '{column.name}' at row {row}"
        raise SQLError(1292, "22007", message) from None
    if column.type.kind == Kind.DATE:
        return moment.date().isoformat()
    return time_text(moment, column.type.decimals)


def time_text(moment: dt.datetime, decimals: int = 0) -> str:
    """Write a moment with so many digits behind the second."""
    written = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{written}.{moment.microsecond:06d}"[: 20 + decimals] if decimals else written


INTEGER: Final = Type(Kind.LONGLONG, 20, BINARY)
INTEGER_LITERAL: Final = Type(Kind.LONGLONG, 20, BINARY | NOT_NULL)
BOOLEAN: Final = Type(Kind.LONG, 1, BINARY)
DOUBLE: Final = Type(Kind.DOUBLE, 23, BINARY, 31)
NULL: Final = Type(Kind.NULL, 0, BINARY)
UNKNOWN: Final = Type(Kind.VAR_STRING, 1048576, BINARY)
KEY_FLAGS: Final = PRIMARY | UNIQUE | PART_KEY


def text_type(length: int, flags: int = 0) -> Type:
    """Return a text of so many bytes at the most."""
    return Type(Kind.VAR_STRING, length, flags, 0, UTF8MB4)
