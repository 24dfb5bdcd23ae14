"""Where clients come in: the listening sockets, those who accept from them, and HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn, final

import trio

from odp_trio.app.preparing import import_http
from odp_trio.catalog.clusters import Started
from odp_trio.config import Settings
from odp_trio.net.listener import socket_address
from odp_trio.net.network import KERNEL, Network
from odp_trio.process.inherited import NOTHING_INHERITED, Inherited, bind_all
from odp_trio.session.sessions import Sessions

if TYPE_CHECKING:
    from odp_trio.app.proxy import Proxy


@final
class Ports:
    """The sockets that a proxy listens on: none, if it is for its own process only."""

    def __init__(self, settings: Settings, inherited: Inherited, network: Network = KERNEL, *, listen: bool) -> None:
        """Open them; raise OSError naming the address that cannot be had."""
        self.bound = bind_all(settings, inherited, network) if listen else NOTHING_INHERITED
        self.http = self.bound.http
        mysql = (self.bound.mysql, self.bound.mysql_ipv6)
        self.addresses = tuple(socket_address(sock) for sock in mysql if sock is not None)
        self.http_address = None if self.http is None else socket_address(self.http)
        self.unix_path = settings.unix_socket if listen else ""
        self.listens = not listen
        """Whether the tasks of all listeners are alive."""
        self._listening: set[str] = set()
        self._stopped_http = trio.Event()

    def stop_listening(self, *, handed_over: bool) -> None:
        """Close the sockets for clients; other processes that have them keep them."""
        if not handed_over:
            self.bound.remove_path()
        for listener in self.bound.clients().values():
            listener.close()

    def close(self, *, handed_over: bool) -> None:
        """Close all of them."""
        self.stop_listening(handed_over=handed_over)
        self.close_http()

    def close_http(self) -> None:
        """Close that for HTTP."""
        if self.http is not None:
            self.http.close()

    async def listen(self, name: str, sessions: Sessions, *, task_status: Started) -> NoReturn:
        """Accept clients from one of the sockets."""
        task_status.started()
        listeners = self.bound.clients()
        sessions.listen_on(listeners[name])
        self._listening.add(name)
        self.listens = self._listening >= set(listeners)
        try:
            await sessions.accept(listeners[name])
        finally:
            self._listening.discard(name)
            self.listens = False

    async def serve_http(self, proxy: Proxy, *, task_status: Started) -> None:
        """Import late: the MySQL port is open already and must not wait for it."""
        http = await import_http(proxy.clusters)
        assert self.http is not None
        task_status.started()
        await http.serve_http(os.dup(self.http.fileno()), proxy, self._stopped_http.wait)
