"""Answers to a statement of our own, in the text protocol: packets to rows.

Sources: MySQL: COM_QUERY Response, Text Resultset, OK_Packet.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, final

import msgspec

from odp_trio.errors import OdpError, ServerProtocolError
from odp_trio.wire.fields import Status, server_cursor
from odp_trio.wire.resultset import parse_err

Value = int | float | Decimal | str | bytes | None
Row = tuple[Value, ...]

_BINARY: Final = 63
_DECIMALS: Final = frozenset({0, 246})
_FLOATS: Final = frozenset({4, 5})
_INTEGERS: Final = frozenset({1, 2, 3, 8, 9, 13})
_BYTES: Final = frozenset({16, 249, 250, 251, 252, 253, 254, 255})
"""Types whose values are bytes if their character set is binary; other types of that set are numbers and times."""


class StatementFailed(OdpError):
    """The answer was an ERR packet, with ``errno``, ``sqlstate`` and ``message``; the connection may go on."""

    def __init__(self, errno: int, message: str, sqlstate: str = "HY000") -> None:
        super().__init__(f"{errno}: {message}")
        self.errno = errno
        self.sqlstate = sqlstate
        self.message = message


class Result(msgspec.Struct, frozen=True):
    """What came of a statement: rows with the names of their columns, or what an OK packet says."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    affected_rows: int = 0
    last_insert_id: int = 0
    warnings: int = 0


@final
class AnswerReader:
    """Takes the packets of one answer.

    Integers become int, DECIMAL Decimal, floating-point numbers float, binary strings bytes, NULL None; anything
    else, dates and times too, is text as the server writes it.
    """

    def __init__(self, is_raw: Callable[[str], bool] = lambda name: False) -> None:
        """``is_raw`` says of which columns, by their names, the text is left as bytes."""
        self.status = 0
        """The server's status flags, once the answer is over."""
        self._is_raw = is_raw
        self._columns: list[tuple[str, Callable[[bytes], Value]]] = []
        self._rows: list[Row] = []
        self._expected = -1
        self._in_rows = False

    def take(self, payload: bytes) -> Result | None:
        """Take the next packet; return the result with the last one.

        Raises StatementFailed for an ERR packet, ServerProtocolError for what was not asked for.
        """
        first = payload[:1]
        if first == b"\xff":
            error = parse_err(payload)
            raise StatementFailed(error.errno, error.message, error.sqlstate)
        if self._expected < 0:
            return self._begin(payload)
        if len(self._columns) < self._expected:
            self._columns.append(_column(payload, self._is_raw))
        elif first == b"\xfe" and len(payload) < 9:
            return self._eof(payload)
        else:
            self._rows.append(self._row(payload))
        return None

    def _begin(self, payload: bytes) -> Result | None:
        if payload[:1] == b"\xfb":
            raise ServerProtocolError("a local file is asked for, which was not offered")
        cursor = server_cursor(payload)
        if payload[:1] != b"\0":
            self._expected = cursor.lenenc()
            return None
        cursor.take(1)
        affected, inserted = cursor.lenenc(), cursor.lenenc()
        self._over(cursor.uint(2))
        return Result((), (), affected, inserted, cursor.uint(2))

    def _eof(self, payload: bytes) -> Result | None:
        cursor = server_cursor(payload)
        cursor.take(1)
        warnings, status = cursor.uint(2), cursor.uint(2)
        if not self._in_rows:
            self._in_rows = True
            return None
        self._over(status)
        return Result(tuple(name for name, _ in self._columns), tuple(self._rows), warnings=warnings)

    def _over(self, status: int) -> None:
        self.status = status
        if status & Status.MORE_RESULTS:
            raise ServerProtocolError("one more result follows, which was not asked for")

    def _row(self, payload: bytes) -> Row:
        cursor = server_cursor(payload)
        row: list[Value] = []
        for _, read in self._columns:
            if payload[cursor.pos : cursor.pos + 1] == b"\xfb":
                cursor.take(1)
                row.append(None)
                continue
            value = cursor.lestr()
            try:
                row.append(read(value))
            except (ValueError, ArithmeticError) as exc:
                raise ServerProtocolError(f"{value[:40]!r} is no value of its column") from exc
        return tuple(row)


def _column(definition: bytes, is_raw: Callable[[str], bool]) -> tuple[str, Callable[[bytes], Value]]:
    cursor = server_cursor(definition)
    for _ in range(4):
        cursor.lestr()
    name = cursor.lestr().decode("utf-8", "replace")
    cursor.lestr()
    cursor.take(1)
    charset = cursor.uint(2)
    cursor.take(4)
    read = _reader(cursor.uint(1), charset)
    return name, bytes if read is _text and is_raw(name) else read


def _reader(kind: int, charset: int) -> Callable[[bytes], Value]:
    if kind in _INTEGERS:
        return int
    if kind in _FLOATS:
        return float
    if kind in _DECIMALS:
        return _decimal
    return bytes if charset == _BINARY and kind in _BYTES else _text


def _decimal(value: bytes) -> Decimal:
    return Decimal(value.decode("ascii"))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
