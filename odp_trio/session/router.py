"""Which server session takes a command: what can be said without waiting.

The lane asks for every command; ``place`` (in ``placing``) does the rest when
the answer needs a look-up, a new server session or a replay of state.  Both
run the same ``decide``.
"""

from __future__ import annotations

from typing import Final, Protocol, final

from odp_trio.errors import ClientProtocolError
from odp_trio.model import TenantKey
from odp_trio.routing.decide import decide
from odp_trio.routing.feedback import Verdict, judge
from odp_trio.routing.request import NO_TEXT, Decision, Route, RouteRequest
from odp_trio.routing.rules import Rule
from odp_trio.routing.values import Values
from odp_trio.routing.view import View
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import Kind, Shape, TransactionEffect
from odp_trio.sql.literals import read_annotation
from odp_trio.state.client import ClientState
from odp_trio.state.prepared import Copy, Prepared, PreparedStatements
from odp_trio.topology.location import Location
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.parameters import parse_execute, read_values
from odp_trio.wire.response import ResponseTracker

_QUERY, _PREPARE, _EXECUTE = int(Com.QUERY), int(Com.STMT_PREPARE), int(Com.STMT_EXECUTE)
_CLOSE, _LONG_DATA, _RESET, _FETCH = (
    int(Com.STMT_CLOSE),
    int(Com.STMT_SEND_LONG_DATA),
    int(Com.STMT_RESET),
    int(Com.STMT_FETCH),
)
_RESET_CONNECTION = int(Com.RESET_CONNECTION)
_IN_TRANS: Final = int(Status.IN_TRANS)
_SPREAD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_WATCHED_KINDS: Final = frozenset({Kind.DDL, Kind.LOCK, Kind.UNLOCK, Kind.PREPARE, Kind.DEALLOCATE})


class TenantViews(Protocol):
    """What the router is lent: views, which change with what is known of the cluster."""

    generation: int

    def view(self, key: TenantKey, user: str) -> View | None:
        """Return the view of a tenant for a user; None when the tenant's servers must be fetched first."""
        ...


class Feedback(Protocol):
    """Where feedback about locations goes."""

    def note_dirty(self, location: Location) -> None:
        """A location is wrong."""
        ...

    def renew(self, location: Location) -> bool:
        """Begin to renew a dirty location that is in use."""
        ...

    def tables_changed(self, key: TenantKey, database: str, sql: bytes) -> None:
        """DDL was executed."""
        ...

    def tenant_moved(self, key: TenantKey) -> None:
        """A server says that the tenant is not there."""
        ...


@final
class Router:
    """The routing of one client session."""

    # fmt: off
    __slots__ = (
        "_feedback", "_generation", "_missed", "_seed", "_shape_of", "_text", "_turn", "_views", "_what", "decision",
        "dialect", "key", "looks_at", "opening", "prepared", "request", "rules", "servers", "state", "statement",
        "tracker", "user", "values", "view", "watching",
    )
    # fmt: on

    def __init__(
        self,
        key: TenantKey,
        user: str,
        state: ClientState,
        servers: ServerSet,
        tracker: ResponseTracker,
        statements: Statements,
        views: TenantViews,
        feedback: Feedback,
        rules: tuple[Rule, ...],
        seed: int,
        looks_at: int,
    ) -> None:
        self.key, self.user, self.state, self.servers, self.tracker = key, user, state, servers, tracker
        self.values = Values()
        self.request = RouteRequest(state, self.values)
        self.prepared = PreparedStatements()
        self.rules = rules
        self.watching = False
        self.looks_at = looks_at
        self.decision: Decision | None = None
        self.statement: Prepared | None = None
        """The prepared statement that the command is about."""
        self.opening: Prepared | None = None
        """The statement that is being prepared."""
        self.dialect = 0
        self._shape_of = statements.shape
        self._views = views
        self._feedback = feedback
        self._generation = -1
        self.view: View | None = None
        self._missed: Location | None = None
        self._seed, self._turn = seed, 0
        self._what = 0
        self._text = b""

    # ---- a command comes ------------------------------------------------------------

    def choose(self, buffer: bytearray, end: int) -> Upstream | None:
        """Return the server session for a command if it can take it at once; see ``server_set.Routing``."""
        if not self.read(buffer, end):
            return None
        decision = self.decide()
        if type(decision) is not Route:
            return None
        upstream = self.servers.by_address.get(decision.server)
        if upstream is None or not self.is_ready(upstream, decision):
            return None
        self.take(upstream, decision, buffer)
        return upstream

    def read(self, buffer: bytearray, end: int) -> bool:
        """Work out what a command is about; answer False when the session's task must handle it itself."""
        self.watching = False
        self.statement = self.opening = None
        self._what = command = buffer[4]
        request = self.request
        if command == _QUERY:
            sql = bytes(memoryview(buffer)[5:end])
            shape, self.values.literals = self._shape_of(sql, self.dialect)
            self.values.parameters = ()
            request.begin(shape)
            return self._read_query(shape, sql)
        self.values.literals = ()
        if command == _EXECUTE:
            return self._read_execute(buffer, end)
        if command == _PREPARE:
            return self._read_prepare(bytes(memoryview(buffer)[5:end]))
        request.begin(NO_TEXT)
        if command in (_CLOSE, _LONG_DATA, _RESET, _FETCH):
            return self._read_statement_command(buffer)
        if command == _RESET_CONNECTION:
            self.watching = True
        return True

    def _read_query(self, shape: Shape, sql: bytes) -> bool:
        facts = shape.facts
        if facts.leading_comment is not None:
            self.request.annotation = read_annotation(self.values.literals[facts.leading_comment])
        if facts.kind in _WATCHED_KINDS or facts.table_locks or facts.transaction is TransactionEffect.IMPLICIT_COMMIT:
            self.watching = True
            self._text = sql
        if facts.kind is Kind.EXECUTE or facts.kind is Kind.DEALLOCATE:
            self._read_text_prepared(facts.prepared or "")
        return not facts.explain_route

    def _read_text_prepared(self, name: str) -> None:
        owner = self.state.text_prepared.get(name)
        if owner is not None:
            self.request.owner, self.request.owner_why = owner, f"{name} was prepared there"

    def _read_prepare(self, text: bytes) -> bool:
        shape, literals = self._shape_of(text, self.dialect)
        self.request.begin(shape)
        self.values.literals, self.values.parameters = literals, ()
        self.opening = Prepared(self.prepared.next_id(), text, shape, tuple(literals))
        self.watching = True
        return True

    def _read_execute(self, buffer: bytearray, end: int) -> bool:
        statement = self._find_statement(buffer)
        if statement is None:
            self.request.begin(NO_TEXT)
            return False
        self.request.begin(statement.shape)
        self.values.literals = statement.literals
        self._read_parameters(statement, bytes(memoryview(buffer)[4:end]))
        if statement.long_data_on is not None:
            self.request.owner, self.request.owner_why = statement.long_data_on, "its long data is there"
        if buffer[9]:
            self.watching = True  # a cursor is opened
        return True

    def _read_parameters(self, statement: Prepared, payload: bytes) -> None:
        count = statement.parameters
        self.values.parameters = ()
        try:
            execute = parse_execute(payload, count)
            self.prepared.note_types(statement, execute.types)
            if count and len(statement.types) == 2 * count:
                self.values.parameters = read_values(
                    payload, count, statement.types, execute.values_at, "utf-8", frozenset(statement.long_data)
                )
        except ClientProtocolError:
            return  # cut, or the server's affair: the partition cannot be computed

    def _read_statement_command(self, buffer: bytearray) -> bool:
        statement = self._find_statement(buffer)
        if statement is None:
            return False
        owner = statement.long_data_on or statement.cursor_on
        if owner is None:
            active = self.servers.active
            holders = [upstream for upstream in self.servers.by_address.values() if statement.id in upstream.copies]
            if not holders:
                return False
            owner = active.address if active in holders and active is not None else holders[0].address
        self.request.owner, self.request.owner_why = owner, "it has the statement"
        return True

    def _find_statement(self, buffer: bytearray) -> Prepared | None:
        self.statement = self.prepared.statements.get(int.from_bytes(buffer[5:9], "little"))
        return self.statement

    def decide(self) -> Decision | None:
        """Ask the rules; None when the tenant's servers are not known."""
        view = self.current_view()
        if view is None:
            return None
        self.state.in_transaction = bool(self.tracker.status & _IN_TRANS)
        self.decision = decision = decide(self.request, view, self.rules)
        return decision

    def current_view(self) -> View | None:
        """Return the view of the tenant as it is now; None when the tenant's servers must be fetched first."""
        views = self._views
        if views.generation != self._generation:
            self.view = views.view(self.key, self.user)
            self._generation = views.generation if self.view is not None else -1
        return self.view

    def is_ready(self, upstream: Upstream, route: Route) -> bool:
        """Whether a command may be sent at once: nothing to replay, nothing to wait for."""
        state, known = self.state, upstream.state
        if known.version != state.version or known.database != state.database:
            return False
        if route.renew is not None and not self.may_use_dirty(route.renew):
            return False
        statement = self.statement
        if statement is None or self._what == _CLOSE:
            return True
        copy = upstream.copies.get(statement.id)
        return copy is not None and (self._what != _EXECUTE or copy.types_version == statement.types_version)

    def may_use_dirty(self, location: Location) -> bool:
        """A stale location is used once more while it is renewed, but not by the session that found it stale."""
        renewing = self._feedback.renew(location)
        waits = self.view is not None and self.view.settings.wait_for_renewal
        return not (renewing and (location is self._missed or waits))

    # ---- it goes out ------------------------------------------------------------------

    def take(self, upstream: Upstream, route: Route, buffer: bytearray) -> None:
        """Note that a command is sent, and write the server's statement id into it."""
        self.servers.active = upstream
        self.state.last = route.server
        self._turn = turn = (self._turn + _SPREAD) & _MASK
        self.request.turn = (self._seed ^ turn) >> 33
        self.decision = route
        if (location := self.request.location) is not None:
            location.routed += 1
            if route.tally is not None:
                route.tally[0] += 1
        elif self.request.located is not None and self.request.entry is not None:
            self.request.entry.not_computable += 1
        if self.state.route_address is not None:
            self.state.route_address = None
        if self.statement is not None:
            self._note_statement(self.statement, upstream, buffer)
        if self.opening is not None:
            self.tracker.statement_id = self.opening.id

    def _note_statement(self, statement: Prepared, upstream: Upstream, buffer: bytearray) -> None:
        what = self._what
        copy = upstream.copies[statement.id]
        buffer[5:9] = copy.server_id.to_bytes(4, "little")
        if what == _EXECUTE:
            copy.types_version = statement.types_version
            statement.long_data_on = None
            statement.long_data.clear()
            statement.cursor_on = upstream.address if buffer[9] else None
        elif what == _LONG_DATA:
            statement.long_data_on = upstream.address
            statement.long_data.add(int.from_bytes(buffer[9:11], "little"))
        elif what == _RESET:
            statement.long_data_on = statement.cursor_on = None
            statement.long_data.clear()
        elif what == _CLOSE:
            self._close_elsewhere(statement, upstream)

    def _close_elsewhere(self, statement: Prepared, upstream: Upstream) -> None:
        """COM_STMT_CLOSE goes to every server that has the statement."""
        for other in tuple(self.servers.by_address.values()):
            copy = other.copies.pop(statement.id, None)
            if copy is not None and other is not upstream:
                try:
                    other.leg.write(b"\x05\0\0\0" + bytes((_CLOSE,)) + copy.server_id.to_bytes(4, "little"))
                except OSError:
                    self.servers.drop(other)
        del self.prepared.statements[statement.id]

    # ---- the answer ---------------------------------------------------------------------

    def answered(self) -> None:
        """The answer to a command says something, or is watched."""
        tracker, upstream = self.tracker, self.servers.active
        told, errno = tracker.state, tracker.errno
        if upstream is None:
            return
        hit = True
        if told is not None:
            hit = told.system.get(b"ob_proxy_partition_hit", b"ON").upper() not in (b"OFF", b"0")
            if told.system or told.user or told.schema is not None:
                self.state.learn(told, upstream.state)
                self._after_learning(told.system)
        if errno or not hit or (told is not None and b"ob_proxy_partition_hit" in told.system):
            self._judge(hit=hit, errno=errno)
        if self.watching:
            self._after_watched(upstream, errno)

    def _after_learning(self, told: dict[bytes, bytes]) -> None:
        if b"last_insert_id" in told and self.servers.active is not None:
            self.state.insert_id_server = self.servers.active.address
        if b"sql_mode" in told or b"character_set_client" in told:
            self.dialect = self.state.dialect()
        self.values.time_zone = self.state.time_zone

    def _judge(self, *, hit: bool, errno: int) -> None:
        route = self.decision
        if not isinstance(route, Route):
            return
        if route.location is None:
            if errno in (5150, 4124, 4666):
                self._feedback.tenant_moved(self.key)
            return
        verdict = judge(route, route.location, hit=hit, errno=errno)
        if not hit:
            route.location.missed += 1
            if route.tally is not None:
                route.tally[1] += 1
        if verdict in (Verdict.DIRTY, Verdict.DIRTY_AT_ONCE):
            self._missed = route.location
            self._feedback.note_dirty(route.location)
        if verdict is Verdict.DIRTY_AT_ONCE:
            self._feedback.tenant_moved(self.key)

    def _after_watched(self, upstream: Upstream, errno: int) -> None:
        """Do what the success of some statements means."""
        self.watching = False
        opening, self.opening = self.opening, None
        self.tracker.statement_id = 0
        if errno:
            return
        if opening is not None:
            opening.parameters = self.tracker.parameters
            self.prepared.statements[opening.id] = opening
            upstream.copies[opening.id] = Copy(self.tracker.prepared_id)
            return
        if self._what == _RESET_CONNECTION:
            self.start_anew(upstream)
            return
        facts, state = self.request.shape.facts, self.state
        match facts.kind:
            case Kind.DDL if facts.makes_temporary:
                state.note_temporary_table()
            case Kind.DDL:
                database = state.database.decode("utf-8", "replace")
                self._feedback.tables_changed(self.key, database, self._text)
            case Kind.LOCK:
                state.note_locked_tables(True)
            case Kind.UNLOCK:
                state.note_locked_tables(False)
            case Kind.PREPARE if facts.prepared:
                state.text_prepared[facts.prepared] = upstream.address
            case Kind.DEALLOCATE if facts.prepared:
                state.text_prepared.pop(facts.prepared, None)
            case _ if facts.table_locks:
                state.lock_server = upstream.address
            case _:
                return

    def start_anew(self, upstream: Upstream) -> None:
        """The session was reset on this server: the others' are worth nothing any more."""
        self.servers.keep_only(upstream)
        self.prepared.forget()
        upstream.copies.clear()
        self.state.forget()
        upstream.state.version = self.state.version
        upstream.state.database = self.state.database

    def lost(self, upstream: Upstream) -> bool:
        """The active server session is gone at rest: go on without it if nothing was bound to it."""
        state = self.state
        bound = state.bound or state.lock_server == upstream.address or upstream.address in state.text_prepared.values()
        if bound or any(item.long_data_on == upstream.address for item in self.prepared.statements.values()):
            return False
        self.servers.drop(upstream)
        if state.last == upstream.address:
            state.last = None
        return True
