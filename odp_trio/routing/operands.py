"""How the operands of conditions get their values.

What SQL knows as a value is here None, int, Decimal, float, str, bytes,
``Hex``, ``Instant`` or ``Duration``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from odp_trio.routing.functions import call
from odp_trio.routing.scalars import CannotCompute, Duration, Hex, Instant, SqlValue
from odp_trio.routing.temporal import read_duration, read_instant
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Boolean, Call, Default, Literal, Null, Opaque, Operand, Parameter, UserVariable
from odp_trio.sql.literals import read_literal

Getter = Callable[[Values], SqlValue]


def getter(operand: Operand) -> Getter:
    """Return what reads an operand's value; it raises CannotCompute when there is none."""
    match operand:
        case Literal():
            return _literal(operand)
        case Parameter(index, negative):
            return lambda values: negated(_parameter(values, index), negative)
        case Null():
            return lambda values: None
        case Boolean(value):
            return lambda values: int(value)
        case UserVariable(name):
            return lambda values: _user_variable(values, name)
        case Call(name, arguments):
            return _call(name, tuple(getter(argument) for argument in arguments))
        case Default():
            raise CannotCompute("DEFAULT stands outside INSERT")
        case Opaque(why):
            raise CannotCompute(why)


def _literal(operand: Literal) -> Getter:
    slot, negative, prefix = operand.slot, operand.negative, operand.prefix.upper()

    def read(values: Values) -> SqlValue:
        raw = values.literals[slot]
        try:
            value: SqlValue = read_literal(raw, prefix, encoding=values.encoding)
        except ValueError as exc:
            raise CannotCompute(f"the literal {raw[:40].decode('utf-8', 'replace')} cannot be read") from exc
        if prefix in _TYPED:
            return _typed(prefix, value)
        if isinstance(value, bytes) and _is_hexadecimal(raw):
            value = Hex(value)
        return negated(value, negative)

    return read


_TYPED: Final = frozenset({"DATE", "TIME", "TIMESTAMP", "DATETIME"})


def _typed(prefix: str, value: SqlValue) -> SqlValue:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if prefix == "TIME":
        return read_duration(text)
    instant = read_instant(text)
    return Instant((*instant.moment[:3], 0), True) if prefix == "DATE" else Instant(instant.moment, False)


def _is_hexadecimal(raw: bytes) -> bool:
    return raw[:1] in b"xXbB" or raw[:2] in (b"0x", b"0X", b"0b", b"0B")


def negated(value: SqlValue, negative: bool) -> SqlValue:
    """Return the value or, if ``negative``, what a minus before it makes of it."""
    return call("NEG", (value,), None) if negative else value


def _parameter(values: Values, index: int) -> SqlValue:
    parameters = values.parameters
    if parameters is None or index >= len(parameters):
        raise CannotCompute("the values of the parameters are not known")
    return python_value(parameters[index])


def _user_variable(values: Values, name: str) -> SqlValue:
    if name not in values.user_variables:
        raise CannotCompute(f"the value of @{name} is not known")
    return python_value(values.user_variables[name])


def _call(name: str, arguments: tuple[Getter, ...]) -> Getter:
    return lambda values: call(name, tuple(argument(values) for argument in arguments), values)


def python_value(value: Any) -> SqlValue:
    """Take a value as the binary protocol's reader makes it."""
    match value:
        case bool():
            return int(value)
        case None | int() | float() | Decimal() | str() | bytes():
            return value
        case bytearray() | memoryview():
            return bytes(value)
        case dt.datetime():
            return Instant((value.year, value.month, value.day, _of_day(value.time())), False)
        case dt.date():
            return Instant((value.year, value.month, value.day, 0), True)
        case dt.timedelta():
            return Duration(value // dt.timedelta(microseconds=1))
        case dt.time():
            return Duration(_of_day(value))
        case _:
            raise CannotCompute(f"a value of type {type(value).__name__} is not known")


def _of_day(time: dt.time) -> int:
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 1_000_000 + time.microsecond
