"""Framing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, OutOfOrder, ProtocolError, ServerProtocolError
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.packets import PacketReader, packet
from tests.wire.captured import conversation
from tests.wire.chunks import every_split

HUGE = 2 * MAX_PAYLOAD + 10


def read(chunks: list[bytes], *, limit: int = HUGE) -> list[tuple[int, bytes]]:
    reader = PacketReader(ServerProtocolError, limit)
    found = []
    for chunk in chunks:
        reader.feed(chunk)
        while (each := reader.next_packet()) is not None:
            found.append(each)
    assert not reader.buffer, "bytes are left"
    return found


@pytest.mark.parametrize("name", ["login_plain", "login_tracking", "change_user"])
def test_captured_packets_are_framed_back_as_they_came_however_they_arrive(name: str) -> None:
    packets = [each.data for each in conversation(name)]
    stream = b"".join(packets)

    for chunks in every_split(stream):
        assert [packet(*each) for each in read(chunks)] == packets


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), max_size=5), st.data())
def test_what_is_framed_is_read_whatever_the_chunks(packets: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(packet(*each) for each in packets)
    at = data.draw(st.integers(0, len(stream)))

    assert read([stream[:at], stream[at:]]) == packets


@pytest.mark.slow
@pytest.mark.parametrize("length", [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
def test_a_payload_of_16_mib_is_split_and_joined(length: int) -> None:
    payload = bytes(length)
    pieces = length // MAX_PAYLOAD

    framed = packet(254, payload)

    assert len(framed) == length + 4 * (pieces + 1)
    found = read([framed[at : at + 5_000_000] for at in range(0, len(framed), 5_000_000)])
    assert len(found) == 1
    assert found[0][0] == (254 + pieces) & 0xFF
    assert found[0][1] == payload


def test_a_payload_above_the_limit_is_refused_at_its_header() -> None:
    reader = PacketReader(ClientProtocolError, limit_bytes=100)
    reader.feed(b"\x65\0\0\0")

    with pytest.raises(ClientProtocolError, match="more than 100 bytes"):
        reader.next_packet()


@pytest.mark.slow
@pytest.mark.parametrize(("error", "raised"), [(ClientProtocolError, OutOfOrder), (ServerProtocolError, None)])
def test_a_continuation_with_a_wrong_number_is_refused(
    error: type[ProtocolError], raised: type[ProtocolError] | None
) -> None:
    reader = PacketReader(error)
    reader.feed(packet(7, bytes(MAX_PAYLOAD))[:-4] + b"\0\0\0\x09")

    with pytest.raises(raised or error, match="packet 8 expected, got 9"):
        reader.next_packet()


@given(st.binary(max_size=60))
def test_any_bytes_give_packets_or_the_error_of_their_side(data: bytes) -> None:
    reader = PacketReader(ClientProtocolError, limit_bytes=1000)
    reader.feed(data)
    total = 0
    try:
        while (found := reader.next_packet()) is not None:
            total += 4 + len(found[1])
    except ClientProtocolError:
        return
    assert total + len(reader.buffer) == len(data)
