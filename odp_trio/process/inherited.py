"""Listening sockets that were handed down by a parent, and how they are handed on.

The numbers are in the environment, those of the MySQL port under ODP's names.
A socket that is handed down stays open however often the process behind it is
replaced: a client that connects meanwhile waits in the kernel's queue and is
not refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, MutableMapping
from typing import Final, final

import msgspec

from odp_trio.config import Settings
from odp_trio.errors import ConfigError
from odp_trio.net.listener import bind
from odp_trio.process.link import Link

MYSQL_FD: Final = "OBPROXY_INHERITED_FD"
MYSQL_IPV6_FD: Final = "OBPROXY_INHERITED_IPV6_FD"
HTTP_FD: Final = "ODP_TRIO_INHERITED_HTTP_FD"
LINK_FD: Final = "ODP_TRIO_LINK_FD"
_HTTP_BACKLOG: Final = 128


@final
class Inherited(msgspec.Struct, frozen=True):
    """What a process got from its parent; all None in one that was started by hand."""

    mysql: socket.socket | None = None
    http: socket.socket | None = None
    link: Link | None = None

    def sockets(self) -> Iterator[tuple[str, socket.socket]]:
        """Yield the listening sockets, each with the name of its variable."""
        if self.mysql is not None:
            yield (MYSQL_IPV6_FD if self.mysql.family == socket.AF_INET6 else MYSQL_FD), self.mysql
        if self.http is not None:
            yield HTTP_FD, self.http

    def close(self) -> None:
        """Close the listening sockets; those of other processes stay open."""
        for _, sock in self.sockets():
            sock.close()


NOTHING_INHERITED: Final = Inherited()


def bind_all(settings: Settings, inherited: Inherited = NOTHING_INHERITED) -> Inherited:
    """Open the listening sockets that the settings ask for and nobody handed down; raise OSError naming the address."""
    mysql = inherited.mysql or bind(settings.local_bound_ip, settings.listen_port, settings.listen_backlog)
    http = inherited.http
    try:
        if settings.enable_http and http is None:
            http = bind(settings.prometheus_bound_ip, settings.prometheus_listen_port, _HTTP_BACKLOG)
    except OSError:
        mysql.close()
        raise
    return Inherited(mysql, http)


def take_inherited(environment: MutableMapping[str, str] = os.environ) -> Inherited:
    """Take what a parent handed down, and its traces out of the environment.

    Raises ConfigError for a number that is no listening socket, or no socket.
    """
    mysql = _listening(environment, MYSQL_FD)
    mysql_ipv6 = _listening(environment, MYSQL_IPV6_FD)
    if mysql is not None and mysql_ipv6 is not None:
        for sock in (mysql, mysql_ipv6):
            sock.close()
        raise ConfigError(f"{MYSQL_FD} and {MYSQL_IPV6_FD}: one of them, please; both at once are not supported")
    link = _socket(environment, LINK_FD)
    return Inherited(mysql or mysql_ipv6, _listening(environment, HTTP_FD), None if link is None else Link(link))


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
    if settings.listen_port in (0, port) and settings.local_bound_ip == ip:
        return ""
    return (
        f"the socket that was handed down listens on {ip} port {port}, the settings say "
        f"{settings.local_bound_ip} port {settings.listen_port}: that takes a restart"
    )
