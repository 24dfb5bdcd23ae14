"""COM_*: what each command of the protocol does and how it is answered.

Seen on seekdb 1.3.0, odd answers included.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import Column, SQLError, Writer
from odp_trio.testing.fakes.lexer import tokenize
from odp_trio.testing.fakes.nodes import Select, Show
from odp_trio.testing.fakes.prepared import Prepared, binary_row, read_parameters
from odp_trio.testing.fakes.verbs import bound, unknown_handle
from odp_trio.wire.command import Com
from odp_trio.wire.fields import OBCapability, Status

if TYPE_CHECKING:
    from odp_trio.testing.fakes.connection import FakeConnection
    from odp_trio.testing.fakes.session import Pause, Session

Steps = Generator["Pause", None, None]
_STATISTICS: Final = b"Active threads not support"


def answer_command(connection: FakeConnection, session: Session, command: int, payload: bytes, writer: Writer) -> Steps:
    """Carry a command out; raise SQLError."""
    match command:
        case Com.QUERY:
            yield from session.run(connection.text, writer)
        case Com.STMT_EXECUTE:
            yield from _execute(connection, session, payload, writer)
        case Com.PROCESS_INFO:
            yield from session.run("show processlist", writer)
        case Com.PROCESS_KILL:
            yield from session.run(f"kill {int.from_bytes(payload[1:5], 'little')}", writer)
        case Com.CHANGE_USER:
            yield from connection.change_user(payload, writer)
        case _:
            run = _AT_ONCE.get(command)
            if run is None:
                raise SQLError(1235, "0A000", "Not supported feature or function")
            run(connection, session, payload, writer)


def _quit(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    connection.lost()


def _init_db(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    session.use(connection.text)
    writer.ok(session.status())


def _long_data(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    prepared = connection.prepared.get(int.from_bytes(payload[1:5], "little"))
    if prepared is not None:
        at = int.from_bytes(payload[5:7], "little")
        prepared.long[at] = prepared.long.get(at, b"") + payload[7:]


def _close(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    connection.prepared.pop(int.from_bytes(payload[1:5], "little"), None)


def _reset_statement(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    prepared = _known(connection, payload)
    prepared.long.clear()
    prepared.cursor = None
    writer.ok(session.status())


def _statistics(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    writer.packet(_STATISTICS)
    if connection.granted & OBCapability.EXTRA_OK_FOR_STATISTICS:
        writer.extra_ok(session.status())


def _reset_connection(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    session.reset()
    connection.prepared.clear()
    writer.ok(session.status())


def _eof(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    writer.eof(session.status())


def _okay(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    writer.ok(session.status())


def _known(connection: FakeConnection, payload: bytes) -> Prepared:
    prepared = connection.prepared.get(int.from_bytes(payload[1:5], "little"))
    if prepared is None:
        raise unknown_handle()
    return prepared


def _prepare(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    tokens = tokenize(connection.text.rstrip("; \n"))
    tree = session.parse(tokens)
    parameters = sum(token.kind == "?" for token in tokens.tokens)
    columns: list[Column] = []
    if isinstance(tree, Select | Show):
        columns = session.describe(tree, tokens)
    connection.statements_prepared += 1
    number = connection.statements_prepared
    connection.prepared[number] = Prepared(connection.text, parameters, columns)
    status = session.status()
    writer.packet(
        b"\0" + number.to_bytes(4, "little") + len(columns).to_bytes(2, "little")
        + parameters.to_bytes(2, "little") + b"\0\0\0"
    )  # fmt: skip
    if parameters:
        writer.definitions([_PARAMETER] * parameters, status)
    if columns:
        writer.definitions(columns, status)
    writer.extra_ok(status)


_PARAMETER: Final = Column("?", 0xFD, 0, 0x80, 0, 63)


def _execute(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> Steps:
    try:
        prepared = _known(connection, payload)
    except SQLError:
        session.tell("ob_proxy_partition_hit", "OFF")
        raise
    values = read_parameters(prepared, payload)
    tokens = bound(tokenize(prepared.sql.rstrip("; \n")), values)
    writer.encode = binary_row
    prepared.cursor = None
    if payload[5] & 1:
        writer.cursor = prepared.open
    yield from session.run_one(tokens, writer)


def _fetch(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    prepared = _known(connection, payload)
    if prepared.cursor is None:
        raise SQLError(1243, "HY000", "Unknown prepared statement handle")
    count = int.from_bytes(payload[5:9], "little")
    rows, prepared.cursor = prepared.cursor[:count], prepared.cursor[count:]
    for row in rows:
        writer.packet(binary_row(row, prepared.columns))
    over = len(rows) < count or not prepared.cursor
    status = session.status() | (Status.LAST_ROW_SENT if over else Status.CURSOR_EXISTS)
    writer.eof(status)
    writer.extra_ok(status)


def _field_list(connection: FakeConnection, session: Session, payload: bytes, writer: Writer) -> None:
    name, _, pattern = payload[1:].partition(b"\0")
    del pattern
    table = session.table("", name.decode().lower())
    status = session.status()
    for column in session.columns_of(table):
        writer.packet(column.to_bytes() + b"\xfb")
    writer.eof(status)
    writer.extra_ok(status)


_AT_ONCE: Final[dict[int, Callable[[FakeConnection, Session, bytes, Writer], None]]] = {
    Com.QUIT: _quit,
    Com.INIT_DB: _init_db,
    Com.STMT_PREPARE: _prepare,
    Com.STMT_SEND_LONG_DATA: _long_data,
    Com.STMT_CLOSE: _close,
    Com.STMT_RESET: _reset_statement,
    Com.STMT_FETCH: _fetch,
    Com.STATISTICS: _statistics,
    Com.FIELD_LIST: _field_list,
    Com.DEBUG: _eof,
    Com.RESET_CONNECTION: _reset_connection,
    Com.SET_OPTION: _okay,
    Com.PING: _okay,
    Com.REFRESH: _okay,
}
