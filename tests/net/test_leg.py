"""A leg over a coded stream: bytes that no descriptor reports are called back about."""

from __future__ import annotations

import socket

import trio
import trio.testing

from odp_trio.net.leg import Leg
from odp_trio.net.reactor import AGAIN, READ, open_reactor


class Doubling:
    """A stream that decodes every byte into two; it gives out as much as there is room for, and keeps the rest."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.held = sock, b""
        self.fileno, self.send, self.shutdown, self.close = sock.fileno, sock.send, sock.shutdown, sock.close

    @property
    def pending(self) -> bool:
        return bool(self.held)

    def recv(self, size: int, /) -> bytes:
        raise NotImplementedError

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        if not self.held:
            self.held = b"".join(bytes((byte, byte)) for byte in self.sock.recv(100))
        given, self.held = self.held[: len(buffer)], self.held[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)


async def test_held_bytes_are_called_back_about_until_none_is_left_and_only_while_it_reads() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    reactor = open_reactor()
    got, events_seen, errors = b"", [], []
    buffer = bytearray(4)

    def on_ready(events: int) -> None:
        nonlocal got
        events_seen.append(events)
        if not leg.reading:
            return
        got += bytes(buffer[: leg.receive(buffer)])
        if len(got) in (8, 14):
            leg.read_on(False)
            reactor.wake(task)

    async def woken() -> None:
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    task = trio.lowlevel.current_task()
    leg = Leg(reactor, Doubling(near), on_ready, errors.append)
    try:
        leg.open()
        far.send(b"abcdefg")
        await woken()
        assert got == b"aabbccdd"
        assert events_seen == [READ, READ | AGAIN]
        await trio.testing.wait_all_tasks_blocked()
        assert got == b"aabbccdd", "nobody reads"
        leg.read_on(True)
        await woken()
        assert got == b"aabbccddeeffgg"
    finally:
        leg.close()
        reactor.close()
        near.close()
        far.close()
