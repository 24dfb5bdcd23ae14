"""OB 2.0 framing: MySQL packets inside checked frames with request ids.

    7 bytes   length of what follows (24 + payload + 4), sequence number, 0
    24 bytes  magic, version, connection id, request id, number, payload length, flags, 0, CRC-16 of the 29 before
    payload   [length and extra info], MySQL packets
    4 bytes   CRC-32C of the payload, with initial value and final XOR 0

A checksum field of 0 means that it is not to be checked; zeros have that
checksum, so a payload of zeros never is.  Source: ODP's
ob_2_0_protocol; layout and checksums seen on seekdb 1.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from struct import Struct
from typing import Final, final

import msgspec
from fastcrc import crc16, crc32

from odp_trio.wire.extra_info import entries, write_entries
from odp_trio.wire.fields import ErrorClass

MAGIC: Final = 0x20AB
VERSION: Final = 20
OUTER_BYTES: Final = 7
HEADER_BYTES: Final = 24
TAIL_BYTES: Final = 4
SPLIT_BYTES: Final = 1 << 23
"""MySQL bytes of one frame at the most."""

_HEADER: Final = Struct("<HHI3sBIIHH")
_ONES: Final = 0xFFFFFFFF


class Flag(IntFlag):
    """Flags of a frame."""

    EXTRA_INFO = 1
    LAST = 2
    REROUTE = 4
    NEW_EXTRA_INFO = 8
    WEAK_READ = 16
    FREE_ROUTE = 32
    SWITCH_ROUTE = 64
    DUP_LS_MODIFIED = 128


class Frame(msgspec.Struct, frozen=True):
    """One frame.  ``extra`` is its extra info by type (new format), ``mysql`` the rest of its payload.

    ``old_extra`` is extra info of the format without types, as it came.
    """

    connection_id: int
    request_id: int
    seq: int
    flags: int
    mysql: bytes
    extra: Mapping[int, bytes] = {}
    old_extra: bytes = b""

    @property
    def is_last(self) -> bool:
        """Whether the request or response ends here."""
        return bool(self.flags & Flag.LAST)

    def to_bytes(self) -> bytes:
        """Write the frame with both checksums."""
        flags, payload, info = self.flags, self.mysql, self.old_extra
        if self.extra:
            flags |= Flag.EXTRA_INFO | Flag.NEW_EXTRA_INFO
            info = write_entries(self.extra.items())
        elif info:
            flags |= Flag.EXTRA_INFO
        if flags & Flag.EXTRA_INFO:  # its length is there even when nothing follows it
            payload = len(info).to_bytes(4, "little") + info + payload
        outer = (HEADER_BYTES + len(payload) + TAIL_BYTES).to_bytes(3, "little") + bytes((self.seq & 0xFF, 0, 0, 0))
        header = _HEADER.pack(
            MAGIC,
            VERSION,
            self.connection_id,
            (self.request_id & 0xFFFFFF).to_bytes(3, "little"),
            self.seq & 0xFF,
            len(payload),
            flags,
            0,
            0,
        )[:-2]
        return outer + header + header_crc(outer + header).to_bytes(2, "little") + payload + _tail(payload)


def header_crc(data: bytes) -> int:
    """CRC-16/ARC of outer header and header."""
    return crc16.arc(data)


def payload_crc(data: bytes) -> int:
    """CRC-32C with initial value 0 and no final XOR, made from the standard one, which has all ones for both."""
    return crc32.iscsi(data, _ONES) ^ _ONES


def _tail(payload: bytes) -> bytes:
    return payload_crc(payload).to_bytes(4, "little")


def frames(
    connection_id: int,
    request_id: int,
    first_seq: int,
    mysql: bytes,
    *,
    flags: int = 0,
    extra: Mapping[int, bytes] = {},
) -> bytes:
    """Write the frames of a request or response: split every 8 MiB, the last one marked, extra info in the first."""
    pieces = [mysql[at : at + SPLIT_BYTES] for at in range(0, len(mysql), SPLIT_BYTES)] or [b""]
    return b"".join(
        Frame(
            connection_id,
            request_id,
            first_seq + at,
            flags | (Flag.LAST if at == len(pieces) - 1 else 0),
            piece,
            extra if at == 0 else {},
        ).to_bytes()
        for at, piece in enumerate(pieces)
    )


@final
class FrameReader:
    """Collects bytes and gives out frames.

    ``next_frame()`` answers a frame, or None when more bytes are needed; it
    raises the error class given at construction for a wrong magic, version,
    length, checksum or connection id (None: any id).  Requests and responses
    alike count their frames up by one within a request id; a gap is an error too.
    """

    __slots__ = ("_connection_id", "_error", "_expected", "buffer")

    def __init__(self, error: ErrorClass, connection_id: int | None = None) -> None:
        self.buffer = bytearray()
        self._error = error
        self._connection_id = connection_id
        self._expected: tuple[int, int] | None = None  # request id and number of the next frame of a split

    def feed(self, data: bytes | memoryview) -> None:
        """Add what has arrived."""
        self.buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next frame, or None."""
        if len(self.buffer) < OUTER_BYTES + HEADER_BYTES:
            return None
        head = bytes(self.buffer[: OUTER_BYTES + HEADER_BYTES])
        length = int.from_bytes(head[:3], "little")
        payload_bytes = self._check_header(head, length)
        if len(self.buffer) < OUTER_BYTES + length:
            return None
        start = OUTER_BYTES + HEADER_BYTES
        payload = bytes(self.buffer[start : start + payload_bytes])
        tail = int.from_bytes(self.buffer[start + payload_bytes : OUTER_BYTES + length], "little")
        del self.buffer[: OUTER_BYTES + length]
        if tail and tail != payload_crc(payload):
            raise self._error(f"payload checksum 0x{tail:08x}, computed 0x{payload_crc(payload):08x}")
        return self._frame(head, payload)

    def _check_header(self, head: bytes, length: int) -> int:
        magic, version, connection_id, _, _, payload_bytes, _, _, crc = _HEADER.unpack_from(head, OUTER_BYTES)
        if magic != MAGIC or version != VERSION:
            raise self._error(f"no OB 2.0 frame: magic 0x{magic:04x}, version {version}")
        if crc and crc != header_crc(head[:-2]):
            raise self._error(f"header checksum 0x{crc:04x}, computed 0x{header_crc(head[:-2]):04x}")
        if int.from_bytes(head[4:7], "little"):
            raise self._error("a compressed frame, which was not agreed on")
        if length != HEADER_BYTES + payload_bytes + TAIL_BYTES:
            raise self._error(f"a frame of {length} bytes with a payload of {payload_bytes}")
        if self._connection_id is not None and connection_id != self._connection_id:
            raise self._error(f"a frame for connection {connection_id} on connection {self._connection_id}")
        return int(payload_bytes)

    def _frame(self, head: bytes, payload: bytes) -> Frame:
        _, _, connection_id, request, seq, _, flags, _, _ = _HEADER.unpack_from(head, OUTER_BYTES)
        request_id = int.from_bytes(request, "little")
        if self._expected is not None and self._expected != (request_id, seq):
            raise self._error(f"frame {seq} of request {request_id}, expected {self._expected}")
        extra: Mapping[int, bytes] = {}
        info = b""
        if flags & Flag.EXTRA_INFO:
            info, payload = self._split_extra(payload)
            if flags & Flag.NEW_EXTRA_INFO:
                extra, info = dict(entries(info, self._error)), b""
        self._expected = None if flags & Flag.LAST else (request_id, (seq + 1) & 0xFF)
        return Frame(connection_id, request_id, seq, flags, payload, extra, info)

    def _split_extra(self, payload: bytes) -> tuple[bytes, bytes]:
        end = 4 + int.from_bytes(payload[:4], "little")
        if len(payload) < max(4, end):
            raise self._error(f"extra info of {end - 4} bytes in a payload of {len(payload)}")
        return payload[4:end], payload[end:]
