"""Requests in OB 2.0 frames: MySQL bytes go in as they come, frames come out.

A request is one MySQL packet with what continues it (16 MiB splits): the encoder
follows their boundaries, because the last frame of a request is marked.  Of the
content of a local file, and of an answer to an auth switch, each packet is a
request of its own: a frame never has bytes of two of them (seekdb 1.3.0 loses
the second).  A request may begin in one frame and end in any later one; frames
may be cut anywhere.

Where compression was agreed on, each frame without its outer header is one
frame of the compressed protocol, with zlib or not, and its header's checksum
covers no outer header.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from fastcrc import crc16, crc32

from odp_trio.wire.compressed import FRAME_BYTES, SMALL_BYTES, compressed_frame
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.ob20 import HEADER_BYTES, MAGIC, SPLIT_BYTES, TAIL_BYTES, VERSION, Flag

_MAGIC: Final = MAGIC | VERSION << 16
_ONES: Final = 0xFFFFFFFF
_LAST: Final = int(Flag.LAST)
_WITH_INFO: Final = int(Flag.EXTRA_INFO | Flag.NEW_EXTRA_INFO)
_FRAME: Final = Struct("<IHBIIIIIH").pack  # outer header, and all of the header before its checksum
_INNER: Final = Struct("<IIIIIH").pack


@final
class RequestEncoder:
    """Writes the frames of one server session's requests.

    ``encode(data, ...)`` takes the beginning of ``data``, which goes on where
    the call before ended, and answers a frame and how many bytes it has taken.
    ``between`` says that the next byte begins a request.  ``request_id`` and ``seq`` are those of
    the last frame.  ``level`` is zlib's; 0: compression was not agreed on.
    """

    __slots__ = (
        "_connection_id",
        "_continued",
        "_header",
        "_level",
        "_limit",
        "_remaining",
        "between",
        "request_id",
        "seq",
    )

    def __init__(self, connection_id: int, level: int = 0) -> None:
        self._connection_id = connection_id
        self._level = level
        self._limit = FRAME_BYTES if level else SPLIT_BYTES
        self._header = b""
        self._remaining = 0
        self._continued = False
        self.between = True
        self.request_id = 0
        self.seq = 0

    def encode(self, data: bytes | bytearray | memoryview, flags: int = 0, info: bytes = b"") -> tuple[bytes, int]:
        """Write one frame; ``flags`` and ``info`` (extra info, for the first frame of a request only) go with it."""
        taken = len(data)
        if (
            self.between
            and 4 <= taken <= self._limit
            and taken - 4 == data[0] | data[1] << 8 | data[2] << 16
            and taken - 4 < MAX_PAYLOAD
        ):
            self.request_id = (self.request_id + 1) & 0xFFFFFF
            self.seq = 0
            flags |= _LAST
        else:
            if self.between:
                self.request_id = (self.request_id + 1) & 0xFFFFFF
                self.seq = 0
            else:
                self.seq = (self.seq + 1) & 0xFF
            taken = self._extent(data, min(taken, self._limit))
            data = data[:taken]
            if self.between:
                flags |= _LAST
        if info:
            flags |= _WITH_INFO
            data = b"".join((len(info).to_bytes(4, "little"), info, data))
        return self._frame(data, flags), taken

    def _frame(self, payload: bytes | bytearray | memoryview, flags: int) -> bytes:
        size, word = len(payload), self.request_id | self.seq << 24
        tail = (crc32.iscsi(payload, _ONES) ^ _ONES).to_bytes(4, "little")
        if self._level:
            head = _INNER(_MAGIC, self._connection_id, word, size, flags, 0)
            whole = b"".join((head, crc16.arc(head).to_bytes(2, "little"), payload, tail))
            return compressed_frame(self.seq, whole, None if size < SMALL_BYTES else self._level)
        length = size + HEADER_BYTES + TAIL_BYTES
        head = _FRAME(length | self.seq << 24, 0, 0, _MAGIC, self._connection_id, word, size, flags, 0)
        return b"".join((head, crc16.arc(head).to_bytes(2, "little"), payload, tail))

    def _extent(self, data: bytes | bytearray | memoryview, end: int) -> int:
        """Answer how far of ``data[:end]`` the request reaches; afterwards ``between`` says whether it ends there."""
        pos = 0
        self.between = False
        while pos < end:
            if self._remaining:
                step = min(self._remaining, end - pos)
                self._remaining -= step
                pos += step
            else:
                step = min(4 - len(self._header), end - pos)
                self._header += bytes(data[pos : pos + step])
                pos += step
                if len(self._header) < 4:
                    break
                self._remaining = int.from_bytes(self._header[:3], "little")
                self._continued = self._remaining == MAX_PAYLOAD
                self._header = b""
            if not self._remaining and not self._continued:
                self.between = True
                break
        return pos
