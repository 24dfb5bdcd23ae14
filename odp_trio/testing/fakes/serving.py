"""Fake OBServers on streams: the only part that knows Trio."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol, final, runtime_checkable

import trio

from odp_trio.model import Address
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.connection import FakeConnection
from odp_trio.testing.fakes.records import FakeServer
from odp_trio.testing.fakes.session import Pause
from odp_trio.testing.live import free_port

CHUNK_BYTES: Final = 65536
_BACKLOG: Final = 1024
_SPARE: Final = 5


@runtime_checkable
class Resettable(Protocol):
    """A stream, not of the kernel's, whose connection can be reset."""

    def reset(self) -> None:
        """Close it at once, and reset the connection."""


_LOST: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


async def serve_observer(cluster: FakeCluster, address: Address, stream: trio.abc.Stream) -> None:
    """Be the OBServer at an address for one client; return when the connection is gone.  The stream is closed.

    Where nobody listens at that address the stream is closed without a word.
    """
    connection = cluster.connect(address)
    if connection is None:
        await trio.aclose_forcefully(stream)
        return
    try:
        async with trio.open_nursery() as nursery:

            def reset() -> None:
                _reset(stream)
                nursery.cancel_scope.cancel()

            connection.reset = reset
            serving = _Serving(connection, stream)
            nursery.start_soon(serving.read, nursery.cancel_scope)
            await serving.answer()
            nursery.cancel_scope.cancel()
    finally:
        connection.lost()
        await trio.aclose_forcefully(stream)


@final
class _Serving:
    """The two tasks of one connection: one reads, also while a statement waits, and one answers."""

    def __init__(self, connection: FakeConnection, stream: trio.abc.Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._woken = trio.Event()
        self._has_left = False
        connection.wake = self._wake

    def _wake(self) -> None:
        self._woken.set()

    async def read(self, scope: trio.CancelScope) -> None:
        """Feed what comes; end everything when the client is gone, at once or when what it has sent is done."""
        with suppress(*_LOST):
            while data := await self._stream.receive_some(CHUNK_BYTES):
                self._connection.feed(bytes(data))
                self._wake()
        if self._connection.cluster.finishes:
            self._has_left = True
            self._wake()
        else:
            scope.cancel()

    async def answer(self) -> None:
        """Send what the connection has to say until it ends."""
        connection = self._connection
        with suppress(*_LOST):
            while not connection.ended:
                step = connection.step(trio.current_time())
                if isinstance(step, bytes):
                    if step:
                        await self._stream.send_all(step)
                    continue
                if step is None and self._has_left:
                    return
                if isinstance(step, Pause) and step.until is not None:
                    with trio.move_on_at(step.until):
                        await self._woken.wait()
                else:
                    await self._woken.wait()
                self._woken = trio.Event()


def _reset(stream: trio.abc.Stream) -> None:
    """Have a stream's end be a reset instead of a clean close."""
    if isinstance(stream, Resettable):
        stream.reset()
    elif isinstance(stream, trio.SocketStream):
        with contextlib.suppress(OSError):
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@final
class _Listeners:
    """One listener for each OBServer that accepts connections."""

    def __init__(self, cluster: FakeCluster, nursery: trio.Nursery) -> None:
        self._cluster = cluster
        self._nursery = nursery
        self._open: dict[int, trio.SocketListener] = {}

    def changed(self, server: FakeServer) -> None:
        """Listen, or listen no more."""
        if server.listening and server.number not in self._open:
            address = server.address
            sock = socket.create_server((address.ip, address.port), backlog=_BACKLOG)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
            self._open[server.number] = listener
            self._nursery.start_soon(self._accept, listener, address)
        elif not server.listening and (known := self._open.pop(server.number, None)) is not None:
            known.socket.close()

    async def _accept(self, listener: trio.SocketListener, address: Address) -> None:
        with contextlib.closing(listener.socket):
            while True:
                try:
                    stream = await listener.accept()
                except (trio.ClosedResourceError, OSError):
                    return
                self._nursery.start_soon(serve_observer, self._cluster, address, stream)


@asynccontextmanager
async def open_fake_cluster(
    *,
    observers: int = 3,
    port: int = 0,
    cluster: str = "demo",
    tenants: Iterable[str] = ("sys", "mytenant"),
    seed: int = 0,
) -> AsyncIterator[FakeCluster]:
    """Run fake OBServers on 127.0.0.1, 127.0.0.2 … for the length of the block."""
    port = port or free_port([f"127.0.0.{number + 1}" for number in range(observers + _SPARE)])
    made = FakeCluster(observers=observers, port=port, name=cluster, tenants=tenants, seed=seed)
    async with trio.open_nursery() as nursery:
        listeners = _Listeners(made, nursery)
        made.listening_changed = listeners.changed
        for server in made.servers.values():
            listeners.changed(server)
        try:
            yield made
        finally:
            nursery.cancel_scope.cancel()
