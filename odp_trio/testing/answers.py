"""What came back for a command: its packets as they were, and what a client makes of them.

Nothing here presumes who answered: a server, a proxy, or something that pretends.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Cursor, Status, server_cursor
from odp_trio.wire.resultset import ServerError, parse_err

Cell = int | float | str | None
Cells = tuple[Cell, ...]
_INTEGER_BYTES: Final = {1: 1, 2: 2, 13: 2, 3: 4, 9: 4, 8: 8}
_FLOATS: Final = {4: struct.Struct("<f"), 5: struct.Struct("<d")}
_TIMES: Final = (7, 10, 11, 12)
_UNSIGNED: Final = 0x20
_EOF_BYTES: Final = 9


@dataclass(frozen=True, slots=True)
class Column:
    """A column definition, as far as clients decide by it."""

    name: str
    kind: int
    flags: int
    charset: int
    length: int
    decimals: int


@dataclass(slots=True)
class Result:
    """An OK (no columns) or a result set; ``end_status`` and ``warnings`` are those of its last packet."""

    columns: list[Column] = field(default_factory=list)
    rows: list[Cells] = field(default_factory=list)
    end_status: int = 0
    warnings: int = 0
    affected: int = 0
    insert_id: int = 0
    info: bytes = b""
    """Of an OK: what follows the number of warnings."""


@dataclass
class Answer:
    """The packets of one answer to ``command``, headers included; ``tracked``: to a client with SESSION_TRACK."""

    packets: list[bytes]
    status: int
    errno: int
    command: int = Com.QUERY
    tracked: bool = False

    @cached_property
    def payloads(self) -> list[bytes]:
        """What the packets hold, without their headers; a payload that was split is joined."""
        joined: list[bytes] = []
        goes_on = False
        for each in self.packets:
            if goes_on:
                joined[-1] += each[4:]
            else:
                joined.append(each[4:])
            goes_on = len(each) - 4 == MAX_PAYLOAD
        return joined

    @property
    def cursor_is_open(self) -> bool:
        """Whether the last EOF says that rows are left to fetch."""
        ends = [each for each in self.payloads if each[:1] == b"\xfe" and len(each) < _EOF_BYTES]
        return bool(ends) and not self.errno and ends[-1][3] & 0xC0 == Status.CURSOR_EXISTS

    @property
    def in_transaction(self) -> bool:
        """Whether the end of the answer says that a transaction is open."""
        return bool(self.status & Status.IN_TRANS)

    @cached_property
    def error(self) -> ServerError | None:
        """The ERR packet at the end, if there is one."""
        return parse_err(self.payloads[-1]) if self.errno else None

    @cached_property
    def results(self) -> list[Result]:
        """Every result before an error, in order; raises ServerProtocolError for what no client could read."""
        if self.command in (Com.STMT_PREPARE, Com.STMT_FETCH):
            return []
        return list(_results(self.payloads, binary=self.command == Com.STMT_EXECUTE, tracked=self.tracked))

    @property
    def result(self) -> Result:
        """The first result; an empty one if there is none."""
        return self.results[0] if self.results else Result()

    @property
    def rows(self) -> list[Cells]:
        """The rows of the first result."""
        return self.result.rows

    def said(self) -> str:
        """One line for a reader: the error, or what the results hold; and the last packet's first bytes."""
        tail = _hex(self.payloads[-1]) if self.packets else "nothing"
        if self.error is not None:
            return f"ERR {self.error.errno} #{self.error.sqlstate} {self.error.message!r} [{tail}]"
        if self.command == Com.STMT_PREPARE:
            prepared = prepared_from(self)
            return f"statement {prepared.id}, {prepared.parameters} parameters, {prepared.columns} columns [{tail}]"
        if self.command == Com.STMT_FETCH:
            return f"{len(self.packets) - 1} rows, status {self.status:#06x} [{tail}]"
        try:
            parts = [_shown(result) for result in self.results]
        except ServerProtocolError as exc:
            return f"{len(self.packets)} packets that make no sense ({exc}) [{tail}]"
        return f"{'; '.join(parts) or 'no result'} [{tail}]"


@dataclass(slots=True)
class Prepared:
    """A prepared statement of one connection; ``id`` is 0 when it was refused."""

    id: int
    parameters: int
    columns: int
    answer: Answer


def prepared_from(answer: Answer) -> Prepared:
    """Read the first packet of the answer to COM_STMT_PREPARE."""
    ok = answer.payloads[0]
    if ok[:1] != b"\0":
        return Prepared(0, 0, 0, answer)
    statement, columns, parameters = struct.unpack_from("<IHH", ok, 1)
    return Prepared(statement, parameters, columns, answer)


def split(data: bytes | bytearray) -> list[bytes]:
    """Cut a run of whole packets."""
    packets, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 3], "little")
        packets.append(bytes(data[at:end]))
        at = end
    return packets


def _results(payloads: Sequence[bytes], *, binary: bool, tracked: bool) -> list[Result]:
    found: list[Result] = []
    at = 0
    while at < len(payloads) and payloads[at][:1] != b"\xff":
        first = payloads[at]
        if first[:1] == b"\0":
            found.append(_ok(first, tracked=tracked))
            at += 1
        elif first[:1] in (b"\xfb", b"\xfe"):  # the name of a local file; an end of rows that were fetched
            at += 1
        else:
            result, at = _table(payloads, at, binary=binary)
            found.append(result)
    return found


def _ok(payload: bytes, *, tracked: bool) -> Result:
    cursor = server_cursor(payload)
    cursor.take(1)
    affected, insert_id = cursor.lenenc(), cursor.lenenc()
    status, warnings = cursor.uint(2), cursor.uint(2)
    info = cursor.lestr() if tracked and cursor.left else cursor.rest()
    return Result([], [], status, warnings, affected, insert_id, info)


def _table(payloads: Sequence[bytes], at: int, *, binary: bool) -> tuple[Result, int]:
    count = server_cursor(payloads[at]).lenenc()
    if at + count + 1 >= len(payloads):
        if payloads[-1][:1] == b"\xff":
            return Result(), len(payloads) - 1
        raise ServerProtocolError(f"{count} column definitions announced, {len(payloads) - at - 1} packets came")
    columns = [_column(payload) for payload in payloads[at + 1 : at + 1 + count]]
    result = Result(columns)
    at += count + 1
    _end(result, payloads[at])
    at += 1
    while at < len(payloads) and payloads[at][:1] != b"\xff":
        payload = payloads[at]
        at += 1
        if payload[:1] == b"\xfe" and len(payload) < _EOF_BYTES:
            _end(result, payload)
            break
        result.rows.append(binary_row(payload, columns) if binary else text_row(payload))
        if at < len(payloads) and payloads[at][:1] == b"\xff":
            break
    return result, at


def _end(result: Result, payload: bytes) -> None:
    if payload[:1] != b"\xfe" or len(payload) >= _EOF_BYTES:
        raise ServerProtocolError(f"an EOF expected, not {_hex(payload)}")
    result.warnings, result.end_status = struct.unpack_from("<HH", payload, 1)


def _column(payload: bytes) -> Column:
    cursor = server_cursor(payload)
    for _ in range(4):
        cursor.lestr()
    name = cursor.lestr().decode(errors="replace")
    cursor.lestr()
    cursor.take(1)
    charset, length, kind, flags, decimals = (cursor.uint(size) for size in (2, 4, 1, 2, 1))
    return Column(name, kind, flags, charset, length, decimals)


def text_row(payload: bytes) -> Cells:
    """Read a row of the text protocol: every value as text."""
    cursor = server_cursor(payload)
    row: list[Cell] = []
    while cursor.left:
        if payload[cursor.pos] == 0xFB:
            cursor.take(1)
            row.append(None)
        else:
            row.append(cursor.lestr().decode("utf-8", "replace"))
    return tuple(row)


def binary_row(payload: bytes, columns: Sequence[Column]) -> Cells:
    """Read a row of the binary protocol; times and dates as text."""
    cursor = server_cursor(payload)
    cursor.take(1)
    nulls = cursor.take((len(columns) + 9) // 8)
    return tuple(
        None if nulls[(at + 2) // 8] >> (at + 2) % 8 & 1 else _binary(cursor, column)
        for at, column in enumerate(columns)
    )


def _binary(cursor: Cursor, column: Column) -> Cell:
    if size := _INTEGER_BYTES.get(column.kind):
        return int.from_bytes(cursor.take(size), "little", signed=not column.flags & _UNSIGNED)
    if number := _FLOATS.get(column.kind):
        return float(number.unpack(cursor.take(number.size))[0])
    raw = cursor.lestr()
    return _moment(raw, column.kind) if column.kind in _TIMES else raw.decode("utf-8", "replace")


def _moment(raw: bytes, kind: int) -> str:
    if kind == _TIMES[2]:
        sign, days, hours, minutes, seconds, micros = struct.unpack("<BIBBBI", raw.ljust(12, b"\0"))
        return f"{'-' if sign else ''}{days * 24 + hours:02}:{minutes:02}:{seconds:02}" + _fraction(micros)
    year, month, day, hours, minutes, seconds, micros = struct.unpack("<HBBBBBI", raw.ljust(11, b"\0"))
    date = f"{year:04}-{month:02}-{day:02}"
    return date if kind == _TIMES[1] else f"{date} {hours:02}:{minutes:02}:{seconds:02}" + _fraction(micros)


def _fraction(micros: int) -> str:
    return f".{micros:06}".rstrip("0") if micros else ""


def _hex(payload: bytes) -> str:
    shown = payload[:24].hex(" ")
    return shown if len(payload) <= 24 else f"{shown} … {len(payload)} bytes"


def _shown(result: Result) -> str:
    if not result.columns:
        return (
            f"OK, {result.affected} rows changed, insert id {result.insert_id}, "
            f"{result.warnings} warnings, status {result.end_status:#06x}"
        )
    rows = ", ".join(f"({', '.join(_cell(cell) for cell in row)})" for row in result.rows[:3])
    more = ", …" if len(result.rows) > 3 else ""
    counted = "1 row" if len(result.rows) == 1 else f"{len(result.rows)} rows"
    return f"{counted}: {rows}{more}; status {result.end_status:#06x}, {result.warnings} warnings"


def _cell(cell: Cell) -> str:
    return repr(cell) if not isinstance(cell, str) or len(cell) < 80 else f"{cell[:40]!r} and {len(cell) - 40} more"
