"""What holds for the facts of every statement: nothing raises, shapes, lexer and grammar agree, claims are true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odp_trio.sql import kinds
from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import (
    DML,
    Condition,
    Literal,
    Null,
    Opaque,
    Operand,
    Operator,
    StatementFacts,
)
from odp_trio.sql.hints import read_hints
from odp_trio.sql.lexer import split, words
from odp_trio.sql.statement import _tables_by_words
from tests.sql.corpus import read_corpus

MANY = settings(max_examples=max(300, settings().max_examples))
CORPUS = [case for case in read_corpus() if case.dialect == 0]
DIALECTS = st.integers(0, 15)

# ---- any bytes --------------------------------------------------------------------

SCRAPS = st.sampled_from(
    b"select * from t where a = 1 and ( ) ' \" ` /* */ /*! /*+ -- # \\ ; , . @ @@ ? := insert into values update set "
    b"delete using join left on with as case when end union explain route \x00 \x00\x01 \xff \xbf\x5c 0x b' x' 1e5 .5 "
    b"for share lock in mode merge between not null xor || && <=> -> ->> partition interval over group_concat".split()
)
TEXTS = st.one_of(
    st.binary(max_size=80),
    st.lists(SCRAPS, max_size=25).map(b" ".join),
    st.lists(SCRAPS, max_size=25).map(b"".join),
    st.tuples(st.sampled_from([case.sql for case in CORPUS]), st.integers(0, 80), SCRAPS).map(
        lambda it: it[0][: it[1]] + it[2] + it[0][it[1] :]
    ),
)


@given(TEXTS, DIALECTS)
def test_texts_and_slots_rebuild_the_statement_byte_for_byte(sql: bytes, dialect: int) -> None:
    pieces = split(sql, dialect)
    assert b"".join(pieces) == sql
    assert len(pieces) % 2 == 1


@MANY
@given(TEXTS, DIALECTS)
def test_any_bytes_have_facts_whose_slots_are_there(sql: bytes, dialect: int) -> None:
    shape, literals = Statements().shape(sql, dialect)
    facts = shape.facts
    assert isinstance(facts, StatementFacts)
    assert facts.statements >= 1
    assert facts.alternatives
    for alternative in facts.alternatives:
        for condition in alternative:
            for operand in condition.operands:
                if isinstance(operand, Literal):
                    assert operand.slot < len(literals)


@given(TEXTS, DIALECTS, st.integers(1, 60))
def test_any_cut_text_has_facts(sql: bytes, dialect: int, limit: int) -> None:
    shape, _ = Statements(text_limit=limit).shape(sql, dialect)
    assert isinstance(shape.facts, StatementFacts)


# ---- shapes -------------------------------------------------------------------------

LITERALS = st.one_of(
    st.integers(0, 1 << 70).map(str),
    st.decimals(0, 9999, places=3).map(str),
    st.sampled_from(["1e5", "1.5E-3", ".5", "1.", "0xff", "0b101", "x'ff'", "b'01'", "n'x'", "''", "'it''s'", '"x"']),
    st.text('abc ;,()`/*#-"?=', max_size=8).map("'{}'".format),
)
TEMPLATES = st.sampled_from(
    [
        "select * from t where a = {} and b = {}",
        "select {}, {} from t where a in ({}, {})",
        "insert into t (a, b) values ({}, {}), ({}, {})",
        "update t set x = {} where a between {} and {}",
        "delete from t where (a, b) = ({}, {}) limit {}",
        "set x = {}, y = {}",
        "call p({}, -{})",
        "selec {} frm {}",
    ]
)


@given(TEMPLATES, st.lists(LITERALS, min_size=8, max_size=8))
def test_a_statement_has_the_same_shape_with_other_literals(template: str, literals: list[str]) -> None:
    statements = Statements()
    plain, _ = statements.shape(template.replace("{}", "1").encode())
    other, found = statements.shape(template.format(*literals).encode())
    assert other is plain
    assert list(found) == [each.encode() for each in literals[: template.count("{}")]]


# ---- lexer and grammar -----------------------------------------------------------------

NAMES = st.sampled_from(["t1", "t2", "db1.t1", "`t 3`", "status", "value", "date"])
ALIASED = st.builds("{}{}".format, NAMES, st.sampled_from(["", " x", " as y"]))
HINTS = st.sampled_from(
    ["", "", "/*+ read_consistency(weak) */ ", "/*+ query_timeout(5) full(t1) */ ", "/*+ read_consistency(x) */ "]
)
WHERES = st.sampled_from(
    [
        "", " where a = 5", " where a = 1 or b in (2, 3)", " where x.a > 5 and not b = 'from t9'", " where a like 'x%'",
        " where cast(a as char) = '1'", " where a in (select b from t8)", " where extract(year from d) = 5",
        " where a = 5 group by b order by c limit 5", " where case when a = 1 then 2 end = 2",
    ]
)  # fmt: skip
JOINS = st.sampled_from(["", "", " join t4 on a = b", " left join t5 z on z.a = 1", ", t6", " natural join t7"])
LISTS = st.sampled_from(["*", "a, b", "count(*)", "'x' as `from`", "trim(both 'x' from a)", "max(a) over (order by b)"])
TAILS = st.sampled_from(["", "", " for update", " lock in share mode", " union select * from t9", ";", "; select 2"])
SELECTS = st.builds("select {}{} from {}{}{}{}".format, HINTS, LISTS, ALIASED, JOINS, WHERES, TAILS)
DERIVED = st.builds("select {}{} from ({}) d{}".format, HINTS, LISTS, SELECTS.map(lambda it: it.split(";")[0]), JOINS)
CHANGES = st.one_of(
    st.builds("update {}{} set a = 1, b = left('x', 1){}".format, HINTS, ALIASED, WHERES),
    st.builds("delete {}from {}{}".format, HINTS, NAMES, WHERES),
    st.builds("insert {}into {} (a, b) values (1, 'x'), (2, default)".format, HINTS, NAMES),
    st.builds("replace {}into {} {}".format, HINTS, NAMES, SELECTS.map(lambda it: it.split(";")[0])),
    st.builds("insert {}into {} set a = 1 on duplicate key update a = values(a)".format, HINTS, NAMES),
)


def _hold_against_the_words(sql: bytes) -> bool:
    """Compare what the grammar found with what words alone tell; answer whether the grammar had it."""
    facts = Statements().shape(sql)[0].facts
    if facts.kind not in DML or facts.by != "grammar":
        return False
    pieces = split(sql)
    every = list(words(pieces))
    first = every[: next((at for at, word in enumerate(every) if word.text == ";"), len(every))]
    kind, start, _ = kinds.kind_of(first)
    body = first[start:]
    tables = _tables_by_words([word for word in body if word.kind != "HINT"])
    assert facts.kind is kind
    assert [(table.database, table.name) for table in facts.tables[:1]] == [
        (table.database, table.name) for table in tables[:1]
    ]
    assert facts.hints == read_hints(body, pieces).get("hints", ())
    return True


@MANY
@given(st.one_of(SELECTS, DERIVED, CHANGES), st.booleans())
def test_the_grammar_and_the_words_agree_where_the_grammar_accepts(sql: str, upper: bool) -> None:
    assert _hold_against_the_words((sql.upper() if upper else sql).encode()), "the grammar has all of these"


# ---- what is claimed is true ---------------------------------------------------------------

Row = dict[str, int | None]
Truth = bool | None
Expression = tuple[str, int, Callable[[Row], Truth]]
"""Its text, how tightly it binds (OR 1, XOR 2, AND 3, NOT 4, a predicate 5), and what it is of a row."""

COLUMNS = st.sampled_from("abc")
NUMBERS = st.integers(-1, 3)
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _compare(operator: str, one: int | None, other: int | None) -> Truth:
    if operator == "<=>":
        return one == other
    return None if one is None or other is None else _COMPARE[operator](one, other)


def _not(value: Truth) -> Truth:
    return None if value is None else not value


def _and(one: Truth, other: Truth) -> Truth:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _or(one: Truth, other: Truth) -> Truth:
    return _not(_and(_not(one), _not(other)))


def _xor(one: Truth, other: Truth) -> Truth:
    return None if one is None or other is None else one is not other


OPERATORS = st.sampled_from([*_COMPARE, "<=>", "=", "="])


def _in(value: int | None, numbers: Sequence[int | None]) -> Truth:
    found: Truth = False
    for number in numbers:
        found = _or(found, _compare("=", value, number))
    return found


def _between(value: int | None, low: int, high: int) -> Truth:
    return _and(_compare(">=", value, low), _compare("<=", value, high))


def _chained(column: str, first: int, second: int) -> Expression:
    """``a = 1 = 0`` compares the truth of the first with the second."""

    def value(row: Row) -> Truth:
        one = _compare("=", row[column], first)
        return _compare("=", None if one is None else int(one), second)

    return f"{column} = {first} = {second}", 5, value


PREDICATES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(lambda c, o, n: (f"{c} {o} {n}", 5, lambda row: _compare(o, row[c], n)), COLUMNS, OPERATORS, NUMBERS),
    st.builds(lambda c, o, n: (f"{n} {o} {c}", 5, lambda row: _compare(o, n, row[c])), COLUMNS, OPERATORS, NUMBERS),
    st.builds(
        lambda c, o, d: (f"{c} {o} {d}", 5, lambda row: _compare(o, row[c], row[d])), COLUMNS, OPERATORS, COLUMNS
    ),
    st.builds(
        lambda c, ns: (f"{c} in ({', '.join(map(str, ns))})", 5, lambda row: _in(row[c], ns)),
        COLUMNS,
        st.lists(NUMBERS, min_size=1, max_size=3),
    ),
    st.builds(
        lambda c, ns: (f"{c} not in ({', '.join(map(str, ns))}, null)", 5, lambda row: _not(_in(row[c], [*ns, None]))),
        COLUMNS,
        st.lists(NUMBERS, min_size=1, max_size=3),
    ),
    st.builds(
        lambda c, n, m: (f"{c} between {n} and {m}", 5, lambda row: _between(row[c], n, m)), COLUMNS, NUMBERS, NUMBERS
    ),
    st.builds(
        lambda c, n, m: (f"{c} not between {n} and {m}", 5, lambda row: _not(_between(row[c], n, m))),
        COLUMNS,
        NUMBERS,
        NUMBERS,
    ),
    st.builds(
        lambda n, c, d: (
            f"{n} between {c} and {d}",
            5,
            lambda row: _and(_compare(">=", n, row[c]), _compare("<=", n, row[d])),
        ),
        NUMBERS,
        COLUMNS,
        COLUMNS,
    ),
    st.builds(lambda c: (f"{c} is null", 5, lambda row: row[c] is None), COLUMNS),
    st.builds(lambda c: (f"{c} is not null", 5, lambda row: row[c] is not None), COLUMNS),
    st.builds(lambda c: (f"{c} = null", 5, lambda row: None), COLUMNS),
    st.builds(_chained, COLUMNS, NUMBERS, st.integers(0, 1)),
    st.builds(
        lambda n, m, k: (
            f"(a, b) in (({n}, {m}), ({k}, c))",
            5,
            lambda row: _or(
                _and(_compare("=", row["a"], n), _compare("=", row["b"], m)),
                _and(_compare("=", row["a"], k), _compare("=", row["b"], row["c"])),
            ),
        ),
        NUMBERS,
        NUMBERS,
        NUMBERS,
    ),
    st.sampled_from([("1", 5, lambda row: True), ("0", 5, lambda row: False), ("null", 5, lambda row: None)]),
)


def _bracketed(it: Expression, tighter: int) -> str:
    return it[0] if it[1] >= tighter else f"({it[0]})"


def _joined(one: Expression, other: Expression, how: str) -> Expression:
    word, level, combine = {
        "or": ("or", 1, _or), "||": ("||", 1, _or), "xor": ("xor", 2, _xor), "and": ("and", 3, _and),
        "&&": ("&&", 3, _and), "AND": ("AND", 3, _and), "OR": ("OR", 1, _or),
    }[how]  # fmt: skip
    text = f"{_bracketed(one, level)} {word} {_bracketed(other, level + 1)}"
    return text, level, lambda row: combine(one[2](row), other[2](row))


def _negated(it: Expression, how: str) -> Expression:
    text = f"not {_bracketed(it, 4)}" if how == "not" else f"!({it[0]})"
    return text, 4 if how == "not" else 5, lambda row: _not(it[2](row))


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    PREDICATES,
    lambda inner: st.one_of(
        st.builds(_joined, inner, inner, st.sampled_from(["and", "and", "or", "OR", "AND", "xor", "||", "&&"])),
        st.builds(_negated, inner, st.sampled_from(["not", "!"])),
        st.builds(lambda it: (f"({it[0]})", 5, it[2]), inner),
    ),
    max_leaves=7,
)
ROWS = [
    {"a": a, "b": b, "c": c} for a in (None, -1, 0, 1, 2, 3) for b in (None, -1, 0, 1, 2, 3) for c in (None, 0, 1, 3)
]


def _value(operand: Operand, literals: Sequence[bytes]) -> Any:
    if isinstance(operand, Null):
        return None
    assert isinstance(operand, Literal), operand
    number = int(literals[operand.slot])
    return -number if operand.negative else number


def _satisfies(row: Row, condition: Condition, literals: Sequence[bytes]) -> bool:
    if any(isinstance(operand, Opaque) for operand in condition.operands):
        return True
    values = [_value(operand, literals) for operand in condition.operands]
    value = row[str(condition.column)]
    if condition.operator is Operator.IN:
        return _in(value, values) is True
    return _compare(condition.operator.value, value, values[0]) is True


@MANY
@given(
    EXPRESSIONS,
    st.sampled_from(["select * from t where {}", "update t set a = 1 where {} order by b", "delete from t where {}"]),
)
def test_every_row_that_a_condition_admits_satisfies_an_alternative(expression: Expression, template: str) -> None:
    text, _, holds = expression
    shape, literals = Statements().shape(template.format(text).encode())
    assert shape.facts.by == "grammar", shape.facts.why
    for row in ROWS:
        if holds(row) is True:
            assert any(
                all(_satisfies(row, condition, literals) for condition in alternative)
                for alternative in shape.facts.alternatives
            ), (text, row)


def test_what_is_explained_has_the_facts_of_the_statement_itself() -> None:
    sql = b"create procedure p() begin insert into log values (1); update log set a = 2; end"

    plain, explained = (Statements().shape(text)[0].facts for text in (sql, b"explain route " + sql))

    assert (explained.kind, explained.tables, explained.statements) == (plain.kind, plain.tables, plain.statements)


@pytest.mark.parametrize(
    ("sql", "deferrable"),
    [
        ("begin", True),
        ("BEGIN WORK ;", True),
        ("start transaction", True),
        ("Start Transaction READ only", True),
        ("/* app */ start transaction read write -- no more", False),
        ("/* app */ start transaction read write", True),
        ("begin;;", False),
        (";begin", False),
        ("begin; select 1", False),
        ("begin foo", False),
        ("begin /* never ends", False),
        ("/*! begin */", False),
        ("/*!99999 x */ begin", False),
        ("begin 'x'", False),
        ("start transaction with consistent snapshot", False),
        ("start transaction read only, read write", False),
        ("begin begin", False),
        ("commit", False),
        ("explain route begin", False),
    ],
)
def test_only_what_begins_a_transaction_for_certain_may_be_deferred(sql: str, deferrable: bool) -> None:
    assert Statements().shape(sql.encode(), 0)[0].facts.deferrable is deferrable


@pytest.mark.parametrize("number", ["²", "٣", "1" * 20, "9" * 4000, "-1", "0", ""])
def test_a_query_timeout_that_is_no_number_is_ignored(number: str) -> None:
    facts = Statements(text_limit=1 << 20).shape(f"select /*+ query_timeout({number}) */ 1".encode())[0].facts

    assert facts.query_timeout_us is None
    assert "is no time" in facts.hints[0].ignored
