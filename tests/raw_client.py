"""A blocking client that keeps every packet as it came.

For comparing what a server says with what it says through a proxy: no
interpretation, no retry.  Only the end of an answer is found for us (by
ResponseTracker, as a plain connection sees it).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import msgspec

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.testing.binary_parameters import Parameter, binary_parameters
from odp_trio.wire.auth import native_token, xor
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Capability
from odp_trio.wire.handshake import LoginPacket, parse_auth_switch, parse_greeting, ssl_request
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import parse_err
from tests.compressed_socket import CompressedSocket

PLAIN: Final = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
)
TRACKING: Final = PLAIN | Capability.SESSION_TRACK
NO_CURSOR, READ_ONLY_CURSOR = 0, 1
CHARSET: Final = 45
"""utf8mb4_general_ci, what most connectors ask for."""
_CLIENT_SCRAMBLE: Final = b"abcdefghijklmnopqrst"


@dataclass(slots=True)
class Answer:
    """The packets of one answer, headers included, and what its end says."""

    packets: list[bytes]
    status: int
    errno: int

    @property
    def payloads(self) -> list[bytes]:
        return [each[4:] for each in self.packets]

    @property
    def cursor_is_open(self) -> bool:
        """Whether the last EOF says that rows are left to fetch."""
        ends = [each for each in self.payloads if each[0] == 0xFE and len(each) < 9]
        return bool(ends) and not self.errno and ends[-1][3] & 0xC0 == 0x40


@dataclass(slots=True)
class Prepared:
    """A prepared statement of one connection; ``id`` is 0 when it was refused."""

    id: int
    parameters: int
    columns: int
    answer: Answer


class RawClient:
    """One connection.

    ``as_proxy`` logs in as a proxy does and keeps the extra OK packets;
    ``rewriting`` does so too and gives out what a proxy's client is to see.
    With COMPRESS in ``capabilities`` it speaks the compressed protocol where that is offered, in frames of
    ``frame_bytes`` at the most.
    """

    def __init__(
        self,
        address: Address,
        user: str = "root",
        password: str = "",
        *,
        database: str | None = None,
        capabilities: int = PLAIN,
        as_proxy: bool = False,
        rewriting: bool = False,
        proxy_capabilities: int = 0,
        timeout: float = 60,
        frame_bytes: int = MAX_PAYLOAD,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket = socket.create_connection((address.ip, address.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.compressed: CompressedSocket | None = None
        """What goes through the socket behind a login that agreed on compression."""
        self.conversation: list[tuple[str, bytes]] = []
        """Every packet of the login: ``(">" or "<", bytes)``."""
        as_proxy = as_proxy or rewriting
        self._rewriting = rewriting
        self._tls = tls
        self._tracker = ResponseTracker(
            extra_ok=as_proxy, session_track=as_proxy and bool(capabilities & Capability.SESSION_TRACK)
        )
        self._buffer = bytearray()
        try:
            attributes = {} if not as_proxy else {b"__proxy_capability_flag": b"%d" % proxy_capabilities}
            self._log_in(user, password, database, capabilities, attributes)
            if capabilities & self.greeting.capabilities & Capability.COMPRESS:
                self.compressed = CompressedSocket(self.socket, frame_bytes=frame_bytes)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def quit(self) -> bytes:
        """Say COM_QUIT and return what the server sends before it closes."""
        self.send(bytes((Com.QUIT,)))
        return self._until_closed()

    # ---- commands ---------------------------------------------------------

    def command(self, payload: bytes, upload: Callable[[bytes], bytes] | None = None) -> Answer:
        """Send a command and return its whole answer; ``upload`` gives a local file's content by its name."""
        self.send(payload)
        return self.answer(payload[0], upload)

    def send(self, payload: bytes) -> None:
        """Send a command; for those without an answer, this is all."""
        (self.compressed or self.socket).sendall(packet(0, payload))

    def query(self, sql: str | bytes, upload: Callable[[bytes], bytes] | None = None) -> Answer:
        return self.command(bytes((Com.QUERY,)) + (sql.encode() if isinstance(sql, str) else sql), upload)

    def last_query(self, sql: str) -> list[bytes]:
        """Ask, and return every packet that comes until the server closes."""
        self.send(bytes((Com.QUERY,)) + sql.encode())
        return _split(self._until_closed())

    def answer(self, command: int, upload: Callable[[bytes], bytes] | None = None) -> Answer:
        """Receive the answer to a command that was sent."""
        tracker, buffer, at = self._tracker, self._buffer, 0
        seen = bytearray()
        tracker.begin(command)
        while not tracker.ended:
            if at == len(buffer) or tracker.held:
                self._receive()
            stop = tracker.feed(buffer, at, len(buffer))
            seen += buffer[at:stop] + tracker.tail
            at = tracker.pos
            if tracker.wants_upload:
                self._upload(b"" if upload is None else upload(_split(buffer[:at])[-1][5:]), tracker.seq + 1)
                tracker.uploaded()
        if at != len(buffer):
            raise ServerProtocolError(f"{len(buffer) - at} bytes behind the end of an answer")
        packets = _split(seen if self._rewriting else buffer)
        buffer.clear()
        return Answer(packets, tracker.status, tracker.errno)

    def _upload(self, content: bytes, seq: int) -> None:
        for start in range(0, len(content), 1 << 20):
            self._go_on(packet(seq, content[start : start + (1 << 20)]))
            seq += 1
        self._go_on(packet(seq, b""))

    def _go_on(self, data: bytes) -> None:
        if self.compressed is None:
            self.socket.sendall(data)
        else:
            self.compressed.sendall(data, goes_on=True)

    # ---- the binary protocol ----------------------------------------------

    def prepare(self, sql: str | bytes) -> Prepared:
        text = sql.encode() if isinstance(sql, str) else sql
        answer = self.command(bytes((Com.STMT_PREPARE,)) + text)
        ok = answer.payloads[0]
        if ok[0]:
            return Prepared(0, 0, 0, answer)
        number, columns, parameters = ok[1:5], ok[5:7], ok[7:9]
        little = "little"
        return Prepared(
            int.from_bytes(number, little), int.from_bytes(parameters, little), int.from_bytes(columns, little), answer
        )

    def execute(
        self,
        statement: int,
        parameters: Sequence[Parameter] = (),
        *,
        cursor: int = NO_CURSOR,
        send_types: bool = True,
        long_data: Sequence[int] = (),
    ) -> Answer:
        """Execute; parameters named in ``long_data`` were sent before and carry no value."""
        head = bytes((Com.STMT_EXECUTE,)) + statement.to_bytes(4, "little") + bytes((cursor,)) + b"\1\0\0\0"
        return self.command(head + binary_parameters(parameters, send_types, long_data))

    def long_data(self, statement: int, parameter: int, data: bytes) -> None:
        self.send(
            bytes((Com.STMT_SEND_LONG_DATA,)) + statement.to_bytes(4, "little") + parameter.to_bytes(2, "little") + data
        )

    def fetch(self, statement: int, rows: int) -> Answer:
        return self.command(bytes((Com.STMT_FETCH,)) + statement.to_bytes(4, "little") + rows.to_bytes(4, "little"))

    def reset(self, statement: int) -> Answer:
        return self.command(bytes((Com.STMT_RESET,)) + statement.to_bytes(4, "little"))

    def close_statement(self, statement: int) -> None:
        self.send(bytes((Com.STMT_CLOSE,)) + statement.to_bytes(4, "little"))

    # ---- login ------------------------------------------------------------

    def _log_in(
        self, user: str, password: str, database: str | None, capabilities: int, attributes: Mapping[bytes, bytes]
    ) -> None:
        reader = PacketReader(ServerProtocolError)
        self.greeting = greeting = parse_greeting(self._login_packet(reader)[1])
        scramble = greeting.scramble
        capabilities &= ~Capability.COMPRESS | greeting.capabilities
        if attributes:
            scramble = _CLIENT_SCRAMBLE
            attributes = {
                b"__mysql_client_type": b"__ob_proxy",
                b"__connection_id": b"1",
                b"__proxy_connection_id": b"1",
                b"__global_vars_version": b"0",
                b"__proxy_scramble": xor(scramble, greeting.scramble),
                b"__proxy_version": b"4.3.1.0",
                b"__client_session_id": b"%d" % (int.from_bytes(greeting.scramble[:4], "little") & 0xFFFFFFF),
                b"__client_connect_time": b"1700000000000000",
                **attributes,
            }
            capabilities |= Capability.CONNECT_ATTRS
        login = LoginPacket(
            capabilities | (Capability.CONNECT_WITH_DB if database is not None else 0),
            MAX_PAYLOAD,
            CHARSET,
            user.encode(),
            native_token(password, scramble),
            None if database is None else database.encode(),
            attributes=attributes,
        )
        first = 1
        if self._tls is not None:
            self._say(packet(1, ssl_request(login)))
            self.socket = self._tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
            login = msgspec.structs.replace(login, capabilities=login.capabilities | Capability.SSL)
            first = 2
        self._say(packet(first, login.to_bytes()))
        seq, payload = self._login_packet(reader)
        if payload[0] == 0xFE:
            self._say(packet(seq + 1, native_token(password, parse_auth_switch(payload).scramble)))
            seq, payload = self._login_packet(reader)
        self.login_answer = payload
        if payload[0] == 0xFF:
            raise LoginFailed(parse_err(payload).errno, parse_err(payload).message)

    def _say(self, whole: bytes) -> None:
        self.conversation.append((">", whole))
        self.socket.sendall(whole)

    def _login_packet(self, reader: PacketReader) -> tuple[int, bytes]:
        while (found := reader.next_packet()) is None:
            reader.feed(self._chunk())
        self.conversation.append(("<", packet(*found)))
        return found

    # ---- bytes ------------------------------------------------------------

    def _receive(self) -> None:
        self._buffer += self._chunk()

    def _chunk(self) -> bytes:
        data = (self.compressed or self.socket).recv(1 << 20)
        if not data:
            raise ConnectionResetError("the server closed the connection in the middle of an answer")
        return data

    def _until_closed(self) -> bytes:
        pieces = []
        while data := (self.compressed or self.socket).recv(65536):
            pieces.append(data)
        return b"".join(pieces)


class LoginFailed(Exception):
    """The server answered the login with an ERR packet."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(f"{errno}: {message}")
        self.errno = errno


def _split(data: bytes | bytearray) -> list[bytes]:
    packets, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 3], "little")
        packets.append(bytes(data[at:end]))
        at = end
    return packets
