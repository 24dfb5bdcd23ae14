"""Waiting, in a task, until a stream can be read or written: on a socket of the kernel's, or on one in memory."""

from __future__ import annotations

from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from odp_trio.net.memory import MemorySocket


class HasDescriptor(Protocol):
    """A socket, or what is around one."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        ...


async def wait_readable(stream: HasDescriptor) -> None:
    """Wait until there is something to read, or the end; raise BusyResourceError if another task waits for it."""
    fd = stream.fileno()
    if fd >= -1:
        await trio.lowlevel.wait_readable(fd)
        return
    sock = _in_memory(fd)
    if sock.readiness() & (EPOLLIN | EPOLLHUP | EPOLLERR):
        await trio.lowlevel.checkpoint()
        return
    if sock.reader is not None:
        raise trio.BusyResourceError("another task waits for this socket")
    sock.reader = trio.lowlevel.current_task()

    def abort(_: object) -> trio.lowlevel.Abort:
        sock.reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


async def wait_writable(stream: HasDescriptor) -> None:
    """Wait until there is room; raise BusyResourceError if another task waits for it."""
    fd = stream.fileno()
    if fd >= -1:
        await trio.lowlevel.wait_writable(fd)
        return
    sock = _in_memory(fd)
    if sock.readiness() & (EPOLLOUT | EPOLLHUP | EPOLLERR):
        await trio.lowlevel.checkpoint()
        return
    if sock.writer is not None:
        raise trio.BusyResourceError("another task waits for this socket")
    sock.writer = trio.lowlevel.current_task()

    def abort(_: object) -> trio.lowlevel.Abort:
        sock.writer = None
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


def _in_memory(fd: int) -> MemorySocket:
    from odp_trio.net.memory import memory_socket  # whoever made the socket has imported it

    return memory_socket(fd)
