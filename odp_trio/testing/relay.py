"""One connection through an OBServer of the test bed: a relay that leaves every byte alone unless a fault asks.

Two pumps.  Upwards it follows packets, to rename tenants in logins and
metadata queries, to note which statement came here, and to answer one itself.
Downwards it passes bytes on, except where an answer is to be cut or changed.
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
from odp_trio.testing.faults import Faults
from odp_trio.testing.topology import schema_view
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, OBCapability, Status, lenenc_int, lenenc_str
from odp_trio.wire.handshake import parse_greeting, parse_login
from odp_trio.wire.ob20 import FrameReader, frames
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.response import FIRST_PHASE, ResponseTracker
from odp_trio.wire.resultset import err_payload
from odp_trio.wire.state import find_variable, parse_ok

CHUNK_BYTES: Final = 65536
SQL_BYTES: Final = 4096
_EDIT_LIMIT: Final = 1 << 20
_TENANT: Final = re.compile(rb"tenant_name = '([^']+)'", re.IGNORECASE)
_SCHEMA_TABLE: Final = b"oceanbase.__all_virtual_proxy_schema"
_STATEMENTS: Final = {Com.QUERY, Com.STMT_PREPARE, Com.STMT_EXECUTE, Com.INIT_DB}


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
    """One relayed connection.  ``run()`` returns when either side is gone."""

    def __init__(
        self,
        number: int,
        observer: int,
        client: trio.SocketStream,
        server: trio.SocketStream,
        faults: Faults,
        tenants: Callable[[], frozenset[str]],
        note: Note,
    ) -> None:
        self._number = number
        self._observer = observer
        self.client = client
        self.scope = trio.CancelScope()
        self._server = server
        self._faults = faults
        self._tenants = tenants
        self._note = note
        self._user = ""
        self._tenant = "sys"
        self._by_proxy = False
        self._wants_ob20 = False
        self._ob20 = False
        self._server_id = 0
        self._prepared: dict[int, str] = {}
        self._preparing: str | None = None
        self._edit: _Edit | None = None
        self._logged_in = False

    async def run(self) -> None:
        """Relay until the end."""
        try:
            if await self._log_in():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._down, nursery.cancel_scope)
                    await self._up()
                    nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError, ProtocolError):
            pass
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await trio.aclose_forcefully(self._server)
                await trio.aclose_forcefully(self.client)

    def reset(self) -> None:
        """Make the connection end with a reset instead of a clean close."""
        linger = struct.pack("ii", 1, 0)
        for stream in (self.client, self._server):
            try:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            except OSError:
                continue

    # ---- login ------------------------------------------------------------------

    async def _log_in(self) -> bool:
        """Relay the greeting and the login, with the tenant renamed; answer whether it succeeded."""
        from_server, from_client = PacketReader(ServerProtocolError), PacketReader(ClientProtocolError)
        if (greeting := await _packet(self._server, from_server)) is None:
            return False
        await self._faults.wait_thawed()
        self._server_id = parse_greeting(greeting[1]).connection_id
        await self.client.send_all(packet(*greeting))
        if (login := await _packet(self.client, from_client)) is None:
            return False
        await self._faults.wait_thawed()
        renamed = self._read_login(login[1])
        if (fault := self._faults.take_login()) is not None:
            error = packet(login[0] + 1, err_payload(fault.errno, fault.sqlstate, fault.message))
            await self.client.send_all(error)
            return False
        await self._server.send_all(packet(login[0], renamed))
        while (answer := await _packet(self._server, from_server)) is not None:
            await self._faults.wait_thawed()
            await self.client.send_all(packet(*answer))
            if answer[1][:1] != b"\xfe":
                self._ob20 = self._wants_ob20 and _grants_ob20(answer[1])
                return answer[1][:1] == b"\0"
            if (reply := await _packet(self.client, from_client)) is None:
                return False
            await self._server.send_all(packet(*reply))
        return False

    def _read_login(self, payload: bytes) -> bytes:
        """Note who it is; return the login with a known tenant's name replaced by ``sys``."""
        login = parse_login(payload, offered=0xFFFFFFFF)
        name = login.user.decode("utf-8", "replace")
        self._user, _, tenant = name.partition("@")
        self._tenant = tenant or "sys"
        self._by_proxy = login.attributes.get(b"__mysql_client_type") == b"__ob_proxy"
        asked = login.attributes.get(b"__proxy_capability_flag", b"0")
        self._wants_ob20 = bool(int(asked) & OBCapability.OB_PROTOCOL_V2) if asked.isdigit() else False
        if self._tenant == "sys" or self._tenant not in self._tenants():
            return payload
        new = self._user.encode() + b"@sys"
        start = payload.index(login.user + b"\0", 32)
        return payload[:start] + new + payload[start + len(login.user) :]

    # ---- upwards ----------------------------------------------------------------

    async def _up(self) -> None:
        reader = _Requests(self._ob20)
        while data := await self.client.receive_some(CHUNK_BYTES):
            await self._faults.wait_thawed()
            reader.feed(data)
            while (request := reader.next_request()) is not None:
                await self._server.send_all(reader.passed())  # the rest of the request before
                await self._request(*request)
            await self._server.send_all(reader.passed())

    async def _request(self, raw: bytes, head: bytes, request_id: int, whole: bool) -> None:
        """Handle one request; ``head`` is its payload's beginning, ``raw`` what of it has come."""
        sql = self._note_command(head)
        if self._faults.slow:
            await trio.sleep(self._faults.slow)
        if (fault := self._faults.take_answer(sql)) is not None and whole:
            error = packet(1, err_payload(fault.errno, fault.sqlstate, fault.message))
            extra = packet(2, b"\0\0\0\x22\0\0\0\0") if self._by_proxy else b""
            answer = error + extra
            if self._ob20:
                answer = frames(self._server_id, request_id, 1, answer)
            await self.client.send_all(answer)
            return
        self._arm_edit(head[0] if head else 0, sql, request_id)
        await self._server.send_all(self._renamed(raw, head) if whole and not self._ob20 else raw)

    def _note_command(self, head: bytes) -> str:
        command = head[0] if head else 0
        if command not in _STATEMENTS:
            return ""
        if command == Com.STMT_EXECUTE:
            sql = self._prepared.get(int.from_bytes(head[1:5], "little"), "")
        else:
            sql = head[1 : 1 + SQL_BYTES].decode("utf-8", "replace")
        if command == Com.STMT_PREPARE:
            self._preparing = sql
        name = Com(command).name
        self._note(
            Statement(
                self._observer,
                self._number,
                self._user,
                self._tenant,
                self._by_proxy,
                name,
                sql,
                trio.current_time(),
            )
        )
        return sql

    def _renamed(self, raw: bytes, head: bytes) -> bytes:
        """Make a metadata query about a mapped tenant one that the kernel can answer."""
        if self._user != "proxyro" or head[:1] != b"\x03":
            return raw
        found = _TENANT.search(head)
        tenant = found[1].decode("utf-8", "replace") if found else "sys"
        if tenant == "sys" or tenant not in self._tenants():
            return raw
        sql = raw[4:]
        if _SCHEMA_TABLE in sql:
            sql = sql.replace(_SCHEMA_TABLE, f"oceanbase.{schema_view(tenant)}".encode())
        else:
            sql = sql.replace(f"'{tenant}'".encode(), b"'sys'")
        return packet(0, sql)

    def _arm_edit(self, command: int, sql: str, request_id: int) -> None:
        miss = sql and self._faults.take_miss(sql) is not None
        if (miss or self._faults.cut_after is not None) and command in FIRST_PHASE:
            cut, self._faults.cut_after = self._faults.cut_after, None
            self._edit = _Edit(command, self._by_proxy, cut_after=cut, request_id=request_id, ob20=self._ob20)

    # ---- downwards --------------------------------------------------------------

    async def _down(self, scope: trio.CancelScope) -> None:
        try:
            while data := await self._server.receive_some(CHUNK_BYTES):
                await self._faults.wait_thawed()
                if self._preparing is not None:
                    self._note_prepared(data)
                passed: bytes | None = bytes(data)
                if self._edit is not None:
                    passed = await self._edited(self._edit, data)
                if passed is None:
                    break
                await self.client.send_all(passed)
        finally:
            scope.cancel()

    def _note_prepared(self, data: bytes) -> None:
        """The first packet of an answer begins a chunk: there is one command at a time."""
        at = 31 + 7 if self._ob20 else 0
        if data[at + 4 : at + 5] == b"\0" and len(data) >= at + 9 and len(self._prepared) < 10_000:
            self._prepared[int.from_bytes(data[at + 5 : at + 9], "little")] = self._preparing or ""
        self._preparing = None

    async def _edited(self, edit: _Edit, data: bytes) -> bytes | None:
        """Collect a whole answer and change it; None after a cut."""
        if edit.cut_after is not None:
            if len(data) < edit.cut_after:
                edit.cut_after -= len(data)
                return data
            await self.client.send_all(data[: edit.cut_after])
            self.reset()
            return None
        whole = edit.collect(data)
        if whole is None:
            return b""
        self._edit = None
        return frames(self._server_id, edit.request_id, 1, whole) if self._ob20 else whole


@final
class _Edit:
    """An answer that is collected because its last OK is to say that the partition was missed."""

    def __init__(self, command: int, by_proxy: bool, *, cut_after: int | None, request_id: int, ob20: bool) -> None:
        self.cut_after = cut_after
        self.request_id = request_id
        self._frames = FrameReader(ServerProtocolError) if ob20 else None
        self._data = b""
        self._tracker = ResponseTracker(extra_ok=by_proxy)
        self._tracker.begin(command)
        self._at = 0

    def collect(self, data: bytes) -> bytes | None:
        """Return the changed answer once it is whole."""
        if self._frames is not None:
            self._frames.feed(data)
            while (frame := self._frames.next_frame()) is not None:
                self._data += frame.mysql
        else:
            self._data += data
        tracker = self._tracker
        while not tracker.ended and self._at < len(self._data):
            tracker.feed(self._data, self._at, len(self._data))
            if tracker.pos == self._at:
                break
            self._at = tracker.pos
        if len(self._data) > _EDIT_LIMIT:
            return self._data
        return with_partition_miss(self._data) if tracker.ended else None


def with_partition_miss(answer: bytes) -> bytes:
    """Put ``ob_proxy_partition_hit=OFF`` into the OK packet that ends an answer to a proxy."""
    start = at = 0
    while at < len(answer):
        start, at = at, at + 4 + int.from_bytes(answer[at : at + 3], "little")
    ok = parse_ok(answer[start + 4 : at])
    pair = lenenc_str(b"ob_proxy_partition_hit") + lenenc_str(b"OFF")
    pairs, rest = b"", b""
    if ok.state is not None:
        pairs = b"".join(lenenc_str(name) + lenenc_str(value) for name, value in ok.state.system.items())
        if ok.state.user:
            pair += lenenc_str(b"__NULL") * 2
            pair += b"".join(lenenc_str(name) + lenenc_str(value) for name, value in ok.state.user.items())
        if ok.state.schema is not None:
            rest = b"\x01" + lenenc_str(lenenc_str(ok.state.schema))
    block = b"\0" + lenenc_str(pairs + pair) + rest + b"\x02\x02\x011"
    head = b"\0" + lenenc_int(ok.affected_rows) + lenenc_int(ok.last_insert_id)
    status = ok.status | Status.SESSION_STATE_CHANGED
    head += status.to_bytes(2, "little") + ok.warnings.to_bytes(2, "little")
    return answer[:start] + packet(answer[start + 3], head + lenenc_str(ok.info) + lenenc_str(block))


@final
class _Requests:
    """Cuts what a client sends into requests.

    ``next_request()`` gives the bytes that have come of a request, once its
    first 4 KiB (or all of it) are there; what comes of it later is ``passed()``.
    """

    def __init__(self, ob20: bool) -> None:
        self._frames = FrameReader(ClientProtocolError) if ob20 else None
        self._buffer = bytearray()
        self._pass = 0
        self._continued = False
        self._passing = bytearray()

    def feed(self, data: bytes) -> None:
        if self._frames is not None:
            self._frames.feed(data)
        else:
            self._buffer += data

    def passed(self) -> bytes:
        data = bytes(self._passing)
        self._passing.clear()
        return data

    def next_request(self) -> tuple[bytes, bytes, int, bool] | None:
        """Return raw bytes, beginning of the payload, request id, and whether it is all of the request."""
        if self._frames is not None:
            frame = self._frames.next_frame()
            return None if frame is None else (frame.to_bytes(), frame.mysql[4 : 5 + SQL_BYTES], frame.request_id, True)
        self._skip()
        if self._pass or len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:3], "little")
        have = len(self._buffer) - 4
        if self._continued or not length or self._buffer[3]:  # not the beginning of a command: a file, a continuation
            self._continued = length == MAX_PAYLOAD
            self._pass = 4 + length
            self._skip()
            return self.next_request() if not self._pass else None
        if have < min(length, 1 + SQL_BYTES):
            return None
        head = bytes(self._buffer[4 : 4 + min(length, 1 + SQL_BYTES)])
        raw = bytes(self._buffer[: 4 + length])
        del self._buffer[: 4 + length]
        self._pass = 4 + length - len(raw)
        self._continued = length == MAX_PAYLOAD
        return raw, head, 0, not self._pass and not self._continued

    def _skip(self) -> None:
        step = min(self._pass, len(self._buffer))
        self._passing += self._buffer[:step]
        del self._buffer[:step]
        self._pass -= step


async def _packet(stream: trio.SocketStream, reader: PacketReader) -> tuple[int, bytes] | None:
    while (found := reader.next_packet()) is None:
        data = await stream.receive_some(CHUNK_BYTES)
        if not data:
            return None
        reader.feed(data)
    return found


def _grants_ob20(ok: bytes) -> bool:
    granted = find_variable(ok, b"ob_capability_flag") or b"0"
    return granted.isdigit() and bool(int(granted) & OBCapability.OB_PROTOCOL_V2)
