"""A text that is longer than what is looked at.

Only the first bytes of a statement are read, so that a megabyte of rows costs
no more than one row.  What is read has to be right for the whole text: the
table, the hints, the first row of an INSERT.  A WHERE of which the end is
missing says nothing, for the end may be ``OR …``.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import EVERYTHING, Kind, StatementFacts
from tests.sql.corpus import told


def facts(sql: str, limit: int) -> tuple[StatementFacts, str]:
    shape, literals = Statements(text_limit=limit).shape(sql.encode())
    return shape.facts, told(shape.facts, literals)


@pytest.mark.parametrize(
    ("seen", "unseen", "expected"),
    [
        ("select * from t1 where a = 5 ", "or a = 6", "select t1"),
        ("select * from t1 where a = '", "x'", "select t1 [words]"),
        ("select * from t1 where a = 5", "7", "select t1 [words]"),
        ("select * from t1 x ", "join t2", "select t1 x"),
        ("select * from t", "12", "select [words]"),
        ("select * from db.t", "12", "select [words]"),
        ("select * from `t", "12`", "select [words]"),
        ("select * from d", "b.t1", "select [words]"),
        (
            "select /*+ read_consistency(weak) */ * from t1, ",
            "t2",
            "select t1 [words; weak; hint read_consistency(weak)]",
        ),
        ("update t1 set b = '", "x' where a = 5", "update t1"),
        ("insert into t1 (a, b) values (1, 'x'), (2, ", "'y')", "insert t1 (a, b) | a = 1; b = 'x' [cut]"),
        ("insert into t1 (a, b) values (1, 'x'), ", "(2, 'y')", "insert t1 (a, b) | a = 1; b = 'x' [cut]"),
        ("insert into t1 (a, b) values (1, '", "x')", "insert t1 (a, b) | a = 1 [cut]"),
        ("insert into t1 values (1, f(2), 3", "4, 5)", "insert t1 | #0 = 1; #1 = F(2) [cut]"),
        ("insert into t1 values (1, f(2, ", "3))", "insert t1 | #0 = 1 [cut]"),
        ("insert into t1 values (1", "2, 3)", "insert t1 [words]"),
        ("replace into t1 set a = 1, b = '", "x'", "replace t1 (a) | a = 1 [cut]"),
        ("insert into t1 (a, ", "b) values (1, 2)", "insert t1 [words]"),
        ("insert into t", "12 values (1)", "insert [words]"),
        ("commit /* ", "*/", "commit [ends]"),
    ],
)
def test_what_is_read_is_right_for_the_whole(seen: str, unseen: str, expected: str) -> None:
    """The word and the literal in which the text is cut are not looked at."""
    found, text = facts(seen + unseen, len(seen))
    assert text.replace("select  ", "select ") == expected
    if found.kind in (Kind.SELECT, Kind.UPDATE):
        assert "longer" in found.why


@given(st.integers(1, 200))
def test_wherever_a_select_is_cut_nothing_is_said_of_its_rows(limit: int) -> None:
    sql = "select a, b from db1.t1 x where x.a = 5 and b in (1, 2) or b between 3 and 4 order by a limit 7 for update"
    whole, _ = facts(sql, 4096)
    found, _ = facts(sql, limit)
    if limit < len(sql):
        assert found.alternatives == EVERYTHING
        assert {table.name for table in found.tables} <= {"t1"}
    else:
        assert found == whole


@given(st.integers(1, 120))
def test_wherever_an_insert_is_cut_what_it_says_of_the_first_row_holds(limit: int) -> None:
    sql = "insert into db1.t1 (a, b, c) values (12, 'it''s', now()), (-34, f(5, 6), null), (7, 8, 9)"
    whole, _ = facts(sql, 4096)
    found, _ = facts(sql, limit)
    assert {table.name for table in found.tables} <= {"t1"}
    if limit < len(sql):
        assert set(found.alternatives[0]) <= set(whole.alternatives[0])
        assert len(found.alternatives) == 1
        assert found.rows_cut or found.alternatives == EVERYTHING
