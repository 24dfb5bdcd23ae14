"""The session-state block of an OK packet: OceanBase's form and the standard one.

To a connection that logged in as a proxy an OBServer writes *one* block of
type 0 with many name/value pairs, then ``__NULL``/``__NULL``, then user
variables whose values are SQL literals.  A client that negotiated
SESSION_TRACK expects one block per system variable and no user variables
(MySQL: Protocol::OK_Packet, session state; both seen on seekdb 1.3.0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.fields import Cursor, Status, lenenc_int, lenenc_str, server_cursor

_SEPARATOR = b"__NULL"
_UNTOLD = frozenset({b"ob_proxy_partition_hit"})
"""Variables that an OBServer tells proxies only."""
_MOMENTARY = frozenset({b"ob_statement_trace_id"}) | _UNTOLD
"""Variables that belong to the statement whose OK names them: later they are not told."""
_LAST = b"ob_proxy_set_trx_executed"
"""Reported anew with each statement, behind the others."""


@dataclass(slots=True)
class SessionState:
    """What one or more OK packets said of the session: names and values as bytes."""

    system: dict[bytes, bytes] = field(default_factory=dict)
    user: dict[bytes, bytes] = field(default_factory=dict)
    schema: bytes | None = None
    changed: bool = False

    @property
    def size(self) -> int:
        """Bytes of names and values of variables."""
        return sum(len(name) + len(value) for told in (self.system, self.user) for name, value in told.items())

    def merge(self, later: SessionState, *, owed: bool = False) -> None:
        """Take over what ``later`` says, but not what a client may not know.

        ``owed`` means that a client will be told with the OK of another
        statement.  System variables keep the order of their first report, but for one.
        """
        hidden = _MOMENTARY if owed else _UNTOLD
        told = {name: value for name, value in later.system.items() if name not in hidden}
        if later.system and not told and not later.user and later.schema is None:
            return
        if _LAST in told:
            self.system.pop(_LAST, None)
        self.system |= told
        self.user |= later.user
        self.schema = later.schema if later.schema is not None else self.schema
        self.changed = self.changed or later.changed

    def standard_block(self) -> bytes:
        """Write the blocks as a client with SESSION_TRACK expects them, without the total length."""
        pieces = [
            b"\0" + lenenc_str(lenenc_str(name) + lenenc_str(value))
            for name, value in self.system.items()
            if name not in _UNTOLD
        ]
        if self.schema is not None:
            pieces.append(b"\x01" + lenenc_str(lenenc_str(self.schema)))
        if self.changed:
            pieces.append(b"\x02\x02\x011")
        return b"".join(pieces)


_SHORTEST: Final = 12
"""Bytes of an OK packet with small numbers and an empty message."""
_ONE_BYTE: Final = 250
"""The greatest number that is written in one byte."""
_STATE: Final = int(Status.SESSION_STATE_CHANGED) >> 8
_MORE: Final = int(Status.MORE_RESULTS)
_MOST_DIGITS: Final = 20
"""What a 64-bit number has.  int() refuses thousands of digits with an error of its own."""


@dataclass(slots=True)
class OKPacket:
    """An OK packet as an OBServer sends it to a proxy.

    ``info`` keeps the filler blank that OceanBase puts before a message.
    """

    affected_rows: int
    last_insert_id: int
    status: int
    warnings: int
    info: bytes
    state: SessionState | None


def parse_state(block: bytes) -> SessionState:
    """Read the blocks of a session-state area; types we do not know are skipped."""
    state = SessionState()
    cursor = server_cursor(block)
    while cursor.left:
        kind = cursor.uint(1)
        inner = server_cursor(cursor.lestr())
        if kind == 0:
            _read_variables(inner, state)
        elif kind == 1:
            state.schema = inner.lestr()
        elif kind == 2:
            state.changed = True
    return state


def _read_variables(cursor: Cursor, state: SessionState) -> None:
    target = state.system
    while cursor.left:
        name, value = cursor.lestr(), cursor.lestr()
        if name == _SEPARATOR and value == _SEPARATOR:
            target = state.user
        else:
            target[name] = value


def parse_ok(payload: bytes) -> OKPacket:
    """Read an OK payload of a proxy connection, session state included; raise ServerProtocolError."""
    cursor = server_cursor(payload)
    if cursor.uint(1) != 0:
        raise ServerProtocolError(f"an OK packet begins with 0, not 0x{payload[0]:02x}")
    affected_rows, last_insert_id = cursor.lenenc(), cursor.lenenc()
    status, warnings = cursor.uint(2), cursor.uint(2)
    info = cursor.lestr() if cursor.left else b""
    state = parse_state(cursor.lestr()) if status & Status.SESSION_STATE_CHANGED and cursor.left else None
    return OKPacket(affected_rows, last_insert_id, status, warnings, info, state)


def parse_ok_head(payload: bytes) -> tuple[int, int, int, int]:
    """Read affected rows, last insert id, status and warnings of any OK payload."""
    cursor = server_cursor(payload)
    cursor.uint(1)
    return cursor.lenenc(), cursor.lenenc(), cursor.uint(2), cursor.uint(2)


def plain_ok(payload: bytes) -> bytes:
    """Rewrite an OK payload for a client without SESSION_TRACK: no state, the message unprefixed."""
    cursor = server_cursor(payload)
    cursor.uint(1)
    cursor.lenenc()
    cursor.lenenc()
    at = cursor.pos
    status = cursor.uint(2) & ~Status.SESSION_STATE_CHANGED
    cursor.uint(2)
    info = cursor.lestr() if cursor.left else b""
    return payload[:at] + status.to_bytes(2, "little") + payload[at + 2 : at + 4] + info


def shown_ok(buffer: bytes | bytearray, start: int, end: int) -> bytes:
    """Return the whole packet that ``plain_ok`` makes of the whole packet in ``buffer[start:end]``, in common cases.

    Those have small numbers, no state, a short message or none, and nothing behind them; empty: it is none.
    """
    if end - start < _SHORTEST or buffer[start + 5] > _ONE_BYTE or buffer[start + 6] > _ONE_BYTE:
        return b""
    if end - start - _SHORTEST != buffer[start + 11] or buffer[start + 11] > _ONE_BYTE or buffer[start + 8] & _STATE:
        return b""
    if buffer[start + 7] & _MORE:
        return b""
    head = (end - start - 5).to_bytes(3, "little")
    return head + buffer[start + 3 : start + 11] + buffer[start + _SHORTEST : end]


def tracked_ok(ok: OKPacket) -> bytes:
    """Write an OK payload for a client with SESSION_TRACK.

    When more results follow there is no state, the blank before the message
    stays, and so does the length of an empty message (that is how the kernel
    itself does it: seen on seekdb 1.3.0).
    """
    more = bool(ok.status & Status.MORE_RESULTS)
    block = ok.state.standard_block() if ok.state is not None and not more else b""
    status = ok.status | Status.SESSION_STATE_CHANGED if block else ok.status & ~Status.SESSION_STATE_CHANGED
    info = ok.info if more else ok.info.removeprefix(b" ")
    head = b"\0" + lenenc_int(ok.affected_rows) + lenenc_int(ok.last_insert_id)
    head += status.to_bytes(2, "little") + ok.warnings.to_bytes(2, "little")
    if block:
        return head + lenenc_str(info) + lenenc_str(block)
    return head + lenenc_str(info) if info or more else head


def find_variable(ok: bytes, name: bytes) -> bytes | None:
    """Return one variable of an OK that lists hundreds, without reading the others; None if it is not there."""
    key = lenenc_str(name)
    at = ok.find(key)
    if at < 0:
        return None
    return Cursor(ok, ServerProtocolError, at + len(key)).lestr()


def find_number(ok: bytes, name: bytes) -> int:
    """Return the value of a variable in an OK payload as a number; 0 if it is none, or not told."""
    value = find_variable(ok, name) or b""
    return int(value) if value.isdigit() and len(value) <= _MOST_DIGITS else 0
