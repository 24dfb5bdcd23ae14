"""A lane whose OBServer speaks OB 2.0: what the client sees, and what breaks the connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import pytest
import trio

from odp_trio.errors import ServerProtocolError, UpstreamLost
from odp_trio.net.ob20_stream import OB20Stream
from odp_trio.session.events import Ended, Failed
from odp_trio.wire.compressed import CompressedReader, compressed_frame
from odp_trio.wire.ob20 import OUTER_BYTES, Flag, Frame, FrameReader, frames, header_crc
from tests.session.lane_bed import Bed, extra_ok, open_bed, query, result

ID: Final = 0xC0041B8D
ROWS: Final = result(b"\x01a", b"\x01b")
ANSWER: Final = ROWS + extra_ok(6)


class Server:
    """The OBServer's side: reads frames, writes frames."""

    def __init__(self, bed: Bed, level: int) -> None:
        self.bed = bed
        self._level = level
        self._reader = FrameReader(ServerProtocolError, ID)
        self._inner = bytearray()
        self._inflated = CompressedReader(ServerProtocolError, lambda seq: None)

    async def request(self) -> Frame:
        with trio.fail_after(10):
            while (frame := self._reader.next_frame()) is None:
                self._take(bytes(await self.bed.server.receive_some(65536)))
        return frame

    def _take(self, data: bytes) -> None:
        assert data
        if not self._level:
            self._reader.feed(data)
            return
        self._inflated.feed(data)
        buffer = bytearray(1 << 20)
        while count := self._inflated.read_into(buffer):
            self._inner += buffer[:count]
        while len(self._inner) >= 24 and len(self._inner) >= (
            size := 28 + int.from_bytes(self._inner[12:16], "little")
        ):
            self._reader.feed(_with_outer(bytes(self._inner[:size])))
            del self._inner[:size]

    async def answer(self, mysql: bytes, request: int, seq: int = 1, *, flags: int = 0) -> None:
        data = frames(ID, request, seq, mysql, flags=flags)
        if self._level:
            inner = bytearray(data[OUTER_BYTES:])
            inner[22:24] = header_crc(bytes(inner[:22])).to_bytes(2, "little")
            pieces = [bytes(inner[at : at + 1000]) for at in range(0, len(inner), 1000)]
            data = b"".join(compressed_frame(1 + at & 0xFF, piece, 6) for at, piece in enumerate(pieces))
        await self.bed.server.send_all(data)


def _with_outer(inner: bytes) -> bytes:
    """Write an inner frame as it would be without compression: its header's checksum covers more."""
    outer = len(inner).to_bytes(3, "little") + inner[11:12] + bytes(3)
    head = outer + inner[:22]
    assert header_crc(inner[:22]) == int.from_bytes(inner[22:24], "little")
    return head + header_crc(head).to_bytes(2, "little") + inner[24:]


@asynccontextmanager
async def ob20_bed(level: int = 0) -> AsyncIterator[tuple[Bed, Server, OB20Stream]]:
    made: list[OB20Stream] = []

    def around(sock: socket.socket) -> OB20Stream:
        made.append(OB20Stream(sock, ID, level))
        return made[0]

    async with open_bed(around_server=around) as bed:
        yield bed, Server(bed, level), made[0]


LEVELS = pytest.mark.parametrize("level", [0, 6])


@LEVELS
async def test_statements_go_and_come_back_and_the_extra_ok_stays(level: int) -> None:
    async with ob20_bed(level) as (bed, server, _):
        for number in range(1, 4):
            await bed.client.send_all(query(b"select %d" % number))
            frame = await server.request()
            assert (frame.request_id, frame.seq, frame.is_last) == (number, 0, True)
            assert frame.mysql == query(b"select %d" % number)
            await server.answer(ANSWER, number)
            assert await bed.at_client(len(ROWS)) == ROWS


@LEVELS
@pytest.mark.parametrize("size", [3_000, 200_000])
async def test_long_statements_and_long_answers(level: int, size: int) -> None:
    rows = result(*[b"\xfd" + (200_000).to_bytes(3, "little") + bytes(200_000)] * 3)
    async with ob20_bed(level) as (bed, server, _), trio.open_nursery() as nursery:
        asked = query(b"select '" + b"x" * size + b"'")
        nursery.start_soon(bed.client.send_all, asked)
        got, seq = b"", 0
        while True:
            frame = await server.request()
            assert (frame.request_id, frame.seq) == (1, seq)
            got, seq = got + frame.mysql, seq + 1
            if frame.is_last:
                break
        assert got == asked
        nursery.start_soon(partial(server.answer, rows + extra_ok(7), 1, seq))
        assert await bed.at_client(len(rows)) == rows


@LEVELS
async def test_a_slow_client_holds_the_server_back(level: int) -> None:
    rows = result(*[b"\xfd" + (500_000).to_bytes(3, "little") + bytes(500_000)] * 8)
    async with ob20_bed(level) as (bed, server, _), trio.open_nursery() as nursery:
        await bed.client.send_all(query(b"select big"))
        await server.request()
        nursery.start_soon(partial(server.answer, rows + extra_ok(12), 1))
        with trio.fail_after(10):
            while not bed.lane.owed:
                await trio.lowlevel.checkpoint()
        assert len(bed.lane.owed) <= 65536
        assert await bed.at_client(len(rows)) == rows


async def test_flags_go_with_one_request_and_come_with_an_answer() -> None:
    async with ob20_bed() as (bed, server, stream):
        stream.next_flags = int(Flag.FREE_ROUTE | Flag.WEAK_READ)
        for number, flags in ((1, Flag.FREE_ROUTE | Flag.WEAK_READ), (2, Flag(0))):
            await bed.client.send_all(query(b"select 1"))
            assert (await server.request()).flags == flags | Flag.LAST
            await server.answer(ANSWER, number, flags=int(flags))
            assert await bed.at_client(len(ROWS)) == ROWS
            assert stream.answer_flags == flags | Flag.LAST


def damaged(data: bytes) -> bytes:
    return data[:50] + bytes((data[50] ^ 1,)) + data[51:]


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "payload": (lambda: damaged(frames(ID, 1, 1, ANSWER)), "payload checksum"),
    "header": (lambda: b"\0" + frames(ID, 1, 1, ANSWER)[1:], "header checksum|a frame of"),
    "request id": (lambda: frames(ID, 7, 1, ANSWER), "an answer to request 7"),
    "number": (lambda: frames(ID, 1, 2, ANSWER), "frame 2 of request 1"),
    "connection id": (lambda: frames(ID + 1, 1, 1, ANSWER), "on connection"),
    "plain MySQL": (lambda: ANSWER, "no OB 2.0 frame"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_no_frame_of_the_answer_costs_the_connection(what: str) -> None:
    """Of a small frame nothing has gone to the client: that its statement's fate is not known can be told."""
    make, message = WRONG[what]
    async with ob20_bed() as (bed, server, _):
        await bed.client.send_all(query(b"select 1"))
        await server.request()
        await bed.server.send_all(make())
        with trio.fail_after(10):
            event = await bed.lane.events.wait()

        assert isinstance(event, Failed)
        assert isinstance(event.error, UpstreamLost)
        assert any(part in str(event.error) for part in message.split("|"))
        assert event.unanswered
        assert event.whole


async def test_a_long_answer_that_is_damaged_breaks_off() -> None:
    rows = result(*[b"\xfd" + (100_000).to_bytes(3, "little") + bytes(100_000)] * 3)
    data = frames(ID, 1, 1, rows + extra_ok(7))
    async with ob20_bed() as (bed, server, _), trio.open_nursery() as nursery:
        await bed.client.send_all(query(b"select big"))
        await server.request()
        nursery.start_soon(bed.server.send_all, data[:-1] + bytes((data[-1] ^ 1,)))
        await bed.at_client(250_000)
        with trio.fail_after(10):
            event = await bed.lane.events.wait()
        assert isinstance(event, Failed)
        assert not event.unanswered
        assert "payload checksum" in str(event.error)


@pytest.mark.parametrize("kept", [1, 40, 100])
async def test_a_cut_frame_is_a_lost_connection(kept: int) -> None:
    async with ob20_bed() as (bed, server, _):
        await bed.client.send_all(query(b"select 1"))
        await server.request()
        await bed.server.send_all(frames(ID, 1, 1, ANSWER)[:kept])
        await bed.server.aclose()
        with trio.fail_after(10):
            event = await bed.lane.events.wait()
        assert isinstance(event, Failed)
        assert "closed by the server" in str(event.error)


async def test_a_second_answer_ends_the_session() -> None:
    async with ob20_bed() as (bed, server, _):
        await bed.client.send_all(query(b"select 1"))
        await server.request()
        await server.answer(ANSWER, 1)
        assert await bed.at_client(len(ROWS)) == ROWS
        await server.answer(ANSWER, 1)
        with trio.fail_after(10):
            event = await bed.lane.events.wait()
        assert isinstance(event, Ended)
        assert "an answer to request 1" in str(event.error)


async def test_a_server_that_takes_no_frame_gets_it_later() -> None:
    """A frame that was partly sent is kept by the stream, and not sent twice."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stream, reader = OB20Stream(near, ID), FrameReader(ServerProtocolError, ID)
        data, left = query(b"x" * 300_000), memoryview(query(b"x" * 300_000))
        got = b""
        far.setblocking(False)
        while left or len(got) < len(data):
            with contextlib.suppress(BlockingIOError):
                if left:
                    left = left[stream.send(left[:65536]) :]
            with contextlib.suppress(BlockingIOError):
                reader.feed(far.recv(50_000))
            while (frame := reader.next_frame()) is not None:
                got += frame.mysql
        assert got == data
