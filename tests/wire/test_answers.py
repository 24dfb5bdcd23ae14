"""Answers to statements of our own."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ProtocolError
from odp_trio.wire.answers import AnswerReader, Result, StatementFailed, Value
from odp_trio.wire.fields import lenenc_int, lenenc_str
from odp_trio.wire.packets import PacketReader
from odp_trio.wire.resultset import eof_payload, err_payload, ok_payload, text_result


def read(answer: bytes) -> Result:
    packets, reader = PacketReader(ProtocolError), AnswerReader()
    packets.feed(answer)
    results = [reader.take(payload) for _, payload in iter(packets.next_packet, None)]
    assert results[:-1] == [None] * (len(results) - 1)
    assert results[-1] is not None
    return results[-1]


def definition(name: str, kind: int, charset: int) -> bytes:
    strings = b"".join(lenenc_str(part) for part in (b"def", b"", b"", b"", name.encode(), b""))
    return strings + b"\x0c" + charset.to_bytes(2, "little") + bytes(4) + bytes((kind,)) + bytes(5)


def test_rows_of_numbers_text_and_null() -> None:
    result = read(text_result(("id", "name"), [(1, "é"), (2, None)]))

    assert result == Result(("id", "name"), ((1, "é"), (2, None)))


def test_an_ok_packet() -> None:
    ok = AnswerReader().take(ok_payload(2, 3))

    assert ok == Result(affected_rows=3)


@pytest.mark.parametrize(
    ("kind", "charset", "text", "value"),
    [
        (246, 63, b"1.50", Decimal("1.50")),
        (5, 63, b"2.5e3", 2500.0),
        (252, 63, b"\xff\0", b"\xff\0"),
        (252, 45, b"text", "text"),
        (12, 63, b"2026-01-02 03:04:05", "2026-01-02 03:04:05"),
        (8, 63, b"-9", -9),
        (254, 63, b"\xff\0", b"\xff\0"),
        (0xFF, 45, b"POINT", "POINT"),
    ],
)
def test_types(kind: int, charset: int, text: bytes, value: Value) -> None:
    reader = AnswerReader()
    for payload in (b"\x01", definition("c", kind, charset), eof_payload(), lenenc_str(text)):
        assert reader.take(payload) is None

    assert reader.take(eof_payload(warnings=1)) == Result(("c",), ((value,),), warnings=1)


def test_an_error_at_the_beginning_or_among_rows() -> None:
    with pytest.raises(StatementFailed) as raised:
        AnswerReader().take(err_payload(1146, "42S02", "no such table"))
    assert (raised.value.errno, raised.value.sqlstate, raised.value.message) == (1146, "42S02", "no such table")

    reader = AnswerReader()
    for payload in (b"\x01", definition("c", 8, 63), eof_payload(), lenenc_str(b"1")):
        reader.take(payload)
    with pytest.raises(StatementFailed, match="4012"):
        reader.take(err_payload(4012, "HY000", "Timeout"))


@pytest.mark.parametrize("payload", [b"\xfbfile", b"\0\0\0\x0a\0\0\0", b""])
def test_what_was_not_asked_for(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        AnswerReader().take(payload)


@given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=40))
def test_any_bytes_give_an_answer_or_an_error(payloads: list[bytes], last: bytes) -> None:
    reader = AnswerReader()
    try:
        for payload in (lenenc_int(1), definition("c", 246, 63), *payloads, last):
            reader.take(payload)
    except (ProtocolError, StatementFailed):
        pass


def test_text_is_left_as_bytes_where_that_is_asked_for() -> None:
    reader = AnswerReader(lambda name: name.endswith("_bin"))
    columns = (definition("bound_bin", 252, 45), definition("bound", 252, 45), definition("id_bin", 8, 63))
    for payload in (b"\x03", *columns, eof_payload(), lenenc_str(b"\xff") + lenenc_str(b"x") + lenenc_str(b"7")):
        assert reader.take(payload) is None

    result = reader.take(eof_payload())
    assert result is not None
    assert result.rows == ((b"\xff", "x", 7),)
