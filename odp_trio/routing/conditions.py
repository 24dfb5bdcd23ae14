"""From the conditions of a statement to sets of values of the key columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from odp_trio.routing.columns import ColumnType, Stored
from odp_trio.routing.levels import Interval, Points, ValueSet
from odp_trio.routing.operands import Getter, getter
from odp_trio.routing.scalars import CannotCompute, NoRow
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Condition, Default, Kind, Operand, Operator, StatementFacts
from odp_trio.topology.partitioning import KeyColumn

SetOf = Callable[[Values], ValueSet]
"""Works out what one execution leaves of a column's values; raises CannotCompute and NoRow."""


def is_insert(facts: StatementFacts) -> bool:
    """Whether the conditions are values of rows to be."""
    return facts.kind in (Kind.INSERT, Kind.REPLACE)


def conditions_on(column: KeyColumn, alternative: Sequence[Condition], facts: StatementFacts) -> list[Condition]:
    """Return the conditions of an alternative that speak of a column."""
    by_position = is_insert(facts) and facts.insert_columns is None
    return [
        condition
        for condition in alternative
        if condition.column == column.name or (by_position and condition.column == column.position)
    ]


def compile_set(column: KeyColumn, kind: ColumnType, conditions: Sequence[Condition], *, insert: bool) -> SetOf:
    """Return what works out the values of a column under all ``conditions``."""
    if insert:
        return _inserted(column, kind, conditions)
    if not conditions:
        return lambda values: None
    steps = [_compile(condition, kind) for condition in conditions]
    if len(steps) == 1:
        return steps[0]
    return lambda values: _all_of(steps, kind, values)


def _all_of(steps: Sequence[SetOf], kind: ColumnType, values: Values) -> ValueSet:
    result: ValueSet = None
    refusal = None
    for step in steps:
        try:
            result = _intersect(result, step(values), kind)
        except CannotCompute as exc:  # what the others leave is enough, if they leave anything to say
            refusal = exc
    if result is None and refusal is not None:
        raise refusal
    return result


def _compile(condition: Condition, kind: ColumnType) -> SetOf:
    operator = condition.operator
    readers = [_reader(operand) for operand in condition.operands]
    match operator:
        case Operator.EQ | Operator.IN:
            return lambda values: _points(readers, kind, values)
        case Operator.NULL_SAFE_EQ:
            return lambda values: _null_safe(readers[0](values), kind, values)
        case Operator.LT | Operator.LE | Operator.GT | Operator.GE:
            return lambda values: _interval(operator, readers[0](values), kind, values)


def _reader(operand: Operand) -> Getter:
    try:
        return getter(operand)
    except CannotCompute as exc:
        return _refusing(str(exc))


def _refusing(reason: str) -> Callable[[Values], Any]:
    def refuse(values: Values) -> Any:
        raise CannotCompute(reason)

    return refuse


def _points(readers: Sequence[Getter], kind: ColumnType, values: Values) -> Points:
    found: list[Stored] = []
    for read in readers:
        value = read(values)
        if value is None:
            continue
        try:
            found.append(kind.match(value, values))
        except NoRow:
            if len(readers) == 1:
                raise
    if not found:
        raise NoRow("no row can match")
    return Points(tuple(found))


def _null_safe(value: Any, kind: ColumnType, values: Values) -> Points:
    if value is None and kind.column.rowkey >= 0:
        raise NoRow("no row can match: a column of the primary key is never NULL")
    return Points((None if value is None else kind.match(value, values),))


def _interval(operator: Operator, value: Any, kind: ColumnType, values: Values) -> Interval:
    if value is None:
        raise NoRow("no row can match")
    edge = kind.edge(value, values)
    if operator in (Operator.LT, Operator.LE):
        return Interval(high=edge, high_included=operator is Operator.LE)
    return Interval(low=edge, low_included=operator is Operator.GE)


def _intersect(left: ValueSet, right: ValueSet, kind: ColumnType) -> ValueSet:
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, Interval) and isinstance(right, Interval):
        return _overlap(left, right)
    if isinstance(left, Interval):
        left, right = right, left
    assert isinstance(left, Points)
    if isinstance(right, Points):
        keys = {None if value is None else kind.key(value) for value in right.stored}
        kept = [value for value in left.stored if (None if value is None else kind.key(value)) in keys]
    else:
        kept = [value for value in left.stored if value is not None and right.holds(kind.key(value))]
    if not kept:
        raise NoRow("no row can match")
    return Points(tuple(kept))


def _overlap(left: Interval, right: Interval) -> ValueSet:
    low = max(
        (one for one in (left, right) if one.low is not None),
        key=lambda one: (one.low, not one.low_included),
        default=left,
    )
    high = min(
        (one for one in (left, right) if one.high is not None),
        key=lambda one: (one.high, one.high_included),
        default=left,
    )
    both = Interval(low.low, low.low_included, high.high, high.high_included)
    if both.low is None or both.high is None:
        return both
    if both.low > both.high or (both.low == both.high and not (both.low_included and both.high_included)):
        raise NoRow("no row can match")
    return both


# ---- INSERT -------------------------------------------------------------------------------


def _inserted(column: KeyColumn, kind: ColumnType, conditions: Sequence[Condition]) -> SetOf:
    operand = conditions[0].operands[0] if conditions else Default()
    if isinstance(operand, Default):
        return _default(column)
    read = _reader(operand)

    def store(values: Values) -> Points:
        value = read(values)
        if value is None and column.rowkey >= 0:
            raise CannotCompute(f"the server makes a value for column {column.name}")
        return Points((None if value is None else kind.store(value, values),))

    return store


def _default(column: KeyColumn) -> SetOf:
    if column.generated:
        return _refusing(f"column {column.name} is generated by {column.generated}")
    if column.default_refusal:
        return _refusing(f"column {column.name} is not given, and {column.default_refusal}")
    if column.rowkey >= 0 and not column.has_default:
        return _refusing(f"column {column.name} is not given: the server makes a value for it")
    stored = Points((column.default,))
    return lambda values: stored
