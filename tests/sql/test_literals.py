"""What a literal is worth, and what the first comment asks for.

The proxy computes partitions, so it has to read a literal the way the server
will: exactly, or not at all.  What cannot be read is a ValueError with a
reason, and the statement then goes by other rules; a wrong value would send it
to a wrong partition.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.sql.lexer import MULTIBYTE, NO_BACKSLASHES, split
from odp_trio.sql.literals import Annotation, read_annotation, read_literal

# ---- numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"0", 0),
        (b"007", 7),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"1.50", Decimal("1.50")),
        (b".5", Decimal("0.5")),
        (b"1.", Decimal(1)),
        (b"0.1", Decimal("0.1")),
        (b"1e3", 1000.0),
        (b"1.5E-2", 0.015),
        (b"0x1F", b"\x1f"),
        (b"0xFFF", b"\x0f\xff"),
        (b"x'1F'", b"\x1f"),
        (b"X'00ff'", b"\x00\xff"),
        (b"x''", b""),
        (b"b'101'", b"\x05"),
        (b"0b100000000", b"\x01\x00"),
    ],
)
def test_a_number_is_exact(raw: bytes, value: object) -> None:
    """Integers have any length, decimals keep their digits; only an exponent makes a double."""
    found = read_literal(raw)
    assert (type(found), found) == (type(value), value)


def test_an_integer_may_be_longer_than_python_likes_to_read() -> None:
    assert read_literal(b"1" * 5000) == Decimal("1" * 5000)


@given(st.integers(min_value=0))
def test_every_integer_comes_back(number: int) -> None:
    assert read_literal(str(number).encode()) == number


@pytest.mark.parametrize("raw", [b"x'1'", b"x'zz'", b"b'102'", b"b''", b"1e999", b"abc", b"", b"1.2.3", b"x'", b"n'"])
def test_what_is_no_value_says_why(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read_literal(raw)


# ---- strings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"'abc'", "abc"),
        (b"''", ""),
        (b"''''", "'"),
        (b"'it''s'", "it's"),
        (b"'say \"\"'", 'say ""'),
        (b'"a""b"', 'a"b'),
        (b"\"it''s\"", "it''s"),
        (rb"'\''", "'"),
        (rb"'\\'", "\\"),
        (rb"'\n\t\r\b\0\Z'", "\n\t\r\b\0\x1a"),
        (rb"'\a\q'", "aq"),
        (rb"'50\% \_x'", r"50\% \_x"),
        (rb"'\\n'", r"\n"),
        ("'日本'".encode(), "日本"),
        (b"n'abc'", "abc"),
        ("N'ü'".encode(), "ü"),
    ],
)
def test_a_string_is_read_as_the_server_reads_it(raw: bytes, value: str) -> None:
    r"""``\%`` and ``\_`` keep their backslash, because LIKE wants it; an unknown escape is its character."""
    assert read_literal(raw) == value


def test_without_backslash_escapes_only_quotes_are_doubled() -> None:
    assert read_literal(rb"'a\n''b\'", backslashes=False) == r"a\n'b" + "\\"


def test_half_of_a_character_is_no_backslash() -> None:
    r"""In gbk ``誠`` ends with the byte 0x5C; a decoder of bytes would take it for an escape."""
    assert read_literal("'誠n'".encode("gbk"), encoding="gbk") == "誠n"


@pytest.mark.parametrize(
    ("raw", "prefix", "value"),
    [
        (b"'\xe9'", "_LATIN1", "é"),
        ("'é'".encode(), "_UTF8MB4", "é"),
        (b"'\xff\x00'", "_BINARY", b"\xff\x00"),
        (rb"'\n'", "_binary", b"\n"),
        ("'中'".encode("gbk"), "_GBK", "中"),
        (b"'\x00a'", "_UTF16", "a"),
        (b"'2020-01-01'", "DATE", "2020-01-01"),
    ],
)
def test_an_introducer_says_how_a_string_is_written(raw: bytes, prefix: str, value: object) -> None:
    assert read_literal(raw, prefix) == value


@pytest.mark.parametrize(
    ("raw", "prefix", "encoding"),
    [
        (b"'\xff'", "", "utf-8"),
        (b"'a'", "_KLINGON", "utf-8"),
        (b"'a'", "", "klingon"),
        (b"'a", "", "utf-8"),
        (rb"'a\'", "", "utf-8"),
        (b"'", "", "utf-8"),
    ],
)
def test_a_string_that_cannot_be_decoded_is_refused(raw: bytes, prefix: str, encoding: str) -> None:
    with pytest.raises(ValueError):
        read_literal(raw, prefix, encoding=encoding)


@given(st.text(st.characters(codec="utf-8")))
def test_quoting_and_reading_undo_each_other(text: str) -> None:
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    assert read_literal(quoted.encode()) == text
    plain = "'" + text.replace("'", "''") + "'"
    assert read_literal(plain.encode(), backslashes=False) == text


@given(st.text(st.characters(codec="gbk")))
def test_what_the_lexer_finds_in_gbk_is_what_the_reader_reads(text: str) -> None:
    quoted = ("'" + text.replace("\\", "\\\\").replace("'", "''") + "'").encode("gbk")
    assert split(b"a=" + quoted, MULTIBYTE) == [b"a=", quoted, b""]
    assert read_literal(quoted, encoding="gbk") == text


@given(st.binary(max_size=60), st.sampled_from([0, NO_BACKSLASHES, MULTIBYTE]))
def test_a_slot_is_read_or_refused_and_nothing_else(sql: bytes, dialect: int) -> None:
    """Nothing but ValueError comes out of any bytes that the lexer calls a literal."""
    for raw in split(sql, dialect)[1::2]:
        try:
            read_literal(raw, backslashes=not dialect & NO_BACKSLASHES)
        except ValueError as refusal:
            assert str(refusal)


# ---- annotations --------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (b"/* table t1 part_key 5 */", Annotation(table="t1", key="5")),
        (b"/*table T1 part_key 'x'*/", Annotation(table="T1", key="x")),
        (b"/* table t1 */", Annotation()),
        (b"/* trace_id=abc, rpc_id=0.1 */", Annotation(trace_id="abc", rpc_id="0.1")),
        (b"/*trace_id='a b',rpc_id=7*/", Annotation(trace_id="a b", rpc_id="7")),
        (b"/*ODP: trace_id=abc, whatever=9 */", Annotation(trace_id="abc")),
        (b"/* ODP: trace_id=abc */", Annotation()),
        (b"/* TRACE_ID = abc */", Annotation(trace_id="abc")),
        (b"/* just words */", Annotation()),
        (b"-- trace_id=abc", Annotation()),
        (b"# trace_id=abc", Annotation()),
        (b"/* target_db_server='10.0.0.1:2881' */", Annotation(target_servers=(("10.0.0.1:2881",),))),
        (
            b"/* target_db_server='10.0.0.1:2881,10.0.0.2:2881;[::1]:2881' */",
            Annotation(target_servers=(("10.0.0.1:2881", "10.0.0.2:2881"), ("[::1]:2881",))),
        ),
        (b"/* target_db_server='' */", Annotation()),
    ],
)
def test_an_annotation(comment: bytes, expected: Annotation) -> None:
    """Semicolons part groups by priority, commas the members of a group."""
    assert read_annotation(comment) == expected


def test_a_wrong_address_is_a_problem_and_not_an_error() -> None:
    found = read_annotation(b"/* target_db_server='10.0.0.1:2881;nonsense', trace_id=t */")
    assert not found.target_servers
    assert found.trace_id == "t"
    assert "nonsense" in found.problems[0]


def test_a_trace_id_has_a_bound() -> None:
    assert len(read_annotation(b"/* trace_id=" + b"x" * 9999 + b" */").trace_id) == 128


@given(st.binary(max_size=200))
def test_any_comment_is_read(text: bytes) -> None:
    read_annotation(b"/*" + text + b"*/")
    read_annotation(b"/*ODP: target_db_server='" + text)
