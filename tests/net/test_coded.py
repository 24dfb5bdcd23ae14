"""A coded stream: what a peer that takes a few bytes at a time gets, nesting, faults."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from odp_trio.errors import ClientProtocolError
from odp_trio.net.coded import Coded
from odp_trio.wire.compressed import ClientCodec, CompressedReader, ServerCodec, compressed_frame
from odp_trio.wire.packets import packet


def anything(_: int) -> None:
    """Any number of a frame will do."""


def plain(data: bytes) -> bytes:
    """Take frames apart."""
    reader, buffer, found = CompressedReader(ClientProtocolError, anything), bytearray(65536), b""
    reader.feed(data)
    while count := reader.read_into(buffer):
        found += buffer[:count]
    return found


class Pipe:
    """A stream that takes and gives as many bytes as it is told to, now and then none."""

    def __init__(self, given: bytes = b"", seed: int = 0, most: int = 50) -> None:
        self.given, self.sent = given, b""
        self.most = most
        self.random = random.Random(seed)

    @property
    def pending(self) -> bool:
        return bool(self.given)

    def fileno(self) -> int:
        return 0

    def _size(self) -> int:
        if not (size := self.random.randint(0, self.most)):
            raise BlockingIOError
        return size

    def recv(self, size: int, /) -> bytes:
        piece = self.given[: min(size, self._size())]
        self.given = self.given[len(piece) :]
        return piece

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        size = min(len(data), self._size())
        self.sent += bytes(data[:size])
        return size

    def shutdown(self, how: int, /) -> None:
        """Nothing to tell."""

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    yield near, far
    near.close()
    far.close()


def receive_all(stream: Coded) -> bytes:
    found, buffer = b"", bytearray(100)
    while True:
        try:
            count = stream.recv_into(buffer)
        except BlockingIOError:
            continue
        if not count:
            return found
        found += buffer[:count]


@pytest.mark.parametrize("seed", range(20))
def test_a_peer_that_takes_little_at_a_time_gets_every_byte_once(seed: int) -> None:
    pipe, codec = Pipe(seed=seed), ClientCodec(1)
    stream, chance = Coded(pipe, codec), random.Random(seed)
    said = b"".join(bytes((at & 0xFF,)) * chance.randint(1, 300) for at in range(100))
    owed, rest = b"", said
    while owed or rest:  # as a leg does: what was not taken comes again, with what has been added
        if chance.random() < 0.5:
            size = chance.randint(0, 3000)
            owed, rest = owed + rest[:size], rest[size:]
        try:
            owed = owed[stream.send(owed) :] if owed else owed
        except BlockingIOError:
            continue

    assert plain(pipe.sent) == said


@pytest.mark.parametrize("seed", range(20))
def test_what_a_peer_sends_a_little_at_a_time_is_read(seed: int) -> None:
    said = b"".join(bytes((at & 0xFF,)) * 90 for at in range(60))
    frames = [compressed_frame(at, said[at * 540 : at * 540 + 540], at % 3 or None) for at in range(10)]

    assert receive_all(Coded(Pipe(b"".join(frames), seed), ClientCodec(1))) == said


def test_what_was_read_before_the_stream_began_comes_first(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    data = compressed_frame(0, b"early and late", 6)
    stream = Coded(near, ClientCodec(1), data[:9])
    assert stream.pending
    far.send(data[9:])

    assert stream.recv(100) == b"early and late"
    assert not stream.pending
    with pytest.raises(BlockingIOError):
        stream.recv(100)


def test_what_there_is_no_room_for_is_pending(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    stream = Coded(near, ClientCodec(1))
    far.send(compressed_frame(0, b"x" * 1000, 6) + compressed_frame(1, b"y" * 10, None))

    assert stream.recv(400) == b"x" * 400
    assert stream.pending
    assert stream.recv(600) == b"x" * 600
    assert stream.pending
    assert stream.recv(400) == b"y" * 10
    assert not stream.pending


def test_streams_nest() -> None:
    """Two layers of the protocol, of which the inner one can hold bytes that no descriptor knows of."""
    inner = compressed_frame(0, b"a" * 500, 6) + compressed_frame(1, b"b" * 500, 6)
    outer = compressed_frame(0, inner[:30], None) + compressed_frame(1, inner[30:], 6)
    pipe = Pipe(outer, most=10_000)
    stream = Coded(Coded(pipe, ClientCodec(1)), ClientCodec(1))

    assert receive_all(stream) == b"a" * 500 + b"b" * 500
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            stream.send(b"z" * 1000)
    assert pipe.pending is False
    assert stream.pending is False
    assert Coded(Pipe(b"more"), ClientCodec(1)).pending


def test_the_end_in_a_frame_is_an_end(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    stream = Coded(near, ClientCodec(1))
    far.send(compressed_frame(0, b"x" * 100, 6)[:15])
    far.shutdown(socket.SHUT_WR)

    assert stream.recv(100) == b""


def test_behind_a_fault_nothing_is_decoded_but_the_peer_can_be_told(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    stream = Coded(near, ClientCodec(1))
    far.send(b"\x05\0\0\0\x09\0\0junk!" + b"and more")
    with pytest.raises(ClientProtocolError):
        stream.recv(100)
    far.send(b"!")

    assert stream.recv(100) == b"!"
    stream.send(b"error")
    assert far.recv(100) == compressed_frame(1, b"error", None)


def test_half_a_header_is_taken_and_sent_with_the_rest(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    stream = Coded(near, ServerCodec(0, checksum=False))
    ping = packet(0, b"\x0e")

    assert stream.send(ping[:3]) == 3
    assert stream.send(ping[3:]) == 2
    assert far.recv(100) == compressed_frame(0, ping, None)
