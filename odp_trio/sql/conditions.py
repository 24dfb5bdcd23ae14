"""What an expression says of columns: values, comparisons, AND and OR, in disjunctive form.

Sound, not complete: a condition that cannot be expressed says nothing, which
is always true.  So OR with such a condition admits everything, AND loses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from odp_trio.sql.facts import (
    Alternatives,
    Call,
    Condition,
    Literal,
    Null,
    Opaque,
    Operand,
    Operator,
    Parameter,
    TableRef,
)

LIMIT: Final = 64
"""Alternatives, beyond which nothing is said."""

NESTED: Final = 16
"""Calls within calls, beyond which they are not looked at."""


class Column(msgspec.Struct, frozen=True):
    """A column as the text names it."""

    name: str
    qualifier: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """``(a, b)``."""

    parts: tuple[object, ...]


class About(msgspec.Struct, frozen=True):
    """One comparison, with the column's qualifier still in it."""

    column: Column
    operator: Operator
    operands: tuple[Operand, ...]


class Truth(msgspec.Struct, frozen=True):
    """A condition: alternatives of comparisons that all hold."""

    alternatives: tuple[tuple[About, ...], ...] = ((),)


ALWAYS: Final = Truth()
_MIRRORED: Final = {
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}
_OPERANDS: Final = Operand.__args__


def is_operand(value: object) -> bool:
    """Whether a value can be had without a row of the table."""
    return isinstance(value, _OPERANDS) and not isinstance(value, Opaque)


def truth(value: object) -> Truth:
    """Return what a value means as a condition."""
    return value if isinstance(value, Truth) else ALWAYS


def both(left: Truth, right: Truth) -> Truth:
    """AND."""
    if len(left.alternatives) * len(right.alternatives) > LIMIT:
        return min(left, right, key=lambda each: len(each.alternatives))
    if left is ALWAYS or right is ALWAYS:
        return right if left is ALWAYS else left
    return Truth(tuple((*one, *other) for one in left.alternatives for other in right.alternatives))


def either(left: Truth, right: Truth) -> Truth:
    """OR."""
    alternatives = (*left.alternatives, *right.alternatives)
    return ALWAYS if () in alternatives or len(alternatives) > LIMIT else Truth(alternatives)


def compared(left: object, operator: Operator | None, right: object) -> Truth:
    """Return what a comparison says; None stands for ``<>``."""
    if operator is None:
        return ALWAYS
    if isinstance(left, Row) and isinstance(right, Row):
        return _rows_compared(left, operator, right)
    if isinstance(left, Column) and is_operand(right):
        return Truth(((About(left, operator, (right,)),),))  # type: ignore[arg-type]  # an operand
    if isinstance(right, Column) and is_operand(left):
        mirrored = _MIRRORED.get(operator, operator)
        return Truth(((About(right, mirrored, (left,)),),))  # type: ignore[arg-type]  # an operand
    return ALWAYS


def _rows_compared(left: Row, operator: Operator, right: Row) -> Truth:
    if operator not in (Operator.EQ, Operator.NULL_SAFE_EQ) or len(left.parts) != len(right.parts):
        return ALWAYS
    found = ALWAYS
    for one, other in zip(left.parts, right.parts, strict=True):
        found = both(found, compared(one, operator, other))
    return found


def is_in(left: object, values: Sequence[object]) -> Truth:
    """Return what IN says."""
    if isinstance(left, Row):
        found: Truth | None = None
        if len(values) > LIMIT:
            return ALWAYS
        for value in values:
            one = compared(left, Operator.EQ, value)
            found = one if found is None else either(found, one)
        return found or ALWAYS
    if not isinstance(left, Column) or not all(map(is_operand, values)):
        return ALWAYS
    return Truth(((About(left, Operator.IN, tuple(values)),),))  # type: ignore[arg-type]  # operands


def is_null(left: object) -> Truth:
    """Return what IS NULL says."""
    return compared(left, Operator.NULL_SAFE_EQ, Null())


def negated(value: object) -> object:
    """Return a value behind a minus sign."""
    if isinstance(value, Literal):
        return Literal(value.slot, not value.negative, value.prefix)
    if isinstance(value, Parameter):
        return Parameter(value.index, not value.negative)
    return called("NEG", (value,)) if is_operand(value) else value_or_opaque(value, "an expression")


def called(function: str, arguments: tuple[Any, ...]) -> Operand:
    """Return a call over constants, unless calls are nested so deeply that working them out would take long."""
    if any(_is_deeper(argument, NESTED) for argument in arguments):
        return Opaque("a calculation that is nested deeply")
    return Call(function, arguments)


def _is_deeper(value: object, limit: int) -> bool:
    return isinstance(value, Call) and (not limit or any(_is_deeper(each, limit - 1) for each in value.arguments))


def row(parts: tuple[object, ...]) -> Row:
    """Return a row; of a row in a row nothing is said."""
    return Row(tuple(Opaque("a row in a row") if isinstance(part, Row) else part for part in parts))


def value_or_opaque(value: object, why: str) -> Operand:
    """Return an operand: the value itself if it is one."""
    return value if is_operand(value) or isinstance(value, Opaque) else Opaque(why)  # type: ignore[return-value]


def of_table(found: Truth, table: TableRef, *, alone: bool) -> Alternatives:
    """Keep what is said of one table; ``alone`` when every column without a qualifier must be its own."""
    kept = tuple(
        tuple(
            Condition(about.column.name, about.operator, about.operands)
            for about in alternative
            if _belongs(about.column, table)
        )
        for alternative in found.alternatives
    )
    return ((),) if () in kept else tuple(dict.fromkeys(kept))


def _belongs(column: Column, table: TableRef) -> bool:
    qualifier = column.qualifier
    if column.name == "rowid":
        return False  # the place of a row, not a value in it
    if not qualifier:
        return True
    if len(qualifier) == 1:
        return qualifier[0].lower() == (table.alias or table.name).lower()
    named = qualifier[-1].lower() == table.name.lower()
    return named and (table.database is None or qualifier[-2].lower() == table.database.lower())
