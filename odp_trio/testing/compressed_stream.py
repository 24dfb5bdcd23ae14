"""MySQL's compressed protocol over a stream, as clients speak it."""

from __future__ import annotations

from typing import Final, final

import trio

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.compressed import CompressedReader, compressed_frame

_CHUNK_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 50


@final
class CompressedStream:
    """MySQL's compressed protocol over a stream, as clients speak it."""

    def __init__(self, stream: trio.abc.Stream, frame_bytes: int) -> None:
        self.stream = stream
        self.received = 0
        """Bytes that came, as they came."""
        self._frame_bytes = frame_bytes
        self._next = 0
        self._reader = CompressedReader(ServerProtocolError, self._accept)

    def _accept(self, seq: int) -> None:
        if seq != self._next:
            raise ServerProtocolError(f"compressed frame {self._next} expected, got {seq}")
        self._next = (seq + 1) & 0xFF

    async def send_all(self, data: bytes, *, goes_on: bool = False) -> None:
        """Send a command, or the rest of one (``goes_on``)."""
        if not goes_on:
            self._next = 0
        for start in range(0, len(data), self._frame_bytes):
            piece = data[start : start + self._frame_bytes]
            await self.stream.send_all(compressed_frame(self._next, piece, None if len(piece) < _SMALL_BYTES else 6))
            self._next = (self._next + 1) & 0xFF

    async def receive(self) -> bytes:
        """Receive what there is; nothing when the other side has closed."""
        buffer = bytearray(_CHUNK_BYTES)
        while not (count := self._reader.read_into(buffer)):
            if not (data := await self.stream.receive_some(65536)):
                return b""
            self.received += len(data)
            self._reader.feed(bytes(data))
        return bytes(memoryview(buffer)[:count])
