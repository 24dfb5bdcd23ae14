"""The accept loop: a slot first, a client second.

At the connection limit nothing is accepted: the kernel's backlog is the queue
and clients wait instead of being refused.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

log = logging.getLogger("odp_trio.net")

_NO_CAPACITY: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_CAPACITY_PAUSE: Final = 0.1
_ACCEPTS_PER_TURN: Final = 8
"""Few: each brings a login, and running statements wait for as long as all logins of a turn take."""
_GONE: Final = {errno.ECONNABORTED, errno.EPROTO, errno.EPERM}

Peer = tuple[str, int]
_LOCAL: Final[Peer] = ("127.0.0.1", 0)
"""What a client of the unix socket is to servers, which know clients by addresses."""


def bind(ip: str, port: int, backlog: int) -> socket.socket:
    """Open a listening socket; raise OSError naming the address."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        listener = socket.create_server((ip, port), family=family, backlog=backlog)
    except OSError as exc:
        raise OSError(exc.errno, f"cannot listen on {ip} port {port}: {exc.strerror or exc}") from exc
    listener.setblocking(False)
    return listener


def bind_shared(ip: str, port: int, backlog: int, count: int) -> list[socket.socket]:
    """Open several listening sockets on one port, among which the kernel spreads clients; raise OSError naming it.

    The first one is bound alone, so that a port that somebody else listens on is refused (Linux).
    """
    opened: list[socket.socket] = []
    try:
        for number in range(count):
            sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
            opened.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if number:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((ip, opened[0].getsockname()[1] if number else port))
            if not number:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for sock in opened:
            sock.listen(backlog)
    except OSError as exc:
        for sock in opened:
            sock.close()
        raise OSError(exc.errno, f"cannot listen on {ip} port {port}: {exc.strerror or exc}") from exc
    return opened


def bind_unix(path: str, mode: str, backlog: int) -> socket.socket:
    """Open a listening unix socket; one that a dead process left is removed.  Raise OSError naming the path."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(path)
        os.chmod(path, int(mode, 8))
        listener.listen(backlog)
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, f"cannot listen on the unix socket {path}: {exc.strerror or exc}") from exc
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on; anything else stays, and is in the way."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:  # its queue is full: somebody has it
            return


def unix_peer(sock: socket.socket) -> str:
    """Say who is at the other end of a unix socket (Linux)."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"the unix socket (pid {pid}, uid {uid})"


def socket_address(sock: socket.socket) -> tuple[str, int]:
    """Return where a socket is bound."""
    ip, port = sock.getsockname()[:2]
    return ip, port


async def accept_clients(
    listener: socket.socket,
    *,
    wait_slot: Callable[[], Awaitable[None]],
    serve: Callable[[socket.socket, Peer], None],
) -> NoReturn:
    """Accept for ever: wait for a slot, take a client, hand it to ``serve`` (which must not block).

    A lack of descriptors or memory is logged and tried again after 100 ms;
    a client that went away while it waited is nothing.  Other errors propagate.
    """
    while True:
        await trio.lowlevel.wait_readable(listener)
        await wait_slot()  # and nothing is waited for between this and accept(): other listeners take slots too
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                break
            except OSError as exc:
                if exc.errno in _GONE:
                    continue
                if exc.errno not in _NO_CAPACITY:
                    raise
                log.error("cannot accept a client: %s; trying again in %g s", exc.strerror, _CAPACITY_PAUSE)
                await trio.sleep(_CAPACITY_PAUSE)
                break
            serve(sock, _LOCAL if sock.family == socket.AF_UNIX else (peer[0], peer[1]))
            await wait_slot()
