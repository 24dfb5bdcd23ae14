"""Whole packets of one peer: how long it is waited for, what is kept of what it sends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from odp_trio.errors import ClientProtocolError, OutOfOrder
from odp_trio.net.channel import PacketChannel, PeerTooSlow
from odp_trio.net.connect import SocketOptions, tune, tune_listener
from odp_trio.wire.packets import packet

Pair = tuple[PacketChannel, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield PacketChannel(near, ClientProtocolError), far


async def test_a_packet_that_does_not_come_is_waited_for_so_long(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    channel, far = pair
    channel.read_limit = 30.0
    far.sendall(packet(0, b"\x03select 1")[:8])

    with pytest.raises(PeerTooSlow, match="8 bytes in 30 s"):
        await channel.receive()
    assert trio.current_time() == pytest.approx(30, abs=0.1)


async def test_dribbling_helps_only_as_far_as_it_brings_4_kib_in_that_time(pair: Pair) -> None:
    channel, far = pair
    channel.read_limit = 0.5
    far.sendall(packet(0, b"x" * 10_000)[:1000])

    async def dribble(piece: int, pause: float) -> None:
        while True:
            far.sendall(b"x" * piece)
            await trio.sleep(pause)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dribble, 1, 0.05)
        with trio.fail_after(5), pytest.raises(PeerTooSlow):
            await channel.receive()
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dribble, 1500, 0.15)  # too slow for 4 KiB in a step of 0.25 s, quick enough for 0.5 s
        with trio.fail_after(5):
            _, payload = await channel.receive()
        nursery.cancel_scope.cancel()
    assert len(payload) == 10_000


async def test_a_peer_that_takes_nothing_is_waited_for_so_long(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    channel, _ = pair
    channel.write_limit = 60.0
    with pytest.raises(PeerTooSlow, match="nothing was taken for 60 s"):
        await channel.send(b"x" * (8 << 20))


async def test_a_command_of_any_length_is_discarded_and_what_follows_is_kept(pair: Pair) -> None:
    channel, far = pair
    long = packet(0, b"\x03" + b"x" * (17 << 20))
    far.setblocking(False)

    async def send() -> None:
        view = memoryview(long + packet(0, b"\x0e"))
        while view:
            await trio.lowlevel.wait_writable(far)
            view = view[far.send(view) :]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        with trio.fail_after(20):
            channel.unread(b"")
            await channel.discard_command()
            assert await channel.receive() == (0, b"\x0e")


async def test_a_discarded_command_begins_with_packet_0(pair: Pair) -> None:
    channel, far = pair
    far.sendall(packet(1, b"\x03select 1"))
    with pytest.raises(OutOfOrder):
        await channel.discard_command()


def test_socket_options_reach_the_kernel() -> None:
    with socket.socket() as sock:
        tune(sock, SocketOptions(7, 3, 2, user_timeout=9, receive_bytes=65536))
        tcp = socket.IPPROTO_TCP
        assert sock.getsockopt(tcp, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        assert [sock.getsockopt(tcp, option) for option in options] == [7, 3, 2, 9000]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 65536  # as Linux counts


def test_options_of_a_listener_are_those_of_what_it_accepts() -> None:
    tcp = socket.IPPROTO_TCP
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accepted() -> list[int]:
            with socket.create_connection(listener.getsockname()), listener.accept()[0] as sock:
                return [sock.getsockopt(level, option) for level, option in asked]

        asked = (
            (tcp, socket.TCP_NODELAY),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (tcp, socket.TCP_KEEPIDLE),
            (tcp, socket.TCP_KEEPINTVL),
            (tcp, socket.TCP_KEEPCNT),
            (tcp, socket.TCP_USER_TIMEOUT),
        )
        untold = accepted()
        tune_listener(listener, SocketOptions(7, 3, 2, user_timeout=9))
        assert [bool(value) for value in accepted()[:2]] == [True, True]
        assert accepted()[2:] == [7, 3, 2, 9000]
        tune_listener(listener, SocketOptions(0, 0, 0, flags=0))
        assert accepted() == untold, "what is 0 is the kernel's again"


def test_socket_options_that_are_not_wanted_are_left_alone() -> None:
    with socket.socket() as sock, socket.socket() as plain:
        tune(sock, SocketOptions(flags=0))
        for option in (socket.TCP_NODELAY, socket.TCP_KEEPIDLE):
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == plain.getsockopt(socket.IPPROTO_TCP, option)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
