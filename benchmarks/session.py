"""A blocking client: log in, ask, read a whole answer and take it apart."""

from __future__ import annotations

import argparse
import socket
import ssl
from dataclasses import dataclass
from functools import cache

from benchmarks.compressed import COMPRESS, Frames, small_frame
from benchmarks.packets import execute, login, packet, prepare, query, scramble_of

_TIMEOUT = 30.0


class WrongAnswer(Exception):
    """A server or proxy answered something else than it should."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to log in as, and where."""

    port: int
    user: str = "app@sys"
    password: str = ""
    database: str = ""
    host: str = "127.0.0.1"
    tls: bool = False
    compressed: bool = False
    """Whether the client asks for compression, and insists on it."""

    def arguments(self) -> list[str]:
        """Return what ``account_of`` reads back."""
        named = {"--port": str(self.port), "--user": self.user, "--password": self.password}
        named |= {"--database": self.database, "--host": self.host}
        asked = ["--tls"] * self.tls + ["--compressed"] * self.compressed
        return [f"{name}={value}" for name, value in named.items()] + asked


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``Account.arguments`` writes."""
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="app@sys")
    parser.add_argument("--password", default="")
    parser.add_argument("--database", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--compressed", action="store_true")


def account_of(arguments: argparse.Namespace) -> Account:
    """Return the account that the command line names."""
    named = arguments.user, arguments.password, arguments.database, arguments.host
    return Account(arguments.port, *named, tls=arguments.tls, compressed=arguments.compressed)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with a result set: its bytes as they came, and the first column of each row."""

    raw: bytes
    values: tuple[str, ...]


def begin_tls(response: bytes) -> bytes:
    """Set the TLS bit of a login; its first 32 bytes are the SSLRequest."""
    return (int.from_bytes(response[:4], "little") | 0x800).to_bytes(4, "little") + response[4:]


@cache
def _believing_everybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Session:
    """One logged-in connection.  Raises WrongAnswer for what is not an answer, OSError when the peer is gone."""

    def __init__(self, account: Account) -> None:
        self.sock = socket.create_connection((account.host, account.port), timeout=_TIMEOUT)
        self.frames: Frames | None = None
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._log_in(account)
        except BaseException:
            self.sock.close()
            raise

    def _log_in(self, account: Account) -> None:
        greeting = self._receive()
        if greeting[4] != 0x0A:
            raise WrongAnswer(f"no greeting but {greeting[4:]!r}")
        more = COMPRESS if account.compressed else 0
        response = login(account.user, account.password, account.database, scramble_of(greeting[4:]), more)
        if account.tls:
            response = begin_tls(response)
            self.sock.sendall(packet(1, response[:32]))
            self.sock = _believing_everybody().wrap_socket(self.sock)
        self.sock.sendall(packet(2 if account.tls else 1, response))
        answer = self._receive()
        if answer[4] != 0:
            raise WrongAnswer(f"the login was answered with {answer[4:]!r}")
        if account.compressed:
            self.frames = Frames(self.sock)

    def framed(self, request: bytes) -> bytes:
        """Return a request as it is sent."""
        return request if self.frames is None else small_frame(request)

    def recv_into(self, buffer: bytearray, size: int) -> int:
        """Put up to ``size`` bytes of an answer into ``buffer``; return how many."""
        return self.sock.recv_into(buffer, size) if self.frames is None else self.frames.recv_into(buffer, size)

    def ask(self, sql: str) -> Answer:
        """Run a statement that answers one small result set."""
        raw, rows = self._result(query(sql), sql)
        return Answer(raw, tuple(_first_column(row) for row in rows))

    def prepare(self, sql: str) -> int:
        """Prepare a statement with parameters that answers a result set; return its id."""
        self.sock.sendall(self.framed(prepare(sql)))
        head = self._receive()
        if head[4] != 0:
            raise WrongAnswer(f"{sql!r} could not be prepared: {head[4:]!r}")
        for at in (9, 11):  # columns, parameters
            if int.from_bytes(head[at : at + 2], "little"):
                self._until_eof()
        return int.from_bytes(head[5:9], "little")

    def execute(self, statement: int, value: int) -> Answer:
        """Execute a prepared statement of one parameter for the first time; it answers one column of text."""
        raw, rows = self._result(execute(statement, (value,), first=True), f"statement {statement}")
        return Answer(raw, tuple(_first_column(row[2:]) for row in rows))

    def _result(self, request: bytes, what: str) -> tuple[bytes, list[bytes]]:
        """Return an answer's bytes and its rows."""
        self.sock.sendall(self.framed(request))
        if self.frames is not None:
            self.frames.raw = b""
        head = self._receive()
        if head[4] in (0x00, 0xFF):
            raise WrongAnswer(f"{what!r} was answered with {head[4:]!r}")
        definitions = self._until_eof()
        rows = self._until_eof()
        raw = head + b"".join(definitions + rows) if self.frames is None else self.frames.raw
        return raw, [row[4:] for row in rows[:-1]]

    def close(self) -> None:
        """Say goodbye and leave."""
        self.sock.sendall(self.framed(packet(0, b"\x01")))
        self.sock.close()

    def _until_eof(self) -> list[bytes]:
        found = [self._receive()]
        while found[-1][4] != 0xFE:
            if found[-1][4] == 0xFF:
                raise WrongAnswer(f"the answer broke off with {found[-1][4:]!r}")
            found.append(self._receive())
        return found

    def _receive(self) -> bytes:
        header = self._exactly(4)
        return header + self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            buffer = bytearray(size - len(data))
            count = self.recv_into(buffer, len(buffer))
            if not count:
                raise ConnectionResetError("the peer closed the connection")
            data += buffer[:count]
        return data


def ask_once(account: Account, sql: str) -> tuple[str, ...]:
    """Log in, ask, leave; return the first column."""
    session = Session(account)
    try:
        return session.ask(sql).values
    finally:
        session.close()


def check_routed(session: Session, sql: str) -> None:
    """Raise WrongAnswer unless a statement goes where the location of its table says."""
    explained = session.ask(f"explain route {sql}").raw
    if b"\x04rule\x06leader" not in explained:
        raise WrongAnswer(f"{sql!r} is not routed by a location: {explained!r}")


def _first_column(row: bytes) -> str:
    match row[0]:
        case 0xFB:
            return "NULL"
        case 0xFC:
            return row[3 : 3 + int.from_bytes(row[1:3], "little")].decode()
        case 0xFD:
            return row[4 : 4 + int.from_bytes(row[1:4], "little")].decode()
        case size:
            return row[1 : 1 + size].decode()
