"""Listening sockets that were handed down by a parent, and how they are handed on.

The numbers are in the environment, those of the MySQL port under ODP's names.
A socket that is handed down stays open however often the process behind it is
replaced: a client that connects meanwhile waits in the kernel's queue and is
not refused.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, MutableMapping
from typing import Final, final

import msgspec

from odp_trio.config import Settings
from odp_trio.errors import ConfigError
from odp_trio.net.listener import bind_unix
from odp_trio.net.network import KERNEL, Network
from odp_trio.process.link import Link

MYSQL_FD: Final = "OBPROXY_INHERITED_FD"
MYSQL_IPV6_FD: Final = "OBPROXY_INHERITED_IPV6_FD"
UNIX_FD: Final = "ODP_TRIO_INHERITED_UNIX_FD"
HTTP_FD: Final = "ODP_TRIO_INHERITED_HTTP_FD"
LINK_FD: Final = "ODP_TRIO_LINK_FD"
_HTTP_BACKLOG: Final = 128
_IPV6, _BOTH = 2, 3
"""Of ip_listen_mode."""


@final
class Inherited(msgspec.Struct, frozen=True):
    """What a process got from its parent; all None in one that was started by hand."""

    mysql: socket.socket | None = None
    """The first one: IPv4 or, where that is not listened on, IPv6."""
    http: socket.socket | None = None
    link: Link | None = None
    mysql_ipv6: socket.socket | None = None
    """The second one."""
    unix: socket.socket | None = None
    owns_path: bool = False
    """The unix socket's file is this process' own, to be removed at the end."""

    def sockets(self) -> Iterator[tuple[str, socket.socket]]:
        """Yield the listening sockets, each with the name of its variable."""
        if self.mysql is not None:
            yield (MYSQL_IPV6_FD if self.mysql.family == socket.AF_INET6 else MYSQL_FD), self.mysql
        if self.mysql_ipv6 is not None:
            yield MYSQL_IPV6_FD, self.mysql_ipv6
        if self.unix is not None:
            yield UNIX_FD, self.unix
        if self.http is not None:
            yield HTTP_FD, self.http

    def clients(self) -> dict[str, socket.socket]:
        """Return the sockets for MySQL clients, by the name of the task that listens on each."""
        named = {"listener": self.mysql, "listener_ipv6": self.mysql_ipv6, "listener_unix": self.unix}
        return {name: sock for name, sock in named.items() if sock is not None}

    def close(self) -> None:
        """Close the listening sockets; those of other processes stay open."""
        self.remove_path()
        for _, sock in self.sockets():
            sock.close()

    def remove_path(self) -> None:
        """Remove the unix socket's file, if that is this process' to do."""
        if self.owns_path and self.unix is not None and self.unix.fileno() >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self.unix.getsockname())


NOTHING_INHERITED: Final = Inherited()


def bind_all(settings: Settings, inherited: Inherited = NOTHING_INHERITED, network: Network = KERNEL) -> Inherited:
    """Open the listening sockets that the settings ask for and nobody handed down; raise OSError naming the address."""
    opened: list[socket.socket] = []

    def open_tcp(ip: str, port: int, backlog: int) -> socket.socket:
        opened.append(network.listen(ip, port, backlog))
        return opened[-1]

    mysql, ipv6, unix, http = inherited.mysql, inherited.mysql_ipv6, inherited.unix, inherited.http
    try:
        if mysql is None:
            mysql = open_tcp(first_ip(settings), settings.listen_port, settings.listen_backlog)
        if settings.ip_listen_mode == _BOTH and ipv6 is None:
            port = settings.listen_port or mysql.getsockname()[1]
            ipv6 = open_tcp(settings.local_bound_ipv6_ip, port, settings.listen_backlog)
        if settings.enable_http and http is None:
            http = open_tcp(settings.prometheus_bound_ip, settings.prometheus_listen_port, _HTTP_BACKLOG)
        if settings.unix_socket and unix is None:
            unix = bind_unix(settings.unix_socket, settings.unix_socket_mode, settings.listen_backlog)
    except OSError:
        for sock in opened:
            sock.close()
        raise
    owns_path = inherited.owns_path or (unix is not None and inherited.unix is None)
    return Inherited(mysql, http, mysql_ipv6=ipv6, unix=unix, owns_path=owns_path)


def first_ip(settings: Settings) -> str:
    """Return the address that is listened on, or the first of two."""
    return settings.local_bound_ipv6_ip if settings.ip_listen_mode == _IPV6 else settings.local_bound_ip


def take_inherited(environment: MutableMapping[str, str] = os.environ) -> Inherited:
    """Take what a parent handed down, and its traces out of the environment.

    Raises ConfigError for a number that is no listening socket, or no socket.
    """
    mysql = _listening(environment, MYSQL_FD)
    mysql_ipv6 = _listening(environment, MYSQL_IPV6_FD)
    link = _socket(environment, LINK_FD)
    return Inherited(
        mysql or mysql_ipv6,
        _listening(environment, HTTP_FD),
        None if link is None else Link(link),
        mysql_ipv6=mysql_ipv6 if mysql is not None else None,
        unix=_listening(environment, UNIX_FD),
    )


def _listening(environment: MutableMapping[str, str], name: str) -> socket.socket | None:
    sock = _socket(environment, name)
    if sock is None:
        return None
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ConfigError(f"{name} = {sock.detach()}: this socket does not listen")
    return sock


def _socket(environment: MutableMapping[str, str], name: str) -> socket.socket | None:
    text = environment.pop(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"{name} = {text!r} is no descriptor")
    try:
        sock = socket.socket(fileno=int(text))
    except (OSError, OverflowError) as exc:
        raise ConfigError(f"{name} = {text}: no socket is open under this number") from exc
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


def mismatch(settings: Settings, inherited: Inherited) -> str:
    """Say how an inherited MySQL socket differs from what the settings ask for; empty when it does not."""
    if inherited.mysql is None:
        return ""
    ip, port = inherited.mysql.getsockname()[:2]
    if settings.listen_port in (0, port) and first_ip(settings) == ip:
        return ""
    return (
        f"the socket that was handed down listens on {ip} port {port}, the settings say "
        f"{first_ip(settings)} port {settings.listen_port}: that takes a restart"
    )
