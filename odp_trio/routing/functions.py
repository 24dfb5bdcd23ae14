"""Functions and operators over constants, as the server computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from odp_trio.routing.scalars import CannotCompute, Number, SqlValue, number_of
from odp_trio.topology.objects import DIGITS

if TYPE_CHECKING:
    from odp_trio.routing.values import Values

_INT64: Final = range(-(1 << 63), 1 << 64)


def call(name: str, arguments: Sequence[SqlValue], values: Values | None) -> SqlValue:
    """Apply a function; raise CannotCompute if it is not one of those known."""
    if name in ("SUBSTR", "SUBSTRING"):
        return _substring(arguments)
    arithmetic = _ARITHMETIC.get(name)
    if arithmetic is None or len(arguments) != arithmetic[0]:
        raise CannotCompute(f"{name}() is not computed")
    if any(argument is None for argument in arguments):
        return None
    return _checked(arithmetic[1](*[_exact(argument) for argument in arguments]), name)


def _substring(arguments: Sequence[SqlValue]) -> SqlValue:
    """Return part of a text, counted in characters from 1, or from the end when negative."""
    if any(argument is None for argument in arguments):
        return None
    text, start, *rest = arguments
    length = rest[0] if rest else None
    if not (isinstance(text, str) and isinstance(start, int) and isinstance(length, int | None)):
        raise CannotCompute("SUBSTR() of anything but text is not computed")
    if start == 0 or start > len(text) or start < -len(text):
        return ""
    first = start - 1 if start > 0 else len(text) + start
    return text[first:] if length is None else text[first : first + max(length, 0)]


def _exact(value: SqlValue) -> Number:
    if isinstance(value, str | bytes):
        raise CannotCompute("arithmetic over text is not computed")
    return number_of(value, strict=True)


def _checked(result: Number | None, name: str) -> Number | None:
    if isinstance(result, int) and result not in _INT64:
        raise CannotCompute(f"the result of {name} is out of range")
    return result


def _both(
    whole: Callable[[int, int], int], decimal: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Number, Number], Number | None]:
    def apply(left: Number, right: Number) -> Number | None:
        if isinstance(left, float) or isinstance(right, float):
            raise CannotCompute("arithmetic over floating point is not computed")
        if isinstance(left, int) and isinstance(right, int):
            return whole(left, right)
        return decimal(Decimal(left), Decimal(right))

    return apply


def _remainder(left: Number, right: Number) -> Number | None:
    """Return the remainder with the sign of the dividend."""
    if not right:
        return None
    return _both(lambda a, b: (abs(a) % abs(b)) * (-1 if a < 0 else 1), DIGITS.remainder)(left, right)


def _quotient(left: Number, right: Number) -> Number | None:
    """Return the whole part of the quotient."""
    if not right:
        return None
    return _both(lambda a, b: (abs(a) // abs(b)) * (-1 if (a < 0) != (b < 0) else 1), DIGITS.divide_int)(left, right)


def _negative(value: Number) -> Number:
    return DIGITS.minus(value) if isinstance(value, Decimal) else -value


def _size(value: Number) -> Number:
    return DIGITS.abs(value) if isinstance(value, Decimal) else abs(value)


_ARITHMETIC: Final[dict[str, tuple[int, Callable[..., Number | None]]]] = {
    "+": (2, _both(lambda a, b: a + b, DIGITS.add)),
    "-": (2, _both(lambda a, b: a - b, DIGITS.subtract)),
    "*": (2, _both(lambda a, b: a * b, DIGITS.multiply)),
    "%": (2, _remainder),
    "MOD": (2, _remainder),
    "DIV": (2, _quotient),
    "NEG": (1, _negative),
    "ABS": (1, _size),
}
