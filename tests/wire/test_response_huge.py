"""Rows of 16 MiB and more: packets that continue in the next one."""

from __future__ import annotations

import pytest

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker

pytestmark = pytest.mark.slow
HEAD = packet(1, b"\1") + packet(2, b"\3def") + packet(3, b"\xfe\0\0\2\0")
TAIL = packet(9, b"\xfe\0\0\2\0")
EXTRA_OK = packet(10, b"\0\0\0\x22\0\0\0\0")


def row(length: int, first: int) -> bytes:
    """A row packet with its continuations; what continues begins with 0xFF, 0xFE and 0x00, which mean nothing there."""
    payload = bytearray(length)
    payload[0] = first
    for at, byte in zip(range(MAX_PAYLOAD, length, MAX_PAYLOAD), (0xFF, 0xFE, 0x00), strict=False):
        payload[at] = byte
    return packet(4, bytes(payload))


def passed(tracker: ResponseTracker, command: int, data: bytes, step: int) -> tuple[int, bool]:
    """Feed ``data`` in steps, again from where bytes are held; return how much is forwarded as it is."""
    tracker.begin(command)
    forwarded, at = 0, 0
    while at < len(data) and not tracker.ended:
        end = min(at + step, len(data))
        while True:
            forwarded += tracker.feed(data, at, end) - at + len(tracker.tail)
            at = tracker.pos
            if not tracker.held or end == len(data):
                break
            end = min(end + step, len(data))
    assert not tracker.held
    return forwarded, tracker.ended


LENGTHS = [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, MAX_PAYLOAD + 5, 2 * MAX_PAYLOAD, 2 * MAX_PAYLOAD + 7]
STEPS = [1 << 16, MAX_PAYLOAD + 1, MAX_PAYLOAD + 4 + len(HEAD), 1 << 30]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("first", [0x00, 0xFB, 0xFD, 0xFE])
def test_a_huge_row_is_one_row_whatever_its_pieces_begin_with(length: int, first: int) -> None:
    answer = HEAD + row(length, first) + packet(8, b"\1x") + TAIL
    for step in STEPS:
        assert passed(ResponseTracker(), Com.QUERY, answer + EXTRA_OK, step) == (len(answer), True)
        assert passed(ResponseTracker(extra_ok=False), Com.QUERY, answer, step) == (len(answer), True)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_huge_binary_row_of_a_cursor_is_one_row(length: int) -> None:
    answer = row(length, 0x00) + packet(8, b"\0\0x") + TAIL
    for step in STEPS:
        assert passed(ResponseTracker(), Com.STMT_FETCH, answer + EXTRA_OK, step) == (len(answer), True)


def test_the_header_of_a_continuation_may_come_in_pieces() -> None:
    huge = row(MAX_PAYLOAD, 0x41)
    answer = HEAD + huge + TAIL + EXTRA_OK
    border = len(HEAD) + len(huge)  # behind the empty packet that closes the split
    for start in range(border - 6, border + 7):
        tracker = ResponseTracker()
        tracker.begin(Com.QUERY)
        assert tracker.feed(answer, 0, start) == tracker.pos
        at = tracker.pos
        assert tracker.held == (at < start)
        for end in range(start + 1, border + 8):
            assert tracker.feed(answer, at, end) == tracker.pos
            at = tracker.pos
        assert tracker.feed(answer, at, len(answer)) == len(answer) - len(EXTRA_OK)
        assert tracker.ended


def test_a_string_of_16_mib_ends_with_the_empty_packet_that_closes_it() -> None:
    answer = row(MAX_PAYLOAD, 0x41)
    for step in (*STEPS, len(answer) - 1, len(answer) - 4):
        assert passed(ResponseTracker(), Com.STATISTICS, answer, step) == (len(answer), True)


def test_an_empty_packet_is_no_row_where_nothing_continues() -> None:
    with pytest.raises(ServerProtocolError, match="an empty packet in the ROWS phase"):
        passed(ResponseTracker(), Com.QUERY, HEAD + row(MAX_PAYLOAD - 1, 0x41) + packet(5, b"") + TAIL, 1 << 30)
