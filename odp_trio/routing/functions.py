"""Functions and operators over constants, as the server computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

from odp_trio.routing.scalars import CannotCompute, Number, SqlValue, number_of
from odp_trio.routing.text_functions import LENIENT, STRICT, clock
from odp_trio.topology.objects import DIGITS

if TYPE_CHECKING:
    from odp_trio.routing.values import Values

_INT64: Final = range(-(1 << 63), 1 << 64)


def call(name: str, arguments: Sequence[SqlValue], values: Values | None) -> SqlValue:
    """Apply a function; raise CannotCompute if it is not one of those known."""
    if (instant := clock(name, arguments, values)) is not None:
        return instant
    for table, takes_null in ((LENIENT, True), (STRICT, False)):
        if name in table and len(arguments) in table[name][0]:
            missing = not takes_null and any(argument is None for argument in arguments)
            return None if missing else table[name][1](*arguments)
    arithmetic = _ARITHMETIC.get(name)
    if arithmetic is None or len(arguments) != arithmetic[0]:
        raise CannotCompute(f"{name}() is not computed")
    if any(argument is None for argument in arguments):
        return None
    return _checked(arithmetic[1](*[_exact(argument) for argument in arguments]), name)


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


def _fraction(left: Number, right: Number) -> Number | None:
    """Return the quotient with four more places than the dividend."""
    if not right:
        return None
    if isinstance(left, float) or isinstance(right, float):
        raise CannotCompute("arithmetic over floating point is not computed")
    exponent = Decimal(left).as_tuple().exponent
    places = 4 + max(0, -exponent) if isinstance(exponent, int) else 4
    unit = Decimal(1).scaleb(-places, DIGITS)
    return DIGITS.divide(Decimal(left), Decimal(right)).quantize(unit, ROUND_HALF_UP, DIGITS)


def _negative(value: Number) -> Number:
    return DIGITS.minus(value) if isinstance(value, Decimal) else -value


def _size(value: Number) -> Number:
    return DIGITS.abs(value) if isinstance(value, Decimal) else abs(value)


_ARITHMETIC: Final[dict[str, tuple[int, Callable[..., Number | None]]]] = {
    "+": (2, _both(lambda a, b: a + b, DIGITS.add)),
    "-": (2, _both(lambda a, b: a - b, DIGITS.subtract)),
    "*": (2, _both(lambda a, b: a * b, DIGITS.multiply)),
    "/": (2, _fraction),
    "%": (2, _remainder),
    "MOD": (2, _remainder),
    "DIV": (2, _quotient),
    "NEG": (1, _negative),
    "ABS": (1, _size),
}
