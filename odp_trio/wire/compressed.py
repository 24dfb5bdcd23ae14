"""MySQL's compressed protocol: packets inside numbered frames, with zlib or without; and OceanBase's way with it.

    3 bytes  length of what follows the 7 bytes
    1 byte   number of the frame
    3 bytes  length before compression; 0: what follows is not compressed

Frames and packets have nothing to do with each other: a frame may hold several packets, or a part of one.
Frames are numbered by themselves: a command begins at 0, and both sides count on from each other's last frame.

OceanBase's way (capability CHECKSUM): the client numbers the frames of its command; the answer counts from 1, and its
last frame has the number of the frame before it, or that of the command's last one.  It is there for zlib's
checksum: at level 0 the data is in blocks that are not compressed.  What an OBServer does not take: a gap in the
numbers, and a frame with more than one packet.  Sources: MySQL: Compression; ODP's compressed analyzer; numbers,
refusals and frames of 32 KiB: seen on seekdb 1.3.0.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol, final

from odp_trio.errors import ClientProtocolError, OutOfOrder, ProtocolError, ServerProtocolError
from odp_trio.wire.fields import MAX_PAYLOAD, ErrorClass

HEADER_BYTES: Final = 7
SMALL_BYTES: Final = 50
"""Less than this is not worth compressing: MySQL's MIN_COMPRESS_LENGTH."""
FRAME_BYTES: Final = 65536
"""Plain bytes of one of our frames at the most, so that none keeps the loop for long; the format has 16 MiB - 1."""
_STORED: Final = b"\x78\x01\x01"
"""What zlib's data begins with when all of it is one block that is not compressed."""
_BLOCK_BYTES: Final = 0xFFFF
_STORED_BYTES: Final = 11
"""What such data has besides: that, the length twice, the checksum."""
_LITTLE_BYTES, _LITTLE_WINDOW, _LITTLE_MEMORY = 2048, 11, 3
"""Tables of 256 KiB are not needed for so little."""

Bytes = bytes | bytearray | memoryview


class Codec(Protocol):
    """Both directions of a coded stream, as pure functions of what has passed."""

    @property
    def pending(self) -> bool:
        """Whether ``read_into`` may give bytes without another ``feed``."""
        ...

    def feed(self, data: bytes) -> None:
        """Add coded bytes that have arrived."""
        ...

    def read_into(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer with decoded bytes as far as possible; 0: more must be fed.  Raises a ProtocolError."""
        ...

    def encode(self, data: Bytes) -> tuple[int, bytes]:
        """Code a beginning of ``data``; return how long it was, and what is to be sent for it (perhaps nothing)."""
        ...


def compressed_frame(seq: int, data: Bytes, level: int | None) -> bytes:
    """Write one frame of at most 16 MiB - 1 bytes: with zlib at a level of 0 to 9, or as it is (None)."""
    assert 0 < len(data) <= MAX_PAYLOAD
    if level is None:
        return b"".join((len(data).to_bytes(3, "little"), bytes((seq, 0, 0, 0)), data))
    size = len(data)
    if not level and size <= _BLOCK_BYTES:  # by hand: to set zlib up costs twenty times as much
        head = _STORED + size.to_bytes(2, "little") + (size ^ _BLOCK_BYTES).to_bytes(2, "little")
        coded = b"".join((head, data, zlib.adler32(data).to_bytes(4, "big")))
    elif size <= _LITTLE_BYTES:
        deflater = zlib.compressobj(level, zlib.DEFLATED, _LITTLE_WINDOW, _LITTLE_MEMORY)
        coded = deflater.compress(data) + deflater.flush()
    else:
        coded = zlib.compress(data, level)
    return b"".join((len(coded).to_bytes(3, "little"), bytes((seq,)), len(data).to_bytes(3, "little"), coded))


@final
class CompressedReader:
    """Takes frames apart.  Nothing of a frame of up to 64 KiB is given out before its checksum has been checked.

    A longer one is given out as it comes: at no time are more than 64 KiB of decoded bytes held, whatever a frame
    holds.  ``accept`` is told the number of every frame, and raises if it may not be.  Wrong lengths and what zlib
    does not take raise the error class given at construction; then nothing more can be read.
    """

    # fmt: off
    __slots__ = (
        "_accept", "_at", "_checked", "_data", "_error", "_full", "_header", "_inflater", "_left", "_plain_left",
        "_starved", "_whole", "stored",
    )
    # fmt: on

    def __init__(self, error: ErrorClass, accept: Callable[[int], None]) -> None:
        self._error, self._accept = error, accept
        self._data = memoryview(b"")
        self._at = 0
        self._header = b""
        self._checked = memoryview(b"")
        """Decoded bytes that there was no room for."""
        self._left = 0
        """Bytes of the frame that have not been looked at."""
        self._plain_left = 0
        """Bytes of what it holds that have not been decoded; 0 for one that is not compressed."""
        self._whole = False
        """Whether it is decoded at once, when all of it has come."""
        self._inflater: zlib._Decompress | None = None
        """Of a frame that is decoded as it comes."""
        self._full = self._starved = False
        """Whether zlib may have more for us; whether what has been fed is not enough to go on."""
        self.stored = False
        """Whether the last frame that began was not compressed."""

    @property
    def pending(self) -> bool:
        """Whether ``read_into`` may give bytes without another ``feed``."""
        return bool(self._checked) or self._full or (self._at < len(self._data) and not self._starved)

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        rest = self._data[self._at :]
        self._data, self._at, self._starved = memoryview(bytes(rest) + data if rest else data), 0, False

    def read_into(self, buffer: bytearray | memoryview) -> int:
        """Fill ``buffer`` as far as possible; return how far.  0: more must be fed."""
        room, filled = len(buffer), 0
        while filled < room:
            if not self._checked:
                self._checked = self._next(room - filled)
                if not self._checked and not self.pending:
                    break
            piece = self._checked[: room - filled]
            self._checked = self._checked[len(piece) :]
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def _next(self, room: int) -> memoryview:
        """Return decoded bytes: a whole frame, up to ``room`` of one that is decoded as it comes, or nothing."""
        if not self._left and self._inflater is None and not self._begin():
            self._starved = True
            return self._checked
        if self._inflater is not None:
            return memoryview(self._inflate(self._inflater, room))
        piece = self._data[self._at : self._at + self._left]
        if self._whole and len(piece) < self._left:
            self._starved = True
            return self._checked
        if not self._whole:
            piece = piece[:room]
        self._at += len(piece)
        self._left -= len(piece)
        return memoryview(self._inflated(piece)) if self._whole else piece

    def _begin(self) -> bool:
        """Read the header of a frame; answer whether all of it is there."""
        piece = self._data[self._at : self._at + HEADER_BYTES - len(self._header)]
        self._at += len(piece)
        self._header = header = self._header + piece
        if len(header) < HEADER_BYTES:
            return False
        self._header = b""
        self._accept(header[3])
        self._left = left = int.from_bytes(header[:3], "little")
        self._plain_left = plain = int.from_bytes(header[4:], "little")
        if not left:
            raise self._error("a compressed frame of no bytes")
        self.stored = not plain
        self._whole = 0 < plain <= FRAME_BYTES and left <= 2 * FRAME_BYTES
        if plain and not self._whole:
            self._inflater = zlib.decompressobj()
        return True

    def _inflated(self, frame: memoryview) -> bytes:
        """Decode a frame at once."""
        plain = self._plain_left
        if (
            len(frame) == plain + _STORED_BYTES
            and bytes(frame[:3]) == _STORED
            and int.from_bytes(frame[3:5], "little") == plain
        ):
            data = bytes(frame[7:-4])
            lengths_agree = plain ^ int.from_bytes(frame[5:7], "little") == _BLOCK_BYTES
            if lengths_agree and zlib.adler32(data) == int.from_bytes(frame[-4:], "big"):
                return data
        inflater = zlib.decompressobj()
        try:
            found = inflater.decompress(frame, self._plain_left + 1)
        except zlib.error as exc:
            raise self._not_taken(exc) from exc
        self._check(inflater, len(found), len(inflater.unused_data))
        if not inflater.eof:
            raise self._error("a compressed frame that is cut")
        return found

    def _inflate(self, inflater: zlib._Decompress, room: int) -> bytes:
        """Decode some of a frame."""
        piece = self._data[self._at : self._at + self._left]
        limit = min(room, self._plain_left) or 1  # the end of zlib's data may come behind the last byte
        try:
            found = inflater.decompress(piece, limit)
        except zlib.error as exc:
            raise self._not_taken(exc) from exc
        used = len(piece) - len(inflater.unused_data if inflater.eof else inflater.unconsumed_tail)
        self._at += used
        self._left -= used
        self._check(inflater, len(found), self._left)
        self._plain_left -= len(found)
        self._full = len(found) == limit
        if inflater.eof:
            self._full, self._inflater = False, None
        elif not self._left and not found:
            raise self._error("a compressed frame that is cut")
        return found

    def _check(self, inflater: zlib._Decompress, found: int, behind: int) -> None:
        if found > self._plain_left:
            raise self._error("a compressed frame that holds more than its header says")
        if inflater.eof and behind:
            raise self._error(f"a compressed frame with {behind} bytes behind what it holds")
        if inflater.eof and found < self._plain_left:
            raise self._error(f"a compressed frame with {self._plain_left - found} bytes missing from what it holds")

    def _not_taken(self, error: zlib.error) -> ProtocolError:
        return self._error(f"a compressed frame that zlib does not take: {error}")


@final
class ClientCodec:
    """A client's connection with the compressed protocol, as MySQL has it; answers are compressed at ``level``.

    Raises OutOfOrder for a frame that neither begins a command nor goes on from the last one of either side.
    """

    __slots__ = ("_level", "_next", "_reader", "feed", "read_into")

    def __init__(self, level: int) -> None:
        self._level = level
        self._next = 0
        self._reader = CompressedReader(ClientProtocolError, self._accept)
        self.feed, self.read_into = self._reader.feed, self._reader.read_into

    @property
    def pending(self) -> bool:
        """Whether ``read_into`` may give bytes without another ``feed``."""
        return self._reader.pending

    def _accept(self, seq: int) -> None:
        if seq and seq != self._next:
            raise OutOfOrder(f"compressed frame 0 or {self._next} expected, got {seq}")
        self._next = (seq + 1) & 0xFF

    def encode(self, data: Bytes) -> tuple[int, bytes]:
        """Code a beginning of ``data`` as one frame."""
        data = data[:FRAME_BYTES]
        seq, self._next = self._next, (self._next + 1) & 0xFF
        return len(data), compressed_frame(seq, data, None if len(data) < SMALL_BYTES else self._level)


class _Answer(Enum):
    """What the numbers say of an answer."""

    GOES_ON = "goes on"
    OVER = "over"
    UNKNOWN = "unknown"


@final
class ServerCodec:
    """A connection to an OBServer with its form of the compressed protocol.

    ``level`` above 0 compresses requests; at 0 they have a checksum for as long as the server's frames have one:
    ``checksum`` says whether its first ones will (``ob_enable_transmission_checksum``).  Raises ServerProtocolError
    for a frame that does not go on from the one before, for one behind the last one of an answer, and when a
    command is to be sent though the answer before has not had its last frame.
    """

    # fmt: off
    __slots__ = ("_answer", "_answered", "_head", "_left", "_level", "_packet", "_reader", "_seen", "_sent", "feed",
                 "read_into")
    # fmt: on

    def __init__(self, level: int, *, checksum: bool) -> None:
        self._level = level
        self._reader = CompressedReader(ServerProtocolError, self._accept)
        self._reader.stored = not checksum
        self.feed, self.read_into = self._reader.feed, self._reader.read_into
        self._sent = self._seen = 0
        self._answered = False
        """Whether a frame has come since one was sent."""
        self._answer = _Answer.OVER
        self._head = b""
        """Of a packet's header what is to be sent with the rest of it."""
        self._left = 0
        """Bytes of the packet that are still to be sent."""
        self._packet = 0
        """Its sequence number."""

    @property
    def pending(self) -> bool:
        """Whether ``read_into`` may give bytes without another ``feed``."""
        return self._reader.pending

    def _accept(self, seq: int) -> None:
        if self._answer is _Answer.OVER and self._answered:
            raise ServerProtocolError(f"compressed frame {seq} behind the last one of an answer")
        following = (self._seen + 1) & 0xFF
        if seq == following or (not self._answered and seq == (self._sent + 1) & 0xFF):
            self._answer = _Answer.UNKNOWN if seq == self._sent else _Answer.GOES_ON
        elif seq in (self._seen, self._sent):
            self._answer = _Answer.OVER
        else:
            raise ServerProtocolError(f"compressed frame {following} expected, got {seq}")
        self._seen, self._answered = seq, True

    def encode(self, data: Bytes) -> tuple[int, bytes]:
        """Code a beginning of ``data`` as one frame, which never goes beyond the end of a packet."""
        head, begins = self._head, False
        if not self._left:
            header = head + data[: 4 - len(head)]
            if len(header) < 4:
                self._head = header
                return len(data), b""
            self._head = b""
            # 0 begins a command, unless an upload has come to 256 packets: nothing is answered in the middle of one.
            begins = not header[3] and (self._packet != 0xFF or self._answered)
            self._packet = header[3]
            self._left = 4 + int.from_bytes(header[:3], "little") - len(head)
        piece = data[: min(self._left, FRAME_BYTES)]
        self._left -= len(piece)
        level = None if self._reader.stored and not self._level else self._level
        return len(piece), compressed_frame(self._number(begins=begins), head + piece if head else piece, level)

    def _number(self, *, begins: bool) -> int:
        """Return the number of the next frame to be sent."""
        if begins and self._answered and self._answer is _Answer.GOES_ON:
            raise ServerProtocolError("the last compressed frame of an answer is missing")
        last = self._seen if self._answered else self._sent
        self._sent = 0 if begins else (last + 1) & 0xFF
        self._seen, self._answered = 0, False
        return self._sent
