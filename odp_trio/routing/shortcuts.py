"""The short way for the commonest statements: a key column that is an integer or a string, one ``=`` with a value."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from odp_trio.routing.columns import IntegerType
from odp_trio.routing.compiled import Compiled
from odp_trio.routing.conditions import conditions_on, is_insert
from odp_trio.routing.levels import HashLevel, KeyLevel, LevelFinder, ListLevel, RangeLevel
from odp_trio.routing.murmur import bucket, murmur_int
from odp_trio.routing.scalars import CannotCompute
from odp_trio.routing.types import StringType
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Literal, Operand, Operator, Parameter, StatementFacts

_T = TypeVar("_T")
_TOP: Final = 1 << 63
_FULL: Final = 1 << 64
_QUOTE: Final = ord("'")

Answer = Callable[[Values], Any]
Quick = Callable[[Sequence[Any], Answer], Answer]
"""Given what to answer for each partition, and what to ask in uncommon cases, returns the short way."""


def shortcut(table: Compiled, facts: StatementFacts) -> Quick | None:
    """Return the short way, if the statement and the table allow it."""
    level = table.levels[0]
    if len(table.levels) != 1 or len(facts.alternatives) != 1 or level.expression is not None or level.refusal:
        return None
    if len(level.columns) != 1:
        return None
    column, kind = level.columns[0]
    conditions = conditions_on(column, facts.alternatives[0], facts)
    if len(conditions) != 1 or conditions[0].operator is not Operator.EQ:
        return None
    operand = conditions[0].operands[0]
    if type(kind) is StringType:
        return _by_string(operand, kind, level.finder(0), insert=is_insert(facts))
    if type(kind) is not IntegerType:
        return None
    if isinstance(operand, Literal) and not operand.prefix:
        return _by_literal(operand, kind, level.finder(0))
    if isinstance(operand, Parameter) and not operand.negative:
        return _by_parameter(operand, kind, level.finder(0))
    return None


def _by_literal(operand: Literal, kind: IntegerType, finder: LevelFinder) -> Quick | None:
    index = _index(finder)
    if index is None:
        return None
    slot, sign = operand.slot, -1 if operand.negative else 1
    low, high = _range(kind)

    def quick(answers: Sequence[_T], slow: Callable[[Values], _T]) -> Callable[[Values], _T]:
        def locate(values: Values) -> _T:
            try:
                number = int(values.literals[slot]) * sign
            except ValueError:  # in quotes, hexadecimal, with a fraction
                return slow(values)
            if low <= number <= high and (at := index(number)) is not None:
                return answers[at]
            return slow(values)

        return locate

    return quick


def _by_parameter(operand: Parameter, kind: IntegerType, finder: LevelFinder) -> Quick | None:
    index = _index(finder)
    if index is None:
        return None
    at_parameter = operand.index
    low, high = _range(kind)

    def quick(answers: Sequence[_T], slow: Callable[[Values], _T]) -> Callable[[Values], _T]:
        def locate(values: Values) -> _T:
            parameters = values.parameters
            if parameters is not None and at_parameter < len(parameters):
                number = parameters[at_parameter]
                if type(number) is int and low <= number <= high and (at := index(number)) is not None:
                    return answers[at]
            return slow(values)

        return locate

    return quick


def _by_string(operand: Operand, kind: StringType, finder: LevelFinder, *, insert: bool) -> Quick | None:
    """KEY over a string: for text that is ASCII and the same in every character set, without anything to undo."""
    if not isinstance(finder, KeyLevel) or (insert and kind.fixed):
        return None
    count, hashed = finder.count, kind.collation.hash
    most = kind.column.length if insert and kind.column.length >= 0 else _TOP
    read = _plain_text(operand)
    if read is None:
        return None

    def quick(answers: Sequence[_T], slow: Callable[[Values], _T]) -> Callable[[Values], _T]:
        def locate(values: Values) -> _T:
            text = read(values)
            if text is None or len(text) > most:
                return slow(values)
            try:
                return answers[bucket(hashed(text, 0), count)]
            except CannotCompute:
                return slow(values)

        return locate

    return quick


def _plain_text(operand: Operand) -> Callable[[Values], bytes | None] | None:
    """Return what reads an operand that is plain text, and answers None for anything else."""
    if isinstance(operand, Literal) and not operand.prefix and not operand.negative:
        slot = operand.slot

        def of_literal(values: Values) -> bytes | None:
            raw = values.literals[slot]
            if raw[0] == _QUOTE == raw[-1] and len(raw) > 1 and b"\\" not in raw and raw.isascii():
                text = raw[1:-1]
                return None if b"'" in text else text
            return None

        return of_literal
    if isinstance(operand, Parameter) and not operand.negative:
        at = operand.index

        def of_parameter(values: Values) -> bytes | None:
            parameters = values.parameters
            if parameters is None or at >= len(parameters):
                return None
            value = parameters[at]
            return value.encode("ascii") if type(value) is str and value.isascii() else None

        return of_parameter
    return None


def _range(kind: IntegerType) -> tuple[int, int]:
    """Return the numbers that need no care: not the smallest, nor those beyond 63 bits."""
    return max(kind.low, 1 - _TOP), min(kind.high, _TOP - 1)


def _index(finder: LevelFinder) -> Callable[[int], int | None] | None:
    """Return what gives the partition of a number."""
    match finder:
        case HashLevel():
            count = finder.count
            return lambda number: abs(number) % count
        case KeyLevel():
            return _key_index(finder.count)
        case RangeLevel():
            return _range_index(finder)
        case ListLevel():
            return lambda number: next(iter(finder.one((number,))), None)
        case _:
            return None


def _key_index(count: int) -> Callable[[int], int]:
    def index(number: int) -> int:
        h = murmur_int(number, 0)
        return h % count if h < _TOP else (_FULL - h) % count if h > _TOP else (_TOP - 1) % count

    return index


def _range_index(finder: RangeLevel) -> Callable[[int], int | None] | None:
    bounds = []
    for ((kind, *value),) in finder.bounds:
        if kind == 0:
            return None
        bounds.append(value[0] if kind == 1 else _FULL)
    order = finder.order

    def index(number: int) -> int | None:
        at = bisect_right(bounds, number)
        return order[at] if at < len(order) else None

    return index
