"""Connections to OBServers."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

import msgspec
import trio

from odp_trio.errors import ConnectFailed, NoDescriptor
from odp_trio.model import Address

_NO_DELAY: Final = 1
_KEEP_ALIVE: Final = 2


class SocketOptions(msgspec.Struct, frozen=True):
    """What a TCP socket is told; 0 leaves the kernel's value.

    ``idle``, ``interval``, ``count`` are keep-alive's: seconds of silence, seconds between probes, probes.
    ``user_timeout``: seconds for which sent data may stay unacknowledged.  ``flags``: 1 no delay, 2 keep-alive.
    ``receive_bytes`` and ``send_bytes`` are the kernel's buffers.
    """

    idle: int = 5
    interval: int = 5
    count: int = 5
    user_timeout: int = 0
    flags: int = _NO_DELAY | _KEEP_ALIVE
    receive_bytes: int = 0
    send_bytes: int = 0


def tune(sock: socket.socket, options: SocketOptions) -> None:
    """Make a socket non-blocking, and set its options if it is a TCP one."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return
    keep_alive = options.flags & _KEEP_ALIVE
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, options.flags & _NO_DELAY),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(bool(keep_alive))),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keep_alive and options.idle),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, keep_alive and options.interval),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, keep_alive and options.count),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * options.user_timeout),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_bytes),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_bytes),
    ):
        if value:
            sock.setsockopt(level, option, value)


async def connect(address: Address, timeout: float, options: SocketOptions) -> socket.socket:
    """Connect to an OBServer within ``timeout`` seconds; raise ConnectFailed, with nothing sent."""
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as exc:
        raise NoDescriptor(f"no socket for a connection to {address}: {exc.strerror}") from exc
    try:
        tune(sock, options)
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
