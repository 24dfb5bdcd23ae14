"""Functions over text, rounding, choosing, and the clock: what the server's versions of them return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

from odp_trio.routing.scalars import CannotCompute, Instant, SqlValue, text_of
from odp_trio.routing.temporal import offset_of
from odp_trio.topology.objects import DIGITS, moment_of

if TYPE_CHECKING:
    from odp_trio.routing.values import Values

Function = Callable[..., SqlValue]


def _text(value: SqlValue) -> str:
    text = text_of(value)
    if isinstance(text, bytes):
        raise CannotCompute("a function over binary strings is not computed")
    return text


def _concat(*parts: SqlValue) -> SqlValue:
    return "".join(_text(part) for part in parts)


def _substring(value: SqlValue, start: SqlValue, length: SqlValue = None) -> SqlValue:
    """Return part of a text, counted in characters from 1, or from the end when negative."""
    text = _text(value)
    if not (isinstance(start, int) and isinstance(length, int | None)):
        raise CannotCompute("SUBSTR() with a position that is no whole number is not computed")
    if start == 0 or start > len(text) or start < -len(text):
        return ""
    first = start - 1 if start > 0 else len(text) + start
    return text[first:] if length is None else text[first : first + max(length, 0)]


def _left(value: SqlValue, count: SqlValue) -> SqlValue:
    return _text(value)[: _whole(count)] if _whole(count) > 0 else ""


def _right(value: SqlValue, count: SqlValue) -> SqlValue:
    return _text(value)[-_whole(count) :] if _whole(count) > 0 else ""


def _whole(value: SqlValue) -> int:
    if not isinstance(value, int):
        raise CannotCompute("a position that is no whole number is not computed")
    return value


def _ascii(value: SqlValue) -> str:
    """Return a text whose upper and lower case are beyond dispute."""
    text = _text(value)
    if not text.isascii():
        raise CannotCompute("upper and lower case beyond ASCII are not computed")
    return text


def _length(value: SqlValue) -> SqlValue:
    return len(_ascii(value))


def _replace(value: SqlValue, old: SqlValue, new: SqlValue) -> SqlValue:
    return _text(value).replace(_text(old), _text(new)) if _text(old) else _text(value)


def _to_whole(rounding: str) -> Function:
    def apply(value: SqlValue) -> SqlValue:
        return int(_exact(value).to_integral_value(rounding, DIGITS))

    return apply


def _to_digits(rounding: str) -> Function:
    def apply(value: SqlValue, digits: SqlValue = 0) -> SqlValue:
        number, places = _exact(value), _whole(digits)
        if abs(places) > 30:
            raise CannotCompute("rounding to so many places is not computed")
        unit = Decimal(1).scaleb(-places, DIGITS)
        rounded = number.quantize(unit, rounding, DIGITS) if places > 0 else _to_power(number, unit, rounding)
        return int(rounded) if isinstance(value, int) or places <= 0 else rounded

    return apply


def _to_power(number: Decimal, unit: Decimal, rounding: str) -> Decimal:
    return DIGITS.multiply(DIGITS.divide(number, unit).to_integral_value(rounding, DIGITS), unit)


def _exact(value: SqlValue) -> Decimal:
    if isinstance(value, int | Decimal) and abs(Decimal(value).adjusted()) < 90:
        return Decimal(value)
    raise CannotCompute("rounding of anything but whole numbers and decimals is not computed")


STRICT: Final[dict[str, tuple[range, Function]]] = {
    "CONCAT": (range(1, 100), _concat),
    "SUBSTR": (range(2, 4), _substring),
    "SUBSTRING": (range(2, 4), _substring),
    "LEFT": (range(2, 3), _left),
    "RIGHT": (range(2, 3), _right),
    "TRIM": (range(1, 2), lambda value: _text(value).strip(" ")),
    "LTRIM": (range(1, 2), lambda value: _text(value).lstrip(" ")),
    "RTRIM": (range(1, 2), lambda value: _text(value).rstrip(" ")),
    "REPLACE": (range(3, 4), _replace),
    "LENGTH": (range(1, 2), _length),
    "LOWER": (range(1, 2), lambda value: _ascii(value).lower()),
    "LCASE": (range(1, 2), lambda value: _ascii(value).lower()),
    "UPPER": (range(1, 2), lambda value: _ascii(value).upper()),
    "UCASE": (range(1, 2), lambda value: _ascii(value).upper()),
    "FLOOR": (range(1, 2), _to_whole(ROUND_FLOOR)),
    "CEIL": (range(1, 2), _to_whole(ROUND_CEILING)),
    "CEILING": (range(1, 2), _to_whole(ROUND_CEILING)),
    "ROUND": (range(1, 3), _to_digits(ROUND_HALF_UP)),
    "TRUNCATE": (range(2, 3), _to_digits(ROUND_DOWN)),
}
"""By name: how many arguments, and what is computed; NULL in any argument makes NULL."""


def _if_null(value: SqlValue, other: SqlValue) -> SqlValue:
    return other if value is None else value


LENIENT: Final[dict[str, tuple[range, Function]]] = {
    "IFNULL": (range(2, 3), _if_null),
    "NVL": (range(2, 3), _if_null),
    "ISNULL": (range(1, 2), lambda value: int(value is None)),
}
"""The same for functions that take NULL as it is."""

_MOMENTS: Final = frozenset({"NOW", "CURRENT_TIMESTAMP", "SYSDATE", "LOCALTIME", "LOCALTIMESTAMP"})
_DAYS: Final = frozenset({"CURDATE", "CURRENT_DATE"})


def clock(name: str, arguments: Sequence[SqlValue], values: Values | None) -> Instant | None:
    """Return the time of day or the date if the function asks for it, in the session's time zone; else None."""
    if arguments or name not in _MOMENTS | _DAYS:
        return None
    if values is None or values.now is None:
        raise CannotCompute(f"{name}() is not computed")
    moment = moment_of(int(values.now) * 1_000_000 + offset_of(values.time_zone))
    return Instant((*moment[:3], 0), True) if name in _DAYS else Instant(moment, False)
