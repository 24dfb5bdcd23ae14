"""Prepared statements of one session on their way: ids replaced, parameters read, copies kept in mind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from odp_trio.errors import ClientProtocolError
from odp_trio.routing.request import NO_TEXT, RouteRequest
from odp_trio.routing.values import Values
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.sql.facts import Literal, Shape, StatementFacts, UserVariable
from odp_trio.state.client import ClientState
from odp_trio.state.prepared import Copy, Prepared, PreparedStatements, TextPrepared
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.packets import packet
from odp_trio.wire.parameters import parse_execute, read_values
from odp_trio.wire.response import ResponseTracker

_EXECUTE, _CLOSE, _LONG_DATA, _RESET = (
    int(Com.STMT_EXECUTE),
    int(Com.STMT_CLOSE),
    int(Com.STMT_SEND_LONG_DATA),
    int(Com.STMT_RESET),
)
STATEMENT_COMMANDS: Final = frozenset({_CLOSE, _LONG_DATA, _RESET, int(Com.STMT_FETCH)})
"""Commands about a statement that go where it is, and have no values to route by."""


@final
class SessionStatements:
    """What the router and the placing of commands share about prepared statements."""

    __slots__ = ("_flags", "_servers", "_values", "interrupted", "opening", "prepared", "running")

    def __init__(self, servers: ServerSet, values: Values) -> None:
        self.prepared = PreparedStatements()
        self.running: Prepared | None = None
        """The statement that the command is about."""
        self.opening: Prepared | None = None
        """The statement that is being prepared."""
        self.interrupted: Upstream | None = None
        """Holds the session, by a transaction most often, while the running command is about something elsewhere."""
        self._flags = 0
        self._servers = servers
        self._values = values

    # ---- a command comes ------------------------------------------------------------

    def read_prepare(self, request: RouteRequest, text: bytes, shape: Shape, literals: Sequence[bytes]) -> None:
        """COM_STMT_PREPARE: routed by its text; the parameters are not known yet."""
        request.begin(shape)
        self._values.literals, self._values.parameters = literals, ()
        self.opening = Prepared(0, text, shape, tuple(literals))

    def read_execute(self, request: RouteRequest, buffer: bytearray, end: int) -> bool:
        """COM_STMT_EXECUTE: routed by its parameters; answer False for an id that no server may be asked about."""
        statement = self._find(buffer)
        if statement is None:
            request.begin(NO_TEXT)
            return self._may_be_judged(buffer)
        request.begin(statement.shape)
        self._values.literals = statement.literals
        self._read_parameters(statement, bytes(memoryview(buffer)[4:end]))
        if statement.long_data_on is not None:
            request.owner, request.owner_why = statement.long_data_on, "its long data is there"
        return True

    def _read_parameters(self, statement: Prepared, payload: bytes) -> None:
        count = statement.parameters
        self._values.parameters = ()
        try:
            execute = parse_execute(payload, count)
            self.prepared.note_types(statement, execute.types)
            if count and len(statement.types) == 2 * count:
                self._values.parameters = read_values(
                    payload, count, statement.types, execute.values_at, "utf-8", frozenset(statement.long_data)
                )
        except ClientProtocolError:
            return  # cut, or the server's affair: the partition cannot be computed

    def read_other(self, request: RouteRequest, buffer: bytearray, tracker: ResponseTracker) -> bool:
        """A command about a statement goes where that is; answer False when no server is to be asked."""
        statement, active, self.interrupted = self._find(buffer), self._servers.active, None
        if statement is None:
            return self._may_be_judged(buffer)
        command, held = buffer[4], tracker.in_transaction or bool(request.state.bound)
        if command == _CLOSE and (active is None or statement.id not in active.copies):
            return False  # ``close_elsewhere`` does it
        owner = statement.long_data_on or statement.cursor_on
        if owner is None or command == _CLOSE:
            if held and command != _CLOSE:
                return True  # it is prepared where the session is held
            holders = [upstream for upstream in self._servers.by_address.values() if statement.id in upstream.copies]
            if not holders:
                return False
            owner = active.address if active in holders and active is not None else holders[0].address
        request.owner, request.owner_why = owner, "it has the statement"
        if held and active is not None and owner != active.address:
            self.interrupted, self._flags = active, tracker.status & Status.IN_TRANS
        return True

    def resume(self, state: ClientState, tracker: ResponseTracker) -> None:
        """The command is answered: the session is back where its transaction is, or what else holds it."""
        upstream, self.interrupted = self.interrupted, None
        if upstream is not None and not upstream.closed:
            self._servers.active, state.last = upstream, upstream.address
            tracker.status |= self._flags

    def close_elsewhere(self) -> None:
        """COM_STMT_CLOSE of a statement that the server in use does not have."""
        if self.running is not None:
            self._close(self.running, None)
            self.running = None

    def forget_command(self) -> None:
        """Another command comes: nothing of the one before counts."""
        self.running = self.opening = self.interrupted = None

    def _find(self, buffer: bytearray) -> Prepared | None:
        self.running = self.prepared.statements.get(int.from_bytes(buffer[5:9], "little"))
        return self.running

    def _may_be_judged(self, buffer: bytearray) -> bool:
        """Whether a server may be asked about an id that is not known: not if it is another statement's there."""
        number = int.from_bytes(buffer[5:9], "little")
        if buffer[4] == _EXECUTE and number in self.prepared.forgotten:
            return False
        return not any(
            copy.server_id == number
            for upstream in self._servers.by_address.values()
            for copy in upstream.copies.values()
        )

    # ---- PREPARE ... FROM -------------------------------------------------------------

    def read_named(self, name: str | None, state: ClientState) -> bool:
        """EXECUTE or DEALLOCATE; answer whether every server session has what the name means now."""
        meant = None if name is None else state.text_prepared.get(name)
        return all(name is None or upstream.texts.get(name) is meant for upstream in self._servers.by_address.values())

    def note_made(
        self, upstream: Upstream, facts: StatementFacts, literals: Sequence[bytes], state: ClientState
    ) -> None:
        """PREPARE ... FROM was executed; what cannot be said again is known to this server only."""
        assert facts.prepared is not None
        source, text = facts.prepared_text, None
        if isinstance(source, Literal) and source.slot < len(literals):
            text = literals[source.slot]
        elif isinstance(source, UserVariable):
            text = state.user_variable(source.name.encode())
        sql = b"PREPARE `%b` FROM %b" % (facts.prepared.replace("`", "``").encode(), text or b"''")
        made = TextPrepared(facts.prepared, sql)
        state.text_prepared[facts.prepared] = upstream.texts[facts.prepared] = made

    def note_ended(self, upstream: Upstream, name: str, state: ClientState) -> None:
        """DEALLOCATE was executed here; other servers are told when the name is used there."""
        state.text_prepared.pop(name, None)
        upstream.texts.pop(name, None)

    # ---- it goes out ------------------------------------------------------------------

    def is_ready(self, upstream: Upstream, command: int) -> bool:
        """Whether a server has the statement, and the types of its parameters."""
        statement = self.running
        if statement is None:
            return True
        copy = upstream.copies.get(statement.id)
        return copy is not None and (command != _EXECUTE or copy.types_version == statement.types_version)

    def note_sent(self, upstream: Upstream, buffer: bytearray) -> None:
        """Write the server's id into a command, and note what the command changes."""
        statement = self.running
        assert statement is not None
        copy = upstream.copies[statement.id]
        command = buffer[4]
        buffer[5:9] = copy.server_id.to_bytes(4, "little")
        if command == _EXECUTE:
            copy.types_version = statement.types_version
            statement.long_data_on = None
            statement.long_data.clear()
            statement.cursor_on = upstream.address if buffer[9] else None
        elif command == _LONG_DATA:
            statement.long_data_on = upstream.address
            statement.long_data.add(int.from_bytes(buffer[9:11], "little"))
        elif command == _RESET:
            statement.long_data_on = statement.cursor_on = None
            statement.long_data.clear()
        elif command == _CLOSE:
            self._close(statement, upstream)

    def is_idle_on(self, number: int, upstream: Upstream) -> bool:
        """Whether a server may forget its copy of a statement: it is made again when it is needed."""
        statement = self.prepared.statements.get(number)
        if statement is None or statement is self.running:
            return statement is None
        return upstream.address not in (statement.cursor_on, statement.long_data_on)

    def _close(self, statement: Prepared, upstream: Upstream | None) -> None:
        """COM_STMT_CLOSE goes to every server that has the statement."""
        for other in tuple(self._servers.by_address.values()):
            copy = other.copies.pop(statement.id, None)
            if copy is not None and other is not upstream:
                try:
                    other.leg.write(packet(0, bytes((_CLOSE,)) + copy.server_id.to_bytes(4, "little")))
                except OSError:
                    self._servers.closed_idle(other)
        del self.prepared.statements[statement.id]

    def note_prepared(self, upstream: Upstream, tracker: ResponseTracker) -> None:
        """A server has prepared the statement; the client knows its id."""
        statement, self.opening = self.opening, None
        assert statement is not None
        statement.parameters = tracker.parameters
        statement.id = tracker.statement_id
        self.prepared.statements[statement.id] = statement
        upstream.copies[statement.id] = Copy(tracker.prepared_id)
