"""A lane whose legs are compressed: the same packets, in frames; and what becomes of broken ones."""

from __future__ import annotations

import socket

import pytest
import trio

from odp_trio.net.coded import Coded
from odp_trio.session.events import Ended, Failed
from odp_trio.session.reasons import End
from odp_trio.wire.compressed import ClientCodec, CompressedReader, ServerCodec, compressed_frame
from odp_trio.wire.packets import packet
from tests.session.lane_bed import PLAIN_OK, Bed, extra_ok, open_bed, query, receive_exactly, result

pytestmark = pytest.mark.parametrize("mode", ["inside", "nested"])


def client_leg(sock: socket.socket) -> Coded:
    return Coded(sock, ClientCodec(1))


def server_leg(sock: socket.socket) -> Coded:
    return Coded(sock, ServerCodec(0, checksum=True))


async def frame(stream: trio.SocketStream) -> tuple[int, bytes]:
    """Receive one frame; return its number and what it holds."""
    head = await receive_exactly(stream, 7)
    body = await receive_exactly(stream, int.from_bytes(head[:3], "little"))
    found, buffer = CompressedReader(AssertionError, lambda _: None), bytearray(1 << 17)  # type: ignore[arg-type]
    found.feed(head + body)
    return head[3], bytes(buffer[: found.read_into(buffer)])


async def event_of(bed: Bed) -> object:
    with trio.fail_after(10):
        return await bed.lane.events.wait()


async def test_both_legs_are_compressed(mode: str) -> None:
    rows = result(b"\x01a", b"\xfc\x00\x01" + b"x" * 256)
    async with open_bed(mode, around_client=client_leg, around_server=server_leg) as bed:
        for number in range(3):
            sql = query(b"select %d" % number + b" " * 100)
            await bed.client.send_all(compressed_frame(0, sql, 6))
            assert await frame(bed.server) == (0, sql)
            await bed.server.send_all(compressed_frame(1, rows, 0) + compressed_frame(1, extra_ok(7), 0))
            assert await frame(bed.client) == (1, rows)
        with trio.fail_after(10):
            while bed.lane.traffic.statements < 3:
                await trio.lowlevel.checkpoint()
        assert not bed.lane.busy


async def test_a_frame_may_hold_two_commands_and_a_part_of_the_next(mode: str) -> None:
    """A server gets each in a frame of its own, the second one only when the first has been answered."""
    commands = [query(b"select %d" % number) for number in range(3)]
    async with open_bed(mode, around_client=client_leg, around_server=server_leg) as bed:
        await bed.client.send_all(compressed_frame(0, commands[0] + commands[1] + commands[2][:7], 6))
        for number, sql in enumerate(commands):
            assert await frame(bed.server) == (0, sql)
            if number == 1:
                await bed.client.send_all(compressed_frame(2, commands[2][7:], 6))
            await bed.server.send_all(compressed_frame(0, packet(1, PLAIN_OK + b"\0"), 0))
            assert (await frame(bed.client))[1] == packet(1, PLAIN_OK)


async def test_a_long_answer_waits_for_a_client_that_does_not_read(mode: str) -> None:
    """Not a byte is lost or sent twice when the sockets are full again and again."""
    row = bytes(range(256)) * 200
    rows = result(*[b"\xfd" + len(row).to_bytes(3, "little") + row] * 100)
    async with open_bed(mode, around_client=client_leg, around_server=server_leg) as bed:
        await bed.client.send_all(compressed_frame(0, query(b"select"), None))
        await frame(bed.server)
        pieces = [rows[at : at + 32768] for at in range(0, len(rows), 32768)]

        async def answer() -> None:
            for number, piece in enumerate(pieces, 1):
                await bed.server.send_all(compressed_frame(number & 0xFF, piece, 0))
            await bed.server.send_all(compressed_frame(len(pieces) & 0xFF, extra_ok(104), 0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await trio.testing.wait_all_tasks_blocked()
            seen, number = b"", 0
            while len(seen) < len(rows):
                found, data = await frame(bed.client)
                number += 1
                assert found == number & 0xFF
                seen += data
        assert seen == rows


@pytest.mark.parametrize(
    "bad", [b"\x05\0\0\0\x09\0\0junk!", compressed_frame(3, query(b"select 1"), 6), b"\0\0\0\0\x09\0\0"]
)
async def test_a_broken_frame_of_the_client_ends_the_session_as_its_fault(mode: str, bad: bytes) -> None:
    async with open_bed(mode, around_client=client_leg) as bed:
        await bed.client.send_all(bad)

        ended = await event_of(bed)

        assert isinstance(ended, Ended)
        assert (ended.why, ended.tell_seq) == (End.CLIENT_PROTOCOL, 1)
        assert "compressed frame" in str(ended.error)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x05\0\0\x01\x09\0\0junk!",
        compressed_frame(9, result(b"\x01a"), 0),
        compressed_frame(1, result(b"\x01a"), 0)[:-1] + b"\x55",
    ],
)
async def test_a_broken_frame_of_the_server_is_a_lost_connection(mode: str, bad: bytes) -> None:
    """Nothing of it is shown to the client; what becomes of the statement is ruled on as for any lost server."""
    async with open_bed(mode, around_server=server_leg) as bed:
        await bed.client.send_all(query(b"select 1"))
        await frame(bed.server)
        await bed.server.send_all(bad)

        failed = await event_of(bed)

        assert isinstance(failed, Failed)
        assert failed.unanswered
        assert "compressed frame" in str(failed.error)


async def test_a_command_is_not_sent_where_an_answer_lacks_its_end(mode: str) -> None:
    async with open_bed(mode, around_server=server_leg) as bed:
        await bed.client.send_all(query(b"select 1"))
        await frame(bed.server)
        await bed.server.send_all(compressed_frame(1, result(b"\x01a") + extra_ok(6), 0))
        assert await bed.at_client(len(result(b"\x01a"))) == result(b"\x01a")
        await bed.client.send_all(query(b"select 2"))

        failed = await event_of(bed)

        assert isinstance(failed, Failed)
        assert (failed.unanswered, failed.whole) == (True, False)
        assert "last compressed frame" in str(failed.error)
