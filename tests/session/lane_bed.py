"""A lane between two socket pairs: the test plays both the client and the OBServer."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from odp_trio.model import Address
from odp_trio.net.reactor import Reactor, open_reactor
from odp_trio.net.stream import Stream
from odp_trio.observe import Traffic
from odp_trio.session.account import Account
from odp_trio.session.lane import Lane
from odp_trio.session.ports import UNMEASURED, Measures
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.server_set import Upstream
from odp_trio.session.upstream import ServerSession
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker

PLAIN_OK = b"\0\0\0\x22\0\0\0"
PROXY_OK = PLAIN_OK + b"\0"
EOF = b"\xfe\0\0\x22\0"
DEFINITION = b"\x03def" + b"\0" * 20


def query(sql: bytes) -> bytes:
    return packet(0, b"\x03" + sql)


def result(*rows: bytes, status: bytes = b"\x22\0", first_seq: int = 1) -> bytes:
    """A result set of one column, as a client sees it."""
    eof = b"\xfe\0\0" + status
    payloads = [b"\x01", DEFINITION, eof, *rows, eof]
    return b"".join(packet((first_seq + at) & 0xFF, payload) for at, payload in enumerate(payloads))


def extra_ok(seq: int, status: bytes = b"\x22\0") -> bytes:
    return packet(seq, b"\0\0\0" + status + b"\0\0\0")


class OneServer:
    """Routing where there is nothing to choose."""

    looks_at = 4096

    def __init__(self, upstream: Upstream, tracker: ResponseTracker, errnos: list[int], withheld: set[int]) -> None:
        self.watching = self.holds_transaction = False
        self.account = Account()
        self.reply = self.begun = b""
        self.begins: Upstream | None = None
        self._has_begun = False
        self._withheld = withheld
        self._upstream = upstream
        self._tracker = tracker
        self._errnos = errnos

    def choose(self, buffer: bytearray, end: int) -> Upstream | None:
        """As if a BEGIN were held, once, when there is one in ``begun``."""
        if self.begun and self.begins is None and not self._has_begun:
            self.begins, self._has_begun = self._upstream, True
            return None
        return self._upstream

    def answered(self) -> None:
        if self._tracker.errno:
            self._errnos.append(self._tracker.errno)

    def withholds(self, errno: int) -> bool:
        return errno in self._withheld

    def lost(self, upstream: Upstream, why: ServerEnd = ServerEnd.CLOSED_IDLE, detail: str = "") -> bool:
        return False


@dataclass
class Bed:
    """Both ends, and the lane between them."""

    client: trio.SocketStream
    server: trio.SocketStream
    lane: Lane
    reactor: Reactor
    errnos: list[int] = field(default_factory=list)
    withheld: set[int] = field(default_factory=set)

    async def ask(self, data: bytes) -> bytes:
        """Send as the client; return what the server gets."""
        await self.client.send_all(data)
        return await self.at_server(len(data))

    async def at_server(self, count: int) -> bytes:
        return await receive_exactly(self.server, count)

    async def at_client(self, count: int) -> bytes:
        return await receive_exactly(self.client, count)

    async def answer(self, data: bytes, *, seen: bytes | None = None) -> None:
        """Send as the server and check what the client sees: ``data`` unless told otherwise."""
        await self.server.send_all(data)
        expected = data if seen is None else seen
        assert await self.at_client(len(expected)) == expected


async def receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    received = bytearray()
    with trio.fail_after(10):
        while len(received) < count:
            data = await stream.receive_some(count - len(received))
            assert data, f"closed after {bytes(received[:80])!r}"
            received += data
    return bytes(received)


Around = Callable[[socket.socket], Stream]
"""Puts a stream around one of the lane's sockets."""


def as_it_is(sock: socket.socket) -> Stream:
    """Nothing is put around it."""
    return sock


@asynccontextmanager
async def open_bed(
    mode: str = "inside",
    *,
    session_track: bool = False,
    early: bytes = b"",
    around_client: Around = as_it_is,
    around_server: Around = as_it_is,
    meter: Measures = UNMEASURED,
) -> AsyncIterator[Bed]:
    reactor = open_reactor(mode)
    pairs = [socket.socketpair() for _ in range(2)]
    for left, right in pairs:
        left.setblocking(False)
        right.setblocking(False)
    (client_far, client_near), (server_far, server_near) = pairs
    client = trio.SocketStream(trio.socket.from_stdlib_socket(client_far))
    server = trio.SocketStream(trio.socket.from_stdlib_socket(server_far))
    errnos: list[int] = []
    withheld: set[int] = set()
    tracker = ResponseTracker(session_track=session_track)
    upstream = Upstream(
        ServerSession(Address("127.0.0.1", 2881), server_near, around_server(server_near), 1, b""),
        reactor,
        lambda _: None,
    )
    lane = Lane(
        reactor,
        around_client(client_near),
        upstream,
        tracker,
        Traffic(),
        OneServer(upstream, tracker, errnos, withheld),
        meter,
    )
    async with trio.open_nursery() as nursery:
        if not reactor.attached:
            nursery.start_soon(reactor.run_nested)
        lane.open(early)
        try:
            yield Bed(client, server, lane, reactor, errnos, withheld)
        finally:
            lane.close()
            assert reactor.sockets == 0
            client_near.close()
            server_near.close()
            await client.aclose()
            await server.aclose()
            nursery.cancel_scope.cancel()
    reactor.close()
