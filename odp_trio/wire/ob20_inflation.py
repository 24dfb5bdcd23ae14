"""OB 2.0 frames inside zlib: what comes is inflated piece by piece, never more than was asked for at once.

The outer header is that of MySQL's compressed protocol: bytes that follow, number, length before compression.
Where that is 0 the frame is not compressed: both kinds may come on one connection (seen on seekdb 1.3.0).
The checksum of a compressed frame's header does not cover the outer header.
"""

from __future__ import annotations

import zlib
from typing import Final, final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.ob20 import HEADER_BYTES, OUTER_BYTES, TAIL_BYTES
from odp_trio.wire.ob20_answers import AnswerDecoder

INPUT_BYTES: Final = 16384
"""Who feeds it had better feed so much at a time."""


@final
class InflatingDecoder:
    """Reads the frames of one server session on which compression was agreed.

    ``feed(data)``, then ``decode(buffer)`` as long as it answers more than 0 or
    ``pending`` is true: it fills the buffer with MySQL bytes as far as it can.
    Raises ServerProtocolError as AnswerDecoder does, and for what zlib cannot read.
    """

    __slots__ = ("_answers", "_expanded", "_inflater", "_input", "_inside", "_left", "_more", "_outer", "_raw")

    def __init__(self, answers: AnswerDecoder) -> None:
        self._answers = answers
        self._input = b""
        self._outer = b""
        self._raw = 0  # bytes of an uncompressed frame to come
        self._inside = False  # a compressed one is being read
        self._left = self._expanded = 0  # of it: compressed bytes to come, inflated ones to come
        self._more = False  # zlib may hold more, without more input
        self._inflater = zlib.decompressobj()

    @property
    def pending(self) -> bool:
        """Whether there may be more without another ``feed``."""
        return bool(self._input or self._more)

    def feed(self, data: bytes) -> None:
        """Add what has arrived.  Everything before was taken."""
        self._input += data

    def decode(self, buffer: bytearray | memoryview) -> int:
        """Fill the buffer; answer how far."""
        size = len(buffer)
        while self.pending:
            piece = self._next_piece(size)
            if not piece:
                continue
            count = len(piece)
            buffer[:count] = piece
            if written := self._answers.decode(buffer, 0, count):
                return written
        return 0

    def _next_piece(self, size: int) -> bytes:
        """Take bytes of one frame, inflated if they were compressed; at most ``size``."""
        if self._raw:
            step = min(self._raw, size, len(self._input))
            self._raw -= step
            return self._take(step)
        if self._inside:
            return self._inflate(size)
        self._outer += self._take(OUTER_BYTES - len(self._outer))
        if len(self._outer) < OUTER_BYTES:
            return b""
        outer, self._outer = self._outer, b""
        length, expanded = int.from_bytes(outer[:3], "little"), int.from_bytes(outer[4:], "little")
        if not expanded:
            self._raw = length
            return outer
        if expanded < HEADER_BYTES + TAIL_BYTES or not length:
            raise ServerProtocolError(f"a compressed frame of {length} bytes, {expanded} before compression")
        self._left, self._expanded, self._inside = length, expanded, True
        self._inflater = zlib.decompressobj()
        self._answers.expect_inner()
        return b""

    def _inflate(self, size: int) -> bytes:
        inflater = self._inflater
        data = inflater.unconsumed_tail
        if not data and self._left:
            data = self._take(min(self._left, len(self._input)))
            self._left -= len(data)
        limit = min(size, self._expanded + 1)
        try:
            piece = inflater.decompress(data, limit)
        except zlib.error as exc:
            raise ServerProtocolError(f"a compressed frame cannot be read: {exc}") from exc
        self._expanded -= len(piece)
        self._more = not inflater.eof and (len(piece) == limit or bool(inflater.unconsumed_tail))
        if inflater.eof:
            if self._expanded or self._left or inflater.unused_data:
                raise ServerProtocolError("a compressed frame has another length than it says")
            self._inside = False
        elif self._expanded < 0 or not (self._left or self._more):
            raise ServerProtocolError("a compressed frame has another length than it says")
        return piece

    def _take(self, count: int) -> bytes:
        data, self._input = self._input[:count], self._input[count:]
        return data
