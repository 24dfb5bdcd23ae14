"""Which server session takes a command: what can be said without waiting.

The lane asks for every command; ``place`` (in ``placing``) does the rest when
the answer needs a look-up, a new server session or a replay of state.  Both
run the same ``decide``.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, final

from odp_trio.model import TenantKey
from odp_trio.routing.own_rules import RuleSet
from odp_trio.routing.request import NO_TEXT, PING, Decision, Route, RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import View
from odp_trio.session.account import Account
from odp_trio.session.internal_routing import can_participate, follow, offer
from odp_trio.session.named_statements import NamedStatements
from odp_trio.session.ports import Feedback, TenantViews
from odp_trio.session.repeating import Repeating
from odp_trio.session.request_flags import request_flags
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.session.statements import STATEMENT_COMMANDS, SessionStatements, is_watched
from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import Kind, Shape
from odp_trio.sql.lexer import number_frame
from odp_trio.sql.literals import read_annotation
from odp_trio.state.client import ClientState
from odp_trio.state.prepared import Prepared
from odp_trio.topology.location import LEADER, Location
from odp_trio.topology.scope import Scope
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.ob20 import Flag
from odp_trio.wire.response import ResponseTracker

_QUERY, _PREPARE, _EXECUTE = int(Com.QUERY), int(Com.STMT_PREPARE), int(Com.STMT_EXECUTE)
_RESET_CONNECTION, _PING = int(Com.RESET_CONNECTION), int(Com.PING)
_ABOUT_SESSIONS: Final = frozenset({int(Com.PROCESS_KILL), int(Com.PROCESS_INFO)})
_IN_TRANS: Final = int(Status.IN_TRANS)
_NO_BACKSLASHES: Final = int(Status.NO_BACKSLASH_ESCAPES)
_SELECT: Final = Kind.SELECT
_DIGITS: Final = 20
_EXECUTION: Final = Struct("<BIB").unpack_from
_SPREAD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_HAVE_ROWS: Final = frozenset({Kind.SHOW, Kind.DESCRIBE, Kind.HELP, Kind.EXECUTE, Kind.CALL, Kind.MULTI, Kind.UNKNOWN})
"""Kinds of statements besides SELECT after which found_rows() is another one."""
PINNED: Final = frozenset(
    {"statement_owner", "open_transaction", "coordinator", "bound_session", "lock_holder", "route_address"}
)
"""Rules whose server is the only one."""
_FLAGS_TO_REPEAT: Final = int(Flag.REROUTE | Flag.WEAK_READ)


@final
class Router(Repeating):
    """The routing of one client session; ``Repeating`` is about statements like the one before."""

    # fmt: off
    __slots__ = (
        "_decide", "_rules", "_seed", "_shape_of", "_shapes", "_turn", "explains", "user", "view",
    )
    # fmt: on

    def __init__(
        self,
        key: TenantKey,
        user: str,
        state: ClientState,
        servers: ServerSet,
        tracker: ResponseTracker,
        shapes: Statements,
        views: TenantViews,
        feedback: Feedback,
        rules: RuleSet,
        seed: int,
        looks_at: int,
    ) -> None:
        self.key, self.user, self.state, self.servers, self.tracker = key, user, state, servers, tracker
        self.values = Values()
        self.request = RouteRequest(state, self.values)
        self.statements = SessionStatements(servers, self.values, tracker)
        self.names = NamedStatements(servers, self.values, shapes, state)
        self.request.user = user
        self.rules = rules
        self._decide, self._rules = rules.decide, rules.rules
        self.account = Account()
        self.watching = False
        self.looks_at = looks_at
        self.explains = False
        """Whether the command is EXPLAIN ROUTE."""
        self.decision: Decision | None = None
        self.cell = None
        self.dialect = 0
        self._shapes, self._shape_of = shapes, shapes.shape
        self._views = views
        self.feedback = feedback
        self._generation = -1
        self.view: View | None = None
        self._missed: Location | None = None
        self._seed, self._turn = seed, 0
        self.what = 0
        self.text = b""  # of the running command, behind its first byte
        self.reply = self.begun = b""
        self.begins: Upstream | None = None
        self.reroute: bytes | None = None  # what an answer with error 5727 says of the server to ask
        self._again: Shape | None = None
        self._again_running: Prepared | None = None
        self._frame: tuple[bytes, ...] | None = None
        self._revision, self._stays, self._like = 0, False, 0
        self._scope: Scope | None = None

    # ---- a command comes ------------------------------------------------------------

    def choose(self, buffer: bytearray, end: int) -> Upstream | None:  # noqa: C901  # one straight line
        """Return the server session for a command if it can take it at once; see ``server_set.Routing``."""
        if buffer[4] == _QUERY:
            sql = bytes(buffer[5:end])
            if (frame := self._frame) and sql.startswith(frame[0]) and sql.endswith(frame[1]):
                number = sql[len(frame[0]) : len(sql) - len(frame[1])]
                if len(number) < _DIGITS and number.isdigit() and (upstream := self._repeated([number])) is not None:
                    self._shapes.hits += 1
                    self.text = sql
                    return upstream
            shape, literals = self._shape_of(sql, self.dialect)
            if shape is self._again and (upstream := self._repeated(literals)) is not None:
                self.text = sql
                if frame is None:
                    short = len(sql) + _DIGITS < self._shapes.text_limit
                    self._frame = number_frame(sql, self.dialect) if short else ()
                return upstream
            if shape.plain & self._like and (upstream := self._asked_alike(shape, sql, literals)) is not None:
                return upstream
            self.what, before = _QUERY, self.text
            if not self._read_query(buffer, sql, shape, literals):
                return None
            if (shape.facts.deferrable and self._hold(sql)) or (self.state.held_begin and self._end_unbegun(sql)):
                self.text = before  # nothing has been asked
                return None
        elif self._like and (upstream := self._executed_again(buffer, end)) is not None:
            return upstream
        elif not self.read(buffer, end):
            return None
        decision = self.decide()
        if type(decision) is not Route:
            return None
        upstream = self.servers.by_address.get(decision.server)
        if (
            upstream is None
            or not self.is_ready(upstream, decision)
            or (self.state.held_begin and self._begins(upstream, decision, buffer))
        ):
            return None
        self.take(upstream, decision, buffer)
        return upstream

    def _begins(self, upstream: Upstream, route: Route, buffer: bytearray) -> bool:
        """Have the lane send the BEGIN and the command, or leave both to the session's task: answer True."""
        if upstream.framed is None and (self.what == _QUERY or self.what == _EXECUTE):
            self.note_begun()
            self.take(upstream, route, buffer)
            self.begins = upstream
        return True

    def read(self, buffer: bytearray, end: int) -> bool:
        """Work out what a command is about; answer False when the session's task must handle it itself."""
        self.what = command = buffer[4]
        if command == _QUERY:
            sql = bytes(buffer[5:end])
            shape, literals = self._shape_of(sql, self.dialect)
            self._read_query(buffer, sql, shape, literals)
            asked = shape.facts.for_task or self.request.shape.facts.for_task  # EXECUTE is what it names
            return not asked and self.statements.refusal is None
        self._forget_statement()
        self.text = bytes(buffer[5:end])
        request, statements = self.request, self.statements
        self.values.literals = ()
        if statements.wants(buffer) > end:
            return False  # the rest is waited for
        if command == _EXECUTE:
            known = statements.read_execute(request, buffer, end)
            self._read_annotation()
            running = statements.running
            self.watching = bool(buffer[9]) or (
                running is not None and (running.watched or running.long_data is not None)
            )
            return known and request.shape.facts.kill is None
        if command == _PREPARE:
            self.watching = True
            if not statements.read_prepare(request, buffer, end, self._shapes, self.dialect):
                return False
            self._read_annotation()
            return True
        request.begin(PING if command == _PING else NO_TEXT)
        if command in STATEMENT_COMMANDS:
            known = statements.read_other(request, buffer)
            self.watching = statements.interrupted is not None
            return known
        self.watching = command == _RESET_CONNECTION
        return command not in _ABOUT_SESSIONS

    def wants(self, data: bytes) -> int:
        """Return how many bytes of a command must be there before it can be read, if more can be waited for."""
        if data[4] != _QUERY:
            return self.statements.wants(data)
        shape, _ = self._shape_of(data[5:], self.dialect)
        return self.names.wants(shape, data)

    def _forget_statement(self) -> None:
        """Another statement comes: nothing of the one before counts."""
        self.watching = False
        self.begun = b""
        self.names.running = self.cell = None
        self._again = self._again_running = self._frame = None
        self._like = 0
        self.statements.forget_command()

    def _read_query(self, buffer: bytearray, sql: bytes, shape: Shape, literals: Sequence[bytes]) -> bool:
        self._forget_statement()
        self.text = sql
        self.values.literals, self.values.parameters = literals, ()
        self.request.begin(shape)
        if shape.common:
            self.explains = False
            return True
        facts = shape.facts
        self.explains = facts.explain_route
        self._read_annotation()
        if is_watched(facts) or (facts.statements > 1 and b"prepare" in sql.lower()):
            self.watching = True
        match facts.kind:
            case Kind.EXECUTE | Kind.DEALLOCATE:
                held = bool(self.tracker.status & _IN_TRANS or self.state.bound)
                said = self.request.annotation
                ready = self.names.read(self.request, facts, held=held)
                if said is not None:
                    self.request.annotation = said
                else:
                    self._read_annotation()
                self.watching = self.watching or self.names.is_watched()
                return ready and not (facts.for_task or self.request.shape.facts.for_task)
            case Kind.PREPARE:
                whole = self.names.wants(shape, buffer) <= len(sql) + 5
                return whole and not facts.for_task and self.statements.may_name(facts.prepared, self.state)
            case _:
                return not facts.for_task

    def _read_annotation(self) -> None:
        """Read the comment that a statement, or the text that was prepared, begins with."""
        if (first := self.request.shape.facts.leading_comment) is not None:
            self.request.annotation = read_annotation(self.values.literals[first])

    def decide(self) -> Decision | None:
        """Ask the rules; None when the tenant's servers are not known."""
        view = self.current_view()
        if view is None:
            return None
        state = self.state
        state.in_transaction = bool(self.tracker.status & _IN_TRANS)
        if state.in_transaction or state.coordinator is not None:
            follow(state, self.servers.active, whole=len(self.text) < self.looks_at)
        self.decision = decision = self._decide(self.request, view, self._rules)
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
        if state.init_sql:
            return False
        if state.roams and not can_participate(upstream):
            return False
        if route.renew is not None and not self.may_use_dirty(route.renew):
            return False
        if self.statements.running is not None:
            return self.statements.is_ready(upstream, self.what)
        return not (self.watching and upstream.texts and self.names.stale(upstream))

    def may_use_dirty(self, location: Location) -> bool:
        """A stale location is used once more while it is renewed, but not by the session that found it stale."""
        renewing = self.feedback.renew(location)
        waits = self.view is not None and self.view.settings.wait_for_renewal
        return not (renewing and (location is self._missed or waits))

    # ---- it goes out ------------------------------------------------------------------

    def take(self, upstream: Upstream, route: Route, buffer: bytearray) -> None:
        """Note that a command is sent, and write the server's statement id into it."""
        flags = 0
        if (framed := upstream.framed) is not None:
            kept = len(self.text) < self.looks_at
            flags = request_flags(self.request, route, self.view, last=self.state.last, kept=kept)
            framed.next_flags |= flags
            self.offer(upstream)
        self.servers.active = upstream
        self.state.last = route.server
        kind = self.request.shape.facts.kind
        if (kind is _SELECT or kind in _HAVE_ROWS) and self.what != _PREPARE:
            self.state.rows_server = route.server
        self._turn = turn = (self._turn + _SPREAD) & _MASK
        self.request.turn = (self._seed ^ turn) >> 33
        self.decision = route
        if (location := self.request.location) is not None:
            location.routed += 1
            if route.tally is not None:
                route.tally[0] += 1
                location.counted += 1
            elif route.rule != LEADER:
                location.counted += 1
        elif self.request.located is not None and self.request.entry is not None:
            self.request.entry.not_computable += 1
        if self.state.route_address is not None:
            self.state.route_address = None
        if self.what == _QUERY or self.what == _EXECUTE:
            self._note_repeatable(upstream, route, flags)
        statements = self.statements
        if statements.running is not None:
            statements.note_sent(upstream, buffer)
        elif statements.opening is not None:
            self.tracker.statement_id = statements.prepared.spare_id()
            self.tracker.ids_taken = statements.prepared.statements

    def offer(self, upstream: Upstream) -> None:
        """Tell a server with the next requests whether their transaction may roam."""
        offer(self.state, upstream, wanted=self.view is not None and self.view.settings.internal_routing)
