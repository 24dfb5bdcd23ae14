"""Sockets within the process: no descriptor of the kernel, and what sessions use of a socket.

Both ends of a connection are ``MemorySocket``s.  What one sends is in the other's buffer at once, or when the
*carrier* of that direction brings it: a simulation puts latency, loss and partitions there.  A buffer is bounded;
who sends more gets BlockingIOError, as from the kernel.

Its descriptor is a number below -1.  Who watches it (the reactor, a task in ``net.waiting``) is told by a plain
call when something has changed.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import weakref
from collections import deque
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from typing import Any, Final, final

import trio

BUFFER_BYTES: Final = 65536
_TCP_INFO_BYTES: Final = 104
_LAST_DATA_RECEIVED_AT: Final = 52

Endpoint = tuple[str, int]
Carry = Callable[[Callable[[], None]], None]
"""Runs what it is given, once, now or later; in the order in which it was given, or never any more."""

_numbers = itertools.count(-2, -1)
_open: weakref.WeakValueDictionary[int, MemorySocket] = weakref.WeakValueDictionary()


def at_once(arrive: Callable[[], None]) -> None:
    """Carry without latency."""
    arrive()


def memory_socket(fd: int) -> MemorySocket:
    """Return the socket with this descriptor; raise KeyError for none that is open."""
    return _open[fd]


@final
class MemorySocket(socket.socket):
    """One end of a connection in memory, or a listener.  Always non-blocking.

    It is a ``socket.socket`` by type, so that nobody who has sockets needs to ask what he has; what is not
    overridden here fails with EBADF.  Options are accepted and mean nothing, but for TCP_INFO (when it last got
    data), SO_ERROR and SO_PEERCRED (this process).
    """

    def __init__(self, family: int, here: Endpoint, *, capacity: int = BUFFER_BYTES) -> None:
        # socket.socket's own is left out: it would ask the kernel for a descriptor
        self._number = next(_numbers)
        self._family = family
        self._here = here
        self._there: Endpoint | None = None
        self._peer: MemorySocket | None = None
        self._inbox = bytearray()
        self._under_way = 0
        self._capacity = capacity
        self._eof = self._shut = self._reset = self._has_closed = False
        self._broken = 0
        self._carry: Carry = at_once
        self._backlog: deque[MemorySocket] | None = None
        self._received_at = trio.current_time()
        self.watcher: Callable[[int], None] | None = None
        """Told of every change by its descriptor; set by whoever watches."""
        self.wake: Callable[[trio.lowlevel.Task], None] = trio.lowlevel.reschedule
        """How a task is made runnable that waits for the other end of a connection that a reactor has watched."""
        self.reader: trio.lowlevel.Task | None = None
        self.writer: trio.lowlevel.Task | None = None
        _open[self._number] = self

    def __repr__(self) -> str:
        return f"<MemorySocket {self._number} {self._here} - {self._there}>"

    # ---- connections --------------------------------------------------------------

    def join(self, peer: MemorySocket) -> None:
        """Become one end of a connection; the peer must be told as well."""
        self._peer, self._there = peer, peer._here
        self._changed()

    def fail(self, code: int) -> None:
        """Let the attempt to connect, or the connection, fail with an error of the kernel's."""
        if not self._has_closed:
            self._broken = code
            self._eof = self._shut = True
            self._inbox.clear()
            self._changed()

    def carried_by(self, carry: Carry) -> None:
        """Let what this end sends travel by a carrier of its own from now on."""
        self._carry = carry

    def is_joined_to(self) -> MemorySocket | None:
        """Return the other end; None while there is none."""
        return self._peer

    # ---- listening ----------------------------------------------------------------

    def listen(self, backlog: int = 128, /) -> None:
        """Take connections from now on."""
        self._backlog = deque(maxlen=max(backlog, 1))

    def offer(self, sock: MemorySocket) -> bool:
        """Put a connection in the queue; answer False where nobody listens or the queue is full."""
        if self._has_closed or self._backlog is None or len(self._backlog) == self._backlog.maxlen:
            return False
        self._backlog.append(sock)
        self._changed()
        return True

    def accept(self) -> tuple[MemorySocket, Any]:
        """Take the next connection."""
        self._check_open()
        if not self._backlog:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        sock = self._backlog.popleft()
        return sock, sock._there

    # ---- what a socket has --------------------------------------------------------

    @property
    def family(self) -> int:  # type: ignore[override]
        """Return AF_INET, AF_INET6 or AF_UNIX."""
        return self._family

    @property
    def type(self) -> int:  # type: ignore[override]
        """Return SOCK_STREAM."""
        return socket.SOCK_STREAM

    def fileno(self) -> int:
        """Return a number below -1; -1 when it is closed."""
        return -1 if self._has_closed else self._number

    def setblocking(self, flag: bool, /) -> None:
        """Nothing: it never blocks."""

    def setsockopt(self, *_: Any) -> None:
        """Nothing."""

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> Any:
        """Return SO_ERROR, SO_PEERCRED or TCP_INFO; 0 for other options."""
        if level == socket.SOL_SOCKET and option == socket.SO_ERROR:
            code, self._broken = self._broken, 0
            return code
        if level == socket.SOL_SOCKET and option == socket.SO_PEERCRED:
            return struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
        if level == socket.IPPROTO_TCP and option == socket.TCP_INFO:
            info = bytearray(max(size, _TCP_INFO_BYTES))
            silent = min(int(1000 * (trio.current_time() - self._received_at)), 0xFFFFFFFF)
            struct.pack_into("=I", info, _LAST_DATA_RECEIVED_AT, silent)
            return bytes(info)
        return bytes(size) if size else 0

    def getsockname(self) -> Any:
        """Return the own address."""
        self._check_open()
        return self._here

    def getpeername(self) -> Any:
        """Return the peer's address; raise OSError (ENOTCONN) while there is none."""
        self._check_open()
        if self._there is None or self._peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._there

    def readiness(self) -> int:
        """Return what it is ready for, as epoll's bits."""
        ready = 0
        if self._inbox or self._eof or self._backlog:
            ready |= EPOLLIN
        if self._eof:
            ready |= EPOLLRDHUP
            if self._shut:
                ready |= EPOLLHUP
        if self._broken:
            ready |= EPOLLERR
        if self._shut or self._reset or (self._peer is not None and self._peer._room() > 0):
            ready |= EPOLLOUT
        return ready

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return up to ``size`` bytes; nothing at the end.  MSG_PEEK leaves them there."""
        if not self._can_read():
            return b""
        data = bytes(memoryview(self._inbox)[:size])
        if not flags & socket.MSG_PEEK:
            self._take(len(data))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0, /) -> int:
        """Fill a buffer as far as possible; return how far."""
        if not self._can_read():
            return 0
        count = min(len(self._inbox), nbytes or len(buffer))
        with memoryview(self._inbox) as view:
            buffer[:count] = view[:count]
        self._take(count)
        return count

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Take what the other end has room for; return how much."""
        self._check_open()
        self._raise_broken()
        if self._shut or self._peer is None:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        peer = self._peer
        count = min(len(data), peer._room())
        if count <= 0:
            if not data:
                return 0
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        piece = bytes(memoryview(data)[:count])
        if self._carry is at_once:
            peer._arrived(piece)
        else:
            peer._under_way += count
            self._carry(lambda: peer._arrived(piece, count))
        return count

    def shutdown(self, how: int, /) -> None:
        """Send no more; the other end reads what is there, and then the end."""
        self._check_open()
        if self._peer is None or self._reset:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        if how != socket.SHUT_RD and not self._shut:
            self._shut = True
            self._carry(self._peer._ended)
        self._changed()

    def close(self) -> None:
        """Close it: the other end reads the end; or ECONNRESET, if bytes were left here unread."""
        if self._has_closed:
            return
        unread = bool(self._inbox)
        self._has_closed = True
        self._inbox.clear()
        _open.pop(self._number, None)
        for waiting in self._backlog or ():
            waiting.abort()
        self._changed()
        peer = self._peer
        if peer is not None and not self._reset:
            self._carry(peer._was_reset if unread else peer._lost)

    def abort(self) -> None:
        """Close it, and reset the connection."""
        if not self._has_closed:
            self._inbox += b"\0"
            self.close()

    # ---- what comes from the other end ----------------------------------------------

    def _room(self) -> int:
        return self._capacity if self._has_closed else self._capacity - len(self._inbox) - self._under_way

    def _arrived(self, piece: bytes, travelled: int = 0) -> None:
        self._under_way -= travelled
        if self._has_closed:
            if self._peer is not None:
                self._carry(self._peer._was_reset)
        elif not self._reset:
            self._inbox += piece
            self._received_at = trio.current_time()
            self._changed()

    def _ended(self) -> None:
        """The other end sends no more."""
        if not self._eof:
            self._eof = True
            self._changed()

    def _lost(self) -> None:
        """The other end has been closed: what is sent to it now brings a reset."""
        self._eof = True
        self._changed()

    def _was_reset(self) -> None:
        if not (self._has_closed or self._reset):
            self._reset = True
            self.fail(errno.ECONNRESET)

    # ---- within ---------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._has_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _raise_broken(self) -> None:
        if self._broken:
            code, self._broken = self._broken, 0
            raise OSError(code, os.strerror(code))

    def _can_read(self) -> bool:
        """Whether bytes are there; False at the end; raises what a socket raises."""
        self._check_open()
        if self._inbox:
            return True
        self._raise_broken()
        if self._eof:
            return False
        code = errno.EAGAIN if self._peer is not None else errno.ENOTCONN
        if code == errno.ENOTCONN:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))  # it is being connected
        raise BlockingIOError(code, os.strerror(code))

    def _take(self, count: int) -> None:
        was_full = self._room() <= 0
        del self._inbox[:count]
        if was_full and self._peer is not None and count:
            self._peer._changed()

    def _changed(self) -> None:
        """Tell whoever watches."""
        if self.watcher is not None:
            self.watcher(self._number)
        if self.reader is None and self.writer is None:
            return
        ready = self.readiness()
        wake = self.wake if self._peer is None else self._peer.wake
        if self.reader is not None and (self._has_closed or ready & (EPOLLIN | EPOLLHUP | EPOLLERR)):
            task, self.reader = self.reader, None
            wake(task)
        if self.writer is not None and (self._has_closed or ready & (EPOLLOUT | EPOLLHUP | EPOLLERR)):
            task, self.writer = self.writer, None
            wake(task)


def connected_pair(
    family: int = socket.AF_UNIX,
    here: Endpoint = ("", 0),
    there: Endpoint = ("", 0),
    *,
    capacity: int = BUFFER_BYTES,
) -> tuple[MemorySocket, MemorySocket]:
    """Return both ends of a connection; ``capacity`` bytes are on their way in each direction at most."""
    one, other = MemorySocket(family, here, capacity=capacity), MemorySocket(family, there, capacity=capacity)
    one.join(other)
    other.join(one)
    return one, other
