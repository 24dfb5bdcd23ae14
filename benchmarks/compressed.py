"""A client's socket in MySQL's compressed protocol; by hand, as ``packets`` is.

A frame: 3 bytes length, a number, 3 bytes length before compression (0: not compressed).
"""

from __future__ import annotations

import socket
import zlib

COMPRESS = 0x0020
_HEADER_BYTES = 7
_SMALL_BYTES = 65536


def small_frame(data: bytes) -> bytes:
    """Put one small command in a frame, not compressed, as clients do below 50 bytes."""
    return len(data).to_bytes(3, "little") + bytes(4) + data


class Frames:
    """Reads a socket's frames; ``raw`` is every byte of a small answer since it was emptied last."""

    def __init__(self, sock: socket.socket) -> None:
        self.raw = b""
        self._sock = sock
        self._plain = memoryview(b"")

    def recv_into(self, buffer: bytearray, size: int) -> int:
        """Put up to ``size`` decoded bytes into ``buffer``; return how many, 0 at the end."""
        if not self._plain:
            header = self._exactly(_HEADER_BYTES)
            if not header:
                return 0
            body = self._exactly(int.from_bytes(header[:3], "little"))
            self._plain = memoryview(zlib.decompress(body) if any(header[4:]) else body)
        piece = self._plain[:size]
        buffer[: len(piece)] = piece
        self._plain = self._plain[len(piece) :]
        return len(piece)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (more := self._sock.recv(size - len(data))):
                return b""
            data += more
        if len(self.raw) < _SMALL_BYTES:
            self.raw += data
        return data
