"""Values: how they compare, how they become numbers and texts, how they are reckoned with."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from odp_trio.testing.fakes.answers import SQLError, Value, number_text

Number = int | float | Decimal
_NUMBER: Final = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LOW, _HIGH = -(1 << 63), (1 << 64) - 1
_DIGITS: Final = 4
"""More digits of a quotient than its dividend has."""


def number(value: Value) -> Number:
    """Return a value as a number: of a text what it begins with; of NULL zero."""
    if isinstance(value, int | float | Decimal):
        return value
    if value is None:
        return 0
    written = value.decode("latin-1") if isinstance(value, bytes) else value
    found = _NUMBER.match(written)
    if found is None:
        return 0.0
    return float(found[0])


def written(value: Value) -> str:
    """Return a value as a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return number_text(value)
    return "" if value is None else str(value)


def compare(left: Value, right: Value) -> int:
    """Return < 0, 0 or > 0; neither may be NULL."""
    if isinstance(left, str) and isinstance(right, str):
        if left == right:
            return 0
        low, high = left.lower(), right.lower()
        return -1 if low < high else int(low > high)
    if isinstance(left, str | bytes) and isinstance(right, str | bytes):
        one, other = raw(left), raw(right)
        return -1 if one < other else int(one > other)
    first, second = number(left), number(right)
    if isinstance(first, float) or isinstance(second, float):
        first, second = float(first), float(second)
    return -1 if first < second else int(first > second)


def raw(value: Value) -> bytes:
    """Return a value's bytes; a text that was no UTF-8 gives the bytes it came in."""
    return value if isinstance(value, bytes) else written(value).encode("utf-8", "surrogateescape")


def truth(value: Value) -> bool | None:
    """Return whether a value counts as true; None for NULL."""
    return None if value is None else number(value) != 0


def reckon(operator: str, left: Value, right: Value) -> Value:
    """Return what an arithmetic operator makes of two values; raise SQLError 1690 where it is too large."""
    if left is None or right is None:
        return None
    one, other = number(left), number(right)
    if isinstance(one, float) or isinstance(other, float):
        one, other = (float(one), float(other)) if operator != "div" else (one, other)
    if operator in ("/", "%", "div") and not other:
        return None
    found = _reckon(operator, one, other)
    if isinstance(found, int) and not _LOW <= found <= _HIGH:
        raise SQLError(
            1690, "22003", f"BIGINT value is out of range in '({written(left)} {operator} {written(right)})'"
        )
    return found


def _reckon(operator: str, one: Number, other: Number) -> Number:
    if isinstance(one, float) or isinstance(other, float):
        return _reckon_floats(operator, float(one), float(other))
    if isinstance(one, int) and isinstance(other, int):
        return _reckon_integers(operator, one, other)
    return _reckon_decimals(operator, Decimal(one), Decimal(other))


def _reckon_floats(operator: str, one: float, other: float) -> Number:
    match operator:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case "/":
            return one / other
        case "%":
            return one - other * int(one / other)
        case _:
            return int(one / other)


def _reckon_integers(operator: str, one: int, other: int) -> Number:
    match operator:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case "/":
            return _quotient(Decimal(one), Decimal(other))
        case "%":
            remainder = abs(one) % abs(other)
            return -remainder if one < 0 else remainder
        case _:
            quotient = abs(one) // abs(other)
            return quotient if (one < 0) == (other < 0) else -quotient


def _reckon_decimals(operator: str, one: Decimal, other: Decimal) -> Number:
    match operator:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case "/":
            return _quotient(one, other)
        case "%":
            return one % other
        case _:
            return int(one / other)


def _quotient(one: Decimal, other: Decimal) -> Decimal:
    return (one / other).quantize(Decimal(1).scaleb(-_scale(one) - _DIGITS), ROUND_HALF_UP)


def _scale(value: Number) -> int:
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def bits(operator: str, left: Value, right: Value) -> Value:
    """Return what a bit operator makes of two values."""
    if left is None or right is None:
        return None
    one, other = int(number(left)), int(number(right))
    match operator:
        case "&":
            return one & other
        case "|":
            return one | other
        case "^":
            return one ^ other
        case "<<":
            return (one << other) & _HIGH
        case _:
            return one >> other


def like(value: Value, pattern: Value) -> int | None:
    """Return 1 if a text is like a pattern with % and _, else 0."""
    if value is None or pattern is None:
        return None
    return int(like_pattern(written(pattern)).fullmatch(written(value)) is not None)


def like_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern."""
    pieces: list[str] = []
    escaped = False
    for letter in pattern:
        if escaped:
            pieces.append(re.escape(letter))
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            pieces.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return re.compile("".join(pieces), re.IGNORECASE | re.DOTALL)


def sql_literal(value: Value) -> bytes:
    """Write a user variable's value as a proxy is told it: as an SQL literal."""
    if value is None:
        return b"NULL"
    if isinstance(value, float):
        return number_text(value).encode()
    if isinstance(value, int | Decimal):
        return str(value).encode()
    return b"'" + raw(value).replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"
