"""The network of a simulation: the proxy's port, the OBServers, the config server; all in memory."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, final

import httpx
import trio

from odp_trio.errors import ConnectFailed
from odp_trio.model import Address
from odp_trio.net.connect import SocketOptions
from odp_trio.net.memory import MemorySocket, connected_pair
from odp_trio.net.memory_stream import MemoryStream, open_duplex
from odp_trio.net.network import AskServer
from odp_trio.net.waiting import wait_writable
from odp_trio.testing.fakes import metadata
from odp_trio.testing.fakes.answers import SQLError
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import ask
from odp_trio.testing.fakes.records import FakeServer
from odp_trio.testing.fakes.serving import serve_observer
from odp_trio.testing.simulation.config import ConfigServer
from odp_trio.testing.simulation.line import Line
from odp_trio.wire.answers import StatementFailed

PROXY: Final = "10.8.0.1"
_CAPACITIES: Final = (65536, 65536, 65536, 4096, 512)
"""Of connections: some have so little room that everything comes in pieces."""
_EPHEMERAL: Final = 20_000
_IN_BYTES: Final = 0.02
"""Share of metadata queries that are asked over a connection: the others skip login and packets, which cost much."""
_TRY_SECONDS: Final = 1.0


@final
class MemoryNetwork:
    """A ``net.network.Network`` before fake OBServers; their connections are served in ``nursery``."""

    def __init__(self, cluster: FakeCluster, config: ConfigServer, rng: Random, nursery: trio.Nursery) -> None:
        self._cluster, self._config, self._rng, self._nursery = cluster, config, rng, nursery
        self._listener: MemorySocket | None = None
        self._ports = _EPHEMERAL
        self._made: list[MemorySocket] = []
        self.lost_hosts: set[int] = set()
        """Numbers of OBServers from which nothing comes back."""
        self.cuts: Counter[int] = Counter()
        """How many connections are still to be cut, by OBServer."""
        self.ask_server: AskServer | None = self._ask
        self.http_transport: Callable[[], httpx.AsyncBaseTransport] | None = lambda: config

    @property
    def open_sockets(self) -> int:
        """How many sockets of the proxy are open, its listeners included."""
        self._made = [sock for sock in self._made if sock.fileno() != -1]
        return len(self._made)

    def _own(self, sock: MemorySocket) -> MemorySocket:
        self._made.append(sock)
        return sock

    def _port(self) -> int:
        self._ports = _EPHEMERAL + (self._ports - _EPHEMERAL + 1) % 40_000
        return self._ports

    # ---- clients ----------------------------------------------------------------------

    def listen(self, ip: str, port: int, backlog: int) -> socket.socket:
        """Open the proxy's port."""
        listener = self._listener = self._own(MemorySocket(socket.AF_INET, (ip, port or 2883)))
        listener.listen(backlog)
        return listener

    def dial(self) -> MemorySocket:
        """Connect to the proxy as a client; raise ConnectFailed where nobody listens."""
        capacity = self._rng.choice(_CAPACITIES)
        there, here = connected_pair(
            socket.AF_INET, (PROXY, 2883), (f"10.1.0.{self._rng.randrange(1, 250)}", self._port()), capacity=capacity
        )
        if self._listener is None or not self._listener.offer(there):
            raise ConnectFailed("Connection refused")
        self._own(there)
        return here

    # ---- OBServers ----------------------------------------------------------------------

    def begin_connection(self, address: Address, options: SocketOptions) -> socket.socket:
        """Begin to connect to an OBServer."""
        del options
        return self._own(self._connected(address))

    def _connected(self, address: Address) -> MemorySocket:
        server = self._cluster.server_at(address)
        here = (PROXY, self._port())
        if server is None or server.number in self.lost_hosts:
            return MemorySocket(socket.AF_INET, here)
        if not server.listening:
            sock = MemorySocket(socket.AF_INET, here)
            sock.fail(errno.ECONNREFUSED)
            return sock
        capacity = self._rng.choice(_CAPACITIES)
        sock, stream = open_duplex(socket.AF_INET, here, (address.ip, address.port), capacity=capacity)
        line = Line(stream, server.number, self.cuts, self._rng)
        self._nursery.start_soon(serve_observer, self._cluster, address, line)
        return sock

    async def connect(self, address: Address, timeout: float, options: SocketOptions) -> socket.socket:
        """Connect to an OBServer within a time."""
        sock = self.begin_connection(address, options)
        with trio.move_on_after(timeout):
            try:
                await wait_writable(sock)
            except BaseException:
                sock.close()
                raise
            if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                sock.close()
                raise ConnectFailed(f"{address}: {OSError(code, '').errno}")
            return sock
        sock.close()
        raise ConnectFailed(f"{address}: no answer to a connection attempt within {timeout:g} s")

    async def _ask(
        self, user: str, passwords: Sequence[str], sql: str, address: Address
    ) -> Sequence[Mapping[str, Any]]:
        """Answer a metadata query as the OBServer would, most often without its bytes."""
        server = self._reached(address)
        while server is None or server.number in self.lost_hosts:
            await trio.sleep(_TRY_SECONDS)
            server = self._cluster.server_at(address)
            if server is not None and server.number not in self.lost_hosts:
                raise OSError(errno.ECONNRESET, "Connection reset by peer")
        if server.frozen or self._rng.random() < _IN_BYTES:
            return await ask(MemoryStream(self._connected(address)), user, passwords[0], sql)
        if server.slow:
            await trio.sleep(server.slow)
        if not server.listening:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        return self._answer(sql)

    def _answer(self, sql: str) -> Sequence[Mapping[str, Any]]:
        try:
            found = metadata.answer(self._cluster, sql)
            if found is None:
                raise ValueError("no metadata query that is known")
        except SQLError as exc:
            raise StatementFailed(exc.errno, exc.message, exc.sqlstate) from exc
        except Exception as exc:
            self._cluster.note_failure(sql, exc)
            raise
        columns, rows = found
        names = [column.name.lower() for column in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _reached(self, address: Address) -> FakeServer | None:
        server = self._cluster.server_at(address)
        if server is not None and server.number not in self.lost_hosts and not server.listening:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        return server
