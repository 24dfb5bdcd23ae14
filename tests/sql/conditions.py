"""Conditions made by chance, as text for the grammar and as a meaning that this file works out for itself.

The meaning is that of the server: three truth values, numbers that are true
when they are not 0, NULL that is neither.  Parentheses are written only where
the order of precedence asks for them, so that the grammar has to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from hypothesis import strategies as st

Value = int | None
Row = Mapping[str, Value]
Meaning = Callable[[Row], Value]


class Expression(msgspec.Struct, frozen=True):
    """An expression: ``rank`` is how strongly its outermost operator binds."""

    text: str
    rank: int
    meaning: Meaning


OR, XOR, AND, NOT, COMPARISON, PREDICATE, SUM, PRODUCT, UNARY, ATOM = range(10)


def _in(expression: Expression, rank: int) -> str:
    """Write an expression where at least a rank is needed."""
    return expression.text if expression.rank >= rank else f"({expression.text})"


def compare(operator: str, left: Value, right: Value) -> Value:
    """Compare as the server does."""
    if operator == "<=>":
        return int(left == right)
    if left is None or right is None:
        return None
    found = {
        "=": left == right, "<>": left != right, "!=": left != right,
        "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right,
    }  # fmt: skip
    return int(found[operator])


def _and(left: Value, right: Value) -> Value:
    if left == 0 or right == 0:
        return 0
    return None if left is None or right is None else 1


def _or(left: Value, right: Value) -> Value:
    return _not(_and(_not(left), _not(right)))


def _xor(left: Value, right: Value) -> Value:
    return None if left is None or right is None else int((left != 0) != (right != 0))


def _not(value: Value) -> Value:
    return None if value is None else int(value == 0)


def _calculate(operator: str, left: Value, right: Value) -> Value:
    if left is None or right is None:
        return None
    return {"+": left + right, "-": left - right, "*": left * right}[operator]


_LOGIC: Mapping[str, tuple[int, Callable[[Value, Value], Value]]] = {
    "or": (OR, _or), "||": (OR, _or), "xor": (XOR, _xor), "and": (AND, _and), "&&": (AND, _and),
}  # fmt: skip


def _logic(operator: str, left: Expression, right: Expression) -> Expression:
    rank, work = _LOGIC[operator]
    text = f"{_in(left, rank)} {operator} {_in(right, rank + 1)}"
    return Expression(text, rank, lambda row: work(left.meaning(row), right.meaning(row)))


def _negation(operator: str, inner: Expression) -> Expression:
    if operator == "!":
        return Expression(f"!{_in(inner, ATOM)}", UNARY, lambda row: _not(inner.meaning(row)))
    return Expression(f"not {_in(inner, NOT)}", NOT, lambda row: _not(inner.meaning(row)))


def _comparison(operator: str, left: Expression, right: Expression) -> Expression:
    text = f"{_in(left, COMPARISON)} {operator} {_in(right, PREDICATE)}"
    return Expression(text, COMPARISON, lambda row: compare(operator, left.meaning(row), right.meaning(row)))


def _calculation(operator: str, left: Expression, right: Expression) -> Expression:
    rank = PRODUCT if operator == "*" else SUM
    text = f"{_in(left, rank)} {operator} {_in(right, rank + 1)}"
    return Expression(text, rank, lambda row: _calculate(operator, left.meaning(row), right.meaning(row)))


def _minus(inner: Expression) -> Expression:
    return Expression(f"- {_in(inner, UNARY)}", UNARY, lambda row: _calculate("-", 0, inner.meaning(row)))


def _is(what: str, inner: Expression) -> Expression:
    def meaning(row: Row) -> Value:
        value = inner.meaning(row)
        found = {"null": value is None, "true": bool(value), "false": value == 0, "unknown": value is None}
        return int(found[what.removeprefix("not ")] != what.startswith("not "))

    return Expression(f"{_in(inner, COMPARISON)} is {what}", COMPARISON, meaning)


def _between(negative: bool, value: Expression, low: Expression, high: Expression) -> Expression:
    def meaning(row: Row) -> Value:
        one = value.meaning(row)
        found = _and(compare(">=", one, low.meaning(row)), compare("<=", one, high.meaning(row)))
        return _not(found) if negative else found

    word = "not between" if negative else "between"
    return Expression(f"{_in(value, SUM)} {word} {_in(low, SUM)} and {_in(high, SUM)}", PREDICATE, meaning)


def _is_in(negative: bool, value: Expression, items: list[Expression]) -> Expression:
    def meaning(row: Row) -> Value:
        found: Value = 0
        for item in items:
            found = _or(found, compare("=", value.meaning(row), item.meaning(row)))
        return _not(found) if negative else found

    word = "not in" if negative else "in"
    return Expression(f"{_in(value, SUM)} {word} ({', '.join(item.text for item in items)})", PREDICATE, meaning)


def _rows_equal(left: tuple[Expression, Expression], right: list[tuple[Expression, Expression]]) -> Expression:
    def meaning(row: Row) -> Value:
        found: Value = 0
        for pair in right:
            same: Value = 1
            for one, other in zip(left, pair, strict=True):
                same = _and(same, compare("=", one.meaning(row), other.meaning(row)))
            found = _or(found, same)
        return found

    rows = [f"({one.text}, {other.text})" for one, other in right]
    if len(rows) == 1:
        return Expression(f"({left[0].text}, {left[1].text}) = {rows[0]}", COMPARISON, meaning)
    return Expression(f"({left[0].text}, {left[1].text}) in ({', '.join(rows)})", PREDICATE, meaning)


def _case(condition: Expression, one: Expression, other: Expression) -> Expression:
    text = f"case when {condition.text} then {one.text} else {other.text} end"
    return Expression(text, ATOM, lambda row: one.meaning(row) if condition.meaning(row) else other.meaning(row))


def _if(condition: Expression, one: Expression, other: Expression) -> Expression:
    text = f"if({condition.text}, {one.text}, {other.text})"
    return Expression(text, ATOM, lambda row: one.meaning(row) if condition.meaning(row) else other.meaning(row))


def _column(name: str) -> Expression:
    return Expression(name, ATOM, lambda row: row[name])


def _constant(text: str, value: Value) -> Expression:
    return Expression(text, ATOM, lambda row: value)


def expressions(columns: list[str]) -> st.SearchStrategy[Expression]:
    """Return expressions over columns."""
    numbers = st.sampled_from([_constant("0", 0), _constant("1", 1), _constant("2", 2), _constant("null", None)])
    constants = numbers | st.sampled_from([_constant("true", 1), _constant("false", 0)])
    leaves = st.sampled_from([_column(name) for name in columns]) | constants

    def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        negative = st.booleans()
        pairs = st.tuples(inner, inner)
        tests = st.sampled_from(["null", "not null", "true", "not true", "false", "unknown"])
        return st.one_of(
            st.builds(_logic, st.sampled_from(list(_LOGIC)), inner, inner),
            st.builds(_comparison, st.sampled_from(["=", "=", "=", "<=>", "<>", "<", "<=", ">", ">="]), inner, inner),
            st.builds(_negation, st.sampled_from(["not", "!"]), inner),
            st.builds(_calculation, st.sampled_from("+-*"), inner, inner),
            st.builds(_minus, inner),
            st.builds(_is, tests, inner),
            st.builds(_between, negative, inner, inner, inner),
            st.builds(_is_in, negative, inner, st.lists(inner, min_size=1, max_size=3)),
            st.builds(_rows_equal, pairs, st.lists(pairs, min_size=1, max_size=2)),
            st.builds(_case, inner, inner, inner),
            st.builds(_if, inner, inner, inner),
        )

    simple = st.builds(_comparison, st.sampled_from(["=", "<", ">="]), leaves, leaves)
    return st.recursive(leaves | simple, grown, max_leaves=12)
