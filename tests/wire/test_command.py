"""Commands, and where a request ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, OutOfOrder
from odp_trio.wire.command import HANDLING, Com, Handling, RequestTracker, command_name
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.packets import packet
from odp_trio.wire.phases import FIRST_PHASE
from tests.wire.captured import exchanges
from tests.wire.chunks import cut, every_split


def feed(tracker: RequestTracker, chunks: list[bytes]) -> int:
    """Feed chunks until the request is complete; return how many bytes it took."""
    total = 0
    for chunk in chunks:
        if tracker.complete:
            break
        padded = b"??" + chunk + b"!!"
        stop = tracker.feed(padded, 2, 2 + len(chunk))
        assert 2 <= stop <= 2 + len(chunk)
        assert tracker.complete or stop == 2 + len(chunk), "bytes are left though the request goes on"
        total += stop - 2
    return total


def fresh() -> RequestTracker:
    tracker = RequestTracker()
    tracker.begin()
    return tracker


def test_every_command_that_is_forwarded_has_an_answer_that_can_be_tracked() -> None:
    forwarded = {byte for byte in range(256) if HANDLING[byte] is Handling.FORWARD}

    assert forwarded == set(FIRST_PHASE) - {Com.CHANGE_USER}


def test_what_oceanbase_does_not_expect_is_refused() -> None:
    assert HANDLING[0xA1] is Handling.REFUSE
    assert all(HANDLING[byte] is Handling.REFUSE for byte in range(0x20, 256))
    for command in (Com.SLEEP, Com.SHUTDOWN, Com.BINLOG_DUMP, Com.TIME, Com.CONNECT, Com.DAEMON):
        assert HANDLING[command] is Handling.REFUSE


def test_commands_without_an_answer_are_silent() -> None:
    assert {Com(byte) for byte in range(32) if HANDLING[byte] is Handling.SILENT} == {
        Com.STMT_CLOSE,
        Com.STMT_SEND_LONG_DATA,
    }


def test_a_command_has_a_name() -> None:
    assert command_name(3) == "COM_QUERY"
    assert command_name(0xA1) == "command 0xa1"


def test_a_new_tracker_expects_nothing() -> None:
    tracker = RequestTracker()

    assert tracker.complete
    assert tracker.feed(b"\1\0\0\0\x0e", 0, 5) == 0


@pytest.mark.parametrize("at", range(len(exchanges("commands_plain"))))
def test_a_captured_request_ends_where_it_ends_however_it_arrives(at: int) -> None:
    request = exchanges("commands_plain")[at].request

    for chunks in every_split(request + b"\1\0\0\0\x0e"):
        tracker = fresh()
        assert feed(tracker, chunks) == len(request)
        assert tracker.complete


def test_a_request_is_not_complete_before_its_last_byte() -> None:
    request = packet(0, b"\x03select 1")
    for end in range(len(request)):
        tracker = fresh()
        assert feed(tracker, [request[:end]]) == end
        assert not tracker.complete


@pytest.mark.slow
@pytest.mark.parametrize("length", [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
def test_a_request_of_16_mib_goes_on_in_the_next_packet(length: int) -> None:
    request = packet(0, b"\x03" + bytes(length - 1))

    for step in (1 << 20, MAX_PAYLOAD, MAX_PAYLOAD + 4, MAX_PAYLOAD + 6, len(request)):
        tracker = fresh()
        chunks = [request[at : at + step] for at in range(0, len(request), step)]
        assert feed(tracker, [*chunks, b"\1\0\0\0"]) == len(request)
        assert tracker.complete


@pytest.mark.slow
def test_a_continuation_has_the_next_sequence_number() -> None:
    tracker = fresh()
    feed(tracker, [packet(0, bytes(MAX_PAYLOAD))[:-4]])

    with pytest.raises(OutOfOrder, match="packet 1 expected, got 0"):
        feed(tracker, [b"\0\0\0\0"])


@pytest.mark.parametrize("seq", [1, 255])
def test_a_command_has_sequence_number_0(seq: int) -> None:
    with pytest.raises(OutOfOrder, match=f"packet 0 expected, got {seq}"):
        feed(fresh(), [packet(seq, b"\x0e")])


def test_an_empty_command_breaks_the_protocol() -> None:
    for chunks in every_split(packet(0, b"")):
        with pytest.raises(ClientProtocolError, match="without a command"):
            feed(fresh(), chunks)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(0, 255), st.lists(st.integers(0, 400)))
def test_an_upload_ends_with_its_empty_packet(pieces: list[bytes], seq: int, points: list[int]) -> None:
    upload = b"".join(packet(seq + at, piece) for at, piece in enumerate([*pieces, b""]))
    tracker = RequestTracker()
    tracker.begin_upload(seq)

    assert feed(tracker, cut(upload + b"\1\0\0\0\x0e", points)) == len(upload)
    assert tracker.complete


def test_a_packet_of_an_upload_has_the_next_sequence_number() -> None:
    tracker = RequestTracker()
    tracker.begin_upload(2)
    feed(tracker, [packet(2, b"1,2\n")])

    with pytest.raises(OutOfOrder, match="packet 3 expected, got 2"):
        feed(tracker, [packet(2, b"")])


@pytest.mark.slow
def test_the_empty_packet_that_closes_a_split_does_not_close_the_upload() -> None:
    content = packet(2, bytes(MAX_PAYLOAD))
    upload = content + packet(4, b"x") + packet(5, b"")
    tracker = RequestTracker()
    tracker.begin_upload(2)

    assert feed(tracker, [content]) == len(content)
    assert not tracker.complete
    assert feed(tracker, [upload[len(content) :] + b"next"]) == len(upload) - len(content)
    assert tracker.complete


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4), st.booleans())
def test_any_bytes_are_a_request_or_a_client_error_whatever_the_chunks(
    data: bytes, points: list[int], upload: bool
) -> None:
    results = []
    for chunks in ([data], cut(data, points), [bytes((byte,)) for byte in data]):
        tracker = RequestTracker()
        tracker.begin_upload(0) if upload else tracker.begin()
        try:
            results.append((feed(tracker, chunks), tracker.complete))
        except ClientProtocolError as exc:
            results.append((str(exc), False))
    assert results[0] == results[1] == results[2]
