"""Types of key columns: how a value becomes one of the column's, is compared, and is hashed."""

# ruff: noqa: D102  # methods are described where they are declared first

from __future__ import annotations

import struct
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, cast

from odp_trio.routing.murmur import murmur, murmur_int
from odp_trio.routing.scalars import CannotCompute, NoRow, SqlValue, number_of, rounded, whole
from odp_trio.routing.values import Values
from odp_trio.topology.objects import (
    DIGITS,
)
from odp_trio.topology.partitioning import KeyColumn

Stored = Any
"""A value as the column holds it: int, float, Decimal, bytes or Moment; None is NULL."""

_NULL: Final = b"\0\0\0\0"


class ColumnType:
    """One column.  Values given to its methods are not None."""

    is_integer = False

    def __init__(self, column: KeyColumn) -> None:
        self.column = column

    def store(self, value: SqlValue, values: Values) -> Stored:
        """Convert as INSERT does; raise CannotCompute where the server might refuse."""
        raise NotImplementedError

    def match(self, value: SqlValue, values: Values) -> Stored:
        """Convert for ``=``; raise NoRow when no value of the column equals it."""
        return self.store(value, values)

    def edge(self, value: SqlValue, values: Values) -> Any:
        """Return the key of a value for ``<`` and ``>``; it need not be one of the column's."""
        return self.key(self.match(value, values))

    def key(self, stored: Stored) -> Any:
        """Return what stands for a value when values are compared."""
        return stored

    def hash(self, stored: Stored, seed: int) -> int:
        """Hash a value for KEY partitioning."""
        raise NotImplementedError

    def number(self, stored: Stored) -> int:
        """Return what HASH partitioning makes of a value of an integer type."""
        return int(stored)

    def hash_null(self, seed: int) -> int:
        """Hash NULL."""
        return murmur(_NULL, seed)


class IntegerType(ColumnType):
    """Integers."""

    is_integer = True

    def __init__(self, column: KeyColumn, low: int, high: int) -> None:
        super().__init__(column)
        self.low, self.high = low, high

    def store(self, value: SqlValue, values: Values) -> int:
        number = rounded(number_of(value, strict=True))
        if not self.low <= number <= self.high:
            raise CannotCompute(f"{number} is out of range for column {self.column.name}")
        return number

    def match(self, value: SqlValue, values: Values) -> int:
        number = whole(number_of(value, strict=False))
        if number is None or not self.low <= number <= self.high:
            raise NoRow(f"no value of column {self.column.name} equals it")
        return number

    def edge(self, value: SqlValue, values: Values) -> Any:
        return number_of(value, strict=True)

    def hash(self, stored: int, seed: int) -> int:
        return murmur_int(stored, seed)


class BitType(IntegerType):
    """BIT.  INSERT takes text for its bytes, comparisons take it for a number."""

    def store(self, value: SqlValue, values: Values) -> int:
        if isinstance(value, str | bytes):
            text = value.encode(values.encoding) if isinstance(value, str) else bytes(value)
            value = int.from_bytes(text, "big")
        return super().store(value, values)

    def match(self, value: SqlValue, values: Values) -> int:
        if isinstance(value, Decimal | float):
            raise CannotCompute(f"column {self.column.name} is compared with something that is no whole number")
        return super().match(value, values)


class YearType(IntegerType):
    """YEAR: 0, and 1901 to 2155."""

    def __init__(self, column: KeyColumn) -> None:
        super().__init__(column, 0, 2155)

    def store(self, value: SqlValue, values: Values) -> int:
        return self._year(value, super().store(value, values))

    def match(self, value: SqlValue, values: Values) -> int:
        try:
            return self._year(value, super().match(value, values))
        except CannotCompute as exc:
            raise NoRow(str(exc)) from exc

    def edge(self, value: SqlValue, values: Values) -> Any:
        number = number_of(value, strict=True)
        if not 1901 <= number <= 2155:
            raise CannotCompute("ranges of years of two digits are not computed")
        return number

    def _year(self, value: SqlValue, number: int) -> int:
        if number == 0:
            short = isinstance(value, str | bytes) and len(value.strip()) < 4
            return 2000 if short else 0
        if number < 100:
            return number + (2000 if number < 70 else 1900)
        if number < 1901:
            raise CannotCompute(f"{number} is out of range for column {self.column.name}")
        return number

    def number(self, stored: Stored) -> int:
        """Return the byte that is stored: it is what HASH and KEY go by."""
        return stored - 1900 if stored else 0

    def hash(self, stored: int, seed: int) -> int:
        return murmur_int(self.number(stored), seed)


class MemberType(IntegerType):
    """ENUM and SET: by number only, for their members are not in the metadata."""

    def __init__(self, column: KeyColumn) -> None:
        super().__init__(column, 0, (1 << 64) - 1)

    def _number(self, value: SqlValue) -> SqlValue:
        if isinstance(value, str | bytes):
            raise CannotCompute(f"the members of column {self.column.name} are not known")
        return value

    def store(self, value: SqlValue, values: Values) -> int:
        return super().store(self._number(value), values)

    def match(self, value: SqlValue, values: Values) -> int:
        return super().match(self._number(value), values)


class FloatType(ColumnType):
    """FLOAT and DOUBLE."""

    def __init__(self, column: KeyColumn, *, single: bool) -> None:
        super().__init__(column)
        self._single = single
        if column.scale >= 0:
            raise CannotCompute(f"column {column.name} is floating point with a fixed scale")

    def store(self, value: SqlValue, values: Values) -> float:
        number = self._float(value, strict=True)
        return self._narrow(number) if self._single else number

    def match(self, value: SqlValue, values: Values) -> float:
        number = self._float(value, strict=False)
        if self._single and self._narrow(number) != number:
            raise NoRow(f"no value of column {self.column.name} equals it")
        return number

    def edge(self, value: SqlValue, values: Values) -> float:
        return self._float(value, strict=True)

    def hash(self, stored: float, seed: int) -> int:
        return murmur(struct.pack("<d", stored + 0.0), seed)

    def _float(self, value: SqlValue, *, strict: bool) -> float:
        try:
            return float(number_of(value, strict=strict)) + 0.0
        except OverflowError as exc:
            raise CannotCompute(f"a number is out of range for column {self.column.name}") from exc

    def _narrow(self, number: float) -> float:
        try:
            return cast("float", struct.unpack("<f", struct.pack("<f", number))[0])
        except OverflowError as exc:
            raise CannotCompute(f"{number} is out of range for column {self.column.name}") from exc


class DecimalType(ColumnType):
    """DECIMAL, stored as an integer of 4-byte words."""

    def __init__(self, column: KeyColumn) -> None:
        super().__init__(column)
        if column.precision < 0 or column.scale < 0:
            raise CannotCompute(f"the precision of column {column.name} is not known")
        self._unit = Decimal(1).scaleb(-column.scale, DIGITS)
        self._limit = Decimal(10) ** (column.precision - column.scale)

    def store(self, value: SqlValue, values: Values) -> Decimal:
        stored = self._decimal(value, strict=True).quantize(self._unit, ROUND_HALF_UP, DIGITS)
        if stored.copy_abs() >= self._limit:
            raise CannotCompute(f"{stored} is out of range for column {self.column.name}")
        return stored

    def match(self, value: SqlValue, values: Values) -> Decimal:
        number = self._decimal(value, strict=False)
        if number.copy_abs() >= self._limit:
            raise NoRow(f"no value of column {self.column.name} equals it")
        stored = number.quantize(self._unit, ROUND_HALF_UP, DIGITS)
        if stored != number:
            raise NoRow(f"no value of column {self.column.name} equals it")
        return stored

    def edge(self, value: SqlValue, values: Values) -> Decimal:
        return self._decimal(value, strict=True)

    def hash(self, stored: Decimal, seed: int) -> int:
        number = int(stored.scaleb(self.column.scale, DIGITS))
        bits = (number if number >= 0 else ~number).bit_length() + 1
        return murmur(number.to_bytes((bits + 31) // 32 * 4, "little", signed=True), seed)

    def hash_null(self, seed: int) -> int:
        return seed

    @staticmethod
    def _decimal(value: SqlValue, *, strict: bool) -> Decimal:
        number = number_of(value, strict=strict)
        if isinstance(number, float):
            if abs(number) > 1e70:
                raise CannotCompute(f"{number} is out of range")
            return Decimal(repr(number))
        number = Decimal(number)
        if abs(number.adjusted()) > 90:
            raise CannotCompute("a number is out of range")
        return number


class NumberType(DecimalType):
    """DECIMAL as kernels stored it before: base 10^9."""

    def hash(self, stored: Decimal, seed: int) -> int:
        if not stored:
            return murmur(b"", murmur(b"\x80", seed))
        groups = -(-self.column.scale // 9)
        number = int(stored.copy_abs().scaleb(groups * 9, DIGITS))
        digits: list[int] = []
        while number:
            number, digit = divmod(number, 1_000_000_000)
            digits.append(digit)
        exponent = len(digits) - 1 - groups
        while not digits[0]:
            digits.pop(0)
        sign = 0x80 + 0x40 + exponent if stored > 0 else (0x80 - (0x40 + exponent)) & 0x7F
        return murmur(b"".join(digit.to_bytes(4, "little") for digit in reversed(digits)), murmur(bytes((sign,)), seed))

    def hash_null(self, seed: int) -> int:
        return murmur(_NULL, seed)
