"""OB 2.0 around a stream to an OBServer: MySQL packets inside checked frames."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final, Protocol, final

from odp_trio.errors import ServerProtocolError
from odp_trio.net.stream import CodedStream, Stream
from odp_trio.wire.compressed import CompressedReader
from odp_trio.wire.ob20_answers import AnswerDecoder
from odp_trio.wire.ob20_requests import RequestEncoder

_READ_BYTES: Final = 32768
_SEQ_AT: Final = 3  # 0 begins a command; a local file and an answer to an auth switch go on counting
_COMMAND_AT: Final = 4


class Beside(Protocol):
    """What travels beside the packets: extra info."""

    def outgoing(self, command: int) -> bytes:
        """Return the extra info for a command that begins now; empty when there is none."""
        ...

    def arrived(self, key: int, value: bytes) -> None:
        """Take an entry of an answer's extra info."""
        ...


@final
class OB20Stream:
    """A coded stream; see ``net.stream``.  ``recv`` gives MySQL bytes, ``send`` takes them.

    ``next_flags`` goes with the next request that begins, and is 0 after it; ``standing_flags`` go with all;
    ``answer_flags`` is what the last frame of the last answer had: both are ``wire.ob20.Flag``.  They are how
    transaction-internal routing is asked for and allowed (FREE_ROUTE).
    ``level`` is zlib's, 1 to 9, where compression was agreed on.

    What breaks the framing is raised as OSError (EBADMSG) with ServerProtocolError as its cause; the stream is of
    no use after that.
    """

    __slots__ = (
        "_beside", "_coded", "_decode", "_decoder", "_encoder", "_reader", "_receive", "_send", "_taken", "_unsent",
        "inner", "next_flags", "standing_flags",
    )  # fmt: skip

    def __init__(self, inner: Stream, connection_id: int, level: int = 0) -> None:
        self.inner = inner
        self.next_flags = self.standing_flags = 0
        self._beside: Beside | None = None
        self._coded: CodedStream | None = None
        if not isinstance(inner, socket.socket):
            self._coded = inner  # type: ignore[assignment]  # what is no socket has been coded
        self._encoder = RequestEncoder(connection_id, level)
        self._decoder = AnswerDecoder(connection_id, self._encoder, inner=bool(level))
        self._reader = CompressedReader(ServerProtocolError, _any_number) if level else None
        self._receive: Callable[[bytearray | memoryview], int] = inner.recv_into
        self._decode, self._send = self._decoder.decode, inner.send
        self._unsent: memoryview | None = None
        self._taken = 0

    def carry(self, beside: Beside) -> None:
        """Let extra info travel from now on."""
        self._beside = beside
        self._decoder.on_extra = beside.arrived

    @property
    def answer_flags(self) -> int:
        """The flags of the last frame that came."""
        return self._decoder.flags

    @property
    def pending(self) -> bool:
        """Whether ``recv`` would give bytes although the descriptor may never become readable again."""
        return (self._reader is not None and self._reader.pending) or (self._coded is not None and self._coded.pending)

    # ---- answers --------------------------------------------------------------------

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Fill a buffer with MySQL bytes as far as possible; return how far."""
        try:
            if self._reader is not None:
                return self._inflate_into(buffer, self._reader)
            while count := self._receive(buffer):
                if count := self._decode(buffer, 0, count):
                    return count
        except ServerProtocolError as exc:
            raise OSError(errno.EBADMSG, str(exc)) from exc
        return 0

    def _inflate_into(self, buffer: bytearray | memoryview, reader: CompressedReader) -> int:
        while True:
            if count := reader.read_into(buffer):
                if count := self._decode(buffer, 0, count):
                    return count
            elif data := self.inner.recv(_READ_BYTES):
                reader.feed(data)
            else:
                return 0

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` MySQL bytes."""
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(buffer)])

    # ---- requests -------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take MySQL bytes, in one frame at most; return how many.

        A frame that does not go out whole is kept, and counts when ``send`` is called with the same bytes again.
        """
        if self._unsent is not None:
            return self._send_rest(self._unsent)
        encoder = self._encoder
        if encoder.between:
            flags, self.next_flags = self.next_flags | self.standing_flags, 0
            info = b""
            if self._beside is not None and len(data) > _COMMAND_AT and not data[_SEQ_AT]:
                info = self._beside.outgoing(data[_COMMAND_AT])
            frame, taken = encoder.encode(data, flags, info)
        else:
            frame, taken = encoder.encode(data)
        try:
            sent = self._send(frame)
        except BlockingIOError:
            sent = 0
        if sent == len(frame):
            return taken
        self._unsent, self._taken = memoryview(frame)[sent:], taken
        raise BlockingIOError(errno.EAGAIN, "the frame was not taken whole")

    def _send_rest(self, rest: memoryview) -> int:
        self._unsent = rest[self.inner.send(rest) :]
        if self._unsent:
            raise BlockingIOError(errno.EAGAIN, "the frame was not taken whole")
        self._unsent = None
        return self._taken

    # ---- the descriptor -----------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self.inner.fileno()

    def shutdown(self, how: int, /) -> None:
        """Say that no more will be sent."""
        self.inner.shutdown(how)

    def close(self) -> None:
        """Close it, and what it is around."""
        self.inner.close()


def _any_number(seq: int) -> None:
    """The frames inside have numbers that count."""
