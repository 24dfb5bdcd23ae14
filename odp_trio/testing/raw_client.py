"""A client that keeps every packet as it came: text and binary protocol, TLS, the compressed protocol.

It interprets nothing and tries nothing again; only the end of an answer is found for its user, as a client does that
speaks to one server.  It needs a stream and nothing else, so it works on a socket as on one in memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, Self, TypeVar, final

import msgspec
import trio

from odp_trio.errors import ProtocolError, ServerProtocolError
from odp_trio.model import Address
from odp_trio.testing.answers import Answer, Prepared, prepared_from, split
from odp_trio.testing.binary_parameters import Parameter as Parameter
from odp_trio.testing.binary_parameters import binary_parameters
from odp_trio.testing.client import ConnectionLost, NoAnswer, StatementFailed
from odp_trio.testing.compressed_stream import CompressedStream
from odp_trio.wire.auth import native_token
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Capability
from odp_trio.wire.handshake import ChangeUser, LoginPacket, parse_auth_switch, parse_greeting, ssl_request
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import parse_err

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
"""What most connectors ask for."""
TRACKING: Final = PLAIN | Capability.SESSION_TRACK
NO_CURSOR: Final = 0
READ_ONLY_CURSOR: Final = 1
_UTF8MB4_GENERAL_CI: Final = 45
_CHUNK_BYTES: Final = 1 << 20
_UNANSWERED: Final = (Com.QUIT, Com.STMT_CLOSE, Com.STMT_SEND_LONG_DATA)

Upload = Callable[[bytes], bytes]
"""A local file's content, by its name."""
T = TypeVar("T")


class LoginRefused(StatementFailed):
    """The answer to a login was an ERR packet."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(errno, message)
        self.sqlstate = sqlstate


class Tape(Protocol):
    """Somebody who is told of every command and its answer."""

    def add(self, command: bytes, answer: Answer) -> None:
        """Keep one exchange."""
        ...


class LoginForm(msgspec.Struct, frozen=True):
    """What a client says when it logs in.  ``token`` takes the place of the one made of the password."""

    user: str
    password: str = ""
    database: str | None = None
    capabilities: int = PLAIN
    charset: int = _UTF8MB4_GENERAL_CI
    plugin: bytes | None = None
    attributes: Mapping[bytes, bytes] = {}
    token: bytes | None = None
    max_packet: int = MAX_PAYLOAD
    tls: ssl.SSLContext | None = None
    frame_bytes: int = MAX_PAYLOAD
    """Of the compressed protocol, which is spoken if ``capabilities`` have COMPRESS and it is offered."""

    def __repr__(self) -> str:
        return f"LoginForm(user={self.user!r}, database={self.database!r}, capabilities=0x{self.capabilities:x})"


@final
class RawClient:
    """One connection.  One task at a time.

    ``patience`` is how long it waits for each answer, in seconds.  Methods raise ConnectionLost or NoAnswer; an ERR
    packet is an answer as any other, but for the one to a login (LoginRefused).
    """

    def __init__(self, stream: trio.abc.Stream, *, patience: float = 10.0, tape: Tape | None = None) -> None:
        self.stream = stream
        self.patience = patience
        self.login_packets: list[tuple[str, bytes]] = []
        """Every packet of the login: ``(">" or "<", bytes)``."""
        self.login_answer = b""
        self.capabilities = 0
        """What both sides agreed on."""
        self.compressed: CompressedStream | None = None
        self._tape = tape
        self._buffer = bytearray()
        self._awaited = 0
        """How many answers are to come: several for commands that were sent without waiting."""
        self._tracker = ResponseTracker(extra_ok=False)

    @classmethod
    async def connect(
        cls, address: Address, login: LoginForm, *, patience: float = 10.0, tape: Tape | None = None
    ) -> Self:
        """Open a connection and log in."""
        client = await cls.open(address, patience=patience, tape=tape)
        try:
            await client.log_in(login)
        except BaseException:
            await client.close()
            raise
        return client

    @classmethod
    async def open(cls, address: Address, *, patience: float = 10.0, tape: Tape | None = None) -> Self:
        """Open a connection and say nothing."""
        try:
            with trio.fail_after(patience):
                stream = await trio.open_tcp_stream(address.ip, address.port)
        except trio.TooSlowError as exc:
            raise NoAnswer(f"no connection to {address} within {patience:g} s", sent=False) from exc
        except OSError as exc:
            raise ConnectionLost(f"no connection to {address}: {exc}", sent=False) from exc
        return cls(stream, patience=patience, tape=tape)

    async def close(self) -> None:
        """Close without a word."""
        await trio.aclose_forcefully(self.stream)

    async def quit(self) -> bytes:
        """Say COM_QUIT, return what comes before the other side closes, and close."""
        try:
            await self.send(bytes((Com.QUIT,)))
            return await self.until_closed()
        finally:
            await self.close()

    # ---- login ------------------------------------------------------------

    async def greet(self) -> None:
        """Receive the greeting; ``log_in`` does it if nobody has."""
        seq, payload = await self._in_time(self._packet())
        if payload[:1] == b"\xff":
            raise _refused(payload)
        self.login_packets.append(("<", packet(seq, payload)))
        self.greeting_payload = payload
        self.greeting = parse_greeting(payload)

    async def log_in(self, login: LoginForm) -> None:
        """Log in; raise LoginRefused."""
        if not self.login_packets:
            await self.greet()
        await self._in_time(self._log_in(login))

    async def _log_in(self, login: LoginForm) -> None:
        greeting = self.greeting
        wanted = login.capabilities & (~Capability.COMPRESS | greeting.capabilities)
        wanted |= Capability.CONNECT_WITH_DB if login.database is not None else 0
        wanted |= Capability.CONNECT_ATTRS if login.attributes else 0
        said = LoginPacket(
            wanted,
            login.max_packet,
            login.charset,
            login.user.encode(),
            native_token(login.password, greeting.scramble) if login.token is None else login.token,
            None if login.database is None else login.database.encode(),
            login.plugin,
            login.attributes,
        )
        seq = 1
        if login.tls is not None:
            await self._say(packet(seq, ssl_request(said)))
            wrapped = trio.SSLStream(self.stream, login.tls, server_hostname="localhost", https_compatible=True)
            await wrapped.do_handshake()
            self.stream = wrapped
            said = msgspec.structs.replace(said, capabilities=wanted | Capability.SSL)
            seq = 2
        await self._say(packet(seq, said.to_bytes()))
        seq, payload = await self._login_packet()
        if payload[:1] == b"\xfe":
            switched = native_token(login.password, parse_auth_switch(payload).scramble)
            await self._say(packet(seq + 1, switched if login.token is None else login.token))
            seq, payload = await self._login_packet()
        self.login_answer = payload
        if payload[:1] == b"\xff":
            raise _refused(payload)
        self.capabilities = wanted & greeting.capabilities
        if wanted & Capability.COMPRESS:
            self.compressed = CompressedStream(self.stream, login.frame_bytes)

    async def _say(self, whole: bytes) -> None:
        self.login_packets.append((">", whole))
        await self._send_all(whole)

    async def _login_packet(self) -> tuple[int, bytes]:
        seq, payload = await self._packet()
        self.login_packets.append(("<", packet(seq, payload)))
        return seq, payload

    async def _packet(self) -> tuple[int, bytes]:
        reader = PacketReader(ServerProtocolError)
        reader.feed(bytes(self._buffer))
        while (found := reader.next_packet()) is None:
            reader.feed(await self._chunk())
        self._buffer[:] = reader.buffer
        return found

    # ---- commands ---------------------------------------------------------

    async def command(self, payload: bytes, upload: Upload | None = None) -> Answer:
        """Send a command and return its whole answer."""
        await self.send(payload)
        answer = await self.answer(payload[0], upload)
        if self._tape is not None:
            self._tape.add(payload, answer)
        return answer

    async def change_user(self, login: LoginForm) -> Answer:
        """Say COM_CHANGE_USER, and answer an auth switch."""
        token = native_token(login.password, self.greeting.scramble) if login.token is None else login.token
        tail = login.charset.to_bytes(2, "little") + b"mysql_native_password\0"
        asked = ChangeUser(login.user.encode(), token, (login.database or "").encode(), tail).to_bytes()
        await self.send(asked)
        seq, payload = await self._in_time(self._packet())
        if payload[:1] == b"\xfe":
            switched = native_token(login.password, parse_auth_switch(payload).scramble)
            await self._in_time(self._go_on(packet(seq + 1, switched if login.token is None else login.token)))
            seq, payload = await self._in_time(self._packet())
        errno = parse_err(payload).errno if payload[:1] == b"\xff" else 0
        self._awaited -= 1
        answer = Answer(
            [packet(seq, payload)],
            0,
            errno,
            Com.CHANGE_USER,
            tracked=bool(self.capabilities & Capability.SESSION_TRACK),
        )
        if not errno:
            answer.status = answer.result.end_status
        return answer

    async def send(self, payload: bytes) -> None:
        """Send a command; for those without an answer, this is all."""
        self._awaited += payload[0] not in _UNANSWERED
        whole = packet(0, payload)
        await self._in_time(self._send_all(whole) if self.compressed is None else self.compressed.send_all(whole))

    async def query(self, sql: str | bytes, upload: Upload | None = None) -> Answer:
        """Run a statement in the text protocol."""
        return await self.command(bytes((Com.QUERY,)) + (sql.encode() if isinstance(sql, str) else sql), upload)

    async def ping(self) -> Answer:
        """Say COM_PING."""
        return await self.command(bytes((Com.PING,)))

    async def answer(self, command: int, upload: Upload | None = None) -> Answer:
        """Receive the answer to a command that was sent."""
        return await self._in_time(self._answer(command, upload))

    async def next_packet(self) -> tuple[int, bytes]:
        """Receive one packet, the whole of an answer; return its sequence number and its payload."""
        self._awaited -= 1
        return await self._in_time(self._packet())

    async def until_closed(self) -> bytes:
        """Receive whatever comes until the other side closes."""
        pieces = [bytes(self._buffer)]
        self._buffer.clear()

        async def receive() -> None:
            while data := await self._receive():
                pieces.append(data)

        await self._in_time(receive())
        return b"".join(pieces)

    async def _answer(self, command: int, upload: Upload | None) -> Answer:
        tracker, buffer, at = self._tracker, self._buffer, 0
        tracker.begin(command)
        while not tracker.ended:
            if at == len(buffer) or tracker.held:
                buffer += await self._chunk()
            tracker.feed(buffer, at, len(buffer))
            at = tracker.pos
            if tracker.wants_upload:
                name = split(buffer[:at])[-1][5:]
                await self._upload(b"" if upload is None else upload(name), tracker.seq + 1)
                tracker.uploaded()
        self._awaited -= 1
        if at != len(buffer) and self._awaited <= 0:
            raise ServerProtocolError(f"{len(buffer) - at} bytes behind the end of an answer: {buffer[at:][:40].hex()}")
        packets = split(buffer[:at])
        del buffer[:at]
        tracked = bool(self.capabilities & Capability.SESSION_TRACK)
        return Answer(packets, tracker.status, tracker.errno, command, tracked)

    async def _upload(self, content: bytes, seq: int) -> None:
        for start in range(0, len(content), _CHUNK_BYTES):
            await self._go_on(packet(seq, content[start : start + _CHUNK_BYTES]))
            seq += 1
        await self._go_on(packet(seq, b""))

    async def _go_on(self, data: bytes) -> None:
        await (self._send_all(data) if self.compressed is None else self.compressed.send_all(data, goes_on=True))

    # ---- the binary protocol ----------------------------------------------

    async def prepare(self, sql: str | bytes) -> Prepared:
        """Prepare a statement."""
        text = sql.encode() if isinstance(sql, str) else sql
        return prepared_from(await self.command(bytes((Com.STMT_PREPARE,)) + text))

    async def execute(
        self,
        statement: int,
        parameters: Sequence[Parameter] = (),
        *,
        cursor: int = NO_CURSOR,
        send_types: bool = True,
        long_data: Sequence[int] = (),
    ) -> Answer:
        """Execute; parameters named in ``long_data`` were sent before and carry no value."""
        head = bytes((Com.STMT_EXECUTE,)) + _id(statement) + bytes((cursor,)) + b"\1\0\0\0"
        return await self.command(head + binary_parameters(parameters, send_types, long_data))

    async def long_data(self, statement: int, parameter: int, data: bytes) -> None:
        """Send a piece of a parameter's value; no answer comes."""
        await self.send(bytes((Com.STMT_SEND_LONG_DATA,)) + _id(statement) + parameter.to_bytes(2, "little") + data)

    async def fetch(self, statement: int, rows: int) -> Answer:
        """Fetch rows of a cursor."""
        return await self.command(bytes((Com.STMT_FETCH,)) + _id(statement) + rows.to_bytes(4, "little"))

    async def reset(self, statement: int) -> Answer:
        """Reset a statement: its long data and its cursor."""
        return await self.command(bytes((Com.STMT_RESET,)) + _id(statement))

    async def close_statement(self, statement: int) -> None:
        """Close a statement; no answer comes."""
        await self.send(bytes((Com.STMT_CLOSE,)) + _id(statement))

    # ---- bytes ------------------------------------------------------------

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            with trio.fail_after(self.patience):
                return await work
        except trio.TooSlowError as exc:
            raise NoAnswer(f"no answer within {self.patience:g} s", sent=True) from exc
        except (trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError) as exc:
            reason = str(exc.__cause__ or exc) or type(exc).__name__
            raise ConnectionLost(reason, sent=True) from exc

    async def _send_all(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _receive(self) -> bytes:
        try:
            if self.compressed is not None:
                return await self.compressed.receive()
            return bytes(await self.stream.receive_some(_CHUNK_BYTES))
        except trio.BrokenResourceError:
            return b""

    async def _chunk(self) -> bytes:
        if not (data := await self._receive()):
            raise ServerProtocolError("the connection was closed in the middle of an answer")
        return data


def _refused(payload: bytes) -> LoginRefused:
    error = parse_err(payload)
    return LoginRefused(error.errno, error.sqlstate, error.message)


def _id(statement: int) -> bytes:
    return statement.to_bytes(4, "little")
