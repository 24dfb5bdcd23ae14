"""Prepared statements of one session on their way: ids replaced, parameters read, copies kept in mind."""

from __future__ import annotations

from typing import Final, final

from odp_trio.errors import (
    ClientProtocolError,
    NotRoutable,
    OdpError,
    TooManyStatements,
    UnknownStatement,
)
from odp_trio.model import Address
from odp_trio.routing.request import NO_TEXT, RouteRequest
from odp_trio.routing.values import Values
from odp_trio.session.copies import Copies
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import Kind, StatementFacts, TransactionEffect
from odp_trio.state.client import ClientState
from odp_trio.state.prepared import Copy, LongData, Prepared, PreparedStatements
from odp_trio.state.prepared_texts import PreparedText, PreparedTexts
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Status
from odp_trio.wire.parameters import head_bytes, parse_execute, read_values
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import err_packet

_PREPARE, _EXECUTE, _CLOSE, _LONG_DATA, _RESET, _FETCH = (
    int(Com.STMT_PREPARE),
    int(Com.STMT_EXECUTE),
    int(Com.STMT_CLOSE),
    int(Com.STMT_SEND_LONG_DATA),
    int(Com.STMT_RESET),
    int(Com.STMT_FETCH),
)
_SILENT: Final = frozenset({_CLOSE, _LONG_DATA})
_SESSION_FLAGS: Final = Status.IN_TRANS | Status.AUTOCOMMIT | Status.NO_BACKSLASH_ESCAPES
STATEMENT_COMMANDS: Final = frozenset({_CLOSE, _LONG_DATA, _RESET, _FETCH})
"""Commands about a statement that go where it is, and have no values to route by."""
_WATCHED_KINDS: Final = frozenset({Kind.DDL, Kind.LOCK, Kind.UNLOCK, Kind.PREPARE, Kind.DEALLOCATE})
TEXT_LIMIT: Final = 1 << 20
"""A longer text is not kept: its statement stays on the server that has prepared it."""
_LONG_DATA_LIMIT: Final = 1 << 20
"""More long data of a statement than this is not kept: it is sent to a server, where the statement then stays."""

_ALL_LONG_DATA_LIMIT: Final = 4 << 20
"""The same for all statements of a session."""


def is_watched(facts: StatementFacts) -> bool:
    """Whether the success of a statement means something for the session."""
    return facts.kind in _WATCHED_KINDS or facts.table_locks or facts.transaction is TransactionEffect.IMPLICIT_COMMIT


@final
class SessionStatements:
    """What the router and the placing of commands share about prepared statements."""

    __slots__ = (
        "_flags", "_most", "_servers", "_texts", "_tracker", "_types_come", "_values", "copies",
        "interrupted", "opening", "prepared", "refusal", "running",
    )  # fmt: skip

    def __init__(self, servers: ServerSet, values: Values, tracker: ResponseTracker) -> None:
        self.prepared = PreparedStatements()
        self.copies = Copies(servers, self.prepared)
        self.running: Prepared | None = None
        """The statement that the command is about."""
        self.opening: Prepared | None = None
        """The statement that is being prepared."""
        self.interrupted: Upstream | None = None
        """Holds the session, by a transaction most often, while the running command is about something elsewhere."""
        self.refusal: OdpError | None = None
        """Why no server is asked about the command; None when its statement is not known."""
        self._flags = 0
        self._servers = servers
        self._values = values
        self._tracker = tracker
        self._types_come = False
        self._texts: PreparedTexts | None = None
        self._most = 0

    def lend(self, texts: PreparedTexts | None, most: int) -> None:
        """Use the cache of the process, if there is one; limit the number of statements of each kind; 0: no limit."""
        self._texts, self._most = texts, most

    def forget_command(self) -> None:
        """Another command comes: nothing of the one before counts."""
        self.running = self.opening = self.interrupted = self.refusal = None
        self._tracker.also = 0

    # ---- a command comes ------------------------------------------------------------

    def wants(self, buffer: bytes | bytearray) -> int:
        """Return how many bytes of a command must be there before it can be read, if more can be waited for."""
        length = int.from_bytes(buffer[:3], "little")
        if length >= MAX_PAYLOAD:
            return 0
        match buffer[4]:
            case Com.STMT_PREPARE:
                return length + 4 if length <= TEXT_LIMIT else 0
            case Com.STMT_EXECUTE:
                statement = self.prepared.statements.get(int.from_bytes(buffer[5:9], "little"))
                return 0 if statement is None else min(length + 4, 4 + head_bytes(statement.parameters))
            case Com.STMT_SEND_LONG_DATA:
                statement = self.prepared.statements.get(int.from_bytes(buffer[5:9], "little"))
                return length + 4 if statement is not None and self._keeps(statement, length) else 0
            case _:
                return 0

    def read_prepare(
        self, request: RouteRequest, buffer: bytearray, end: int, shapes: Statements, dialect: int
    ) -> bool:
        """COM_STMT_PREPARE: routed by its text; the parameters are not known yet.

        Answers False when the session may have no more statements.
        """
        text = bytes(memoryview(buffer)[5:end])
        whole = len(text) + 1 == int.from_bytes(buffer[:3], "little") <= TEXT_LIMIT
        statements = self.prepared
        if 0 < self._most <= len(statements.statements):
            self.refusal = self._too_many()
            return False
        known = None if self._texts is None or not whole else self._texts.get(text, dialect)
        if known is None:
            shape, literals = shapes.shape(text, dialect)
            self.opening = Prepared(0, text if whole else b"", shape, tuple(literals), whole=whole)
        else:
            self.opening = Prepared(0, known.text, known.shape, known.literals)
        request.begin(self.opening.shape)
        self._values.literals, self._values.parameters = self.opening.literals, ()
        return True

    def read_execute(self, request: RouteRequest, buffer: bytearray, end: int) -> bool:
        """COM_STMT_EXECUTE: routed by its parameters; answer False for an id that no server may be asked about."""
        statement = self._find(buffer)
        self._types_come = False
        if statement is None:
            request.begin(NO_TEXT)
            return self._may_be_judged(buffer)
        request.begin(statement.shape)
        self._values.literals = statement.literals
        self._read_parameters(statement, bytes(memoryview(buffer)[4:end]))
        owner, why = self._execution_owner(statement, int.from_bytes(buffer[:3], "little"))
        if owner is not None:
            held = self._holder(request.state)
            lost = statement.long_data is not None and statement.long_data.lost
            if lost or (held is not None and held.address != owner):
                self.refusal = NotRoutable(f"the statement can run on {owner} only ({why}), where the session is not")
                self.copies.drop_long_data(statement)
                return False
            request.owner, request.owner_why = owner, why
        return True

    def _execution_owner(self, statement: Prepared, length: int) -> tuple[Address | None, str]:
        """Return the only server that can execute a statement, and why; None when any can."""
        if statement.long_data is not None and statement.long_data.on is not None:
            return statement.long_data.on, "its long data is there"
        if not statement.whole:
            return self.copies.any_holder(statement), "its text is known there only"
        if length >= MAX_PAYLOAD - 2 * statement.parameters and not self._types_come and statement.types:
            owner = self.copies.any_holder(statement, statement.types_version)
            return owner, "the types of its parameters are known there only"
        return None, ""

    def _read_parameters(self, statement: Prepared, payload: bytes) -> None:
        count = statement.parameters
        self._values.parameters = ()
        try:
            execute = parse_execute(payload, count)
            self._types_come = execute.types is not None
            self.prepared.note_types(statement, execute.types)
            if count and len(statement.types) == 2 * count:
                long_data = {} if statement.long_data is None else statement.long_data.values()
                self._values.parameters = read_values(
                    payload, count, statement.types, execute.values_at, "utf-8", long_data
                )
        except ClientProtocolError:
            return  # cut, or the server's affair: the partition cannot be computed

    def read_other(self, request: RouteRequest, buffer: bytearray) -> bool:
        """A command about a statement goes where that is; answer False when no server is to be asked."""
        statement, active = self._find(buffer), self._servers.active
        if statement is None:
            return self._may_be_judged(buffer)
        command, held = buffer[4], self._holder(request.state)
        has_it = active is not None and statement.id in active.copies
        if command == _LONG_DATA and self._keeps(statement, int.from_bytes(buffer[:3], "little")):
            return False
        owner = None if command == _CLOSE else self.copies.owner(statement)
        if owner is None:
            if command in (_FETCH, _LONG_DATA):
                return True  # it is made where the session is
            if not has_it or active is None:
                return False  # nothing is to be reset here, or closed
            owner = active.address
        request.owner, request.owner_why = owner, "it has the statement"
        if held is not None and owner != held.address:
            if command == _LONG_DATA:
                return self._lose_long_data(statement)
            self.interrupted, self._flags = held, self._tracker.status & Status.IN_TRANS
        return True

    def answer_here(self, payload: bytes, state: ClientState) -> bytes | None:
        """Do what a command means that no server is asked about; return the answer, None if there is to be none."""
        statement, command = self.running, payload[0]
        if command not in _SILENT and (statement is None or self.refusal is not None):
            return err_packet(1, self.refusal or UnknownStatement("Unknown prepared statement handle"))
        if statement is None:
            return None
        if command == _CLOSE:
            self.copies.close(statement, None)
            self.running = None
        elif command == _LONG_DATA and (statement.long_data is None or not statement.long_data.lost):
            self.prepared.keep_long_data(statement, payload[5:])
        elif command == _RESET:
            self.copies.reset(statement, None)
            status = self._tracker.status & _SESSION_FLAGS | Status.NO_INDEX_USED
            return self._tracker.own_ok(status | Status.IN_TRANS if state.held_begin else status)
        return None

    def _lose_long_data(self, statement: Prepared) -> bool:
        """A piece cannot go where those before it are: the execution will be refused."""
        assert statement.long_data is not None
        statement.long_data.lost = True
        return False

    def resume(self, state: ClientState) -> None:
        """The command is answered: the session is back where its transaction is, or what else holds it."""
        upstream, self.interrupted = self.interrupted, None
        tracker = self._tracker
        tracker.also = 0
        if upstream is not None and not upstream.closed:
            self._servers.active, state.last = upstream, upstream.address
            tracker.status |= self._flags

    def _find(self, buffer: bytearray) -> Prepared | None:
        self.running = self.prepared.statements.get(int.from_bytes(buffer[5:9], "little"))
        return self.running

    def _holder(self, state: ClientState) -> Upstream | None:
        """Return the server session that a transaction or something else holds the session on."""
        return self._servers.active if self._tracker.in_transaction or state.bound else None

    def _keeps(self, statement: Prepared, length: int) -> bool:
        """Whether a piece of long data is kept until the execution."""
        kept = statement.long_data
        if kept is not None and kept.on is not None:
            return False
        size = 0 if kept is None else kept.size
        return size + length <= _LONG_DATA_LIMIT and self.prepared.long_data_size + length <= _ALL_LONG_DATA_LIMIT

    def _may_be_judged(self, buffer: bytearray) -> bool:
        """Whether a server may be asked about an id that is not known: not if it is another statement's there."""
        number = int.from_bytes(buffer[5:9], "little")
        if buffer[4] == _EXECUTE and number in self.prepared.forgotten:
            return False
        return not self.copies.is_named(number)

    def may_name(self, name: str | None, state: ClientState) -> bool:
        """Whether the session may have another statement made by PREPARE ... FROM."""
        if 0 < self._most <= len(state.text_prepared) and name not in state.text_prepared:
            self.refusal = self._too_many()
        return self.refusal is None

    def _too_many(self) -> TooManyStatements:
        return TooManyStatements(
            f"Can't create more than max_prepared_stmt_count statements (current value: {self._most})"
        )

    # ---- it goes out ------------------------------------------------------------------

    def is_ready(self, upstream: Upstream, command: int) -> bool:
        """Whether a server has the statement, the types of its parameters, and long data that was kept."""
        statement = self.running
        if statement is None:
            return True
        copy = upstream.copies.get(statement.id)
        if copy is None:
            return False
        if command != _EXECUTE:
            return command != _LONG_DATA or _has_long_data(copy, statement.long_data)
        if copy.types_version != statement.types_version and not self._types_come:
            return False
        return statement.long_data is None or _has_long_data(copy, statement.long_data)

    def note_sent(self, upstream: Upstream, buffer: bytearray) -> None:
        """Write the server's id into a command, and note what the command changes."""
        statement = self.running
        assert statement is not None
        copy = upstream.copies[statement.id]
        command = buffer[4]
        if copy.server_id != statement.id:
            buffer[5:9] = copy.server_id.to_bytes(4, "little")
        if command == _EXECUTE:
            copy.types_version = statement.types_version
            self._types_come = False
            if buffer[9] or statement.cursor_on is not None:
                self.copies.note_cursor(statement, upstream, opens=bool(buffer[9]))
            return
        if command == _LONG_DATA:
            self.copies.note_long_data(statement, upstream)
        elif command == _RESET:
            self.copies.reset(statement, upstream)
        elif command == _CLOSE:
            self.copies.close(statement, upstream)
        if self.interrupted is not None:
            self._tracker.also = self._flags

    def note_executed(self, upstream: Upstream, errno: int) -> None:
        """An execution is answered."""
        if self.running is not None:
            self.copies.note_executed(self.running, upstream, errno)

    def drop_long_data(self) -> None:
        """The execution will not be tried again."""
        if self.running is not None:
            self.copies.drop_long_data(self.running)

    def note_prepared(self, upstream: Upstream, dialect: int) -> None:
        """A server has prepared the statement; the client knows its id."""
        statement, self.opening = self.opening, None
        assert statement is not None
        tracker = self._tracker
        statement.parameters = tracker.parameters
        statement.id = tracker.statement_id
        statement.watched = is_watched(statement.shape.facts)
        self.prepared.add(statement)
        upstream.copies[statement.id] = Copy(tracker.prepared_id)
        if self._texts is not None and statement.whole:
            self._texts.add(
                PreparedText(statement.text, dialect, statement.shape, tuple(statement.literals), statement.parameters)
            )


def _has_long_data(copy: Copy, kept: LongData | None) -> bool:
    return kept is None or kept.on is not None or (copy.long_data is kept and copy.pieces == len(kept.pieces))
