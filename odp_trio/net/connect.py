"""Connections to OBServers."""

from __future__ import annotations

import errno
import os
import socket

import msgspec
import trio

from odp_trio.errors import ConnectFailed
from odp_trio.model import Address


class KeepAlive(msgspec.Struct, frozen=True):
    """TCP keep-alive: seconds idle, seconds between probes, probes; 0 leaves the kernel's value."""

    idle: int = 5
    interval: int = 5
    count: int = 5


def tune(sock: socket.socket, keepalive: KeepAlive) -> None:
    """Set what every session socket has: no delay, keep-alive, not blocking."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, keepalive.idle),
        (socket.TCP_KEEPINTVL, keepalive.interval),
        (socket.TCP_KEEPCNT, keepalive.count),
    ):
        if value:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def connect(address: Address, timeout: float, keepalive: KeepAlive) -> socket.socket:
    """Connect to an OBServer within ``timeout`` seconds; raise ConnectFailed, with nothing sent."""
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        tune(sock, keepalive)
        with trio.move_on_after(timeout) as scope:
            await _connect(sock, address)
        if scope.cancelled_caught:
            raise ConnectFailed(f"{address}: no answer to a connection attempt within {timeout:g} s")
    except OSError as exc:
        sock.close()
        raise ConnectFailed(f"{address}: {exc.strerror}") from exc
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(sock: socket.socket, address: Address) -> None:
    code = sock.connect_ex((address.ip, address.port))
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    else:
        await trio.lowlevel.checkpoint()
    if code:
        raise OSError(code, os.strerror(code))
