"""One place of a proxy: processes that follow one another on the same sockets."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import final

import trio

from odp_trio.config import Settings
from odp_trio.net.listener import bind_shared
from odp_trio.process.child import Child
from odp_trio.process.inherited import NOTHING_INHERITED, Inherited, bind_all, first_ip
from odp_trio.process.lives import Lives

_BOTH = 3
"""Of ip_listen_mode."""

Listeners = dict[str, socket.socket]
"""The sockets of one worker, ``mysql`` and ``mysql_ipv6``."""


@final
class Place:
    """Where one worker is, or its successor will be.  ``listeners`` are its own; none: it has those of the proxy."""

    def __init__(self, number: int, lives: Lives, listeners: Listeners | None = None) -> None:
        self.number = number
        self.lives = lives
        self.listeners = listeners or {}
        self.current: Child | None = None
        self.version = -1
        """Counts the processes that served here."""
        self.pause = trio.CancelScope()
        self.backing_off = False

    @property
    def serves(self) -> bool:
        """Whether clients are taken here."""
        return self.current is not None and self.current.serving.is_set()


def bind_places(
    settings: Settings, count: int, inherited: Inherited = NOTHING_INHERITED
) -> tuple[Inherited, Sequence[Listeners]]:
    """Open the listening sockets of a proxy and those of each of its workers; raise OSError naming the address.

    The sockets for clients by TCP are several on one port, one a worker; the first worker's are the proxy's too.
    A socket that was handed down cannot be multiplied: then all workers accept from it.
    """
    if count == 1 or inherited.mysql is not None:
        bound = bind_all(settings, inherited)
        named = {"mysql": bound.mysql, "mysql_ipv6": bound.mysql_ipv6}
        return bound, [{name: sock for name, sock in named.items() if sock is not None}] * count
    opened: list[dict[str, socket.socket]] = [{} for _ in range(count)]

    def spread(name: str, ip: str, port: int) -> socket.socket:
        shared = bind_shared(ip, port, settings.listen_backlog, count)
        for listeners, sock in zip(opened, shared, strict=True):
            listeners[name] = sock
        return shared[0]

    try:
        mysql, ipv6 = spread("mysql", first_ip(settings), settings.listen_port), None
        if settings.ip_listen_mode == _BOTH:
            ipv6 = spread("mysql_ipv6", settings.local_bound_ipv6_ip, mysql.getsockname()[1])
        return bind_all(settings, Inherited(mysql, inherited.http, mysql_ipv6=ipv6, unix=inherited.unix)), opened
    except OSError:
        for listeners in opened:
            for sock in listeners.values():
                sock.close()
        raise
