"""Accepting: a slot first, a client second, and one in a turn of the loop.

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
from typing import Final, NoReturn, final

import trio

from odp_trio.net.reactor import Reactor

log = logging.getLogger("odp_trio.net")

_NO_CAPACITY: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_CAPACITY_PAUSE: Final = 0.1
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


@final
class _Door:
    """A listening socket that the reactor accepts from, until the task in ``opened`` must see to it."""

    def __init__(
        self,
        listener: socket.socket,
        reactor: Reactor,
        has_slot: Callable[[], bool],
        serve: Callable[[socket.socket, Peer], None],
    ) -> None:
        self._listener, self._reactor = listener, reactor
        self._has_slot, self._serve = has_slot, serve
        self._task: trio.lowlevel.Task | None = None
        self._error: Exception | None = None

    async def opened(self) -> None:
        """Accept as long as there are slots; raise what accepting fails of."""
        fd = self._listener.fileno()
        self._reactor.register(fd, self._on_ready, self._stop)
        self._task, self._error = trio.lowlevel.current_task(), None

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._reactor.listeners += 1
        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        finally:
            self._reactor.listeners -= 1
            self._reactor.unregister(fd)
        if self._error is not None:
            raise self._error

    def _on_ready(self, events: int) -> None:
        """Take one client: the next one has its turn behind the sockets that are ready now."""
        if not self._has_slot():
            self._stop(None)
            return
        try:
            sock, peer = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno not in _GONE:
                self._stop(exc)
            return
        self._serve(sock, (peer[0], peer[1]) if peer else _LOCAL)

    def _stop(self, error: Exception | None) -> None:
        if self._task is not None:
            task, self._task, self._error = self._task, None, error
            self._reactor.unregister(self._listener.fileno())
            self._reactor.wake(task)


async def accept_clients(
    listener: socket.socket,
    reactor: Reactor,
    *,
    has_slot: Callable[[], bool],
    wait_slot: Callable[[], Awaitable[None]],
    serve: Callable[[socket.socket, Peer], None],
) -> NoReturn:
    """Accept for ever: wait for a slot, take a client, hand it to ``serve`` (which must not block).

    A lack of descriptors or memory is logged and tried again after 100 ms;
    a client that went away while it waited is nothing.  Other errors propagate.
    """
    door = _Door(listener, reactor, has_slot, serve)
    while True:
        await wait_slot()
        try:
            await door.opened()
        except OSError as exc:
            if exc.errno not in _NO_CAPACITY:
                raise
            log.error("cannot accept a client: %s; trying again in %g s", exc.strerror, _CAPACITY_PAUSE)
            await trio.sleep(_CAPACITY_PAUSE)
