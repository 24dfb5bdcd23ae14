"""Dates and times as MySQL reads them from text and numbers, and time zones that are offsets."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from odp_trio.routing.scalars import CannotCompute, Duration, Hex, Instant, Number, SqlValue
from odp_trio.topology.objects import Moment, days_of

DAY: Final = 86_400_000_000
_DELIMITED: Final = re.compile(
    r"(\d{4}|\d{2})[^\w\s]+(\d{1,2})[^\w\s]+(\d{1,2})"
    r"(?:(?:\s+|[Tt])(\d{1,2})(?:[^\w\s.]+(\d{1,2})(?:[^\w\s.]+(\d{1,2}))?)?(?:\.(\d*))?)?"
)
_DIGITS: Final = re.compile(r"(\d{14}|\d{12}|\d{8}|\d{6})(?:\.(\d*))?")
_CLOCK: Final = re.compile(r"(-?)(?:(\d{1,2})\s+)?(\d{1,3}):(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?")
_CLOCK_DIGITS: Final = re.compile(r"(-?)(\d{1,7})(?:\.(\d*))?")
_OFFSET: Final = re.compile(r"([+-])(\d{1,2}):(\d{2})")
_MONTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LONGEST_TIME: Final = (838 * 3600 + 59 * 60 + 59) * 1_000_000


def read_instant(text: str) -> Instant:
    """Read a date or a date and time from text; raise CannotCompute when MySQL would not take it silently."""
    stripped = text.strip()
    found = _DELIMITED.fullmatch(stripped)
    if found is not None:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        is_date = found[4] is None
        return _instant(text, (_full_year(year, len(found[1])), month, day), (hour, minute, second), found[7], is_date)
    found = _DIGITS.fullmatch(stripped)
    if found is not None:
        return _from_digits(text, found[1], found[2])
    raise CannotCompute(f"'{text[:40]}' is not a date")


def _from_digits(text: str, digits: str, fraction: str | None) -> Instant:
    is_date = len(digits) in (6, 8)
    width = 4 if len(digits) in (8, 14) else 2
    year = _full_year(int(digits[:width]), width)
    pairs = [int(digits[at : at + 2]) for at in range(width, len(digits), 2)]
    if is_date and fraction:
        raise CannotCompute(f"'{text[:40]}' is not a date")
    clock = (0, 0, 0) if is_date else (pairs[2], pairs[3], pairs[4])
    return _instant(text, (year, pairs[0], pairs[1]), clock, fraction, is_date)


def _full_year(year: int, digits: int) -> int:
    if digits > 2:
        return year
    return year + (2000 if year < 70 else 1900)


def _instant(
    text: str, date: tuple[int, int, int], clock: tuple[int, int, int], fraction: str | None, is_date: bool
) -> Instant:
    year, month, day = date
    hour, minute, second = clock
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month) and hour < 24 and minute < 60 and second < 60):
        raise CannotCompute(f"'{text[:40]}' is not a date")
    of_day = ((hour * 60 + minute) * 60 + second) * 1_000_000
    return _later(Instant((year, month, day, of_day), is_date), _microseconds(fraction))


def _days_in(year: int, month: int) -> int:
    leap = month == 2 and ((year % 4 == 0 and year % 100 != 0) or year % 400 == 0)
    return _MONTHS[month] + leap


def _microseconds(fraction: str | None) -> int:
    if not fraction:
        return 0
    if len(fraction) > 6:
        raise CannotCompute(f"more than six digits of a second: .{fraction[:20]}")
    return int(fraction.ljust(6, "0"))


def _later(instant: Instant, microseconds: int) -> Instant:
    year, month, day, of_day = instant.moment
    return Instant((year, month, day, of_day + microseconds), instant.is_date)


def instant_of(value: SqlValue) -> Instant:
    """Return a value as a date or a date and time."""
    match value:
        case Instant():
            return value
        case str():
            return read_instant(value)
        case bytes() if not isinstance(value, Hex):
            return read_instant(value.decode("latin-1"))
        case int() if 0 < value < 10**14:
            digits = str(value)
            width = 6 if len(digits) <= 6 else 8 if len(digits) <= 8 else 12 if len(digits) <= 12 else 14
            if len(digits) < 5:
                raise CannotCompute(f"{value} as a date is not computed")
            return _from_digits(digits, digits.rjust(width, "0"), None)
        case _:
            raise CannotCompute("a value that is no text, date or whole number as a date is not computed")


def read_duration(text: str) -> Duration:
    """Read a TIME from text."""
    stripped = text.strip()
    found = _CLOCK.fullmatch(stripped)
    if found is not None:
        sign, days, hours, minutes, seconds, fraction = found.groups()
        return _duration(text, sign, (int(days or 0) * 24 + int(hours), int(minutes), int(seconds or 0)), fraction)
    found = _CLOCK_DIGITS.fullmatch(stripped)
    if found is not None:
        digits = found[2].rjust(7, "0")
        return _duration(text, found[1], (int(digits[:3]), int(digits[3:5]), int(digits[5:])), found[3])
    raise CannotCompute(f"'{text[:40]}' is not a time")


def _duration(text: str, sign: str, clock: tuple[int, int, int], fraction: str | None) -> Duration:
    hours, minutes, seconds = clock
    if minutes > 59 or seconds > 59:
        raise CannotCompute(f"'{text[:40]}' is not a time")
    size = (hours * 3600 + minutes * 60 + seconds) * 1_000_000 + _microseconds(fraction)
    if size > _LONGEST_TIME:
        raise CannotCompute(f"'{text[:40]}' is out of range")
    return Duration(-size if sign else size)


def duration_of(value: SqlValue) -> Duration:
    """Return a value as a TIME."""
    match value:
        case Duration():
            return value
        case str():
            return read_duration(value)
        case bytes() if not isinstance(value, Hex):
            return read_duration(value.decode("latin-1"))
        case int() | Decimal() if not isinstance(value, bool):
            return read_duration(_plain(value))
        case _:
            raise CannotCompute("a value that is no text, time or number as a time is not computed")


def _plain(number: Number) -> str:
    return format(number, "f") if isinstance(number, Decimal) else str(number)


def offset_of(time_zone: str) -> int:
    """Return the microseconds that a time zone is ahead of UTC."""
    found = _OFFSET.fullmatch(time_zone.strip())
    if found is None:
        raise CannotCompute(f"the time zone {time_zone} is known by name only")
    size = (int(found[2]) * 60 + int(found[3])) * 60_000_000
    return -size if found[1] == "-" else size


def microseconds_of(moment: Moment) -> int:
    """Return the microseconds from 1970-01-01 to a moment, no time zone applied."""
    year, month, day, of_day = moment
    if not month or not day:
        raise CannotCompute("a date with a zero in it is not computed")
    return days_of(year, month, day) * DAY + of_day
