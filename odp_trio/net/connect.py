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


_INHERITED: Final = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
)
"""What an accepted socket has from its listener."""


def tune(sock: socket.socket, options: SocketOptions) -> None:
    """Make a TCP socket non-blocking, and set its options."""
    sock.setblocking(False)
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


def tune_listener(listener: socket.socket, options: SocketOptions) -> None:
    """Set the options of a listening socket: those that it accepts from now on have them too, at no cost for each.

    What is 0 becomes the kernel's value again, if it was another.  A listener in memory has none.
    """
    if listener.family == socket.AF_UNIX or listener.fileno() < -1:
        return
    with socket.socket(listener.family, socket.SOCK_STREAM) as untold:
        tune(untold, options)
        for level, option in _INHERITED:
            listener.setsockopt(level, option, untold.getsockopt(level, option))


def begin_connection(address: Address, options: SocketOptions) -> socket.socket:
    """Begin to connect to an OBServer; raise ConnectFailed if that fails at once.

    The socket becomes readable when the server speaks, or when the attempt has failed: see ``is_connected``.
    """
    sock = _open(address)
    try:
        tune(sock, options)
        code = sock.connect_ex((address.ip, address.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError as exc:
        sock.close()
        raise ConnectFailed(f"{address}: {exc.strerror}") from exc
    return sock


def is_connected(sock: socket.socket) -> bool:
    """Whether the peer has accepted the connection."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _open(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    try:
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as exc:
        raise NoDescriptor(f"no socket for a connection to {address}: {exc.strerror}") from exc


async def connect(address: Address, timeout: float, options: SocketOptions) -> socket.socket:
    """Connect to an OBServer within ``timeout`` seconds; raise ConnectFailed, with nothing sent."""
    sock = _open(address)
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
