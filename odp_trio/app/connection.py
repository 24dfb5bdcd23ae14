"""A connection to the proxy from within its own process: logged in, and a Trio stream of MySQL packets."""

from __future__ import annotations

from typing import Final, Self, final

import trio

from odp_trio.errors import OdpError, ProtocolError, ServerProtocolError
from odp_trio.wire.answers import AnswerReader, Result, StatementFailed
from odp_trio.wire.auth import NATIVE_PASSWORD, native_token
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Capability
from odp_trio.wire.handshake import LoginPacket, parse_auth_switch, parse_greeting
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.resultset import parse_err

CAPABILITIES: Final = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
)
"""What a connection asks for; nothing that changes how answers are read."""
_UTF8MB4: Final = 45
_LONGEST_PACKET: Final = 1 << 30


class ConnectionLost(OdpError):
    """The connection has ended, or an answer was not waited for: it is of no use any more.

    ``sent`` says whether the statement may have run.
    """

    errno = 2013
    sqlstate = "08S01"

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@final
class Connection(trio.abc.Stream):
    """A session of the proxy, positioned behind its login.

    As a stream it carries MySQL packets, to be framed and read by the caller.  ``query`` is for those who have
    no driver; the two must not be mixed while an answer is under way.  One task at a time may send, and one receive.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.connection_id = 0
        """As in SHOW PROCESSLIST, KILL and the proxy's own SHOW PROXYSESSION."""
        self.server_version = ""
        self.capabilities = 0
        """What was asked for and is offered: see ``odp_trio.wire.fields.Capability``."""
        self.status = 0
        """The status flags that the last answer to ``query`` ended with: see ``odp_trio.wire.fields.Status``."""
        self._stream = stream
        self._reader = PacketReader(ServerProtocolError, _LONGEST_PACKET)
        self._busy = trio.StrictFIFOLock()
        self._lost = ""

    @classmethod
    async def log_in(cls, stream: trio.abc.Stream, user: str, password: str, database: str) -> Self:
        """Log in over a stream to a proxy; it is closed if that fails.

        Raises StatementFailed with the errno of a refusal, ConnectionLost when the proxy closes the connection.
        """
        connection = cls(stream)
        try:
            await connection._log_in(user, password, database)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return connection

    async def query(self, sql: str) -> Result:
        """Run one statement in the text protocol, and return all of its answer.

        Raises StatementFailed for an error of the server or the proxy, with which the connection goes on, and
        ConnectionLost.  When it is cancelled the connection is closed, which ends the statement.
        """
        async with self._busy:
            if self._lost:
                raise ConnectionLost(self._lost, sent=False)
            try:
                return await self._query(sql)
            except StatementFailed:
                raise
            except (trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError) as exc:
                self._lost = str(exc) or "connection closed"
                await trio.aclose_forcefully(self._stream)
                raise ConnectionLost(self._lost, sent=True) from exc
            except BaseException:
                self._lost = "the answer to a statement was not waited for"
                await trio.aclose_forcefully(self._stream)
                raise

    async def _query(self, sql: str) -> Result:
        await self._stream.send_all(packet(0, bytes((Com.QUERY,)) + sql.encode()))
        answer = AnswerReader()
        while (result := answer.take((await self._receive())[1])) is None:
            pass
        self.status = answer.status
        return result

    async def quit(self) -> None:
        """Say goodbye, and close."""
        try:
            await self._stream.send_all(packet(0, bytes((Com.QUIT,))))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await self.aclose()

    # ---- as a stream ----------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send MySQL packets."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what has come; nothing at the end."""
        if self._reader.buffer:
            await trio.lowlevel.checkpoint()
            data = bytes(self._reader.buffer[:max_bytes])
            del self._reader.buffer[: len(data)]
            return data
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close it without a word, as a client does that is killed."""
        self._lost = self._lost or "this connection was closed"
        await self._stream.aclose()

    # ---- login ----------------------------------------------------------------------------

    async def _log_in(self, user: str, password: str, database: str) -> None:
        try:
            greeting = parse_greeting(_checked((await self._receive())[1]))
            offered = CAPABILITIES | (Capability.CONNECT_WITH_DB if database else 0)
            self.connection_id = greeting.connection_id
            self.server_version = greeting.version.decode("utf-8", "replace")
            self.capabilities = offered & greeting.capabilities
            token = native_token(password, greeting.scramble)
            login = LoginPacket(offered, MAX_PAYLOAD, _UTF8MB4, user.encode(), token, database.encode())
            await self._stream.send_all(packet(1, login.to_bytes()))
            seq, payload = await self._receive()
            if _checked(payload)[:1] == b"\xfe":
                switch = parse_auth_switch(payload)
                if switch.plugin != NATIVE_PASSWORD:
                    raise ServerProtocolError(f"a password is not told by {switch.plugin.decode('ascii', 'replace')!r}")
                token = native_token(password, switch.scramble)
                await self._stream.send_all(packet(seq + 1, token))
                _checked((await self._receive())[1])
        except (trio.BrokenResourceError, ProtocolError) as exc:
            raise ConnectionLost(f"no login: {exc}", sent=False) from exc

    async def _receive(self) -> tuple[int, bytes]:
        while (found := self._reader.next_packet()) is None:
            data = await self._stream.receive_some()
            if not data:
                raise ServerProtocolError("connection closed by the proxy")
            self._reader.feed(bytes(data))
        return found


def _checked(payload: bytes) -> bytes:
    """Return a packet; raise StatementFailed if it is an error."""
    if payload[:1] == b"\xff":
        error = parse_err(payload)
        raise StatementFailed(error.errno, error.message, error.sqlstate)
    return payload
