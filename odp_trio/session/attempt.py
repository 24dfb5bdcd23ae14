"""One attempt to log in to a server on a client's behalf, which may be broken off.

A server that has ceased to answer would hold the client for the whole
``connect_timeout``: when the prober finds out meanwhile, the attempt ends and
the next server is tried.  When the client leaves, nobody waits any more.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from select import EPOLLRDHUP
from typing import TypeVar, final

import trio

from odp_trio.errors import ConnectFailed
from odp_trio.model import Address
from odp_trio.net.channel import PeerGone
from odp_trio.net.reactor import Reactor

T = TypeVar("T")


class ClientLeft(PeerGone):
    """The client closed its connection while a server was being logged in to; ``seconds`` is for how long."""

    def __init__(self, address: Address, seconds: float) -> None:
        super().__init__(f"the client left while {address} was being connected to for {seconds:.3g} s")
        self.address = address
        self.seconds = seconds


@final
class Attempt:
    """An attempt under way; ``since``: when it was begun, if not now."""

    __slots__ = ("_broken_off", "_client", "_reactor", "_scope", "_since", "address")

    def __init__(self, address: Address, client: socket.socket, reactor: Reactor, since: float | None = None) -> None:
        self.address = address
        self._since = since
        self._client = client
        self._reactor = reactor
        self._scope = trio.CancelScope()
        self._broken_off = ""

    def break_off(self, why: str) -> None:
        """End it: its caller gets ConnectFailed."""
        self._broken_off = self._broken_off or why
        self._scope.cancel()

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what ``work`` does; raise ConnectFailed when it is broken off, ClientLeft when the client is gone."""
        begun, fd = trio.current_time() if self._since is None else self._since, self._client.fileno()
        self._reactor.register(fd, self._on_client, self._on_error, EPOLLRDHUP)
        try:
            with self._scope:
                return await work()
        finally:
            self._reactor.unregister(fd)
        if self._broken_off:
            raise ConnectFailed(f"{self.address}: {self._broken_off}")
        raise ClientLeft(self.address, trio.current_time() - begun)

    def _on_client(self, _: int) -> None:
        self._reactor.unregister(self._client.fileno())
        self._reactor.cancel(self._scope)

    def _on_error(self, error: Exception) -> None:
        raise error
