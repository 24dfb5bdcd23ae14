"""A network in memory before a fake cluster: a proxy on it needs no socket of the kernel's, and no thread to ask."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, final

import trio

from odp_trio.app.connection import Connection, ConnectionLost
from odp_trio.errors import ConnectFailed
from odp_trio.model import Address
from odp_trio.net.connect import SocketOptions
from odp_trio.net.listener import bind
from odp_trio.net.memory import MemorySocket
from odp_trio.net.memory_stream import MemoryStream, open_duplex
from odp_trio.net.network import AskServer
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.serving import serve_observer
from odp_trio.wire.answers import StatementFailed

if TYPE_CHECKING:
    import httpx

_PROXY: Final = ("127.0.0.1", 0)
_WRONG_PASSWORD: Final = 1045


@final
class FakeNetwork:
    """What a proxy asks of the machine: for ``open_proxy(network=...)``.  Clients' ports are the kernel's."""

    http_transport: Callable[[], httpx.AsyncBaseTransport] | None = None
    listen = staticmethod(bind)

    def __init__(self, clusters: Sequence[FakeCluster], nursery: trio.Nursery) -> None:
        self._clusters = clusters
        self._nursery = nursery
        self.ask_server: AskServer | None = self._ask

    def begin_connection(self, address: Address, options: SocketOptions) -> socket.socket:
        """Connect to an OBServer; where nobody listens, the socket says so when it is asked."""
        del options
        cluster = self._at(address)
        if cluster is None:
            refused = MemorySocket(socket.AF_INET, _PROXY)
            refused.fail(errno.ECONNREFUSED)
            return refused
        ours, theirs = open_duplex(socket.AF_INET, _PROXY, (address.ip, address.port))
        self._nursery.start_soon(serve_observer, cluster, address, theirs)
        return ours

    async def connect(self, address: Address, timeout: float, options: SocketOptions) -> socket.socket:
        """Connect to an OBServer; raise ConnectFailed where nobody listens."""
        del timeout
        await trio.lowlevel.checkpoint()
        if self._at(address) is None:
            raise ConnectFailed(f"{address}: connection refused")
        return self.begin_connection(address, options)

    def _at(self, address: Address) -> FakeCluster | None:
        for cluster in self._clusters:
            server = cluster.server_at(address)
            if server is not None and server.listening:
                return cluster
        return None

    async def _ask(
        self, user: str, passwords: Sequence[str], sql: str, address: Address
    ) -> Sequence[Mapping[str, Any]]:
        for password in passwords:
            try:
                return await ask(self._stream(address), user, password, sql)
            except StatementFailed as exc:
                if exc.errno != _WRONG_PASSWORD or password == passwords[-1]:
                    raise
        raise OSError(errno.EACCES, "no password")

    def _stream(self, address: Address) -> MemoryStream:
        sock = self.begin_connection(address, SocketOptions())
        assert isinstance(sock, MemorySocket)
        if sock.is_joined_to() is None:
            sock.close()
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return MemoryStream(sock)


async def ask(stream: MemoryStream, user: str, password: str, sql: str) -> Sequence[Mapping[str, Any]]:
    """Ask an OBServer on a new connection; return the rows by lower-case column names.

    Raises StatementFailed, also for a login that is refused, and OSError when the connection is lost.
    """
    try:
        async with await Connection.log_in(stream, user, password, "") as connection:
            result = await connection.query(sql)
    except ConnectionLost as exc:
        raise OSError(errno.ECONNRESET, str(exc)) from exc
    names = [name.lower() for name in result.columns]
    return [dict(zip(names, row, strict=True)) for row in result.rows]


@asynccontextmanager
async def open_fake_network(*clusters: FakeCluster) -> AsyncIterator[FakeNetwork]:
    """Serve fake clusters in memory for the length of the block."""
    async with trio.open_nursery() as nursery:
        try:
            yield FakeNetwork(clusters, nursery)
        finally:
            nursery.cancel_scope.cancel()
