"""One connection through an OBServer of the test bed: a relay that leaves every byte alone unless a fault asks.

Two pumps.  Upwards it follows packets, to rename tenants in logins and
metadata queries, to note which statement came here, and to answer one itself.
Downwards it passes bytes on, except where an answer is to be cut or changed.

A compressed connection is passed on unread: nothing of it is noted, and only
the faults that need no packets work on it (kill, freeze).
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from typing import Final, final

import msgspec
import trio

from odp_trio.errors import ClientProtocolError, ProtocolError, ServerProtocolError
from odp_trio.testing.edits import Edit, extra_ok
from odp_trio.testing.faults import Faults
from odp_trio.testing.participants import Participant, Transactions
from odp_trio.testing.requests import SQL_BYTES, Request, RequestReader
from odp_trio.testing.topology import schema_view
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Capability, OBCapability
from odp_trio.wire.handshake import parse_change_user, parse_greeting, parse_login
from odp_trio.wire.ob20 import HEADER_BYTES, OUTER_BYTES, Flag, frames
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.phases import FIRST_PHASE
from odp_trio.wire.resultset import err_payload
from odp_trio.wire.state import find_variable

CHUNK_BYTES: Final = 65536
PREPARED: Final = 1000
"""Prepared statements of one connection whose text is known; the oldest go first."""
_TENANT: Final = re.compile(rb"tenant_name = '([^']+)'", re.IGNORECASE)
_SCHEMA_TABLE: Final = b"oceanbase.__all_virtual_proxy_schema"
_STATEMENTS: Final = {Com.QUERY, Com.STMT_PREPARE, Com.STMT_EXECUTE, Com.INIT_DB}
_EXTRA_OK: Final = packet(2, b"\0\0\0\x22\0\0\0\0")
_FLAGS_AT: Final = OUTER_BYTES + 16
_MYSQL_AT: Final = OUTER_BYTES + HEADER_BYTES
_LOST: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Statement(msgspec.Struct, frozen=True):
    """One command that an OBServer got.  ``sql`` is its first 4096 bytes; that of the PREPARE for an EXECUTE."""

    observer: int
    connection: int
    user: str
    tenant: str
    by_proxy: bool
    command: str
    sql: str
    at: float


Note = Callable[[Statement], None]


@final
class Relay:
    """One relayed connection.  ``run()`` returns when either side is gone, and leaves nothing open."""

    def __init__(
        self,
        number: int,
        observer: int,
        client: trio.SocketStream,
        kernel_port: int,
        faults: Faults,
        tenants: Callable[[], frozenset[str]],
        note: Note,
        transactions: Transactions,
    ) -> None:
        self.ended = trio.Event()
        self._scope = trio.CancelScope()
        self._number = number
        self._observer = observer
        self._client = client
        self._server: trio.SocketStream
        self._streams = [client]
        # Both pumps write to the client: one may answer while the other's send, which has arrived, is not over yet.
        self._sending = trio.Lock()
        self._kernel_port = kernel_port
        self._faults = faults
        self._tenants = tenants
        self._note = note
        self._transactions = transactions
        self._participant: Participant | None = None
        self._client_session = b""
        self._user = ""
        self._tenant = "sys"
        self._by_proxy = False
        self._ob20 = False
        self._compressed = False
        self._server_id = 0
        self._prepared: dict[int, str] = {}
        self._preparing: str | None = None
        self._edit: Edit | None = None
        self._cut_after: int | None = None

    async def run(self) -> None:
        """Relay until the end."""
        try:
            with self._scope:
                await self._connect_and_relay()
        except* (*_LOST, ProtocolError):
            pass
        finally:
            for stream in self._streams:
                stream.socket.close()
            if self._participant is not None:
                self._participant.left()
            self.ended.set()

    def reset(self) -> None:
        """Make the connection end with a reset instead of a clean close, at once."""
        for stream in self._streams:
            try:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                continue
        self._scope.cancel()

    async def _connect_and_relay(self) -> None:
        self._server = await trio.open_tcp_stream("127.0.0.1", self._kernel_port)
        self._streams.append(self._server)
        from_server, from_client = PacketReader(ServerProtocolError), PacketReader(ClientProtocolError)
        if not await self._log_in(from_server, from_client):
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._down, bytes(from_server.buffer), nursery.cancel_scope)
            await (self._copy_up if self._compressed else self._up)(bytes(from_client.buffer))
            nursery.cancel_scope.cancel()

    # ---- login ------------------------------------------------------------------

    async def _log_in(self, from_server: PacketReader, from_client: PacketReader) -> bool:
        """Relay the greeting and the login, with the tenant renamed; answer whether it succeeded."""
        if (greeting := await _packet(self._server, from_server)) is None:
            return False
        await self._faults.wait_thawed()
        await self._client.send_all(packet(*greeting))
        if greeting[1][:1] == b"\xff":  # too many connections
            return False
        self._server_id = parse_greeting(greeting[1]).connection_id
        if (login := await _packet(self._client, from_client)) is None:
            return False
        await self._faults.wait_thawed()
        renamed = self._read_login(login[1])
        if (fault := self._faults.take_login()) is not None:
            error = packet(login[0] + 1, err_payload(fault.errno, fault.sqlstate, fault.message))
            await self._client.send_all(error)
            return False
        await self._server.send_all(packet(login[0], renamed))
        while (answer := await _packet(self._server, from_server)) is not None:
            await self._faults.wait_thawed()
            await self._client.send_all(packet(*answer))
            if answer[1][:1] != b"\xfe":
                self._note_framing(login[1], answer[1])
                return answer[1][:1] == b"\0"
            if (reply := await _packet(self._client, from_client)) is None:
                return False
            await self._server.send_all(packet(*reply))
        return False

    def _read_login(self, payload: bytes) -> bytes:
        """Note who it is; return the login with a known tenant's name replaced by ``sys``."""
        login = parse_login(payload, offered=0xFFFFFFFF)
        self._by_proxy = login.attributes.get(b"__mysql_client_type") == b"__ob_proxy"
        self._client_session = login.attributes.get(b"__proxy_connection_id", b"")
        user = self._note_user(login.user)
        start = payload.index(login.user + b"\0", 32)
        return payload[:start] + user + payload[start + len(login.user) :]

    def _note_user(self, name: bytes) -> bytes:
        """Note who it is; return the name under which the kernel knows them."""
        self._user, _, tenant = name.decode("utf-8", "replace").partition("@")
        self._tenant = tenant or "sys"
        mapped = self._tenant != "sys" and self._tenant in self._tenants()
        return name.partition(b"@")[0] + b"@sys" if mapped else name

    def _note_framing(self, login: bytes, answer: bytes) -> None:
        """Note what the kernel switches to behind its OK.  It compresses unasked (seen on seekdb 1.3.0)."""
        granted = _granted(answer) if self._by_proxy and answer[:1] == b"\0" else 0
        self._ob20 = bool(granted & OBCapability.OB_PROTOCOL_V2)
        plain_compressed = int.from_bytes(login[:4], "little") & Capability.COMPRESS
        self._compressed = bool(
            granted & OBCapability.V2_COMPRESS if self._ob20 else granted & OBCapability.CHECKSUM or plain_compressed
        )
        if self._ob20 and self._transactions.allowed and not self._compressed:
            self._participant = Participant(self._transactions, self._client_session, self._server_id, self._server)

    # ---- upwards ----------------------------------------------------------------

    async def _up(self, begun: bytes) -> None:
        reader = RequestReader(ob20=self._ob20)
        data: bytes | bytearray = begun
        while True:
            reader.feed(data)
            while (request := reader.next_request()) is not None:
                await self._pass_on(reader)  # the rest of the request before
                await self._request(request)
            await self._pass_on(reader)
            if not (data := await self._client.receive_some(CHUNK_BYTES)):
                return

    async def _pass_on(self, reader: RequestReader) -> None:
        if passed := reader.passed():
            await self._faults.wait_thawed()
            await self._server.send_all(passed)

    async def _copy_up(self, data: bytes | bytearray) -> None:
        while True:
            await self._server.send_all(data)
            if not (data := await self._client.receive_some(CHUNK_BYTES)):
                return
            await self._faults.wait_thawed()

    async def _request(self, request: Request) -> None:
        sql = self._note_request(request)
        await self._faults.wait_thawed()
        if self._faults.slow:
            await trio.sleep(self._faults.slow)
        if request.whole and (fault := self._faults.take_answer(sql)) is not None:
            error = packet(1, err_payload(fault.errno, fault.sqlstate, fault.message))
            told = extra_ok(fault.reroute) if fault.reroute is not None else _EXTRA_OK
            await self._answer(request, error + (told if self._by_proxy else b""))
            return
        if request.whole and self._participant is not None:
            answer = await self._participant.take(request)
            if answer is not None:
                await self._send_to_client(answer)
                return
        if request.command == Com.STMT_PREPARE:
            self._preparing = sql
        if request.command in FIRST_PHASE:
            self._arm(request.command, sql)
        await self._server.send_all(self._renamed(request) if request.whole else request.raw)

    async def _answer(self, request: Request, answer: bytes) -> None:
        if request.frame is not None:
            answer = frames(self._server_id, request.frame.request_id, 1, answer)
        await self._send_to_client(answer)

    async def _send_to_client(self, data: bytes) -> None:
        try:
            self._sending.acquire_nowait()  # without the checkpoint of ``acquire``
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            await self._client.send_all(data)
        finally:
            self._sending.release()

    def _note_request(self, request: Request) -> str:
        """Record a statement; return its text, for an EXECUTE that of its PREPARE."""
        command, head = request.command, request.head
        if command == Com.STMT_CLOSE:
            self._prepared.pop(int.from_bytes(head[1:5], "little"), None)
        if command not in _STATEMENTS:
            return ""
        if command == Com.STMT_EXECUTE:
            sql = self._prepared.get(int.from_bytes(head[1:5], "little"), "")
        else:
            sql = head[1 : 1 + SQL_BYTES].decode("utf-8", "replace")
        self._note(
            Statement(
                self._observer,
                self._number,
                self._user,
                self._tenant,
                self._by_proxy,
                Com(command).name,
                sql,
                trio.current_time(),
            )
        )
        return sql

    def _renamed(self, request: Request) -> bytes:
        """Make what names a mapped tenant something that the kernel can answer."""
        if request.command == Com.CHANGE_USER:
            asked = parse_change_user(request.payload)
            user = self._note_user(asked.user)
            changed = msgspec.structs.replace(asked, user=user).to_bytes()
            return request.raw if user == asked.user else request.with_payload(changed)
        if self._user != "proxyro" or request.command != Com.QUERY:
            return request.raw
        found = _TENANT.search(request.head)
        tenant = found[1].decode("utf-8", "replace") if found else "sys"
        if tenant == "sys" or tenant not in self._tenants():
            return request.raw
        sql = request.payload
        if _SCHEMA_TABLE in sql:
            return request.with_payload(sql.replace(_SCHEMA_TABLE, f"oceanbase.{schema_view(tenant)}".encode()))
        return request.with_payload(sql.replace(f"'{tenant}'".encode(), b"'sys'"))

    def _arm(self, command: int, sql: str) -> None:
        """Prepare for what is to be done to the answer.  Only proxies are told of a miss."""
        if self._faults.cut_after is not None:
            self._cut_after, self._faults.cut_after = self._faults.cut_after, None
        if sql and self._by_proxy and self._edit is None and self._faults.take_miss(sql) is not None:
            self._edit = Edit(command, ob20=self._ob20)

    # ---- downwards --------------------------------------------------------------

    async def _down(self, begun: bytes, scope: trio.CancelScope) -> None:
        try:
            if begun:
                await self._send_to_client(begun)
            while data := await self._server.receive_some(CHUNK_BYTES):
                await self._faults.wait_thawed()
                if self._participant is not None:
                    data = self._participant.downwards(bytes(data))
                if self._preparing is not None:
                    self._note_prepared(data)
                if self._cut_after is not None and len(data) >= self._cut_after:
                    await self._send_to_client(bytes(data[: self._cut_after]))
                    self.reset()
                    return
                if self._cut_after is not None:
                    self._cut_after -= len(data)
                await self._send_down(bytes(data))
        finally:
            scope.cancel()

    async def _send_down(self, data: bytes) -> None:
        if self._edit is not None:
            edited = self._edit.collect(data)
            if edited is None:
                return
            self._edit, data = None, edited
        await self._send_to_client(data)

    def _note_prepared(self, data: bytes | bytearray) -> None:
        """Note a statement's id.  The first packet of an answer begins a chunk: there is one command at a time."""
        at = 0
        if self._ob20:
            at = _MYSQL_AT
            if data[_FLAGS_AT] & Flag.EXTRA_INFO:
                at += 4 + int.from_bytes(data[at : at + 4], "little")
        if data[at + 4 : at + 5] == b"\0" and len(data) >= at + 9:
            if len(self._prepared) >= PREPARED:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[int.from_bytes(data[at + 5 : at + 9], "little")] = self._preparing or ""
        self._preparing = None


async def _packet(stream: trio.SocketStream, reader: PacketReader) -> tuple[int, bytes] | None:
    while (found := reader.next_packet()) is None:
        data = await stream.receive_some(CHUNK_BYTES)
        if not data:
            return None
        reader.feed(data)
    return found


def _granted(ok: bytes) -> int:
    granted = find_variable(ok, b"ob_capability_flag") or b"0"
    return int(granted) if granted.isdigit() else 0
