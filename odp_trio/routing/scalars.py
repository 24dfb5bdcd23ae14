"""Values of SQL: what there is besides Python's own, and numbers out of anything."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from math import isfinite
from typing import Final, final

import msgspec

from odp_trio.errors import OdpError
from odp_trio.topology.objects import DIGITS, Moment


class CannotCompute(OdpError):
    """A value or a partition cannot be worked out; the message says why, for people."""


class NoRow(OdpError):
    """A condition that no row can satisfy."""


@final
class Hex(bytes):
    """A hexadecimal or bit literal: a string, but a number where one is wanted."""

    __slots__ = ()


class Instant(msgspec.Struct, frozen=True):
    """A date, or a date and a time."""

    moment: Moment
    is_date: bool


class Duration(msgspec.Struct, frozen=True):
    """A TIME."""

    microseconds: int


SqlValue = None | int | float | Decimal | str | bytes | Instant | Duration
Number = int | float | Decimal

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")
_MOST_DIGITS: Final = 400


def number_of(value: SqlValue, *, strict: bool) -> Number:
    """Return a value as a number.  Text counts up to where it stops being one, but not if ``strict``."""
    match value:
        case int():
            return value
        case Decimal():
            if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
                raise CannotCompute(f"{value} is out of range")
            return value
        case float():
            if not isfinite(value):
                raise CannotCompute(f"{value} is out of range")
            return value
        case Hex():
            return int.from_bytes(value[-8:], "big")
        case str():
            return _number_of_text(value, strict)
        case bytes():
            return _number_of_text(value.decode("latin-1"), strict)
        case Instant() | Duration() | None:
            raise CannotCompute("a date or time as a number is not computed")


def _number_of_text(text: str, strict: bool) -> Decimal:
    found = _NUMBER.match(text)
    if strict and (found is None or text[found.end() :].strip()):
        raise CannotCompute(f"'{text[:40]}' is not a number")
    number = Decimal(found[1]) if found is not None else Decimal(0)
    if abs(number.adjusted()) > _MOST_DIGITS:
        raise CannotCompute(f"'{text[:40]}' is out of range")
    return number


def rounded(number: Number) -> int:
    """Round as an INSERT into an integer column does: half away from zero, but floating point to even."""
    if isinstance(number, int):
        return number
    if isinstance(number, float):
        return round(number)
    return int(number.to_integral_value(ROUND_HALF_UP, DIGITS)) if number.adjusted() < DIGITS.prec - 2 else int(number)


def whole(number: Number) -> int | None:
    """Return a number that has no fraction as int, None for others."""
    if isinstance(number, int):
        return number
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return int(number) if number == int(number) else None


def text_of(value: SqlValue) -> str | bytes:
    """Return a value as the text that SQL makes of it."""
    match value:
        case str() | bytes():
            return value
        case int():
            return str(value)
        case Decimal():
            return format(value, "f")
        case _:
            raise CannotCompute("a number with a fraction, a date or a time as text is not computed")
