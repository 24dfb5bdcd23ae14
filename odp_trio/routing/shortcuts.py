"""The short way for the commonest statements: one integer key column, one ``=`` with a literal or a parameter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from odp_trio.routing.columns import IntegerType
from odp_trio.routing.compiled import Compiled
from odp_trio.routing.conditions import conditions_on
from odp_trio.routing.levels import HashLevel, KeyLevel, LevelFinder, ListLevel, RangeLevel
from odp_trio.routing.murmur import murmur_int
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Literal, Operator, Parameter, StatementFacts

_T = TypeVar("_T")
_TOP: Final = 1 << 63
_FULL: Final = 1 << 64

Answer = Callable[[Values], Any]
Quick = Callable[[Sequence[Any], Answer], Answer]
"""Given what to answer for each partition, and what to ask in uncommon cases, returns the short way."""


def shortcut(table: Compiled, facts: StatementFacts) -> Quick | None:
    """Return the short way, if the statement and the table allow it."""
    level = table.levels[0]
    if len(table.levels) != 1 or len(facts.alternatives) != 1 or level.expression is not None or level.refusal:
        return None
    if len(level.columns) != 1 or type(level.columns[0][1]) is not IntegerType:
        return None
    column, kind = level.columns[0]
    assert isinstance(kind, IntegerType)
    conditions = conditions_on(column, facts.alternatives[0], facts)
    if len(conditions) != 1 or conditions[0].operator is not Operator.EQ:
        return None
    operand = conditions[0].operands[0]
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
