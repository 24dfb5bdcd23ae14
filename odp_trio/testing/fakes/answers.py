"""Packets of an OBServer's answers: OK in its three forms, ERR, EOF, column definitions, rows.

How an OBServer fills them: seen on seekdb 1.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Final

import msgspec

from odp_trio.wire.fields import Status, lenenc_int, lenenc_str
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import eof_payload, err_payload
from odp_trio.wire.state import OKPacket, SessionState, tracked_ok

Value = int | float | Decimal | str | bytes | None


class Kind:
    """Column types of the protocol."""

    DECIMAL: Final = 0xF6
    TINY: Final = 1
    SHORT: Final = 2
    LONG: Final = 3
    FLOAT: Final = 4
    DOUBLE: Final = 5
    NULL: Final = 6
    TIMESTAMP: Final = 7
    LONGLONG: Final = 8
    DATE: Final = 10
    TIME: Final = 11
    DATETIME: Final = 12
    YEAR: Final = 13
    BLOB: Final = 0xFC
    VAR_STRING: Final = 0xFD
    STRING: Final = 0xFE


NOT_NULL: Final = 0x0001
PRIMARY: Final = 0x0002
UNSIGNED: Final = 0x0020
BINARY: Final = 0x0080
AUTO_INCREMENT: Final = 0x0200
NO_DEFAULT: Final = 0x1000
PART_KEY: Final = 0x4000
UTF8MB4: Final = 45
NO_CHARSET: Final = 63
ANY_LENGTH: Final = 0


class Column(msgspec.Struct, frozen=True):
    """One column of a result set."""

    name: str
    kind: int = Kind.VAR_STRING
    length: int = 0
    flags: int = 0
    decimals: int = 0
    charset: int = UTF8MB4
    database: str = ""
    table: str = ""
    origin_table: str = ""
    origin: str = ""

    def to_bytes(self) -> bytes:
        """Write the column definition."""
        names = (self.database, self.table, self.origin_table, self.name, self.origin)
        return b"".join(
            (
                lenenc_str(b"def"),
                *(lenenc_str(name.encode()) for name in names),
                b"\x0c",
                self.charset.to_bytes(2, "little"),
                self.length.to_bytes(4, "little"),
                bytes((self.kind,)),
                self.flags.to_bytes(2, "little"),
                bytes((self.decimals, 0, 0)),
            )
        )


class SQLError(Exception):
    """A statement is refused with an ERR packet.  Not an error of the fake: it is the answer."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.errno = errno
        self.sqlstate = sqlstate
        self.message = message


class Form(Enum):
    """Which kind of OK packet a connection gets."""

    PLAIN = "plain"
    TRACKING = "tracking"
    PROXY = "proxy"


def encode_state(state: SessionState) -> bytes:
    """Write the session state as an OBServer does for a proxy: one entry, user variables behind the separator."""
    pairs = list(state.system.items())
    if state.user:
        pairs += [(b"__NULL", b"__NULL"), *state.user.items()]
    block = b"".join(lenenc_str(name) + lenenc_str(value) for name, value in pairs)
    schema = b"" if state.schema is None else b"\x01" + lenenc_str(lenenc_str(state.schema))
    return (b"\0" + lenenc_str(block) if pairs else b"") + schema + b"\x02\x02\x011"


def text(value: Value) -> bytes:
    """Write a value of the text protocol."""
    if value is None:
        return b"\xfb"
    if isinstance(value, str):
        return lenenc_str(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return lenenc_str(value)
    if isinstance(value, float):
        return lenenc_str(number_text(value).encode())
    return lenenc_str(b"%d" % value if isinstance(value, int) else str(value).encode())


def text_row(row: Sequence[Value], columns: Sequence[Column]) -> bytes:
    """Write a row of the text protocol."""
    del columns
    return b"".join(map(text, row))


def number_text(value: float) -> str:
    """Write a double as a server does: no ``.0`` behind a whole number."""
    written = repr(value)
    return written.removesuffix(".0") if "e" not in written else written.replace("e+", "e")


class Writer:
    """Collects the packets of one answer, numbered."""

    __slots__ = ("_form", "_pieces", "_seq", "cursor", "encode", "pending")

    def __init__(self, form: Form, seq: int, pending: SessionState) -> None:
        self._form = form
        self._seq = seq
        self._pieces: list[bytes] = []
        self.encode: Callable[[Sequence[Value], Sequence[Column]], bytes] = text_row
        """How rows are written: those of the text protocol, unless a prepared statement is executed."""
        self.cursor: Callable[[Sequence[Column], Sequence[Sequence[Value]]], None] | None = None
        """Takes the rows instead, when a cursor is wanted."""
        self.pending = pending
        """What no OK has told yet; shared with the session."""

    def packet(self, payload: bytes) -> None:
        """Add one packet."""
        self._pieces.append(packet(self._seq, payload))
        self._seq += 1

    def begin_at(self, seq: int) -> None:
        """Number the next packet so."""
        self._seq = seq

    def ok(self, status: int, *, affected: int = 0, insert_id: int = 0, warnings: int = 0, info: str = "") -> None:
        """Add an OK packet; what is pending is told, unless more results follow."""
        status |= Status.NO_INDEX_USED
        state = None
        if not status & Status.MORE_RESULTS and self._form is not Form.PLAIN:
            state = self._take_state()
        head = b"\0" + lenenc_int(affected) + lenenc_int(insert_id)
        told = f" {info}".encode() if info else b""
        if self._form is Form.TRACKING:
            self.packet(tracked_ok(OKPacket(affected, insert_id, status, warnings, told, state)))
        elif self._form is Form.PLAIN:
            self.packet(head + status.to_bytes(2, "little") + warnings.to_bytes(2, "little") + told)
        else:
            status |= Status.SESSION_STATE_CHANGED if state is not None else 0
            head += status.to_bytes(2, "little") + warnings.to_bytes(2, "little") + lenenc_str(told)
            self.packet(head if state is None else head + lenenc_str(encode_state(state)))

    def error(self, error: SQLError, status: int) -> None:
        """Add an ERR packet and, for a proxy, the OK behind it."""
        self.packet(err_payload(error.errno, error.sqlstate, error.message))
        self.extra_ok(status)

    def extra_ok(self, status: int) -> None:
        """Add the OK that ends an answer to a proxy."""
        if self._form is Form.PROXY:
            self.ok(status & ~Status.MORE_RESULTS)

    def columns(self, columns: Sequence[Column], status: int) -> None:
        """Add column count, definitions and their EOF."""
        self.packet(lenenc_int(len(columns)))
        self.definitions(columns, status)

    def definitions(self, columns: Sequence[Column], status: int) -> None:
        """Add definitions and their EOF."""
        for column in columns:
            self.packet(column.to_bytes())
        self.eof(status)

    def result(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Value]], status: int, more: int = 0, warnings: int = 0
    ) -> None:
        """Add a whole result set, or what opens a cursor."""
        if self.cursor is not None:
            self.cursor(columns, rows)
            self.columns(columns, status | Status.CURSOR_EXISTS)
            self.extra_ok(status | Status.CURSOR_EXISTS)
            return
        self.columns(columns, status | more)
        encode = self.encode
        for row in rows:
            self.packet(encode(row, columns))
        self.eof(status | more, warnings)
        if not more:
            self.extra_ok(status)

    def eof(self, status: int, warnings: int = 0) -> None:
        """Add an EOF packet."""
        self.packet(eof_payload(status & ~Status.NO_INDEX_USED, warnings))

    def to_bytes(self) -> bytes:
        """Return the answer."""
        return b"".join(self._pieces)

    def _take_state(self) -> SessionState | None:
        pending = self.pending
        if not (pending.system or pending.user or pending.schema is not None):
            return None
        taken = SessionState(pending.system, pending.user, pending.schema, changed=True)
        pending.system, pending.user, pending.schema = {}, {}, None
        return taken
