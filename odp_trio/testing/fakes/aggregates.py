"""COUNT, SUM and their like; what is an order, what is the same."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import cmp_to_key

from odp_trio.testing.fakes.answers import Value
from odp_trio.testing.fakes.scope import Aggregate, Context
from odp_trio.testing.fakes.store import Row
from odp_trio.testing.fakes.values import compare, number, written


def order_of(one: Value, other: Value) -> int:
    """Compare for an order: NULL comes first."""
    if one is None or other is None:
        return (one is not None) - (other is not None)
    return compare(one, other)


def distinct(row: Sequence[Value]) -> tuple[Value, ...]:
    """Return a row as it is told from others: texts without regard to case."""
    return tuple([value.lower() if isinstance(value, str) else value for value in row])


def aggregated(aggregate: Aggregate, context: Context, rows: list[Row]) -> Value:
    """Return what an aggregate function makes of some rows."""
    if aggregate.argument is None:
        return len(rows)
    values: list[Value] = []
    for row in _in_order(aggregate, context, rows):
        context.row = row
        value = aggregate.argument(context)
        if value is not None:
            values.append(value)
    if aggregate.distinct:
        values = list({distinct((value,)): value for value in values}.values())
    if aggregate.name == "count":
        return len(values)
    if not values:
        return None
    match aggregate.name:
        case "min" | "max":
            best = values[0]
            for value in values[1:]:
                found = compare(value, best)
                best = value if (found < 0 if aggregate.name == "min" else found > 0) else best
            return best
        case "group_concat":
            separator = "," if aggregate.separator is None else written(aggregate.separator(context))
            return separator.join(map(written, values))
        case _:
            return _summed(aggregate.name, values)


def _in_order(aggregate: Aggregate, context: Context, rows: list[Row]) -> list[Row]:
    for by, descending in reversed(aggregate.order):
        keyed: list[tuple[Value, Row]] = []
        for row in rows:
            context.row = row
            keyed.append((by(context), row))
        keyed.sort(key=cmp_to_key(_by_value), reverse=descending)
        rows = [row for _, row in keyed]
    return rows


def _by_value(left: tuple[Value, Row], right: tuple[Value, Row]) -> int:
    return order_of(left[0], right[0])


def _summed(name: str, values: list[Value]) -> Value:
    numbers = [number(value) for value in values]
    if any(isinstance(each, float) for each in numbers):
        total = float(sum(map(float, numbers)))
        return total if name == "sum" else total / len(numbers)
    exact = sum((Decimal(each) for each in numbers), Decimal(0))
    if name == "sum":
        return exact
    exponent = exact.as_tuple().exponent
    scale = (-exponent if isinstance(exponent, int) and exponent < 0 else 0) + 4
    return (exact / len(numbers)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
