"""What a client of an OBServer sends, cut into requests: plain MySQL packets or OB 2.0 frames.

Only the beginning of a request is looked at, so a long one never has to be
held: what comes of it later is passed on as it is.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from odp_trio.errors import ClientProtocolError
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.ob20 import OUTER_BYTES, Frame, FrameReader
from odp_trio.wire.packets import packet

SQL_BYTES: Final = 4096
_HEAD_BYTES: Final = 1 + SQL_BYTES
_LAST_SEQ: Final = 0xFF


class Request(msgspec.Struct, frozen=True):
    """One request, or what has come of it.  ``head`` is its payload's beginning, ``raw`` every byte that came.

    ``whole`` says that no more of it is to come.
    """

    raw: bytes
    head: bytes
    whole: bool
    frame: Frame | None = None

    @property
    def command(self) -> int:
        """The command byte; 0 where there is none."""
        return self.head[0] if self.head else 0

    @property
    def payload(self) -> bytes:
        """The whole payload of a request that is ``whole`` and one packet."""
        return (self.raw if self.frame is None else self.frame.mysql)[4:]

    def with_payload(self, payload: bytes) -> bytes:
        """Write the request with another payload, framed as it came."""
        if self.frame is None:
            return packet(0, payload)
        return msgspec.structs.replace(self.frame, mysql=packet(0, payload)).to_bytes()


@final
class RequestReader:
    """Collects bytes and gives out requests.

    ``next_request()`` answers a request as soon as its first 4 KiB (in OB 2.0:
    its first frame) are there, or None when more bytes are needed.
    ``passed()`` gives what has come of a request that was given out before.
    Raises ClientProtocolError for broken frames; MySQL packets cannot be broken.
    """

    def __init__(self, *, ob20: bool) -> None:
        self._frames = FrameReader(ClientProtocolError) if ob20 else None
        self._buffer = bytearray() if self._frames is None else self._frames.buffer
        self._passing = bytearray()
        self._left = 0
        self._continued = False
        self._seq = 0

    def feed(self, data: bytes | bytearray) -> None:
        """Add what has arrived."""
        self._buffer += data

    def passed(self) -> bytes:
        """Return what is to be passed on as it is, once."""
        data = bytes(self._passing)
        self._passing.clear()
        return data

    def next_request(self) -> Request | None:
        """Return the next request, or None."""
        return self._next_packet() if self._frames is None else self._next_framed(self._frames)

    def _next_framed(self, reader: FrameReader) -> Request | None:
        while True:
            size = OUTER_BYTES + int.from_bytes(self._buffer[:3], "little")
            # The bytes themselves are passed on: a frame written anew might differ (a checksum of 0, say).
            raw = bytes(self._buffer[:size]) if len(self._buffer) >= size else b""
            if (frame := reader.next_frame()) is None:
                return None
            goes_on = self._continued or frame.mysql[3:4] != b"\0"  # a later frame, or a local file's content
            self._continued = not frame.is_last
            if not goes_on:
                return Request(raw, frame.mysql[4 : 4 + _HEAD_BYTES], frame.is_last, frame)
            self._passing += raw

    def _next_packet(self) -> Request | None:
        buffer = self._buffer
        while True:
            self._pass_on()
            if self._left or len(buffer) < 4:
                return None
            length, seq = int.from_bytes(buffer[:3], "little"), buffer[3]
            if self._goes_on(length, seq):
                self._note(length, seq)
                self._left = 4 + length
                continue
            wanted = 4 + min(length, _HEAD_BYTES)
            if len(buffer) < wanted:
                return None
            self._note(length, seq)
            raw = bytes(buffer[: 4 + length])
            del buffer[: 4 + length]
            self._left = 4 + length - len(raw)
            return Request(raw, raw[4:wanted], not self._left and not self._continued)

    def _goes_on(self, length: int, seq: int) -> bool:
        """Whether a packet does not begin a command: the rest of one, a local file's content, a password."""
        return self._continued or not length or seq != 0 or self._seq == _LAST_SEQ

    def _note(self, length: int, seq: int) -> None:
        self._continued = length == MAX_PAYLOAD
        self._seq = seq if length else 0  # an empty packet ends a file: the next number 0 is a command's

    def _pass_on(self) -> None:
        step = min(self._left, len(self._buffer))
        if step:
            self._passing += self._buffer[:step]
            del self._buffer[:step]
            self._left -= step
