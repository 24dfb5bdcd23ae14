"""A socket in memory as a Trio stream: what a client within the process, or a server of a simulation, has."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, final

import trio

from odp_trio.net.memory import BUFFER_BYTES, Endpoint, MemorySocket, connected_pair
from odp_trio.net.waiting import wait_readable, wait_writable

_READ_BYTES: Final = 65536


@final
class MemoryStream(trio.abc.HalfCloseableStream):
    """A Trio stream on a ``MemorySocket``.  One task may send and another receive at a time.

    With ``owns`` the socket is closed when nobody has the stream any more, as the kernel's sockets are.
    """

    def __init__(self, sock: MemorySocket, *, owns: bool = False) -> None:
        self.socket = sock
        self._sends = self._has_ended = False
        self._owner = trio.lowlevel.current_trio_token() if owns else None

    def __del__(self) -> None:
        """Nobody has it any more: let the other end learn it."""
        if self._owner is not None and self.socket.fileno() != -1:
            with suppress(trio.RunFinishedError):
                self._owner.run_sync_soon(self.socket.close)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        if self._sends:
            raise trio.BusyResourceError("another task is sending")
        self._sends = True
        try:
            yield
        finally:
            self._sends = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all; raise BrokenResourceError when the other end is gone, ClosedResourceError when this one is."""
        with self._sending():
            await trio.lowlevel.checkpoint()
            self._check_open()
            if self._has_ended:
                raise trio.ClosedResourceError("the end was sent")
            view = memoryview(data)
            while view:
                try:
                    view = view[self.socket.send(view) :]
                except BlockingIOError:
                    await wait_writable(self.socket)
                except OSError as exc:
                    raise _resource_error(exc) from exc

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        with self._sending():
            self._check_open()
            await wait_writable(self.socket)
            self._check_open()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come, at least one byte; nothing at the end."""
        if max_bytes is not None and not isinstance(max_bytes, int):
            raise TypeError(f"max_bytes is {max_bytes!r}, no integer")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}, less than 1")
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.socket.recv(max_bytes or _READ_BYTES)
            except BlockingIOError:
                await wait_readable(self.socket)
            except OSError as exc:
                raise _resource_error(exc) from exc

    def _check_open(self) -> None:
        if self.socket.fileno() == -1:
            raise trio.ClosedResourceError("this stream was closed")

    async def send_eof(self) -> None:
        """Say that no more will be sent."""
        with self._sending():
            await trio.lowlevel.checkpoint()
            try:
                self.socket.shutdown(socket.SHUT_WR)
                self._has_ended = True
            except OSError as exc:
                raise _resource_error(exc) from exc

    def reset(self) -> None:
        """Close it at once, and reset the connection."""
        self.socket.abort()

    async def aclose(self) -> None:
        """Close it."""
        self.socket.close()
        await trio.lowlevel.checkpoint()


def open_duplex(
    family: int = socket.AF_UNIX,
    here: Endpoint = ("", 0),
    there: Endpoint = ("", 0),
    *,
    capacity: int = BUFFER_BYTES,
) -> tuple[MemorySocket, MemoryStream]:
    """Return a connection in memory: what a proxy's session takes for its client's socket, and the client's stream.

    ``here`` is the session's end, ``there`` the client's.
    """
    session, client = connected_pair(family, here, there, capacity=capacity)
    return session, MemoryStream(client, owns=True)


def _resource_error(exc: OSError) -> Exception:
    if exc.errno == errno.EBADF:
        return trio.ClosedResourceError("this stream was closed")
    return trio.BrokenResourceError(f"connection lost: {exc.strerror}")
