"""One connection of a fake OBServer, without a socket: bytes go in, bytes and pauses come out."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, final

import msgspec

from odp_trio.errors import ClientProtocolError
from odp_trio.testing.fakes import login
from odp_trio.testing.fakes.answers import Form, SQLError, Writer
from odp_trio.testing.fakes.commands import answer_command
from odp_trio.testing.fakes.prepared import Prepared
from odp_trio.testing.fakes.records import FakeServer, Statement, take
from odp_trio.testing.fakes.session import Pause, Session
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Capability, OBCapability
from odp_trio.wire.handshake import AuthSwitch, LoginPacket, parse_change_user, parse_login
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.resultset import err_payload
from odp_trio.wire.state import SessionState

if TYPE_CHECKING:
    from odp_trio.testing.fakes.cluster import FakeCluster

FIRST_ID: Final = 0xC0040000
SQL_BYTES: Final = 4096
UNKNOWN_ERROR: Final = 1105
_TOLD_FIRST: Final = ("ob_enable_transmission_checksum", "_nlj_batching_enabled")
_TIMEOUT: Final = re.compile(r"query_timeout\s*\(\s*(\d+)\s*\)", re.IGNORECASE)
_RECORDED: Final = {Com.QUERY, Com.STMT_PREPARE, Com.STMT_EXECUTE, Com.INIT_DB}


@final
class FakeConnection:
    """``feed`` what has come, then call ``step`` until it answers None: more bytes are needed.

    ``step`` answers bytes to send, or a Pause: call it again when its time has come, or after ``wake`` was called.
    ``ended`` says that the connection is to be closed; ``reset`` is called when that is to happen at once.
    """

    def __init__(self, cluster: FakeCluster, server: FakeServer, number: int) -> None:
        self.cluster = cluster
        self.server = server
        self.number = number
        self.id = FIRST_ID + number
        self.scramble = login.scramble_of(cluster.seed, number)
        self.now = 0.0
        self.wake: Callable[[], None] = lambda: None
        self.reset: Callable[[], None] = lambda: None
        self.ended = False
        self.user = self.tenant = self.text = ""
        self.by_proxy = False
        self.client_ip = "127.0.0.1"
        self.proxy_session: int | None = None
        self.shown_id = self.id
        self.since = 0.0
        self.weak_hint = False
        self.timeout_hint = 0
        """Microseconds, as the hint query_timeout says; 0 without one."""
        self.form = Form.PLAIN
        self.session: Session | None = None
        self.prepared: dict[int, Prepared] = {}
        self.running: Generator[Pause, None, bytes] | None = None
        self.login: LoginPacket | None = None
        self.granted = 0
        self.statements_prepared = 0
        self.awaiting_token = False
        self._reader = PacketReader(ClientProtocolError)
        self.received: tuple[int, bytes] = (0, b"")
        """The packet that a command has asked for."""
        self._wants_packet = False
        self._greeted = False

    # ---- what the shell calls ------------------------------------------------------------

    def feed(self, data: bytes | memoryview) -> None:
        """Add what has come."""
        self._reader.feed(data)

    def step(self, now: float) -> bytes | Pause | None:
        """Go on as far as can be without waiting."""
        self.now = self.cluster.now = now
        if self.ended:
            return None
        if self.server.frozen:
            return Pause()
        if not self._greeted:
            self._greeted = True
            return packet(0, login.greeting(self))
        if self.running is None:
            try:
                found = self._reader.next_packet()
            except ClientProtocolError:
                self.lost()
                return b""
            if found is None:
                return None
            if self.session is None:
                return self._log_in(*found)
            self.since = now
            self.running = self._answer(found[1])
        return self._go_on(self.running)

    def _go_on(self, running: Generator[Pause, None, bytes]) -> bytes | Pause | None:
        if self._wants_packet:
            if (found := self._reader.next_packet()) is None:
                return None
            self.received, self._wants_packet = found, False
        try:
            pause = next(running)
            self._wants_packet = bool(pause.send)
            return pause.send or pause
        except StopIteration as stop:
            self.running = None
            answer: bytes = stop.value
            return self._cut(answer)

    def _cut(self, answer: bytes) -> bytes:
        cut = self.server.cut_after
        if cut is None or not answer:
            return answer
        self.server.cut_after = None
        if len(answer) < cut:
            self.server.cut_after = cut - len(answer)
            return answer
        self.lost()
        return answer[:cut]

    def lost(self) -> None:
        """The connection is gone: roll back, forget it."""
        self.ended = True
        self.cluster.connections.pop(self.id, None)
        if self.running is not None:
            self.running = None
        if self.session is not None:
            self.session.end()

    def wake_up(self) -> None:
        """Have the shell call ``step``."""
        self.wake()

    def kill(self, *, query: bool) -> None:
        """KILL from any session: the statement ends, or the connection."""
        session = self.session
        if session is None:
            return
        if query:
            if self.running is not None:
                session.interrupted = SQLError(1317, "70100", "Query execution was interrupted")
                self.wake()
            return
        if self.running is not None and self.by_proxy:
            session.interrupted = SQLError(5066, "HY000", "Session interrupted")
            self.wake()
            return
        self.lost()
        self.reset()

    # ---- login -----------------------------------------------------------------------------

    def _log_in(self, seq: int, payload: bytes) -> bytes:
        try:
            if not self.awaiting_token:
                self.login = self._read_login(payload)
                if (fault := take(self.server.logins)) is not None:
                    raise SQLError(fault.errno, fault.sqlstate, fault.message)
                if not login.wanted_plugin(self.login):
                    self.awaiting_token = True
                    return packet(seq + 1, AuthSwitch(self.scramble).to_bytes())
                token = self.login.auth
            else:
                token = payload.rstrip(b"\0") if len(payload) != 20 else payload
            assert self.login is not None
            login.check(self, self.login, token)
            return packet(seq + 1, self._begin(self.login))
        except SQLError as exc:
            self.lost()
            return packet(seq + 1, err_payload(exc.errno, exc.sqlstate, exc.message))
        except ClientProtocolError:
            self.lost()
            return b""
        except Exception as exc:
            return packet(seq + 1, self._fail(exc))

    def _read_login(self, payload: bytes) -> LoginPacket:
        found = parse_login(payload, offered=0xFFFFFFFF)
        attributes = found.attributes
        self.by_proxy = attributes.get(b"__mysql_client_type") == b"__ob_proxy"
        tracking = found.capabilities & Capability.SESSION_TRACK
        self.form = Form.PROXY if self.by_proxy else Form.TRACKING if tracking else Form.PLAIN
        if self.by_proxy:
            self.granted = _number(attributes.get(b"__proxy_capability_flag")) & login.SUPPORTED
            self.client_ip = attributes.get(b"__client_ip", b"127.0.0.1").decode("latin-1")
            self.proxy_session = _number(attributes.get(b"__proxy_connection_id")) or None
            if self.granted & OBCapability.CLIENT_SESSION_ID and b"__client_session_id" in attributes:
                self.shown_id = _number(attributes[b"__client_session_id"])
        return found

    def _begin(self, packet_of_login: LoginPacket) -> bytes:
        session = self.session = Session(self)
        if packet_of_login.database:
            try:
                session.use(packet_of_login.database.decode("utf-8", "replace"))
            except SQLError:
                self.session = None
                raise
        session.variables["ob_capability_flag"] = str(self.granted)
        login.set_charset(session, packet_of_login.charset)
        session.pending = SessionState()
        if self.form is not Form.PLAIN:
            for name in _TOLD_FIRST:
                session.tell(name, session.variables[name])
        if self.by_proxy:
            return login.proxy_ok(self)
        return login.client_ok(self, tracking=self.form is Form.TRACKING)

    def change_user(self, payload: bytes, writer: Writer) -> Generator[Pause, None, None]:
        """COM_CHANGE_USER: the token is asked for, always."""
        assert self.login is not None
        assert self.session is not None
        asked = parse_change_user(payload)
        scramble = login.asked_scramble(self, self.login)
        yield Pause(send=packet(1, AuthSwitch(scramble).to_bytes()))
        seq, token = self.received
        wanted = msgspec.structs.replace(self.login, user=asked.user)
        try:
            login.check(self, wanted, token)
            self.session.restart(asked.database.decode("utf-8", "replace"))
        except SQLError:
            self.lost()
            raise
        self.session.variables["ob_capability_flag"] = str(self.granted)
        self.login = wanted
        self.prepared.clear()
        writer.begin_at(seq + 1)
        writer.packet(
            login.proxy_ok(self) if self.by_proxy else login.client_ok(self, tracking=self.form is Form.TRACKING)
        )

    # ---- commands --------------------------------------------------------------------------

    def _answer(self, payload: bytes) -> Generator[Pause, None, bytes]:
        command = payload[0] if payload else 0
        self._note(command, payload)
        session = self.session
        assert session is not None
        writer = Writer(self.form, 1, session.pending)
        try:
            end = self.now + self.server.slow + self.cluster.work()
            while self.now < end:
                yield Pause(end)
            if len(payload) >= int(session.variables["max_allowed_packet"]):
                raise SQLError(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
            if self.text and (fault := take(self.server.answers, self.text)) is not None:
                if fault.reroute is not None:
                    self.cluster.tell_reroute(session, fault.reroute)
                raise SQLError(fault.errno, fault.sqlstate, fault.message)
            missed = bool(self.text) and self.by_proxy and take(self.server.misses, self.text) is not None
            if missed:
                session.tell("ob_proxy_partition_hit", "OFF")
            yield from answer_command(self, session, command, payload, writer)
        except SQLError as exc:
            session.note_error(exc)
            writer.error(exc, session.status())
        except RecursionError:
            deep = SQLError(1436, "HY000", "Thread stack overrun")
            session.note_error(deep)
            writer.error(deep, session.status())
        except Exception as exc:
            writer = Writer(self.form, 1, session.pending)
            writer.packet(self._fail(exc))
        return writer.to_bytes()

    def _fail(self, failure: Exception) -> bytes:
        """The fake itself has failed: end this session and no other; return the payload that says so."""
        self.lost()
        self.cluster.note_failure(self.text, failure)
        return err_payload(UNKNOWN_ERROR, "HY000", f"the fake OBServer failed: {failure!r}")

    def _note(self, command: int, payload: bytes) -> None:
        """Record a statement; ``text`` is what faults look at, for an EXECUTE the text of its PREPARE."""
        self.text = ""
        if command not in _RECORDED:
            return
        if command == Com.STMT_EXECUTE:
            prepared = self.prepared.get(int.from_bytes(payload[1:5], "little"))
            self.text = prepared.sql if prepared is not None else ""
        else:
            self.text = payload[1:].decode("utf-8", "surrogateescape")
        hinted = "/*+" in self.text
        self.weak_hint = hinted and "read_consistency(weak)" in self.text.lower()
        self.timeout_hint = (hinted and (found := _TIMEOUT.search(self.text)) is not None and int(found[1])) or 0
        self.cluster.note_statement(
            Statement(
                self.server.number,
                self.number,
                self.user,
                self.tenant,
                self.by_proxy,
                Com(command).name,
                self.text[:SQL_BYTES].encode("utf-8", "replace").decode(),
                self.now,
            )
        )


def _number(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() else 0
