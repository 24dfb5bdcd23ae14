"""The cache of shapes: bounded, two generations, long texts are cut, nothing takes another text's facts."""

from __future__ import annotations

import pytest

from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import EVERYTHING, Kind
from odp_trio.sql.lexer import ANSI_QUOTES


def _statement(number: int) -> bytes:
    return b"select * from t%s" % "".join(chr(ord("a") + int(digit)) for digit in str(number)).encode()


def test_a_shape_is_worked_out_once_for_all_literals() -> None:
    statements = Statements()
    first, literals = statements.shape(b"select * from t where a = 1")
    second, others = statements.shape(b"select * from t where a = 'x'")
    assert first is second
    assert (list(literals), list(others)) == ([b"1"], [b"'x'"])
    assert statements.misses == 1


def test_the_cache_never_holds_more_than_its_limit() -> None:
    statements = Statements(50)
    for number in range(1000):
        statements.shape(_statement(number))
        assert len(statements) <= 50
    assert statements.evictions > 900
    assert statements.misses == 1000


def test_what_is_used_again_and_again_stays() -> None:
    statements = Statements(20)
    kept, _ = statements.shape(b"select * from always")
    for number in range(500):
        statements.shape(_statement(number))
        assert statements.shape(b"select * from always")[0] is kept


def test_what_is_not_used_for_two_generations_goes() -> None:
    statements = Statements(20)
    gone, _ = statements.shape(b"select * from once")
    for number in range(40):
        statements.shape(_statement(number))
    assert statements.shape(b"select * from once")[0] is not gone


def test_a_limit_of_one_still_works() -> None:
    statements = Statements(1)
    for number in range(10):
        assert statements.shape(_statement(number))[0].facts.kind is Kind.SELECT


def test_dialects_have_shapes_of_their_own() -> None:
    statements = Statements()
    plain, literals = statements.shape(b'select * from "t"')
    ansi, none = statements.shape(b'select * from "t"', ANSI_QUOTES)
    assert (len(literals), len(none)) == (1, 0)
    assert plain.facts.tables == ()
    assert [table.name for table in ansi.facts.tables] == ["t"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"select * from t where a = 'x' /* c */", b"select * from t where a = 'x' 'y'"),
        (b"/* c */ select 1", b"'c' select 1"),
        (b"select * from t where a = 1", b"select * from t where a = \x00\x01"),
        (b"select * from t where a = /* c */ 1", b"select * from t where a = \x00\x02 1"),
    ],
)
def test_texts_that_look_alike_without_their_slots_are_told_apart(first: bytes, second: bytes) -> None:
    for one, other in ((first, second), (second, first)):
        statements = Statements()
        assert statements.shape(one)[0] is not statements.shape(other)[0]


def test_of_a_long_text_only_the_beginning_is_looked_at() -> None:
    statements = Statements(text_limit=100)
    long = b"select * from t where a = 1 and b = '" + b"x" * 200 + b"' or c = 2"
    shape, literals = statements.shape(long)
    assert shape.facts.kind is Kind.SELECT
    assert [table.name for table in shape.facts.tables] == ["t"]
    assert shape.facts.alternatives == EVERYTHING
    assert list(literals) == [b"1"], "the literal in which it is cut is left out"
    assert statements.shape(long + b" and d = 3")[0] is shape


def test_of_a_long_insert_the_first_row_is_known() -> None:
    statements = Statements(text_limit=100)
    shape, literals = statements.shape(b"insert into t (a) values " + b", ".join(b"(%d)" % n for n in range(1, 99)))
    assert shape.facts.rows_cut
    assert len(shape.facts.alternatives) == 1
    assert literals[0] == b"1"


def test_a_long_text_never_takes_the_facts_of_a_short_one() -> None:
    statements = Statements(text_limit=28)
    short, _ = statements.shape(b"select * from t where a = 12")
    long, _ = statements.shape(b"select * from t where a = 12 or b = 3")
    assert short is not long
    assert short.facts.alternatives != EVERYTHING
    assert long.facts.alternatives == EVERYTHING


def test_more_words_than_are_looked_at_say_nothing_of_the_key() -> None:
    many = b"select * from t where a = 1 and (" + b" or ".join([b"b = c"] * 2000) + b") or d = 2"
    shape, _ = Statements(text_limit=1 << 20).shape(many)
    assert shape.facts.alternatives == EVERYTHING


def test_the_bound_is_that_of_all_dialects_together() -> None:
    statements = Statements(limit=10)
    for name in range(50):
        statements.shape(b"set @a%d = 1" % name, name % 16)
    assert len(statements) <= 10
    assert statements.evictions + len(statements) == 50


def test_hits_and_misses_are_counted() -> None:
    statements = Statements(text_limit=20)
    for sql in (b"select 1", b"select 2", b"select /* a */ 3", b"select /* b */ 4", b"select 'a long text", b"do 1"):
        statements.shape(sql + b" " * 20)
        statements.shape(sql)
    assert statements.hits + statements.misses == 12
    assert statements.misses == len(statements)
