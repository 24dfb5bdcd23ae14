"""OB 2.0 frames: known ones, any split, any damage."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, ServerProtocolError
from odp_trio.wire.ob20 import Flag, Frame, FrameReader, frames, header_crc, payload_crc

COMPUTED = bytes.fromhex(
    "29000000000000 ab20140034120080010000000d00000002000000000076a1 090000000373656c6563742031 6ee96cae"
)
SEEN_REQUEST = bytes.fromhex(
    "29000000000000 ab2014008d1b04c0010000000d000000020000000000 1779 090000000373656c6563742031 6ee96cae"
)
SEEN_ANSWER = bytes.fromhex(
    "a3000001000000 ab2014008d1b04c001000001870000000200000000004c5f"
    "0100000101 17000002036465660000000131000c3f001400000008810000000005000003fe00000200 020000040131 05000005fe00000200"
    "4b00000600000022400000004200 3c1f6f625f656e61626c655f7472616e736d697373696f6e5f636865636b73756d024f4e"
    "155f6e6c6a5f6261746368696e675f656e61626c6564024f4e02020131 9f6057a3"
)
KNOWN = [COMPUTED, SEEN_REQUEST, SEEN_ANSWER]

frame_values = st.builds(
    Frame,
    connection_id=st.integers(0, 2**32 - 1),
    request_id=st.integers(0, 2**24 - 1),
    seq=st.integers(0, 255),
    flags=st.sampled_from([int(Flag.LAST), int(Flag.LAST | Flag.WEAK_READ), int(Flag.LAST | Flag.FREE_ROUTE)]),
    mysql=st.binary(max_size=300),
    extra=st.dictionaries(st.integers(1, 3000), st.binary(max_size=40), max_size=3),
)
old_frame_values = st.builds(
    Frame,
    connection_id=st.just(1),
    request_id=st.integers(0, 2**24 - 1),
    seq=st.integers(0, 255),
    flags=st.sampled_from([int(Flag.LAST), int(Flag.LAST | Flag.EXTRA_INFO)]),
    mysql=st.binary(max_size=300),
    old_extra=st.binary(max_size=40),
)


def read(chunks: list[bytes], connection_id: int | None = None) -> list[Frame]:
    reader = FrameReader(ServerProtocolError, connection_id)
    found = []
    for chunk in chunks:
        reader.feed(chunk)
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    return found


def test_the_checksums_of_the_standard_test_string() -> None:
    assert header_crc(b"123456789") == 0xBB3D
    assert payload_crc(b"123456789") == 0x58E3FA20


@pytest.mark.parametrize("known", KNOWN)
def test_known_frames_read_and_write_the_same(known: bytes) -> None:
    (frame,) = read([known])

    assert frame.to_bytes() == known


def test_what_a_known_request_says() -> None:
    (frame,) = read([COMPUTED], 0x80001234)

    assert (frame.request_id, frame.seq, frame.is_last) == (1, 0, True)
    assert frame.mysql == b"\x09\0\0\0\x03select 1"


@pytest.mark.parametrize("known", KNOWN)
def test_whole_byte_by_byte_and_at_every_split_point_the_same(known: bytes) -> None:
    whole = read([known])

    assert read([bytes((byte,)) for byte in known]) == whole
    for at in range(len(known)):
        assert read([known[:at], known[at:]]) == whole


@given(st.lists(frame_values, max_size=4), st.integers(1, 50))
def test_frames_come_back_whatever_the_chunks(values: list[Frame], size: int) -> None:
    data = b"".join(value.to_bytes() for value in values)

    found = read([data[at : at + size] for at in range(0, len(data), size)])

    assert [(f.connection_id, f.request_id, f.seq, f.mysql, dict(f.extra)) for f in found] == [
        (v.connection_id, v.request_id, v.seq, v.mysql, dict(v.extra)) for v in values
    ]


@given(st.one_of(frame_values, old_frame_values))
def test_a_frame_that_was_read_is_written_the_same(value: Frame) -> None:
    data = value.to_bytes()

    (frame,) = read([data])

    assert frame.to_bytes() == data
    assert (frame.mysql, dict(frame.extra), frame.old_extra) == (value.mysql, dict(value.extra), value.old_extra)


@pytest.mark.parametrize("flags", [Flag.EXTRA_INFO, Flag.EXTRA_INFO | Flag.NEW_EXTRA_INFO])
def test_extra_info_may_be_empty(flags: Flag) -> None:
    value = Frame(1, 1, 0, int(flags | Flag.LAST), b"\x09\0\0\0\x03select 1")

    (frame,) = read([value.to_bytes()])

    assert frame == value


@given(frame_values, st.data())
def test_a_damaged_frame_is_never_taken_for_another(value: Frame, data: st.DataObject) -> None:
    whole = bytearray(value.to_bytes())
    assume(any(whole[29:31]) and any(whole[-4:]))  # zeros have the checksum 0, which says "do not check"
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))

    try:
        found = read([bytes(whole)])
    except ServerProtocolError:
        return
    # The outer sequence number repeats the inner one; a checksum that became 0 says "do not check".
    assert found == [] or found[0].mysql == value.mysql


@given(st.binary(max_size=200))
def test_any_bytes_give_frames_or_the_error(data: bytes) -> None:
    try:
        read([data])
        read([COMPUTED[:20] + data])
    except ServerProtocolError:
        pass


def test_a_frame_for_another_connection_is_refused() -> None:
    with pytest.raises(ServerProtocolError, match="on connection 7"):
        read([COMPUTED], 7)


def test_a_gap_in_the_frames_of_one_answer_is_refused() -> None:
    first = Frame(1, 1, 1, 0, b"a").to_bytes()

    assert len(read([first, Frame(1, 1, 2, int(Flag.LAST), b"b").to_bytes()])) == 2
    with pytest.raises(ServerProtocolError, match="expected"):
        read([first, Frame(1, 1, 3, int(Flag.LAST), b"b").to_bytes()])


def test_the_error_class_is_the_peers() -> None:
    reader = FrameReader(ClientProtocolError)
    reader.feed(b"x" * 40)

    with pytest.raises(ClientProtocolError):
        reader.next_frame()


def test_a_checksum_of_zero_is_not_checked() -> None:
    unchecked = bytearray(COMPUTED)
    unchecked[29:31] = b"\0\0"
    unchecked[-4:] = b"\0\0\0\0"

    assert len(read([bytes(unchecked)])) == 1


def test_a_long_request_is_split_and_only_its_end_is_marked() -> None:
    data = frames(1, 5, 0, b"x" * (8 << 20) + b"y", extra={2001: b"client_ip=127.0.0.1"})

    first, second = read([data])

    assert (first.is_last, second.is_last, second.mysql) == (False, True, b"y")
    assert dict(first.extra) == {2001: b"client_ip=127.0.0.1"}
    assert dict(second.extra) == {}
