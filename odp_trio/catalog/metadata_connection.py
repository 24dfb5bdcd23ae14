"""A connection to an OBServer for metadata queries: blocking, for a worker thread, in the text protocol.

A client of MySQL answers whatever plugin the server names, the password itself to ``mysql_clear_password``.  An
OBServer asks for native password only; whoever asks for more is none, or is not asked on our behalf.  No more is told
than must be, and no more taken than is sensible.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final, Self, final

import msgspec

from odp_trio.errors import InsecureServer, ServerProtocolError
from odp_trio.model import Address
from odp_trio.net.certificates import ServerTls
from odp_trio.wire.answers import AnswerReader, Result, StatementFailed
from odp_trio.wire.auth import NATIVE_PASSWORD, native_token
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Capability
from odp_trio.wire.handshake import LoginPacket, parse_auth_switch, parse_greeting, ssl_request
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.resultset import parse_err

MOST_BYTES: Final = 256 << 20
"""Of one answer."""
_CAPABILITIES: Final = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
)
_UTF8MB4: Final = 45
_DATABASE: Final = b"oceanbase"
_BLOCK: Final = 65536
_CANNOT_LOAD_PLUGIN: Final = 2059


@final
class Connection:
    """A session on one OBServer.

    Whatever is asked of it raises StatementFailed for what the server refuses, ServerProtocolError for what makes no
    sense, and OSError; only after the first may it be asked again.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = PacketReader(ServerProtocolError, MOST_BYTES)
        self._taken = 0

    @classmethod
    def open(
        cls,
        address: Address,
        user: str,
        password: str,
        *,
        connect_timeout: float,
        timeout: float,
        tls: ServerTls | None = None,
    ) -> Self:
        """Connect and log in; ``password`` is clear or a stage-1 hash, and the server may be silent for ``timeout``.

        Raises InsecureServer where TLS is insisted on and cannot be had.
        """
        sock = socket.create_connection((address.ip, address.port), connect_timeout)
        connection = cls(sock)
        try:
            sock.settimeout(timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection._log_in(address, user, password, tls)
        except BaseException:
            connection.close()
            raise
        return connection

    def query(self, sql: str, is_raw: Callable[[str], bool] = lambda name: False) -> Result:
        """Run one statement; ``is_raw`` says of which columns the text is wanted as bytes."""
        self._taken = 0
        self._socket.sendall(packet(0, bytes((Com.QUERY,)) + sql.encode()))
        answer = AnswerReader(is_raw)
        while (result := answer.take(self._receive()[1])) is None:
            pass
        return result

    def close(self) -> None:
        """Say goodbye if that is heard at once, and close."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(0)
            self._socket.send(packet(0, bytes((Com.QUIT,))))
        self._socket.close()

    def _log_in(self, address: Address, user: str, password: str, tls: ServerTls | None) -> None:
        greeting = parse_greeting(_checked(self._receive()[1]))
        login = LoginPacket(
            _CAPABILITIES,
            MAX_PAYLOAD,
            _UTF8MB4,
            user.encode(),
            native_token(password, greeting.scramble),
            _DATABASE,
            NATIVE_PASSWORD,
            {b"program_name": b"odp_trio", b"_pid": b"%d" % os.getpid()},
        )
        seq = 1
        if tls is not None and self._secure(address, greeting.capabilities, login, tls):
            seq, login = 2, msgspec.structs.replace(login, capabilities=_CAPABILITIES | Capability.SSL)
        self._socket.sendall(packet(seq, login.to_bytes()))
        seq, payload = self._receive()
        if payload[:1] == b"\xfe":
            plugin, scramble = _asked(payload)
            if plugin != NATIVE_PASSWORD:
                raise _more_than_native(plugin)
            self._socket.sendall(packet(seq + 1, native_token(password, scramble)))
            _, payload = self._receive()
        if _checked(payload)[:1] != b"\0":  # 1 is the way of other plugins to ask for the password
            raise _more_than_native(NATIVE_PASSWORD)

    def _secure(self, address: Address, offered: int, login: LoginPacket, tls: ServerTls) -> bool:
        """Begin TLS if it is offered; raise InsecureServer if it is not and must be."""
        if tls.context is None or not offered & Capability.SSL:
            if tls.required:
                raise InsecureServer(f"no TLS: {tls.problem or 'the server does not offer it'}")
            return False
        if self._reader.buffer:
            raise ServerProtocolError("bytes behind a greeting")
        self._socket.sendall(packet(1, ssl_request(login)))
        self._socket = tls.context.wrap_socket(self._socket, server_hostname=address.ip)
        return True

    def _receive(self) -> tuple[int, bytes]:
        while (found := self._reader.next_packet()) is None:
            data = self._socket.recv(_BLOCK)
            if not data:
                raise ConnectionError("the server has closed the connection")
            self._taken += len(data)
            if self._taken > MOST_BYTES:
                raise ServerProtocolError(f"the answer has more than {MOST_BYTES} bytes")
            self._reader.feed(data)
        return found


def _asked(payload: bytes) -> tuple[bytes, bytes]:
    """Return plugin and scramble of an AuthSwitchRequest; before MySQL 4.1 it was one byte."""
    if len(payload) == 1:
        return b"mysql_old_password", b""
    switch = parse_auth_switch(payload)
    return switch.plugin, switch.scramble


def _checked(payload: bytes) -> bytes:
    """Return a packet; raise StatementFailed if it is an error."""
    if payload[:1] == b"\xff":
        error = parse_err(payload)
        raise StatementFailed(error.errno, error.message, error.sqlstate)
    return payload


def _more_than_native(plugin: bytes) -> StatementFailed:
    shown = plugin.decode("latin-1")[:40]
    return StatementFailed(
        _CANNOT_LOAD_PLUGIN, f"the server asks for more than native password ({shown!r}): nothing was told"
    )
