"""A small MySQL client on Trio, for loads: text and binary protocol, values that are integers or text.

It tries nothing again and interprets nothing: what a server or a proxy says is
what the caller gets.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Sequence
from typing import Final, Self, TypeVar, final

import trio

from odp_trio.errors import ConnectFailed, OdpError, ProtocolError, ServerProtocolError
from odp_trio.model import Address
from odp_trio.net.channel import PacketChannel, PeerGone
from odp_trio.net.connect import SocketOptions, connect
from odp_trio.wire.auth import native_token
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Capability, Cursor, server_cursor
from odp_trio.wire.handshake import LoginPacket, parse_auth_switch, parse_greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err

_CAPABILITIES: Final = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_WITH_DB
)
_UTF8MB4: Final = 45
_LONGLONG: Final = 8
_INTEGERS: Final = {1: 1, 2: 2, 3: 4, 8: 8, 9: 4, 13: 2}
"""Bytes of the binary form, by column type."""

Value = int | str | None
Row = tuple[Value, ...]
T = TypeVar("T")


class StatementFailed(OdpError):
    """The answer was an ERR packet, with ``errno`` and the message; the connection may go on."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(f"{errno}: {message}")
        self.errno = errno
        self.message = message


class ConnectionLost(OdpError):
    """The connection is gone, or its bytes make no sense; ``sent`` says whether the command may have arrived."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class NoAnswer(ConnectionLost):
    """There was no answer within the client's patience; the connection is of no use any more."""


@final
class Client:
    """One connection.  One task at a time; every method raises StatementFailed, ConnectionLost or NoAnswer.

    ``patience`` is how long the client waits for a login and for each answer, in seconds.
    """

    def __init__(self, sock: socket.socket, patience: float) -> None:
        self._sock = sock
        self._channel = PacketChannel(sock, ServerProtocolError)
        self._patience = patience
        self.connection_id = 0

    @classmethod
    async def connect(
        cls, address: Address, user: str, password: str, *, database: str = "", patience: float = 10.0
    ) -> Self:
        """Log in."""
        try:
            sock = await connect(address, patience, SocketOptions())
        except ConnectFailed as exc:
            raise ConnectionLost(str(exc), sent=False) from exc
        return await cls.on_socket(sock, user, password, database=database, patience=patience)

    @classmethod
    async def on_socket(
        cls, sock: socket.socket, user: str, password: str, *, database: str = "", patience: float = 10.0
    ) -> Self:
        """Log in on a connection that there is, which is closed if that fails."""
        client = cls(sock, patience)
        try:
            await client._in_time(client._log_in(user, password, database))
        except BaseException:
            client.close()
            raise
        return client

    def close(self) -> None:
        """Close the socket without a word, as a client does that is killed."""
        self._sock.close()

    async def quit(self) -> None:
        """Say goodbye and close."""
        try:
            await self._channel.send(packet(0, bytes((Com.QUIT,))))
        except PeerGone:
            return
        finally:
            self.close()

    @property
    def gone(self) -> bool:
        """Whether the other side has closed already, which a client learns when it next looks."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def query(self, sql: str) -> list[Row]:
        """Run a statement in the text protocol; return its rows, every value as text."""
        return await self._in_time(self._query(sql))

    async def prepare(self, sql: str) -> int:
        """Prepare a statement; return its id."""
        return await self._in_time(self._prepare(sql))

    async def execute(self, statement: int, values: Sequence[int] = ()) -> list[Row]:
        """Execute a prepared statement; return its rows."""
        return await self._in_time(self._execute(statement, values))

    # ---- packets ------------------------------------------------------------------

    async def _in_time(self, answer: Awaitable[T]) -> T:
        try:
            with trio.fail_after(self._patience):
                return await answer
        except trio.TooSlowError as exc:
            raise NoAnswer(f"no answer within {self._patience:g} s", sent=True) from exc
        except ProtocolError as exc:  # PeerGone is one
            raise ConnectionLost(str(exc), sent=True) from exc

    async def _log_in(self, user: str, password: str, database: str) -> None:
        _, payload = await self._receive()
        greeting = parse_greeting(payload)
        self.connection_id = greeting.connection_id
        login = LoginPacket(
            int(_CAPABILITIES),
            MAX_PAYLOAD,
            _UTF8MB4,
            user.encode(),
            native_token(password, greeting.scramble),
            database.encode(),
        )
        await self._channel.send(packet(1, login.to_bytes()))
        seq, payload = await self._receive()
        if payload[:1] == b"\xfe":
            await self._channel.send(packet(seq + 1, native_token(password, parse_auth_switch(payload).scramble)))
            await self._receive()

    async def _receive(self) -> tuple[int, bytes]:
        seq, payload = await self._channel.receive()
        if payload[:1] == b"\xff":
            error = parse_err(payload)
            raise StatementFailed(error.errno, error.message)
        return seq, payload

    async def _ask(self, payload: bytes) -> bytes:
        """Send a command; return the first packet of the answer."""
        if self.gone:
            raise ConnectionLost("the connection was closed before the command was sent", sent=False)
        await self._channel.send(packet(0, payload))
        return (await self._receive())[1]

    async def _query(self, sql: str) -> list[Row]:
        first = await self._ask(bytes((Com.QUERY,)) + sql.encode())
        return [_text_row(row) for row in (await self._rows(first))[1]]

    async def _prepare(self, sql: str) -> int:
        cursor = server_cursor(await self._ask(bytes((Com.STMT_PREPARE,)) + sql.encode()))
        cursor.take(1)
        statement, columns, parameters = cursor.uint(4), cursor.uint(2), cursor.uint(2)
        for definitions in (parameters, columns):
            for _ in range(definitions + bool(definitions)):
                await self._receive()
        return statement

    async def _execute(self, statement: int, values: Sequence[int]) -> list[Row]:
        head = bytes((Com.STMT_EXECUTE,)) + statement.to_bytes(4, "little") + b"\0\1\0\0\0"
        nulls = bytes((len(values) + 7) // 8)
        types = b"\1" + bytes((_LONGLONG, 0)) * len(values)
        body = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
        first = await self._ask(head + (nulls + types + body if values else b""))
        kinds, rows = await self._rows(first)
        return [_binary_row(row, kinds) for row in rows]

    async def _rows(self, first: bytes) -> tuple[list[int], list[bytes]]:
        """Return the column types and the rows of a result set; none of an OK."""
        if first[:1] == b"\0":
            return [], []
        columns = server_cursor(first).lenenc()
        kinds = [_column_type((await self._receive())[1]) for _ in range(columns)]
        await self._receive()
        rows = []
        while not _ends(payload := (await self._receive())[1]):
            rows.append(payload)
        return kinds, rows


def _ends(payload: bytes) -> bool:
    return payload[:1] == b"\xfe" and len(payload) < 9


def _column_type(definition: bytes) -> int:
    cursor = server_cursor(definition)
    for _ in range(6):
        cursor.lestr()
    cursor.take(1 + 2 + 4)
    return cursor.uint(1)


def _text_row(payload: bytes) -> Row:
    cursor = server_cursor(payload)
    row: list[Value] = []
    while cursor.left:
        if payload[cursor.pos] == 0xFB:
            cursor.take(1)
            row.append(None)
        else:
            row.append(cursor.lestr().decode("utf-8", "replace"))
    return tuple(row)


def _binary_row(payload: bytes, kinds: Sequence[int]) -> Row:
    cursor = server_cursor(payload)
    cursor.take(1)
    nulls = cursor.take((len(kinds) + 9) // 8)
    return tuple(
        None if nulls[(at + 2) // 8] >> (at + 2) % 8 & 1 else _binary(cursor, kind) for at, kind in enumerate(kinds)
    )


def _binary(cursor: Cursor, kind: int) -> Value:
    size = _INTEGERS.get(kind)
    if size is None:
        return cursor.lestr().decode("utf-8", "replace")
    return int.from_bytes(cursor.take(size), "little", signed=True)
