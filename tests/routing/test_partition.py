"""Plans: ranges, alternatives, parameters, defaults, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.routing.located import Located, NotComputable
from odp_trio.routing.values import Values
from odp_trio.sql.facts import (
    Condition,
    Kind,
    Literal,
    Opaque,
    Operator,
    Parameter,
    StatementFacts,
    UserVariable,
)
from tests.routing.partition_statements import insert, locate, partitioning_of

TABLES = {
    table["name"]: partitioning_of(table)
    for table in json.loads((Path(__file__).parents[1] / "data" / "partition" / "vectors.json").read_text())["tables"]
}
HASH, KEY, RANGE, LIST, TWO = (TABLES[name] for name in ("v005", "v033", "v082", "v095", "v115"))


def where(*alternatives: tuple[Condition, ...]) -> StatementFacts:
    return StatementFacts(kind=Kind.SELECT, alternatives=alternatives)


def one(operator: Operator = Operator.EQ, *slots: int, column: str = "a") -> Condition:
    return Condition(column, operator, tuple(Literal(slot) for slot in slots or (0,)))


def names(found: Located | NotComputable) -> list[str]:
    assert isinstance(found, Located), found
    return [partition.name for partition in found.partitions]


def refusal(found: Located | NotComputable) -> str:
    assert isinstance(found, NotComputable), found
    return found.reason


def test_a_literal_and_a_parameter_say_the_same() -> None:
    by_parameter = where((Condition("a", Operator.EQ, (Parameter(0),)),))
    for table in (HASH, KEY, RANGE, LIST):
        for number in (0, 5, 17, 2147483647):
            expected = locate(table, where((one(),)), Values([b"%d" % number]))
            assert locate(table, where((one(),)), Values([b"'%d'" % number])) == expected
            for value in (number, str(number), float(number), b"%d" % number):
                assert locate(table, by_parameter, Values(parameters=[value])) == expected


def test_a_parameter_without_a_value_is_refused() -> None:
    facts = where((Condition("a", Operator.EQ, (Parameter(0),)),))
    assert refusal(locate(HASH, facts, Values(parameters=None))) == "the values of the parameters are not known"
    assert refusal(locate(HASH, facts, Values())) == "the values of the parameters are not known"


def test_user_variables() -> None:
    facts = where((Condition("a", Operator.EQ, (UserVariable("x"),)),))
    assert refusal(locate(HASH, facts, Values())) == "the value of @x is not known"
    assert names(locate(HASH, facts, Values(user_variables={"x": 7}))) == ["p2"]


@pytest.mark.parametrize(
    ("conditions", "literals", "expected"),
    [
        ((one(Operator.LT),), [b"10"], ["p0", "p1"]),
        ((one(Operator.LE),), [b"10"], ["p0", "p1", "p2"]),
        ((one(Operator.GT),), [b"9"], ["p2", "p3"]),
        ((one(Operator.GE), one(Operator.LE, 1)), [b"0", b"9"], ["p1"]),
        ((one(Operator.IN, 0, 1),), [b"3", b"500"], ["p1", "p3"]),
        ((one(), one(Operator.GT, 1)), [b"5", b"1"], ["p1"]),
    ],
)
def test_ranges(conditions: tuple[Condition, ...], literals: list[bytes], expected: list[str]) -> None:
    assert names(locate(RANGE, where(conditions), Values(literals))) == expected


def test_alternatives_are_united() -> None:
    facts = where((one(),), (one(Operator.EQ, 1),))
    assert names(locate(HASH, facts, Values([b"1", b"3"]))) == ["p1", "p3"]


@pytest.mark.parametrize(
    ("facts", "literals", "reason"),
    [
        (where(()), [], "no condition on partition column a"),
        (where((one(column="b"),)), [b"1"], "no condition on partition column a"),
        (where((one(),), ()), [b"1"], "no condition on partition column a"),
        (where((one(), one(Operator.EQ, 1))), [b"1", b"2"], "no row can match"),
        (where((one(),)), [b"2.5"], "no value of column a equals it"),
        (where((one(Operator.GT),)), [b"2"], "no single value is known for partition column a"),
        (where((Condition("a", Operator.EQ, (Opaque("another column"),)),)), [], "another column"),
    ],
)
def test_refusals(facts: StatementFacts, literals: list[bytes], reason: str) -> None:
    assert refusal(locate(HASH, facts, Values(literals))) == reason


def test_two_levels_of_which_one_is_known() -> None:
    facts = where((one(),))
    assert names(locate(TWO, facts, Values([b"2"]))) == ["p2sp0", "p2sp1", "p2sp2"]
    facts = where((one(column="b"),))
    assert len(names(locate(TWO, facts, Values([b"'k0'"])))) == 4


def test_inserts_convert_and_take_defaults() -> None:
    facts, literals = insert(["a"], ["2.5"])
    assert names(locate(HASH, facts, Values(literals))) == ["p3"]
    facts, literals = insert(["id"], ["1"])
    assert names(locate(HASH, facts, Values(literals))) == ["p0"]
    facts, literals = insert(["a"], ["'x'"])
    assert refusal(locate(HASH, facts, Values(literals))) == "'x' is not a number"
    facts, literals = insert(["a"], ["99999999999"])
    assert refusal(locate(HASH, facts, Values(literals))) == "99999999999 is out of range for column a"


def test_inserts_without_a_column_list_count_positions() -> None:
    row = (Condition(0, Operator.EQ, (Literal(0),)), Condition(1, Operator.EQ, (Literal(1),)))
    facts = StatementFacts(kind=Kind.INSERT, alternatives=(row,))
    assert names(locate(HASH, facts, Values([b"1", b"8"]))) == ["p3"]


def test_an_insert_that_was_cut_is_refused() -> None:
    facts = StatementFacts(kind=Kind.INSERT, alternatives=((one(),),), insert_columns=("a",), rows_cut=True)
    assert refusal(locate(HASH, facts, Values([b"1"]))) == "the INSERT has more rows than are looked at"


@given(
    st.integers(-200, 200), st.integers(-200, 200), st.integers(-200, 200), st.sampled_from([HASH, KEY, RANGE, LIST])
)
def test_every_value_of_a_range_lies_in_its_partitions(low: int, high: int, inside: int, table: Any) -> None:
    facts = where((Condition("a", Operator.GE, (Parameter(0),)), Condition("a", Operator.LE, (Parameter(1),))))
    found = locate(table, facts, Values(parameters=[low, high]))
    if isinstance(found, Located) and low <= inside <= high:
        point = locate(table, where((Condition("a", Operator.EQ, (Parameter(0),)),)), Values(parameters=[inside]))
        assert isinstance(point, Located)
        assert set(point.partitions) <= set(found.partitions)


@given(
    st.one_of(
        st.none(), st.integers(), st.floats(), st.decimals(), st.text(), st.binary(), st.datetimes(), st.timedeltas()
    )
)
def test_no_parameter_breaks_anything(value: Any) -> None:
    for operator in (Operator.EQ, Operator.NULL_SAFE_EQ, Operator.LT):
        facts = where((Condition("a", operator, (Parameter(0),)),))
        for table in TABLES.values():
            assert isinstance(locate(table, facts, Values(parameters=[value])), Located | NotComputable)
