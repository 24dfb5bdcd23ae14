"""The short way answers what the long way answers, or leaves the statement to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.routing.collation import collation
from odp_trio.routing.compiled import compiled
from odp_trio.routing.located import Located, NotComputable, Plan
from odp_trio.routing.partition import plan_partition
from odp_trio.routing.shortcuts import shortcut
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Condition, Kind, Literal, Operator, Parameter, StatementFacts
from odp_trio.topology.partitioning import Partitioning, read_partitioning

VARCHAR, CHAR = 22, 23
LENGTH = 12
COLLATIONS = (8, 28, 45, 46, 47, 63, 87, 224, 255)


def key_over_a_string(type_code: int, collation_id: int) -> Partitioning:
    """A table of 13 partitions by KEY over one column of a primary key."""
    info = {
        "part_level": 1, "part_num": 13, "part_type": 1, "part_expr": "k", "sub_part_num": 0, "sub_part_type": 0,
        "sub_part_expr": "", "part_key_num": 1, "part_key_name": "k", "part_key_type": type_code, "part_key_idx": 0,
        "part_key_level": 1, "part_key_extra": "", "part_key_collation_type": collation_id, "part_key_rowkey_idx": 0,
        "part_key_expr": "", "part_key_length": LENGTH, "part_key_precision": -1, "part_key_scale": 0,
        "part_key_default_value": None,
    }  # fmt: skip
    rows = [{"tablet_id": 100 + at, "part_id": at, "part_name": f"p{at}"} for at in range(13)]
    return read_partitioning(1, [info], rows, [])


def facts(kind: Kind, operand: Literal | Parameter) -> StatementFacts:
    return StatementFacts(kind=kind, alternatives=((Condition("k", Operator.EQ, (operand,)),),), insert_columns=("k",))


def both_ways(table: Partitioning, facts: StatementFacts, values: Values) -> tuple[Any, Any]:
    """Answers of the short way, where it leaves nothing to the long way, and of the long way."""
    quick = shortcut(compiled(table), facts)
    # Two alternatives that say the same have no short way.
    twice = StatementFacts(kind=facts.kind, alternatives=facts.alternatives * 2, insert_columns=facts.insert_columns)
    plan = plan_partition(table, twice)
    assert isinstance(plan, Plan)
    long = plan.locate(values)
    if quick is None:
        return long, long
    located = [Located((partition,)) for partition in table.partitions]
    return quick(located, lambda values: long)(values), long


TEXTS = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=LENGTH + 3),
    st.text(st.sampled_from("aZ 09_\\'\"%äß\N{SNOWMAN}"), max_size=LENGTH + 3),
    st.text(st.characters(max_codepoint=127), min_size=60, max_size=140),
)


@given(
    TEXTS, st.sampled_from((VARCHAR, CHAR)), st.sampled_from(COLLATIONS), st.sampled_from((Kind.SELECT, Kind.INSERT))
)
def test_strings_in_the_text(text: str, type_code: int, collation_id: int, kind: Kind) -> None:
    raw = "'" + text.replace("'", "''") + "'"
    short, long = both_ways(
        key_over_a_string(type_code, collation_id), facts(kind, Literal(0)), Values((raw.encode(),), ())
    )
    assert short == long


@given(
    TEXTS, st.sampled_from((VARCHAR, CHAR)), st.sampled_from(COLLATIONS), st.sampled_from((Kind.SELECT, Kind.INSERT))
)
def test_strings_as_parameters(text: str, type_code: int, collation_id: int, kind: Kind) -> None:
    short, long = both_ways(key_over_a_string(type_code, collation_id), facts(kind, Parameter(0)), Values((), (text,)))
    assert short == long


@pytest.mark.parametrize("raw", [b"7", b"0x61", b"x'61'", b"'a", b"'", b"'a\\'", b"'a''b'", b"''", b"N'a'", b'"a"'])
def test_literals_of_every_kind(raw: bytes) -> None:
    short, long = both_ways(key_over_a_string(VARCHAR, 45), facts(Kind.SELECT, Literal(0)), Values((raw,), ()))
    assert short == long


def test_the_short_way_is_taken() -> None:
    quick = shortcut(compiled(key_over_a_string(VARCHAR, 45)), facts(Kind.SELECT, Literal(0)))
    assert quick is not None

    def too_long(values: Values) -> NotComputable:
        raise AssertionError(values.literals)

    assert quick(list(range(13)), too_long)(Values((b"'key 5'",), ())) in range(13)


@pytest.mark.parametrize("collation_id", COLLATIONS)
def test_a_string_hashes_by_its_bytes_or_weights_whatever_its_length(collation_id: int) -> None:
    """Hashes of the lengths around a word of eight bytes and a piece of 128 differ from each other."""
    found = collation(collation_id)
    lengths = [*range(1, 26), 63, 64, 65, 127, 128]
    assert len({found.hash(b"k" * length, 0) for length in lengths}) == len(lengths)
