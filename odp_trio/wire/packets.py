"""Framing: a 3-byte length, a sequence number, a payload; 16 MiB splits.

Sources: MySQL: Protocol::Packet.  Used where whole packets are wanted (login,
internal commands, metadata); the lane walks headers in place instead.
"""

from __future__ import annotations

from odp_trio.errors import ClientProtocolError, OutOfOrder, ProtocolError
from odp_trio.wire.fields import MAX_PAYLOAD, ErrorClass


def packet(seq: int, payload: bytes) -> bytes:
    """Frame a payload, splitting it every 16 MiB - 1; ``seq`` is that of the first packet."""
    if len(payload) < MAX_PAYLOAD:
        return len(payload).to_bytes(3, "little") + bytes((seq & 0xFF,)) + payload
    pieces: list[bytes] = []
    for start in range(0, len(payload) + 1, MAX_PAYLOAD):
        piece = payload[start : start + MAX_PAYLOAD]
        pieces += (len(piece).to_bytes(3, "little"), bytes(((seq + len(pieces) // 3) & 0xFF,)), piece)
    return b"".join(pieces)


class PacketReader:
    """Collects bytes and gives out whole payloads, splits joined.

    ``next_packet()`` answers ``(seq, payload)`` with the sequence number of the
    last piece, or None when more bytes are needed.  It raises the error class
    given at construction when a payload is longer than ``limit_bytes``, and
    OutOfOrder (clients) or that class (servers) when a continuation has a wrong number.
    """

    __slots__ = ("_error", "_parts", "_seq", "buffer", "limit_bytes")

    def __init__(self, error: ErrorClass, limit_bytes: int = 64 << 20) -> None:
        self.buffer = bytearray()
        self.limit_bytes = limit_bytes
        self._error = error
        self._parts: list[bytes] = []
        self._seq = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Add what has arrived."""
        self.buffer += data

    def next_packet(self) -> tuple[int, bytes] | None:
        """Return the next whole payload and its sequence number, or None."""
        buffer = self.buffer
        while len(buffer) >= 4:
            length = buffer[0] | buffer[1] << 8 | buffer[2] << 16
            if length < MAX_PAYLOAD and not self._parts and 4 + length <= len(buffer) and length <= self.limit_bytes:
                seq, payload = buffer[3], bytes(buffer[4 : 4 + length])
                del buffer[: 4 + length]
                return seq, payload
            if sum(map(len, self._parts)) + length > self.limit_bytes:
                raise self._error(f"a packet of more than {self.limit_bytes} bytes is not expected here")
            if len(self.buffer) < 4 + length:
                return None
            seq = self.buffer[3]
            if self._parts and seq != (self._seq + 1) & 0xFF:
                raise self._out_of_order(seq)
            self._parts.append(bytes(self.buffer[4 : 4 + length]))
            del self.buffer[: 4 + length]
            self._seq = seq
            if length < MAX_PAYLOAD:
                payload = b"".join(self._parts)
                self._parts.clear()
                return seq, payload
        return None

    def _out_of_order(self, seq: int) -> ProtocolError:
        message = f"packet {(self._seq + 1) & 0xFF} expected, got {seq}"
        return OutOfOrder(message) if self._error is ClientProtocolError else self._error(message)
