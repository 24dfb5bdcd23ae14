"""OK packets and the session state in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status, lenenc_int, lenenc_str
from odp_trio.wire.state import (
    OKPacket,
    SessionState,
    find_number,
    find_variable,
    parse_ok,
    parse_ok_head,
    parse_state,
    plain_ok,
    shown_ok,
    tracked_ok,
)
from tests.wire.captured import exchanges, payload
from tests.wire.model import OK, State, oks

VECTOR = bytes.fromhex(
    "00 00 00 02 40 00 00 03 20 68 69 2e 00 21 0a 61 75 74 6f 63 6f 6d 6d 69 74 01 30 06 5f 5f 4e 55 4c 4c"
    "06 5f 5f 4e 55 4c 4c 01 61 03 27 78 27 01 05 04 74 65 73 74 02 02 01 31"
)
"""Message "hi", autocommit 0, user variable a 'x', schema test, state changed."""


def test_the_known_packet_is_read() -> None:
    ok = parse_ok(VECTOR)

    assert ok == OKPacket(0, 0, 0x4002, 0, b" hi", ok.state)
    assert ok.state == SessionState({b"autocommit": b"0"}, {b"a": b"'x'"}, b"test", changed=True)


def test_the_known_packet_is_rewritten_for_both_kinds_of_clients() -> None:
    ok = parse_ok(VECTOR)

    assert plain_ok(VECTOR) == bytes.fromhex("00 00 00 02 00 00 00 20 68 69")
    assert tracked_ok(ok).hex(" ") == (
        "00 00 00 02 40 00 00 02 68 69 1a 00 0d 0a 61 75 74 6f 63 6f 6d 6d 69 74 01 30 01 05 04 74 65 73 74 02 02 01 31"
    )


def test_a_captured_ok_of_a_proxy_connection_becomes_what_a_plain_connection_gets() -> None:
    pairs = [
        (proxy.answer[0][4:], plain.answer[0][4:], tracking.answer[0][4:])
        for proxy, plain, tracking in zip(
            *map(exchanges, ("commands_proxy", "commands_plain", "commands_tracking")), strict=True
        )
        if proxy.answer[0][4] == 0 and proxy.request[4] != Com.STMT_PREPARE and len(proxy.answer) == 1
    ]
    assert len(pairs) > 8
    for proxy, plain, tracking in pairs:
        assert plain_ok(proxy) == plain
        # An OK without changes of its own may owe what an error before it said.
        if parse_ok(proxy).state is not None or not parse_ok_head(tracking)[2] & Status.SESSION_STATE_CHANGED:
            assert tracked_ok(parse_ok(proxy)) == tracking


@given(oks())
def test_an_ok_reads_back(ok: OK) -> None:
    read = parse_ok(ok.to_proxy())

    assert (read.affected_rows, read.last_insert_id) == (ok.affected, ok.insert_id)
    assert (read.status, read.warnings, read.info) == (ok.wire_status, ok.warnings, ok.info)
    assert parse_ok_head(ok.to_proxy()) == (ok.affected, ok.insert_id, ok.wire_status, ok.warnings)
    assert (read.state is None) == (ok.state is None)


@given(oks())
def test_a_rewritten_ok_says_the_same_without_its_state(ok: OK) -> None:
    assert plain_ok(ok.to_proxy()) == ok.to_plain()
    assert parse_ok_head(plain_ok(ok.to_proxy()))[:2] == (ok.affected, ok.insert_id)


@given(oks())
def test_an_ok_is_shown_as_it_is_rewritten(ok: OK) -> None:
    payload = ok.to_proxy()
    whole = bytearray(b"\xff" + len(payload).to_bytes(3, "little") + b"\x07" + payload)

    shown = shown_ok(whole, 1, len(whole))

    plain = plain_ok(payload)
    assert shown in (b"", len(plain).to_bytes(3, "little") + b"\x07" + plain)
    more = ok.wire_status & (Status.SESSION_STATE_CHANGED | Status.MORE_RESULTS)
    assert bool(shown) == (len(payload) == 8 + len(ok.info) and len(ok.info) <= 250 and not more)


def test_one_block_holds_all_variables_and_user_variables_follow_a_separator() -> None:
    state = State(system=((b"a", b"1"), (b"b", b"")), user=((b"u", b"'x'"),), schema=b"")

    assert parse_state(state.to_bytes()) == SessionState({b"a": b"1", b"b": b""}, {b"u": b"'x'"}, b"", changed=True)


def test_blocks_of_types_that_we_do_not_know_are_skipped() -> None:
    block = b"\x05" + lenenc_str(b"what") + b"\x01" + lenenc_str(lenenc_str(b"db"))

    assert parse_state(block) == SessionState(schema=b"db")


def test_a_variable_named_like_the_separator_but_with_a_value_is_a_variable() -> None:
    pairs = lenenc_str(b"__NULL") + lenenc_str(b"1")

    assert parse_state(b"\0" + lenenc_str(pairs)).system == {b"__NULL": b"1"}


def test_merging_keeps_first_places_and_last_values() -> None:
    first = SessionState({b"a": b"1", b"b": b"1"}, {b"u": b"1"}, b"old", changed=True)

    first.merge(SessionState({b"b": b"2", b"c": b"2"}, {b"u": b"2"}))

    assert list(first.system.items()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"2")]
    assert (first.user, first.schema, first.changed) == ({b"u": b"2"}, b"old", True)


def test_what_only_proxies_are_told_is_not_merged() -> None:
    state = SessionState()

    state.merge(SessionState({b"ob_proxy_partition_hit": b"OFF"}, changed=True))

    assert state == SessionState()


def test_what_belongs_to_one_statement_is_not_told_with_another() -> None:
    own, owed = SessionState(), SessionState()
    said = SessionState({b"ob_statement_trace_id": b"Y", b"a": b"1"}, changed=True)

    own.merge(said)
    owed.merge(said, owed=True)

    assert own == said
    assert owed == SessionState({b"a": b"1"}, changed=True)


def test_one_variable_is_always_the_last_that_was_said() -> None:
    state = SessionState({b"ob_proxy_set_trx_executed": b"ON", b"a": b"1"})

    state.merge(SessionState({b"b": b"2", b"ob_proxy_set_trx_executed": b"ON"}))

    assert list(state.system) == [b"a", b"b", b"ob_proxy_set_trx_executed"]


def test_the_blank_before_a_message_goes_only_in_the_last_result() -> None:
    for status, info in ((0x22, b"Rows"), (0x22 | Status.MORE_RESULTS, b" Rows")):
        assert tracked_ok(OKPacket(1, 0, status, 0, b" Rows", None)).endswith(lenenc_int(len(info)) + info)


def test_a_variable_is_found_among_hundreds() -> None:
    ok = payload("login_proxy", 2)

    assert find_variable(ok, b"autocommit") == b"ON"
    assert find_variable(ok, b"ob_proxy_global_variables_version") is not None
    assert find_variable(ok, b"no_such_variable") is None


PARSERS = [parse_ok, parse_ok_head, plain_ok, parse_state, lambda data: find_variable(data, b"autocommit")]


@pytest.mark.parametrize("parse", PARSERS)
@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_any_bytes_are_a_value_or_a_server_error(
    parse: Callable[[bytes], object], noise: bytes, start: int, end: int
) -> None:
    for data in (noise, b"\0" + noise, VECTOR[:start] + noise + VECTOR[end:]):
        try:
            parse(data)
        except ServerProtocolError:
            continue


@pytest.mark.parametrize("digits", [b"1" * 21, b"9" * 5000])
def test_a_number_with_more_digits_than_any_has_is_none(digits: bytes) -> None:
    ok = b"\0\0\0\x02\x40\0\0\0" + lenenc_str(b"\0" + lenenc_str(lenenc_str(b"n") + lenenc_str(digits)))

    assert find_number(ok, b"n") == 0
