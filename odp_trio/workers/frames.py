"""The messages between a worker and its parent: MessagePack, each behind its length in four bytes."""

from __future__ import annotations

import socket
from typing import Final, final

import msgspec
import trio

from odp_trio.errors import OdpError
from odp_trio.workers.asking import Agreement, Answer, Question, Refusal

LONGEST: Final = 1 << 26
"""A frame of more bytes is not sent."""
_PIECE: Final = 1 << 18
_HEAD: Final = 4


class TooLong(OdpError):
    """A frame that would be longer than is allowed."""


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Worker: ask all, or the one that is named."""

    id: int
    question: Question
    seconds: float
    only: int | None = None


class Propose(msgspec.Struct, frozen=True, tag="propose"):
    """Worker: have all do something, or none."""

    id: int
    question: Question
    seconds: float


class Sealed(msgspec.Struct, frozen=True, tag="sealed"):
    """Worker: what it proposed, and all have prepared, shall be done; or not."""

    refusal: Refusal | None = None


class Told(msgspec.Struct, frozen=True, tag="told"):
    """Worker: the answer to one frame of the parent."""

    id: int
    answer: Answer


class Joined(msgspec.Struct, frozen=True, tag="joined"):
    """Worker: from now on it may be asked."""


class DrainAll(msgspec.Struct, frozen=True, tag="drain_all"):
    """Worker: somebody wants all to end."""

    by: str


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Worker: something for the parent itself, such as what is to be kept on the disk."""

    question: Question


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """Parent: answer this."""

    id: int
    question: Question


class Answers(msgspec.Struct, frozen=True, tag="answers"):
    """Parent: what they said."""

    id: int
    answers: list[Answer]


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """Parent: take part in this.  ``Commit`` or ``Abandon`` follows."""

    id: int
    question: Question


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """Parent: all have prepared what was proposed; seal it."""

    id: int


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """Parent: do it."""

    id: int


class Abandon(msgspec.Struct, frozen=True, tag="abandon"):
    """Parent: forget it."""


class Agreed(msgspec.Struct, frozen=True, tag="agreed"):
    """Parent: what became of a proposal."""

    id: int
    agreement: Agreement


Frame = (
    Ask
    | Propose
    | Sealed
    | Told
    | Joined
    | DrainAll
    | Note
    | Asked
    | Answers
    | Prepare
    | Prepared
    | Commit
    | Abandon
    | Agreed
)


def encode(frame: Frame) -> bytes:
    """Return a frame's bytes; raise TooLong."""
    data = msgspec.msgpack.encode(frame)
    if len(data) > LONGEST:
        raise TooLong(f"{len(data)} bytes are too long for one message between workers; at most {LONGEST} are allowed")
    return len(data).to_bytes(_HEAD, "big") + data


def read_frame(data: bytes | memoryview) -> Frame:
    """Return what ``encode`` wrote behind the length; raise msgspec.DecodeError for what is no frame."""
    try:
        frame: Frame = msgspec.msgpack.decode(data, type=Frame)
    except (UnicodeDecodeError, RecursionError) as exc:
        raise msgspec.DecodeError(f"no frame: {exc}") from exc
    return frame


@final
class Channel:
    """One end of a stream socket.  One task may send at a time, and one receive."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        """Send one encoded frame whole; raise BrokenResourceError or ClosedResourceError when nobody is there."""
        await self._stream.send_all(data)

    async def receive(self) -> Frame | None:
        """Wait for the next frame; None at the end.

        Raises msgspec.DecodeError for what is no frame: peers are of the same making, though perhaps not of the
        same version.
        """
        while True:
            if len(self._buffer) >= _HEAD:
                end = _HEAD + int.from_bytes(self._buffer[:_HEAD], "big")
                if end > _HEAD + LONGEST:
                    raise msgspec.DecodeError(f"a frame of {end - _HEAD} bytes")
                if len(self._buffer) >= end:
                    with memoryview(self._buffer) as view:
                        frame = read_frame(view[_HEAD:end])
                    del self._buffer[:end]
                    return frame
            try:
                data = await self._stream.receive_some(_PIECE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._buffer += data

    def close(self) -> None:
        """Give the socket back; the peer sees the end."""
        self._stream.socket.close()
