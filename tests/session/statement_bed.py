"""A router over three server sessions that a test answers for: each keeps the statements that it is given."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio

from odp_trio.errors import ServerProtocolError
from odp_trio.net.reactor import open_reactor
from odp_trio.observe import Counts
from odp_trio.routing.own_rules import rule_set
from odp_trio.session.preparing import Preparing
from odp_trio.session.router import Router
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.session.upstream import ServerSession
from odp_trio.sql.cache import Statements
from odp_trio.wire.command import Com
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.response import ResponseTracker
from tests.routing.world import THREE_IDCS, World, address
from tests.session.lane_bed import PROXY_OK

EOF = b"\xfe\0\0\x22\0"
DEFINITION = b"\x03def" + b"\0" * 20


def err(errno: int, message: bytes = b"no") -> bytes:
    return b"\xff" + errno.to_bytes(2, "little") + b"#HY000" + message


@dataclass
class FakeServer:
    """The other end of one server session: counts its own ids, answers every command, and keeps what it was told."""

    number: int
    errors: dict[bytes, list[int]] = field(default_factory=dict)
    """Error numbers of the next answers to a payload."""
    commands: list[bytes] = field(default_factory=list)
    last_id: int = 0

    def answer(self, payload: bytes) -> bytes:
        """Return the packets of an answer."""
        if errnos := self.errors.get(payload):
            return packet(1, err(errnos.pop(0))) + packet(2, PROXY_OK)
        match payload[0]:
            case Com.STMT_CLOSE | Com.STMT_SEND_LONG_DATA:
                return b""
            case Com.STMT_PREPARE:
                self.last_id += self.number
                count = payload.count(b"?")
                ok = b"\0" + self.last_id.to_bytes(4, "little") + b"\0\0" + count.to_bytes(2, "little") + b"\0\0\0"
                payloads = [ok, *([DEFINITION] * count + [EOF] if count else []), PROXY_OK]
                return b"".join(packet(at + 1, each) for at, each in enumerate(payloads))
            case _:
                return packet(1, PROXY_OK)

    async def heard(self, count: int) -> list[bytes]:
        """Wait for so many commands, and return all."""
        with trio.fail_after(10):
            while len(self.commands) < count:
                await trio.lowlevel.checkpoint()
        return self.commands

    async def serve(self, sock: socket.socket) -> None:
        reader = PacketReader(ServerProtocolError)
        with sock:
            while True:
                await trio.lowlevel.wait_readable(sock)
                data = sock.recv(65536)
                if not data:
                    return
                reader.feed(data)
                while (found := reader.next_packet()) is not None:
                    self.commands.append(found[1])
                    with suppress(BrokenPipeError, ConnectionResetError):  # who asked may be gone
                        sock.send(self.answer(found[1]))


@dataclass
class StatementBed:
    """Three servers, numbered 1 to 3."""

    router: Router
    preparing: Preparing
    counts: Counts
    fakes: dict[int, FakeServer]
    upstreams: dict[int, Upstream]

    @property
    def statements(self) -> Any:
        return self.router.statements

    def read(self, payload: bytes) -> bool:
        data = bytearray(packet(0, payload))
        return self.router.read(data, len(data))


@asynccontextmanager
async def open_statement_bed() -> AsyncIterator[StatementBed]:
    from tests.session.test_router import Lent

    world, servers, tracker, counts = World(THREE_IDCS), ServerSet(), ResponseTracker(), Counts()
    reactor = open_reactor("nested")
    lent = Lent(world)
    router = Router(
        world.view.key, "app", world.state, servers, tracker, Statements(), lent, lent, rule_set(), 5, 4096
    )  # fmt: skip
    fakes, upstreams = {}, {}
    async with trio.open_nursery() as nursery:
        for number in (1, 2, 3):
            far, near = socket.socketpair()
            far.setblocking(False)
            near.setblocking(False)
            fakes[number] = FakeServer(number)
            session = ServerSession(address(number), near, near, number, b"")
            upstreams[number] = Upstream(session, reactor, servers.closed_idle)
            servers.add(upstreams[number])
            nursery.start_soon(fakes[number].serve, far)
        try:
            yield StatementBed(router, Preparing(router, lambda: 5.0, counts), counts, fakes, upstreams)
        finally:
            nursery.cancel_scope.cancel()
            servers.close()
    reactor.close()
