"""What a client sends, cut into requests: nothing lost, nothing changed, whatever the chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError
from odp_trio.testing.requests import SQL_BYTES, Request, RequestReader
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.ob20 import Flag, Frame
from odp_trio.wire.packets import packet

payloads = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.integers(SQL_BYTES - 2, SQL_BYTES + 3).map(lambda size: b"\x03" + b"x" * size),
)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Cut a stream into chunks of these sizes, again and again."""
    chunks, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        chunks.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


def read(chunks: list[bytes], *, ob20: bool = False) -> tuple[list[Request], bytes]:
    """Return the requests, and all bytes in the order in which a relay passes them on."""
    reader = RequestReader(ob20=ob20)
    requests, passed = [], b""
    for chunk in chunks:
        reader.feed(chunk)
        while (request := reader.next_request()) is not None:
            passed += reader.passed() + request.raw
            requests.append(request)
        passed += reader.passed()
    return requests, passed


@given(st.lists(payloads, max_size=6), st.lists(st.integers(1, 5000), min_size=1, max_size=4))
def test_plain_requests_are_the_same_whatever_the_chunks(texts: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(packet(0, text) for text in texts)

    requests, passed = read(cut(stream, sizes))

    assert passed == stream
    assert [request.head for request in requests] == [text[: 1 + SQL_BYTES] for text in texts]


@given(st.lists(payloads, max_size=5), st.integers(5, 60), st.lists(st.integers(1, 5000), min_size=1, max_size=4))
def test_framed_requests_are_the_same_whatever_the_chunks(texts: list[bytes], split: int, sizes: list[int]) -> None:
    stream = b""
    for number, text in enumerate(texts):
        data = packet(0, text[:600])
        pieces = [data[at : at + split] for at in range(0, len(data), split)]
        for seq, piece in enumerate(pieces):
            flags = int(Flag.LAST) if seq == len(pieces) - 1 else 0
            stream += Frame(1, number, seq & 0xFF, flags, piece).to_bytes()

    requests, passed = read(cut(stream, sizes), ob20=True)

    assert passed == stream
    assert [request.command for request in requests] == [text[0] for text in texts]


@given(st.lists(st.binary(max_size=60), max_size=300), st.lists(st.integers(1, 5000), min_size=1, max_size=4))
def test_the_content_of_a_file_is_no_request(pieces: list[bytes], sizes: list[int]) -> None:
    content = [piece for piece in pieces if piece]
    file = b"".join(packet(2 + number, piece) for number, piece in enumerate([*content, b""]))
    stream = packet(0, b"\x03load data local infile 'f'") + file + packet(0, b"\x0e")

    requests, passed = read(cut(stream, sizes))

    assert passed == stream
    assert [request.head[:1] for request in requests] == [b"\x03", b"\x0e"]


def test_a_statement_of_many_packets_is_one_request() -> None:
    text = b"\x03" + b"x" * (2 * MAX_PAYLOAD)
    stream = packet(0, text) + packet(0, b"\x0e")

    requests, passed = read(cut(stream, [1 << 20]))

    assert passed == stream
    assert [(request.command, request.whole) for request in requests] == [(3, False), (14, True)]


def test_the_beginning_of_a_long_request_is_enough() -> None:
    reader = RequestReader(ob20=False)
    reader.feed(packet(0, b"\x03" + b"x" * 100_000)[: 4 + 1 + SQL_BYTES])

    request = reader.next_request()

    assert request is not None
    assert (len(request.head), request.whole) == (1 + SQL_BYTES, False)


@pytest.mark.parametrize("ob20", [False, True])
def test_another_payload_in_the_same_framing(ob20: bool) -> None:
    first = packet(0, b"\x03select 'mytenant'")
    frame = Frame(7, 9, 0, int(Flag.LAST), first, {2001: b"kept"})
    (request,), _ = read([frame.to_bytes() if ob20 else first], ob20=ob20)

    (changed,), _ = read([request.with_payload(b"\x03select 'sys'")], ob20=ob20)

    assert changed.payload == b"\x03select 'sys'"
    if changed.frame is not None:
        assert (changed.frame.request_id, dict(changed.frame.extra)) == (9, {2001: b"kept"})


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_requests_or_the_error(data: bytes, ob20: bool) -> None:
    try:
        _, passed = read([data], ob20=ob20)
    except ClientProtocolError:
        assert ob20
    else:
        assert data.startswith(passed)
