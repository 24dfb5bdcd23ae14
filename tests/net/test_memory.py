"""Sockets in memory: what a socket does, what a reactor sees, and Trio's own expectations of a stream."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.net.memory import MemorySocket, connected_pair
from odp_trio.net.memory_stream import MemoryStream, open_duplex
from odp_trio.net.reactor import READ, WRITE, Reactor, open_reactor
from odp_trio.net.waiting import wait_readable, wait_writable


@asynccontextmanager
async def reacting(mode: str) -> AsyncIterator[Reactor]:
    reactor = open_reactor(mode)
    async with trio.open_nursery() as nursery:
        if not reactor.attached:
            nursery.start_soon(reactor.run_nested)
        try:
            yield reactor
        finally:
            reactor.close()
            nursery.cancel_scope.cancel()


def fail(error: Exception) -> None:
    raise error


async def test_a_socket_in_memory_is_a_socket() -> None:
    one, other = connected_pair(socket.AF_INET, ("10.0.0.1", 5), ("10.0.0.2", 6), capacity=8)
    assert isinstance(one, socket.socket)
    assert one.fileno() < -1
    assert one.getpeername() == ("10.0.0.2", 6) == other.getsockname()
    with pytest.raises(BlockingIOError):
        one.recv(1)
    assert one.send(b"0123456789") == 8
    with pytest.raises(BlockingIOError):
        one.send(b"89")
    buffer = bytearray(3)
    assert other.recv(1, socket.MSG_PEEK) == b"0"
    assert other.recv_into(buffer) == 3
    assert buffer == b"012"
    assert one.send(b"89") == 2
    one.shutdown(socket.SHUT_WR)
    assert other.recv(100) == b"3456789"
    assert other.recv(100) == b""
    assert other.send(b"back") == 4, "only one direction has ended"
    with pytest.raises(BrokenPipeError):
        one.send(b"x")
    assert one.recv(10) == b"back"
    other.close()
    assert one.recv(10) == b""
    assert other.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        other.recv(1)


async def test_bytes_left_unread_reset_the_connection() -> None:
    one, other = connected_pair()
    one.send(b"never read")
    other.close()
    with pytest.raises(ConnectionResetError):
        one.recv(1)
    assert one.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        one.send(b"x")


async def test_what_is_sent_to_a_closed_socket_brings_a_reset() -> None:
    one, other = connected_pair()
    other.close()
    assert one.send(b"x") == 1
    with pytest.raises(ConnectionResetError):
        one.send(b"y")


async def test_a_carrier_brings_bytes_and_the_end_later() -> None:
    one, other = connected_pair(capacity=4)
    under_way = []
    one.carried_by(under_way.append)
    assert one.send(b"abcdef") == 4
    with pytest.raises(BlockingIOError):
        one.send(b"ef")
    with pytest.raises(BlockingIOError):
        other.recv(4)
    one.close()
    under_way.pop(0)()
    assert other.recv(9) == b"abcd"
    with pytest.raises(BlockingIOError):
        other.recv(9)
    under_way.pop(0)()
    assert other.recv(9) == b""
    assert not under_way


async def test_an_attempt_that_fails_is_told_by_the_first_read() -> None:
    sock = MemorySocket(socket.AF_INET, ("10.0.0.1", 1))
    with pytest.raises(OSError, match="not connected"):
        sock.getpeername()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_readable, sock)
        await trio.testing.wait_all_tasks_blocked()
        sock.fail(errno.ECONNREFUSED)
    with pytest.raises(ConnectionRefusedError):
        sock.recv(1)


async def test_tasks_wait_for_bytes_and_for_room() -> None:
    one, other = connected_pair(capacity=4)
    one.send(b"full")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_writable, one)
        nursery.start_soon(wait_readable, one)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await wait_readable(one)
        assert other.recv(2) == b"fu"
        other.send(b"x")
    with trio.move_on_after(0) as scope:
        await wait_writable(other)
        await wait_readable(one)
        one.recv(1)
        await wait_readable(one)
    assert scope.cancelled_caught


@pytest.mark.parametrize("mode", ["auto", "nested"])
async def test_a_reactor_calls_back_as_for_sockets_of_the_kernel(mode: str) -> None:
    async with reacting(mode) as reactor:
        one, other = connected_pair(capacity=4)
        seen = bytearray()
        done = trio.Event()

        def ready(events: int) -> None:
            assert events & READ
            if data := one.recv(2):
                seen.extend(data)
                return
            reactor.unregister(one.fileno())
            done.set()

        reactor.register(one.fileno(), ready, fail)
        stream = MemoryStream(other)
        await stream.send_all(b"more than the buffer holds")
        await stream.aclose()
        await done.wait()
        assert seen == b"more than the buffer holds"
        one.close()


@pytest.mark.parametrize("mode", ["auto", "nested"])
async def test_what_a_callback_of_the_kernels_sends_wakes_a_task_at_once(mode: str) -> None:
    """The lane of a client in memory before a server on TCP: the callback runs while Trio believes that it sleeps."""
    async with reacting(mode) as reactor:
        here, there = socket.socketpair()
        session, client = open_duplex()
        here.setblocking(False)
        reactor.register(session.fileno(), lambda _: here.send(session.recv(100)) and None, fail)
        reactor.register(here.fileno(), lambda _: session.send(here.recv(100)) and None, fail)
        with trio.fail_after(5), there:
            for _ in range(3):
                await client.send_all(b"ask")
                assert await trio.to_thread.run_sync(there.recv, 100) == b"ask"
                async with trio.open_nursery() as nursery:

                    async def answered() -> None:
                        assert await client.receive_some() == b"answer"

                    nursery.start_soon(answered)
                    await trio.testing.wait_all_tasks_blocked()
                    await trio.to_thread.run_sync(there.send, b"answer")
        reactor.unregister(session.fileno())
        reactor.unregister(here.fileno())
        here.close()
        session.close()


async def test_watched_for_room_only() -> None:
    async with reacting("nested") as reactor:
        one, other = connected_pair(capacity=4)
        one.send(b"full")
        calls = []

        def ready(events: int) -> None:
            calls.append(events)
            reactor.unregister(one.fileno())

        reactor.register(one.fileno(), ready, fail, WRITE)
        await trio.testing.wait_all_tasks_blocked()
        assert not calls
        other.recv(1)
        await trio.testing.wait_all_tasks_blocked()
        assert calls == [WRITE]


async def test_a_listener_hands_out_connections() -> None:
    listener = MemorySocket(socket.AF_INET, ("10.0.0.1", 2883))
    server, _ = connected_pair(socket.AF_INET, ("10.0.0.1", 2883), ("10.0.0.9", 4000))
    assert not listener.offer(server), "it does not listen yet"
    listener.listen(1)
    assert listener.offer(server)
    assert not listener.offer(server), "the queue is full"
    await wait_readable(listener)
    assert listener.accept() == (server, ("10.0.0.9", 4000))
    with pytest.raises(BlockingIOError):
        listener.accept()


async def test_a_stream_that_nobody_has_any_more_is_closed() -> None:
    session, stream = open_duplex()
    await stream.send_all(b"a")
    assert session.recv(9) == b"a"

    del stream

    with trio.fail_after(5):
        assert await MemoryStream(session).receive_some() == b""
        assert session.fileno() != -1, "the other end is its own"


async def test_it_is_a_stream_as_trio_wants_one() -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        one, other = connected_pair()
        return MemoryStream(one), MemoryStream(other)

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        one, other = connected_pair(capacity=10)
        assert one.send(b"0123456789") == other.send(b"0123456789") == 10
        return MemoryStream(one), MemoryStream(other)

    await trio.testing.check_half_closeable_stream(make, make_clogged)


@given(st.binary(max_size=300), st.integers(1, 50), st.lists(st.integers(1, 60), min_size=1))
def test_bytes_come_whole_and_in_order(data: bytes, capacity: int, reads: list[int]) -> None:
    async def main() -> bytes:
        one, other = connected_pair(capacity=capacity)
        got = bytearray()
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await MemoryStream(one).send_all(data)
                one.close()

            nursery.start_soon(send)
            stream, turn = MemoryStream(other), 0
            while piece := await stream.receive_some(reads[turn % len(reads)]):
                got += piece
                turn += 1
        return bytes(got)

    assert trio.run(main) == data
