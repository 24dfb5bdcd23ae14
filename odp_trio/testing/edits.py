"""Answers of an OBServer that are changed on their way: the last OK says that the partition was missed."""

from __future__ import annotations

from typing import Final, final

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.wire.fields import Status, lenenc_int, lenenc_str
from odp_trio.wire.ob20 import Flag, Frame, FrameReader
from odp_trio.wire.packets import packet
from odp_trio.wire.reroute import VARIABLE, write_reroute
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.state import SessionState, parse_ok

LIMIT_BYTES: Final = 1 << 20
"""A longer answer is passed on unchanged: nothing of it may have to be held for ever."""


@final
class Edit:
    """One answer to a proxy, collected until it is whole.  Only for commands that have one answer."""

    def __init__(self, command: int, *, ob20: bool) -> None:
        self._reader = FrameReader(ServerProtocolError) if ob20 else None
        self._frames: list[Frame] = []
        self._raw = bytearray()
        self._mysql = bytearray()
        self._tracker = ResponseTracker()
        self._tracker.begin(command)
        self._at = 0

    def collect(self, data: bytes) -> bytes | None:
        """Return what is to be sent once that is certain: the changed answer, or a long one as it came."""
        self._raw += data
        if self._reader is None:
            self._mysql += data
        else:
            self._reader.feed(data)
            while (frame := self._reader.next_frame()) is not None:
                self._frames.append(frame)
                self._mysql += frame.mysql
        if not self._ended():
            return bytes(self._raw) if len(self._raw) > LIMIT_BYTES else None
        changed = with_partition_miss(bytes(self._mysql))
        return changed if self._reader is None else self._framed(changed)

    def _ended(self) -> bool:
        tracker = self._tracker
        while not tracker.ended and self._at < len(self._mysql):
            tracker.feed(self._mysql, self._at, len(self._mysql))
            if tracker.pos == self._at:
                break
            self._at = tracker.pos
        return tracker.ended

    def _framed(self, changed: bytes) -> bytes:
        """One frame for all of them, with their extra info."""
        first = self._frames[0]
        flags, old = int(Flag.LAST), b""
        extra: dict[int, bytes] = {}
        for frame in self._frames:
            flags |= frame.flags
            extra |= frame.extra
            old += frame.old_extra
        return Frame(first.connection_id, first.request_id, first.seq, flags, changed, extra, old).to_bytes()


def extra_ok(reroute: Address) -> bytes:
    """Return the OK packet behind an error 5727: it names the server to ask."""
    state = SessionState(user={VARIABLE: write_reroute(reroute)})
    status = (Status.AUTOCOMMIT | Status.SESSION_STATE_CHANGED).to_bytes(2, "little")
    return packet(2, b"\0\0\0" + status + b"\0\0" + lenenc_str(b"") + lenenc_str(_block([], state)))


def with_partition_miss(answer: bytes) -> bytes:
    """Put ``ob_proxy_partition_hit=OFF`` into the OK packet that ends an answer to a proxy."""
    start = at = 0
    while at < len(answer):
        start, at = at, at + 4 + int.from_bytes(answer[at : at + 3], "little")
    ok = parse_ok(answer[start + 4 : at])
    head = b"\0" + lenenc_int(ok.affected_rows) + lenenc_int(ok.last_insert_id)
    status = ok.status | Status.SESSION_STATE_CHANGED
    head += status.to_bytes(2, "little") + ok.warnings.to_bytes(2, "little")
    block = _missed_block(ok.state or SessionState())
    return answer[:start] + packet(answer[start + 3], head + lenenc_str(ok.info) + lenenc_str(block))


def _missed_block(state: SessionState) -> bytes:
    """Write a state block as an OBServer does for a proxy: one entry, user variables behind the separator."""
    return _block([*state.system.items(), (b"ob_proxy_partition_hit", b"OFF")], state)


def _block(pairs: list[tuple[bytes, bytes]], state: SessionState) -> bytes:
    if state.user:
        pairs = [*pairs, (b"__NULL", b"__NULL"), *state.user.items()]
    variables = b"".join(lenenc_str(name) + lenenc_str(value) for name, value in pairs)
    schema = b"" if state.schema is None else b"\x01" + lenenc_str(lenenc_str(state.schema))
    return b"\0" + lenenc_str(variables) + schema + b"\x02\x02\x011"
