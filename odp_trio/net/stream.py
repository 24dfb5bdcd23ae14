"""What a session reads from and writes to: a socket, or something that codes what goes through one.

TLS, OB 2.0 and compression are streams around another stream.  To the lane, the
legs and the channels all of them look like a non-blocking socket.
"""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """The part of a non-blocking socket that sessions use.  ``socket.socket`` is one.

    ``recv`` and ``recv_into`` raise BlockingIOError when nothing can be given yet and answer nothing (0 bytes) at
    the end; ``send`` answers how many bytes were taken, and raises
    BlockingIOError for none.  Both raise OSError when the connection is broken.
    Who calls ``send`` again begins with the bytes that were not taken: a stream may have begun to send them.
    """

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes."""
        ...

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Fill a buffer as far as possible; return how far."""
        ...

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take bytes; return how many."""
        ...

    def shutdown(self, how: int, /) -> None:
        """Say that no more will be sent."""
        ...

    def close(self) -> None:
        """Close it, and what it is around."""
        ...


class CodedStream(Stream, Protocol):
    """A stream around another one.  It may hold decoded bytes that the descriptor knows nothing of.

    Errors of the peer's coding are raised as OSError's cause or as a ProtocolError of the side that it is on.
    """

    @property
    def pending(self) -> bool:
        """Whether ``recv`` would give bytes although the descriptor may never become readable again."""
        ...
