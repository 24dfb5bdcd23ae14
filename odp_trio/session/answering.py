"""What the answer to a command means for the session: state learnt, locations judged, a server lost."""

from __future__ import annotations

from typing import Final

from odp_trio.model import TenantKey
from odp_trio.observe import StatementCell
from odp_trio.routing.feedback import Verdict, judge
from odp_trio.routing.request import Decision, Route, RouteRequest
from odp_trio.routing.values import Values
from odp_trio.session.account import Account
from odp_trio.session.named_statements import NamedStatements
from odp_trio.session.ports import Feedback
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.retry import WITHHELD, failure_by_error
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.session.statements import SessionStatements
from odp_trio.sql.facts import Kind
from odp_trio.state.client import ClientState
from odp_trio.state.weight import STATEMENT_BYTES, weight
from odp_trio.topology.location import LEADER, Location
from odp_trio.wire.command import Com
from odp_trio.wire.reroute import VARIABLE
from odp_trio.wire.response import ResponseTracker

_RESET_CONNECTION: Final = int(Com.RESET_CONNECTION)
_QUERY, _EXECUTE = int(Com.QUERY), int(Com.STMT_EXECUTE)


class Answering:
    """The part of a router that is about answers; ``Router`` is the rest, and sets what is declared here."""

    # fmt: off
    __slots__ = (
        "_missed", "account", "begins", "begun", "cell", "decision", "dialect", "feedback", "key", "looks_at", "names",
        "reply", "request", "reroute", "servers", "state", "statements", "text", "tracker", "values", "watching",
        "what",
    )
    # fmt: on
    _missed: Location | None
    account: Account
    begins: Upstream | None
    begun: bytes
    cell: StatementCell | None
    """Where the running statement counts; kept while statements of one shape follow one another."""
    decision: Decision | None
    dialect: int
    feedback: Feedback
    key: TenantKey
    looks_at: int
    names: NamedStatements
    reply: bytes
    request: RouteRequest
    reroute: bytes | None
    servers: ServerSet
    state: ClientState
    statements: SessionStatements
    text: bytes
    tracker: ResponseTracker
    values: Values
    watching: bool
    what: int

    def answered(self) -> None:
        """The answer to a command says something, or is watched."""
        tracker, upstream = self.tracker, self.servers.active
        told, errno = tracker.state, tracker.errno
        if upstream is None:
            return
        hit = True
        if errno and upstream.beside is not None:
            upstream.beside.refused()
        self.reroute = None if told is None else told.user.pop(VARIABLE, None)
        if told is not None:
            hit = told.system.get(b"ob_proxy_partition_hit", b"ON").upper() not in (b"OFF", b"0")
            if told.system or told.user or told.schema is not None:
                self.state.learn(told, upstream.state)
                self.account.grow(told.size, self.weigh)
                self._after_learning(told.system)
                if told.schema == b"":  # the current database was dropped: no other server session may still have it
                    self.servers.keep_only(upstream, ServerEnd.DATABASE_DROPPED)
        if errno or not hit or (told is not None and b"ob_proxy_partition_hit" in told.system):
            self._judge(hit=hit, errno=errno)
        if self.watching:
            self._after_watched(upstream, errno)

    def grown(self, size: int) -> bool:
        """Something of that size is kept; answer whether it is too much."""
        self.account.grow(size, self.weigh)
        return self.account.over

    def weigh(self) -> int:
        """Return how much memory what is kept of the session takes, about."""
        return weight(self.state, self.statements.prepared, len(self.servers.by_address))

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
        if (failure := failure_by_error(errno)) is not None:
            self.feedback.server_failed(self.key, route.server, failure)
        if route.location is None:
            if errno in (5150, 4124, 4666):
                self.feedback.tenant_moved(self.key)
            return
        verdict = judge(route, route.location, hit=hit, errno=errno)
        if not hit:
            route.location.missed += 1
            if self.cell is not None:
                self.cell.missed += 1
            tally = route.tally
            if tally is None and route.rule == "leader":
                tally = route.location.table.tally(LEADER)
            if tally is not None:
                tally[1] += 1
            self.feedback.misrouted(self.key, route, self._sql())
        if verdict in (Verdict.DIRTY, Verdict.DIRTY_AT_ONCE):
            self._missed = route.location
            self.feedback.note_dirty(route.location)
        if verdict is Verdict.DIRTY_AT_ONCE:
            self.feedback.tenant_moved(self.key)

    def _after_watched(self, upstream: Upstream, errno: int) -> None:
        """Do what the success of some statements means."""
        self.watching = False
        self.tracker.ids_taken = None
        self.statements.resume(self.state)
        self._after_any_end(upstream, errno)
        if errno:
            return
        self.feedback.server_answered(self.key, upstream.address)
        if self.statements.opening is not None:
            self.statements.note_prepared(upstream, self.dialect)
            self.account.grow(STATEMENT_BYTES + 2 * len(self.text), self.weigh)
            return
        if self.what == _RESET_CONNECTION:
            self.start_anew(upstream)
            return
        facts, state = self.request.shape.facts, self.state
        match facts.kind:
            case Kind.DDL if facts.makes_temporary:
                state.note_temporary_table()
            case Kind.DDL:
                database = state.database.decode("utf-8", "replace")
                self.feedback.tables_changed(self.key, database, self._sql())
            case Kind.LOCK:
                state.note_locked_tables(True)
            case Kind.UNLOCK:
                state.note_locked_tables(False)
            case Kind.PREPARE if facts.prepared:
                self.account.grow(STATEMENT_BYTES + 2 * len(self.text), self.weigh)
                self.names.note_made(upstream, facts, self.text, dialect=self.dialect)
            case Kind.DEALLOCATE if facts.prepared:
                self.names.note_ended(upstream, facts.prepared)
            case _ if facts.table_locks:
                state.lock_server = upstream.address
            case _:
                return

    def _after_any_end(self, upstream: Upstream, errno: int) -> None:
        """Do what the end of some statements means, whether they succeeded or not."""
        if self.what == _EXECUTE:
            self.statements.note_executed(upstream, errno)
        elif self.what == _QUERY and self.request.shape.facts.statements > 1:
            self.names.note_several(upstream, self.text)

    def _sql(self) -> bytes:
        """Return the text of the running statement, prepared or not."""
        if self.statements.running is not None:
            return self.statements.running.text
        return self.names.source() or self.text

    def start_anew(self, upstream: Upstream) -> None:
        """The session was reset on this server: the others' are worth nothing any more."""
        self.servers.keep_only(upstream, ServerEnd.RESET)
        self.statements.prepared.forget()
        upstream.copies, upstream.texts = {}, {}
        upstream.state.version = self.state.forget()
        upstream.state.database = self.state.database
        self.dialect, self.values.time_zone = self.state.dialect(), self.state.time_zone

    # ---- it fails -----------------------------------------------------------------------

    def withholds(self, errno: int) -> bool:
        """Whether the running command may go to another server after this error, the first of its answer."""
        upstream = self.servers.active
        if errno not in WITHHELD or upstream is None or len(self.text) >= self.looks_at:
            return False
        state = self.state
        if state.in_transaction and not (state.roams and upstream.address != state.coordinator):
            return False
        return not self.is_bound_to(upstream)

    def is_bound_to(self, upstream: Upstream) -> bool:
        """Whether the session has something on this server that no other has."""
        state = self.state
        return (
            bool(state.bound) or state.lock_server == upstream.address or self.statements.copies.is_bound_to(upstream)
        )

    def lost(self, upstream: Upstream, why: ServerEnd = ServerEnd.CLOSED_IDLE, detail: str = "") -> bool:
        """The active server session is gone: go on without it if nothing was bound to it."""
        state = self.state
        if self.is_bound_to(upstream):
            return False
        self.servers.drop(upstream, why, detail)
        state.lose(upstream.address)
        return True
