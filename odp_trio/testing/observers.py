"""OBServers of a test bed: listeners on loopback addresses, each with its relays and its faults."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final, final

import trio

from odp_trio.testing.faults import Faults
from odp_trio.testing.relay import Relay, Statement

RECORDED: Final = 20_000
_BACKLOG: Final = 1024


@final
class Observer:
    """One OBServer: ``127.0.0.<number+1>`` and the port that all of a bed share."""

    def __init__(self, number: int, port: int, kernel_port: int, nursery: trio.Nursery, bed: Shared) -> None:
        self.number = number
        self.ip = f"127.0.0.{number + 1}"
        self.port = port
        self.faults = Faults()
        self.connections = 0
        self._kernel_port = kernel_port
        self._nursery = nursery
        self._bed = bed
        self._relays: set[Relay] = set()
        self._accepting: trio.CancelScope | None = None

    @property
    def address(self) -> str:
        """``ip:port``."""
        return f"{self.ip}:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections are relayed now."""
        return len(self._relays)

    @property
    def listening(self) -> bool:
        """Whether new connections are accepted."""
        return self._accepting is not None

    def listen(self) -> None:
        """Accept connections from now on."""
        if self._accepting is not None:
            return
        listener = socket.create_server((self.ip, self.port), backlog=_BACKLOG)
        scope = self._accepting = trio.CancelScope()
        self._nursery.start_soon(self._accept, trio.socket.from_stdlib_socket(listener), scope)

    def refuse(self) -> None:
        """Refuse new connections; those that are open go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None

    def drop_connections(self) -> None:
        """Reset every open connection."""
        for relay in tuple(self._relays):
            relay.reset()
            relay.scope.cancel()

    async def _accept(self, listener: trio.socket.SocketType, scope: trio.CancelScope) -> None:
        with scope, listener:
            while True:
                sock, _ = await listener.accept()
                self.connections += 1
                self._nursery.start_soon(self._serve, trio.SocketStream(sock))

    async def _serve(self, client: trio.SocketStream) -> None:
        try:
            server = await trio.open_tcp_stream("127.0.0.1", self._kernel_port)
        except OSError:
            await trio.aclose_forcefully(client)
            return
        relay = Relay(
            next(self._bed.numbers), self.number, client, server, self.faults, self._bed.tenants, self._bed.note
        )
        self._relays.add(relay)
        try:
            with relay.scope:
                await relay.run()
        finally:
            self._relays.discard(relay)


@final
class Shared:
    """What the OBServers of one bed have in common: the record, the tenants, the count of connections."""

    def __init__(self, tenants: Callable[[], frozenset[str]]) -> None:
        self.tenants = tenants
        self.numbers = count(1)
        self.record: deque[Statement] = deque(maxlen=RECORDED)

    def note(self, statement: Statement) -> None:
        """Keep a statement; the oldest goes when there are too many."""
        self.record.append(statement)
