"""OBServers of a test bed: listeners on loopback addresses, each with its relays and its faults."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final, final

import trio

from odp_trio.testing.faults import Faults
from odp_trio.testing.participants import Transactions
from odp_trio.testing.relay import Relay, Statement

RECORDED: Final = 20_000
_BACKLOG: Final = 1024
_PAUSE: Final = 0.05


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
        self._listener: trio.SocketListener | None = None

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
        return self._listener is not None

    def listen(self) -> None:
        """Accept connections from now on."""
        if self._listener is not None:
            return
        sock = socket.create_server((self.ip, self.port), backlog=_BACKLOG)
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        self._nursery.start_soon(self._accept, self._listener)

    def refuse(self) -> None:
        """Refuse new connections from now on; those that are open go on."""
        if self._listener is not None:
            self._listener.socket.close()
            self._listener = None

    async def drop_connections(self) -> None:
        """Reset every open connection; return when they are gone."""
        relays = tuple(self._relays)
        for relay in relays:
            relay.reset()
        for relay in relays:
            await relay.ended.wait()

    async def _accept(self, listener: trio.SocketListener) -> None:
        with contextlib.closing(listener.socket):
            while True:
                try:
                    client = await listener.accept()
                except trio.ClosedResourceError:
                    return
                except OSError:  # no descriptor is left
                    await trio.sleep(_PAUSE)
                    continue
                self.connections += 1
                # Known from here on: a kill that comes before the task runs ends this connection too.
                relay = self._relay(client)
                self._relays.add(relay)
                self._nursery.start_soon(self._serve, relay)

    def _relay(self, client: trio.SocketStream) -> Relay:
        bed = self._bed
        number = next(bed.numbers)
        return Relay(
            number, self.number, client, self._kernel_port, self.faults, bed.tenants, bed.note, bed.transactions
        )

    async def _serve(self, relay: Relay) -> None:
        try:
            await relay.run()
        finally:
            self._relays.discard(relay)


@final
class Shared:
    """What the OBServers of one bed have in common: the record, the tenants, the count of connections."""

    def __init__(self, tenants: Callable[[], frozenset[str]]) -> None:
        self.tenants = tenants
        self.numbers = count(1)
        self.transactions = Transactions()
        self.record: deque[Statement] = deque(maxlen=RECORDED)

    def note(self, statement: Statement) -> None:
        """Keep a statement; the oldest goes when there are too many."""
        self.record.append(statement)
