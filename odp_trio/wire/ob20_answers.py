"""Answers in OB 2.0 frames: bytes go in as they come, MySQL bytes come out before their frame is whole.

Theory of operation.  A frame may have 16 MiB, so nothing of it is held but
headers and extra info; checksums are computed as the bytes pass.  What comes
out is written over what went in: it is never longer.  The last byte of each
frame is held back until what makes it true has come: the frame's checksum and
the mark that the answer ends here, or else the beginning of the frame that goes on.  So
who follows the MySQL packets cannot think that an answer is over, or learn
from extra info, before all of it was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, final

from fastcrc import crc16, crc32

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.extra_info import LIMIT_BYTES, entries
from odp_trio.wire.ob20 import HEADER_BYTES, MAGIC, OUTER_BYTES, TAIL_BYTES, VERSION, Flag
from odp_trio.wire.ob20_requests import RequestEncoder

_MAGIC: Final = MAGIC | VERSION << 16
_ONES: Final = 0xFFFFFFFF
_FRAME: Final = Struct("<IHBIIIIIHH").unpack_from
_INNER: Final = Struct("<IIIIIHH").unpack_from
_WHOLE_HEAD: Final = OUTER_BYTES + HEADER_BYTES
_OVERHEAD: Final = _WHOLE_HEAD + TAIL_BYTES
_EXTRA, _LAST, _NEW_EXTRA = int(Flag.EXTRA_INFO), int(Flag.LAST), int(Flag.NEW_EXTRA_INFO)
# What comes next.
_HEAD, _INFO_LENGTH, _INFO, _MYSQL, _TAIL = range(5)

OnExtra = Callable[[int, bytes], None]


@final
class AnswerDecoder:
    """Reads the frames of one server session's answers.

    ``decode(buffer, start, end)`` takes ``buffer[start:end]``, writes the MySQL
    bytes to ``buffer`` from ``start`` on and answers where they end.  ``flags`` is those of the
    last frame that was checked; ``over`` says that it was the last one of its answer.
    ``inner`` frames have no outer header: it was that of the compressed protocol, and was read elsewhere.
    ``on_extra`` gets key and value of each entry of extra info once its frame was checked.

    Raises ServerProtocolError for a wrong magic, version, length, checksum,
    connection id, request id or number: then the connection is of no use any
    more.  Any bytes give MySQL bytes or that.
    """

    __slots__ = (
        "_answered",
        "_connection_id",
        "_crc",
        "_expected",
        "_extra",
        "_frame_flags",
        "_head_bytes",
        "_held",
        "_left",
        "_need",
        "_part",
        "_requests",
        "_step",
        "_word",
        "flags",
        "on_extra",
    )

    def __init__(
        self,
        connection_id: int,
        requests: RequestEncoder,
        on_extra: OnExtra | None = None,
        *,
        inner: bool = False,
    ) -> None:
        self.on_extra = on_extra
        self.flags = _LAST
        self._connection_id = connection_id
        self._requests = requests
        self._answered = 0  # the last request that has its answer
        self._expected = -1  # number and request id of the frame that goes on; -1 between two answers
        self._head_bytes = HEADER_BYTES if inner else _WHOLE_HEAD
        self._step, self._need = _HEAD, self._head_bytes
        self._part = bytearray()
        self._left = 0
        self._crc = 0
        self._held = b""
        self._extra: list[tuple[int, bytes]] = []
        self._frame_flags = self._word = 0

    @property
    def over(self) -> bool:
        """Whether no answer has begun that has not ended."""
        return self._expected < 0 and self._step == _HEAD and not self._part

    def decode(self, buffer: bytearray | memoryview, start: int, end: int) -> int:
        """Take ``buffer[start:end]``; see the class."""
        if self._expected < 0 and self._step == _HEAD and not self._part and end - start >= _OVERHEAD:
            # One frame that is the whole answer: nearly always.
            outer, before, more, magic, connection_id, word, size, flags, _, crc = _FRAME(buffer, start)
            requests = self._requests
            if (
                end - start == size + _OVERHEAD
                and flags & (_EXTRA | _LAST) == _LAST
                and word == requests.request_id | (requests.seq + 1 & 0xFF) << 24
                and magic == _MAGIC
                and connection_id == self._connection_id
                and outer & 0xFFFFFF == size + HEADER_BYTES + TAIL_BYTES
                and not before | more
                and requests.between
                and requests.request_id != self._answered
                and self._head_bytes == _WHOLE_HEAD
            ):
                begin = start + _WHOLE_HEAD
                payload = bytes(buffer[begin : begin + size])
                tail = int.from_bytes(buffer[end - TAIL_BYTES : end], "little")
                if crc and crc != crc16.arc(bytes(buffer[start : begin - 2])):
                    raise _wrong("header", crc, crc16.arc(bytes(buffer[start : begin - 2])))
                if tail and tail != crc32.iscsi(payload, _ONES) ^ _ONES:
                    raise _wrong("payload", tail, crc32.iscsi(payload, _ONES) ^ _ONES)
                buffer[start : start + size] = payload
                self._answered = requests.request_id
                self.flags = flags
                stop: int = start + size
                return stop
        return self._decode(memoryview(buffer), start, end)

    def _decode(self, view: memoryview, start: int, end: int) -> int:
        out = pos = start
        while pos < end or not self._need:
            take = min(self._need, end - pos)
            if self._step == _MYSQL:
                piece = view[pos : pos + take]
                self._crc = crc32.iscsi(piece, self._crc ^ _ONES) ^ _ONES
                self._need -= take
                given = take
                if not self._need and take:
                    self._held = bytes(piece[-1:])
                    given = take - 1
                if out != pos:
                    view[out : out + given] = view[pos : pos + given]
                out += given
                pos += take
                if not self._need:
                    self._step, self._need = _TAIL, TAIL_BYTES
                continue
            self._part += view[pos : pos + take]
            self._need -= take
            pos += take
            if self._need:
                break
            data, self._part = bytes(self._part), bytearray()
            if self._whole_part(data):
                view[out : out + 1] = self._held
                self._held = b""
                out += 1
        return out

    def _whole_part(self, data: bytes) -> bool:
        """Do with a part that must be seen whole; answer whether the byte that was held back goes out."""
        if self._step == _TAIL:
            return self._end_frame(int.from_bytes(data, "little"))
        if self._step == _HEAD:
            self._begin_frame(data)
            return self._goes_on
        self._crc = crc32.iscsi(data, self._crc ^ _ONES) ^ _ONES
        if self._step == _INFO_LENGTH:
            length = int.from_bytes(data, "little")
            if length > min(self._left - 4, LIMIT_BYTES):
                raise ServerProtocolError(f"extra info of {length} bytes in a payload of {self._left}")
            self._left -= 4
            self._step, self._need = _INFO, length
        else:
            if self._frame_flags & _NEW_EXTRA:  # the form without types is that of servers before 4.1
                self._extra += entries(data)
            self._left -= len(data)
            self._step, self._need = _MYSQL, self._left
        return self._goes_on

    @property
    def _goes_on(self) -> bool:
        """Whether a byte was held back, and more of the answer follows it."""
        return self._step == _MYSQL and self._need > 0 and bool(self._held)

    def _begin_frame(self, head: bytes) -> None:
        outer = before = more = 0
        if len(head) == _WHOLE_HEAD:
            outer, before, more, magic, connection_id, word, size, flags, _, crc = _FRAME(head)
        else:
            magic, connection_id, word, size, flags, _, crc = _INNER(head)
        if magic != _MAGIC:
            raise ServerProtocolError(f"no OB 2.0 frame: magic 0x{magic & 0xFFFF:04x}, version {magic >> 16}")
        if before | more:
            raise ServerProtocolError("a compressed frame, which was not agreed on")
        if len(head) == _WHOLE_HEAD and outer & 0xFFFFFF != size + HEADER_BYTES + TAIL_BYTES:
            raise ServerProtocolError(f"a frame of {outer & 0xFFFFFF} bytes with a payload of {size}")
        if crc and crc != crc16.arc(head[:-2]):
            raise _wrong("header", crc, crc16.arc(head[:-2]))
        if connection_id != self._connection_id:
            raise ServerProtocolError(f"a frame for connection {connection_id} on connection {self._connection_id}")
        self._check_number(word)
        self._word, self._frame_flags, self._crc = word, flags, 0
        if flags & _EXTRA:
            if size < 4:
                raise ServerProtocolError(f"extra info in a payload of {size} bytes")
            self._left = size
            self._step, self._need = _INFO_LENGTH, 4
        else:
            self._step, self._need = _MYSQL, size

    def _check_number(self, word: int) -> None:
        """The frames of an answer count on from those of its request, which is one that has no answer yet."""
        request_id, seq = word & 0xFFFFFF, word >> 24
        if self._expected >= 0:
            if word != self._expected:
                wanted = self._expected
                raise ServerProtocolError(
                    f"frame {seq} of request {request_id}, expected {wanted >> 24} of {wanted & 0xFFFFFF}"
                )
            return
        requests = self._requests
        sent = requests.request_id
        # A server may refuse a local file in the midst of it: earlier packets of the file are requests too.
        if not 0 < (request_id - self._answered & 0xFFFFFF) <= (sent - self._answered & 0xFFFFFF):
            raise ServerProtocolError(
                f"an answer to request {request_id}; {sent} was the last, {self._answered} is answered"
            )
        if request_id == sent and requests.between and seq != requests.seq + 1 & 0xFF:
            raise ServerProtocolError(f"frame {seq} of request {request_id}, expected {requests.seq + 1 & 0xFF}")

    def _end_frame(self, tail: int) -> bool:
        if tail and tail != self._crc:
            raise _wrong("payload", tail, self._crc)
        word, self.flags = self._word, self._frame_flags
        self._step, self._need = _HEAD, self._head_bytes
        extra, self._extra = self._extra, []
        if self.on_extra is not None:
            for key, value in extra:
                self.on_extra(key, value)
        if not self.flags & _LAST:
            self._expected = word & 0xFFFFFF | ((word >> 24) + 1 & 0xFF) << 24
            return False
        self._expected = -1
        self._answered = word & 0xFFFFFF
        return bool(self._held)


def _wrong(what: str, found: int, computed: int) -> ServerProtocolError:
    return ServerProtocolError(f"{what} checksum 0x{found:x}, computed 0x{computed:x}")
