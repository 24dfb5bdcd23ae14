"""Packets of our own making, read by another implementation."""

from __future__ import annotations

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.protocol import MysqlPacket

from odp_trio.errors import AccessDenied, ConnectFailed, OdpError, ServerProtocolError, UnknownCluster
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.resultset import (
    LOCAL_STATUS,
    ServerError,
    eof_payload,
    err_packet,
    err_payload,
    ok_payload,
    parse_err,
    text_result,
)
from odp_trio.wire.state import parse_ok_head
from tests.wire.captured import exchanges
from tests.wire.reference import read_answer, split

CELLS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=300)


def rows_of(data: bytes) -> tuple[list[str], list[list[str | None]]]:
    """Read a text result with PyMySQL's packet reader."""
    packets = [MysqlPacket(each[4:], "utf8") for each in split(data)]
    count = packets[0].read_length_encoded_integer()
    names = [pymysql.protocol.FieldDescriptorPacket(each._data, "utf8").name for each in packets[1 : count + 1]]
    assert packets[count + 1].is_eof_packet()
    assert packets[-1].is_eof_packet()
    rows = [[each.read_length_coded_string() for _ in range(count)] for each in packets[count + 2 : -1]]
    return names, [[None if cell is None else cell.decode() for cell in row] for row in rows]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[object]]]:
    width = draw(st.integers(1, 4))
    columns = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=10), min_size=width, max_size=width))
    return columns, draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5))


@given(tables(), st.integers(0, 255))
def test_a_text_result_is_read_as_it_was_written(table: tuple[list[str], list[list[object]]], seq: int) -> None:
    columns, rows = table
    data = text_result(columns, rows, seq)

    assert rows_of(data) == (columns, [[None if cell is None else str(cell) for cell in row] for row in rows])
    assert [each[3] for each in split(data)] == [(seq + at) & 0xFF for at in range(len(rows) + len(columns) + 3)]


@given(tables())
def test_a_text_result_is_a_whole_answer_to_a_query(table: tuple[list[str], list[list[object]]]) -> None:
    answer = read_answer(Com.QUERY, split(text_result(*table)), extra_ok=False, tracks=False)

    assert answer.ended
    assert answer.status == LOCAL_STATUS


def test_booleans_are_numbers_and_a_column_of_numbers_is_numeric() -> None:
    data = text_result(["yes", "word"], [[True, "x"], [False, 1]])

    assert rows_of(data)[1] == [["1", "x"], ["0", "1"]]
    kinds = [MysqlPacket(each[4:], "utf8") for each in split(data)[1:3]]
    assert [pymysql.protocol.FieldDescriptorPacket(each._data, "utf8").type_code for each in kinds] == [8, 253]


def test_an_ok_says_how_many_rows() -> None:
    assert ok_payload().hex(" ") == "00 00 00 22 00 00 00"
    assert ok_payload(Status.IN_TRANS, 300, "fine") == b"\0\xfc\x2c\1\0\1\0\0\0fine"
    assert parse_ok_head(ok_payload(3, 7)) == (7, 0, 3, 0)


def test_an_eof_carries_its_status() -> None:
    assert eof_payload().hex(" ") == "fe 00 00 22 00"


@given(st.integers(1, 65535), st.text(st.characters(codec="utf-8"), max_size=50))
def test_an_error_reads_back(errno: int, message: str) -> None:
    assert parse_err(err_payload(errno, "42000", message)) == ServerError(errno, "42000", message)


def test_captured_errors_are_read_and_written_back() -> None:
    errors = [each[4:] for exchange in exchanges("commands_plain") for each in exchange.answer if each[4] == 0xFF]

    assert [parse_err(each).errno for each in errors] == [1054, 1064, 1049, 1243]
    for each in errors:
        read = parse_err(each)
        assert err_payload(read.errno, read.sqlstate, read.message) == each


def test_an_error_before_the_login_has_no_sqlstate() -> None:
    assert parse_err(b"\xff\x10\x04Too many") == ServerError(1040, "HY000", "Too many")


@pytest.mark.parametrize(
    ("error", "errno", "sqlstate"),
    [
        (AccessDenied("no"), 1045, "42000"),
        (UnknownCluster("no"), 4669, "HY000"),
        (ConnectFailed("no"), 4124, "HY000"),
        (OdpError("no"), 4016, "HY000"),
    ],
)
def test_an_error_of_ours_is_told_with_its_number(error: OdpError, errno: int, sqlstate: str) -> None:
    data = err_packet(3, error)

    assert data[3] == 3
    assert parse_err(data[4:]) == ServerError(errno, sqlstate, "no")


def test_a_foreign_error_is_told_without_its_details() -> None:
    told = parse_err(err_packet(1, KeyError("secret"))[4:])

    assert (told.errno, told.message) == (4016, "internal error of the proxy")


def test_a_long_message_is_cut() -> None:
    assert len(err_payload(1, "HY000", "x" * 100_000)) < 8300


@given(st.binary(max_size=40))
def test_any_bytes_are_an_error_packet_or_a_server_error(data: bytes) -> None:
    for each in (data, b"\xff" + data, b"\xff\1\1#" + data):
        try:
            parse_err(each)
        except ServerProtocolError:
            continue
