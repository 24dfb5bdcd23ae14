"""A blocking socket that speaks MySQL's compressed protocol, as clients do."""

from __future__ import annotations

import socket
from typing import final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.compressed import CompressedReader, compressed_frame
from odp_trio.wire.fields import MAX_PAYLOAD

_SMALL_BYTES = 50


@final
class CompressedSocket:
    """``sendall`` and ``recv`` of a socket.  What is sent at once is a command, unless it says that it goes on.

    The answer's frames must be numbered on from the command's.  ``frame_bytes`` is how much a frame holds at most.
    """

    def __init__(self, sock: socket.socket, level: int = 6, frame_bytes: int = MAX_PAYLOAD) -> None:
        self.sock = sock
        self.received = 0
        """Bytes that came, as they came."""
        self._level, self._frame_bytes = level, frame_bytes
        self._next = 0
        self._reader = CompressedReader(ServerProtocolError, self._accept)

    def _accept(self, seq: int) -> None:
        if seq != self._next:
            raise ServerProtocolError(f"compressed frame {self._next} expected, got {seq}")
        self._next = (seq + 1) & 0xFF

    def sendall(self, data: bytes, *, goes_on: bool = False) -> None:
        if not goes_on:
            self._next = 0
        for start in range(0, len(data), self._frame_bytes):
            piece = data[start : start + self._frame_bytes]
            level = None if len(piece) < _SMALL_BYTES else self._level
            self.sock.sendall(compressed_frame(self._next, piece, level))
            self._next = (self._next + 1) & 0xFF

    def send_coded(self, frame: bytes) -> None:
        """Send a frame as it is; the answer goes on from its number."""
        self._next = (frame[3] + 1) & 0xFF
        self.sock.sendall(frame)

    def recv(self, size: int) -> bytes:
        buffer = bytearray(size)
        while not (count := self._reader.read_into(buffer)):
            if not (data := self.sock.recv(65536)):
                return b""
            self.received += len(data)
            self._reader.feed(data)
        return bytes(memoryview(buffer)[:count])

    def close(self) -> None:
        self.sock.close()
