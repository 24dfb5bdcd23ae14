r"""Where the literals of a statement are.

The shape of a statement is its text without literals, so two mistakes matter
here.  Taking too little for a literal makes every execution a new shape.
Taking a wrong piece for a literal makes two different statements one shape,
and one of them goes where the other should.

What MySQL calls a literal depends on the session: ``"a"`` is a string or an
identifier, a backslash escapes or does not, and in gbk the second byte of a
character may look like a backslash or a back quote.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.sql.lexer import ANSI_QUOTES, MULTIBYTE, MYSQL, NO_BACKSLASHES, ORACLE, key_of, number_frame, split, words

FRAGMENTS = [
    b"select", b"from", b"t1", b"a", b"1", b"12.5e-3", b".5", b"0x1f", b"x'1f'", b"'", b"''", b"'it''s'", rb"'\''",
    b'"', b'"x"', b"`", b"`a``b`", b"/*", b"*/", b"/*+", b"/*!", b"--", b"-- ", b"#", b"\n", b" ", b";", b"?", b"@a",
    b"\\", b"\x00", b"\xbf\x5c", b"\x81\x60", b"\xff", b"(", b")", b",", b".", b"=", b"-", b"n'x'", b"_utf8", b"e5",
]  # fmt: skip
TEXTS = st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join))
ANY_DIALECT = st.integers(min_value=0, max_value=15)


def slots(sql: bytes, dialect: int = MYSQL) -> list[bytes]:
    return split(sql, dialect)[1::2]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"select 1", [b"1"]),
        (b"a=1.5 and b=.5 and c=1. and d=1e5 and e=1.5E-3", [b"1.5", b".5", b"1.", b"1e5", b"1.5E-3"]),
        (b"a=-5+3", [b"5", b"3"]),
        (b"(1,2),(3)", [b"1", b"2", b"3"]),
        (b"from t1, db2.t3, 4a where $5=1", [b"1"]),
        (b"t1.1a", []),
        (b"`t`.5", []),
        (b"@1 and @@2", []),
        (b"0x1F, 0b101, x'1f', B'01', N'n'", [b"0x1F", b"0b101", b"x'1f'", b"B'01'", b"N'n'"]),
        (b"hex'1f'", [b"'1f'"]),
        (b"0xZZ", []),
        (b"'a''b' 'c'", [b"'a''b'", b"'c'"]),
        (rb"'a\'b', 'c\\', 'd'", [rb"'a\'b'", rb"'c\\'", b"'d'"]),
        (b"\"say 'x'\"", [b"\"say 'x'\""]),
        (b"'say \"x\"'", [b"'say \"x\"'"]),
        (b"date'2020-01-01'", [b"'2020-01-01'"]),
        (b"_utf8mb4'x'", [b"'x'"]),
        (b"`it's 5`=6", [b"6"]),
        (b"`a``'5'`=6", [b"6"]),
        ("表1 = 2".encode(), [b"2"]),
    ],
)
def test_literals(sql: bytes, expected: list[bytes]) -> None:
    """Digits inside names are no numbers; signs are operators; prefixes that are words stay in the text."""
    assert slots(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"select /* 5 */ 6", [b"/* 5 */", b"6"]),
        (b"select 1 -- 'x'\n+2", [b"1", b"-- 'x'", b"2"]),
        (b"select 1--2", [b"1", b"2"]),
        (b"select 1 # it's\n+2", [b"1", b"# it's", b"2"]),
        (b"select '/* 5 */'", [b"'/* 5 */'"]),
        (b"select '-- ' # x", [b"'-- '", b"# x"]),
        (b"select /*+ query_timeout(5) */ 6", [b"6"]),
        (b"select /*!40101 5 */", [b"5"]),
        (b"select `/* 5 */`", []),
        (b"/* never ends 5", [b"/* never ends 5"]),
        (b"/**/5", [b"/**/", b"5"]),
        (b"/***/5", [b"/***/", b"5"]),
    ],
)
def test_comments_are_slots_and_hints_are_text(sql: bytes, expected: list[bytes]) -> None:
    """A trace id in a comment must not make a new shape; a hint must, for it changes the route."""
    assert slots(sql) == expected


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        (ANSI_QUOTES, b'"a\'5" = 6', [b"6"]),
        (ANSI_QUOTES, b"`a'5` = 6", [b"6"]),
        (ANSI_QUOTES, rb'"a\" = 6', [b"6"]),
        (NO_BACKSLASHES, rb"'a\' = 6", [rb"'a\'", b"6"]),
        (MULTIBYTE, b"'\xbf\x5c' = 6", [b"'\xbf\x5c'", b"6"]),
        (MULTIBYTE, b"`\x81\x60` = 6", [b"6"]),
        (MYSQL, b"'\xbf\x5c' = 6", [b"'\xbf\x5c' = 6"]),
        (ORACLE, b'"a\'5" = 6', [b"6"]),
        (ORACLE, b"a#1 = 6", [b"6"]),
    ],
)
def test_the_dialect_decides(dialect: int, sql: bytes, expected: list[bytes]) -> None:
    assert slots(sql, dialect) == expected


@given(TEXTS, ANY_DIALECT)
def test_texts_and_slots_are_the_statement_again(sql: bytes, dialect: int) -> None:
    pieces = split(sql, dialect)
    assert len(pieces) % 2 == 1
    assert b"".join(pieces) == sql
    for word in words(pieces):
        assert word.text or word.kind == "VARIABLE"


@given(st.lists(st.sampled_from(["a", "t.b", "12", "'x'", "?", "/* c */", "-- c\n", "`q`", "=", "and"]), max_size=12))
def test_spaces_part_what_they_should(parts: list[str]) -> None:
    """Put together with spaces, each literal and comment is a slot of its own."""
    found = slots(" ".join(parts).encode())
    assert found == [part.strip("\n").encode() for part in parts if part[0] in "1'/-"]


def _as_shape(sql: bytes) -> bytes:
    return key_of(split(sql))


@given(st.text(), st.text(), st.integers(0), st.integers(0))
def test_other_literals_same_shape(one: str, other: str, number: int, another: int) -> None:
    def statement(text: str, value: int) -> bytes:
        quoted = text.replace("\\", "\\\\").replace("'", "''")
        return f"select * from t1 where a = '{quoted}' and b in ({value}, {value}) /* {value} */".encode(
            errors="surrogatepass"
        )

    assert _as_shape(statement(one, number)) == _as_shape(statement(other, another))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"select 1", b"select"),
        (b"select 'x' 'y'", b"select 'x' /*y*/"),
        (b"select \x00\x01", b"select 1"),
        (b"select /*+ read_consistency(weak) */ 1", b"select /*+ read_consistency(strong) */ 1"),
        (b"select t1", b"select t2"),
        (b"select -1", b"select 1"),
    ],
)
def test_other_statements_other_shapes(one: bytes, other: bytes) -> None:
    assert _as_shape(one) != _as_shape(other)


@given(TEXTS, TEXTS)
def test_one_shape_means_one_text(one: bytes, other: bytes) -> None:
    """Two statements of one shape differ in their slots only."""
    if _as_shape(one) == _as_shape(other):
        assert split(one)[::2] == split(other)[::2]


HOSTILE = {
    "parentheses": b"(" * (1 << 20),
    "IN": b"select * from t1 where a in (" + b",".join(b"%d" % item for item in range(100_000)) + b")",
    "quote": b"'" * (1 << 20),
    "quote that stays open": b"select '" + b"a" * (1 << 20),
    "backslashes": b"select '" + b"\\" * (1 << 20),
    "comment that stays open": b"/*" + b"*" * (1 << 20),
    "comments begun": b"/*" * (1 << 19),
    "hints begun": b"/*+" * (1 << 18),
    "stars and slashes": b"*/" * (1 << 19),
    "back quotes": b"`" * (1 << 20) + b"a",
    "digits": b"1" * (1 << 20),
    "digits that are a name": b"1" * (1 << 20) + b"a",
    "points": b"." * (1 << 20),
    "exponents": b"1e" * (1 << 19),
    "prefixes": b"x" * (1 << 20),
    "prefixed": b"x'" * (1 << 19),
    "dashes": b"-" * (1 << 20),
    "NUL": b"\x00" * (1 << 20),
    "high bytes": b"\xff" * (1 << 20),
    "spaces": b" " * (1 << 20),
    "at": b"@" * (1 << 20),
    "semicolons": b";" * (1 << 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_time_in_proportion_to_their_length(name: str) -> None:
    """No pattern goes back over what it has read: 16 times the text takes 16 times as long, and not 256 times."""
    sql = HOSTILE[name]

    def took(text: bytes) -> float:
        start = time.thread_time()
        assert b"".join(split(text)) == text
        return time.thread_time() - start

    part = sql[: len(sql) // 16]
    assert took(sql) < 80 * max(min(took(part) for _ in range(3)), 0.002)


def _texts(sql: bytes, dialect: int = MYSQL) -> list[str]:
    return [word.text for word in words(split(sql, dialect), dialect=dialect)]


@given(
    st.lists(st.sampled_from([*"aex0' /*-#.@`\"\\\n", "/*!", "/*+", "--", "*/", "\x81", "\xff"]), max_size=8),
    st.lists(st.sampled_from([*"aex0' /*-#.@`\"\\\n", "/*!", "/*+", "--", "*/", "\x81", "\xff"]), max_size=8),
    st.from_regex(r"\A[0-9]{1,4}\Z"),
    st.from_regex(r"\A[0-9]{1,4}\Z"),
    ANY_DIALECT,
)
def test_another_number_in_the_same_frame_is_the_only_slot_again(
    before: list[str], behind: list[str], number: str, other: str, dialect: int
) -> None:
    sql = f"{''.join(before)}{number}{''.join(behind)}".encode("latin-1")
    frame = number_frame(sql, dialect)
    if frame:
        assert split(frame[0] + other.encode() + frame[1], dialect) == [frame[0], other.encode(), frame[1]]
    else:
        assert len(split(sql, dialect)) != 3 or not split(sql, dialect)[1].isdigit()


@pytest.mark.parametrize(
    ("sql", "frame"),
    [
        (b"select c from t1 where id=5", (b"select c from t1 where id=", b"")),
        (b"select c from t where id = 17 for update", (b"select c from t where id = ", b" for update")),
        (b"select c from t where id between 1 and 2", ()),
        (b"select 1.5", ()),
        (b"select 'a'", ()),
        (b"select a", ()),
        (b"select /* a */ b", ()),
    ],
)
def test_the_frame_of_a_number(sql: bytes, frame: tuple[bytes, ...]) -> None:
    assert number_frame(sql) == frame


def test_full_width_punctuation_parts_words() -> None:
    """Input methods leave it behind, and the server takes it for what it looks like; not so inside quotes."""
    assert _texts("select\uff08a\uff0cb\uff09\u3000from t".encode()) == ["select", "(", "a", ",", "b", ")", "from", "t"]
    assert _texts("select `a\uff0cb`".encode()) == ["select", "`a\uff0cb`"]


def test_names_are_read_in_the_characters_of_the_session() -> None:
    """The second byte of a character may be a bracket or a back quote."""
    for name in ("表", "誠x", "乣", "丂_1"):
        sql = f"select * from {name}, `{name}`"
        assert _texts(sql.encode("gbk"), MULTIBYTE) == _texts(sql.encode())
