"""A stream that codes what goes through another one: the shell around a pure codec."""

from __future__ import annotations

import errno
import socket
from typing import Final, final

from odp_trio.errors import ClientProtocolError, ServerProtocolError
from odp_trio.net.stream import Stream
from odp_trio.wire.compressed import Codec

_READ_BYTES: Final = 32768


@final
class Coded:
    """A stream around another one, which may be a coded one itself.

    ``early`` is what had been read before this stream began.  A ClientProtocolError of the codec propagates from
    ``recv`` and ``recv_into``; after it what is received is passed on as it comes, to be thrown away: the client may
    still be told, and a socket that is closed with input in it takes back what was sent last.  A ServerProtocolError
    is raised as OSError (EBADMSG) with that as its cause: the connection is lost.
    """

    __slots__ = ("_codec", "_inner", "_inner_is_coded", "_rest", "_taken", "_wrong", "fileno")

    def __init__(self, inner: Stream, codec: Codec, early: bytes = b"") -> None:
        self._inner, self._codec = inner, codec
        self._inner_is_coded = not isinstance(inner, socket.socket)
        self._rest = b""
        """Coded bytes that were begun to be sent."""
        self._taken = 0
        """How many plain bytes they stand for, which are not counted as taken before all are sent."""
        self._wrong = False
        self.fileno = inner.fileno
        if early:
            codec.feed(early)

    @property
    def pending(self) -> bool:
        """Whether ``recv`` would give bytes although the descriptor may never become readable again."""
        return self._codec.pending or (self._inner_is_coded and self._inner.pending)  # type: ignore[attr-defined]

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` decoded bytes."""
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.recv_into(buffer)])

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Fill a buffer with decoded bytes as far as possible; return how far."""
        if self._wrong:
            return self._inner.recv_into(buffer)
        try:
            while not (count := self._codec.read_into(buffer)):
                if not (data := self._inner.recv(_READ_BYTES)):
                    return 0
                self._codec.feed(data)
        except ClientProtocolError:
            self._wrong = True
            raise
        except ServerProtocolError as exc:
            raise _broken(exc) from exc
        return count

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take bytes; return how many.  What a coded piece stands for is taken when all of the piece has been sent."""
        if self._rest:
            return self._go_on()
        sent = 0
        while sent < len(data):
            try:
                taken, coded = self._codec.encode(memoryview(data)[sent:])
            except ServerProtocolError as exc:
                raise _broken(exc) from exc
            if coded and not self._send_all(coded):
                self._taken = taken
                if not sent:
                    raise BlockingIOError
                break
            sent += taken
        return sent

    def _go_on(self) -> int:
        if not self._send_all(self._rest):
            raise BlockingIOError
        return self._taken

    def _send_all(self, coded: bytes) -> bool:
        """Send a coded piece, and keep what is not taken of it; answer whether nothing was kept."""
        try:
            count = self._inner.send(coded)
        except BlockingIOError:
            count = 0
        self._rest = coded[count:]
        return not self._rest

    def shutdown(self, how: int, /) -> None:
        """Say that no more will be sent."""
        self._inner.shutdown(how)

    def close(self) -> None:
        """Close it, and what it is around."""
        self._inner.close()


def _broken(error: ServerProtocolError) -> OSError:
    return OSError(errno.EBADMSG, str(error))
