"""What the proxy asks of the machine that it runs on; the kernel by default, something else in a simulation."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from odp_trio.model import Address
from odp_trio.net.connect import SocketOptions, begin_connection, connect
from odp_trio.net.listener import bind

if TYPE_CHECKING:
    import httpx

AskServer = Callable[[str, Sequence[str], str, Address], Awaitable[Sequence[Mapping[str, Any]]]]
"""Runs a metadata query: user, passwords to try in turn, SQL, server.  Rows have lower-case column names."""


class Network(Protocol):
    """Where connections come from and go to.  ``KERNEL`` is the real one.

    A socket of another network is a ``socket.socket`` by type too: see ``net.memory``.
    """

    def listen(self, ip: str, port: int, backlog: int) -> socket.socket:
        """Open a listening socket; raise OSError naming the address."""
        ...

    def begin_connection(self, address: Address, options: SocketOptions) -> socket.socket:
        """Begin to connect to an OBServer; raise ConnectFailed if that fails at once.

        The socket becomes readable when the server speaks, or when the attempt has failed.
        """
        ...

    async def connect(self, address: Address, timeout: float, options: SocketOptions) -> socket.socket:
        """Connect to an OBServer within ``timeout`` seconds; raise ConnectFailed, with nothing sent."""
        ...

    @property
    def ask_server(self) -> AskServer | None:
        """How a server is asked about metadata; None: in threads, over the kernel's sockets."""
        ...

    @property
    def http_transport(self) -> Callable[[], httpx.AsyncBaseTransport] | None:
        """What makes the transport to the config server, in a thread; None: httpx's own."""
        ...


@final
class Kernel:
    """The sockets of the operating system."""

    ask_server: AskServer | None = None
    http_transport: Callable[[], httpx.AsyncBaseTransport] | None = None
    listen = staticmethod(bind)
    begin_connection = staticmethod(begin_connection)
    connect = staticmethod(connect)


KERNEL: Final[Network] = Kernel()
