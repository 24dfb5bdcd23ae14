"""What the facts say of a table is true of every row that the statement touches.

A condition that is missing costs a detour: more partitions than needed are
possible.  A condition that is wrong sends a statement where its rows are not.
So conditions are made by chance, their meaning is worked out over a few rows,
and each row that WHERE admits has to satisfy one of the alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st

from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import (
    EVERYTHING,
    Alternatives,
    Boolean,
    Call,
    Condition,
    Kind,
    Literal,
    Null,
    Operand,
    Operator,
    StatementFacts,
)
from tests.sql.conditions import Expression, Row, Value, compare, expressions

ROWS: list[Row] = [{"a": a, "b": b} for a, b in product((None, 0, 1, 2), repeat=2)]


def facts_and_literals(sql: str) -> tuple[StatementFacts, Sequence[bytes]]:
    shape, literals = Statements(10).shape(sql.encode())
    return shape.facts, literals


def _value(operand: Operand, literals: Sequence[bytes]) -> Value:
    match operand:
        case Literal(slot=slot, negative=negative):
            return -int(literals[slot]) if negative else int(literals[slot])
        case Null():
            return None
        case Boolean(value=value):
            return int(value)
        case Call(name=name, arguments=arguments):
            numbers = [_value(argument, literals) for argument in arguments]
            one, other = numbers if len(numbers) == 2 else (0, numbers[0])
            if one is None or other is None:
                return None
            return {"+": one + other, "-": one - other, "NEG": -other, "*": one * other}[name]
        case _:
            raise AssertionError(f"{operand} in a condition")


def _holds(condition: Condition, row: Row, literals: Sequence[bytes]) -> bool:
    value = row[str(condition.column)]
    operator = "=" if condition.operator is Operator.IN else condition.operator.value
    return any(compare(operator, value, _value(operand, literals)) for operand in condition.operands)


def admitted(alternatives: Alternatives, row: Row, literals: Sequence[bytes]) -> bool:
    """Whether a row satisfies one of the alternatives."""
    return any(all(_holds(condition, row, literals) for condition in each) for each in alternatives)


def _where(text: str, meaning: Value) -> Expression:
    return Expression(text, 0, lambda row: meaning)


@given(expressions(["a", "b"]))
@example(_where("b = 2 and a = 1 || 1", 1))
@example(_where("not a = 1 or 1", 1))
@example(_where("a = 1 is false or 1", 1))
def test_every_row_that_where_admits_satisfies_an_alternative(where: Expression) -> None:
    facts, literals = facts_and_literals(f"select * from t1 where {where.text}")
    for row in ROWS:
        if where.meaning(row):
            assert admitted(facts.alternatives, row, literals), (facts.alternatives, row)


@given(expressions(["a", "b"]), st.sampled_from(["delete from t1 where {}", "update t1 set a = 2 where {}"]))
def test_the_same_condition_says_the_same_in_update_and_delete(where: Expression, statement: str) -> None:
    """What UPDATE assigns is no condition."""
    select, literals = facts_and_literals(f"select * from t1 where {where.text}")
    other, others = facts_and_literals(statement.format(where.text))
    for row in ROWS:
        assert admitted(select.alternatives, row, literals) == admitted(other.alternatives, row, others)
    assert select.by == other.by


@given(expressions(["a", "b"]))
def test_the_grammar_has_every_condition(where: Expression) -> None:
    facts, _ = facts_and_literals(f"select * from t1 where {where.text}")
    assert facts.by == "grammar", facts.why


JOINS = st.sampled_from(["join", "left join", "right join", "inner join", "cross join", "left outer join"])
QUALIFIED = expressions(["t1.a", "t1.b", "t2.a"])


def _joined(kind: str, on: Expression) -> list[dict[str, Value] | None]:
    """Join t1, which has every row, with t2, which has a few; None stands for "no row of t1"."""
    found: list[dict[str, Value] | None] = []
    others: list[Value] = [None, 0, 1]
    for row in ROWS:
        mine: dict[str, Value] = {"t1.a": row["a"], "t1.b": row["b"]}
        pairs = [{**mine, "t2.a": other} for other in others]
        partners = [pair for pair in pairs if on.meaning(pair)]
        found += partners
        if not partners and kind.startswith("left"):
            found.append({**mine, "t2.a": None})
    return found


@given(JOINS, QUALIFIED, QUALIFIED)
def test_every_row_of_a_join_satisfies_an_alternative(kind: str, on: Expression, where: Expression) -> None:
    """ON filters the first table in an inner join; in an outer join only WHERE does."""
    facts, literals = facts_and_literals(f"select * from t1 {kind} t2 on {on.text} where {where.text}")
    assert facts.tables[0].name == "t1"
    for row in _joined(kind, on):
        if row is not None and where.meaning(row):
            mine = {"a": row["t1.a"], "b": row["t1.b"]}
            assert admitted(facts.alternatives, mine, literals), (facts.alternatives, row)


@given(expressions(["a", "b"]), expressions(["a", "b"]), st.sampled_from(["union", "union all", "except", "intersect"]))
def test_branches_over_one_table(one: Expression, other: Expression, operator: str) -> None:
    """A second branch may read other rows of the first table."""
    text = f"select * from t1 where {one.text} {operator} select * from t1 where {other.text}"
    facts, literals = facts_and_literals(text)
    for row in ROWS:
        if one.meaning(row) or other.meaning(row):
            assert admitted(facts.alternatives, row, literals)


@given(expressions(["a", "b"]), expressions(["a", "b"]))
def test_sub_queries_bring_no_conditions_of_their_own(inner: Expression, outer: Expression) -> None:
    text = f"select * from t1 where exists (select 1 from t2 where {inner.text}) and {outer.text}"
    assert "(" in text
    facts, literals = facts_and_literals(text.replace(f"and {outer.text}", f"and ({outer.text})"))
    for row in ROWS:
        if outer.meaning(row):
            assert admitted(facts.alternatives, row, literals)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60), st.booleans())
def test_every_row_of_an_insert_is_an_alternative(rows: list[tuple[int, int]], named: bool) -> None:
    values = ", ".join(f"({a}, -{b})" for a, b in rows)
    facts, literals = facts_and_literals(f"insert into t1 {'(x, y) ' if named else ''}values {values}")
    assert facts.kind is Kind.INSERT
    assert facts.alternatives != EVERYTHING
    found = [
        tuple(_value(condition.operands[0], literals) for condition in alternative)
        for alternative in facts.alternatives
    ]
    assert found == [(a, -b) for a, b in rows]
    assert {condition.column for condition in facts.alternatives[0]} == ({"x", "y"} if named else {0, 1})
