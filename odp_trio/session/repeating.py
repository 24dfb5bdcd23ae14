"""A statement like one before it: where it goes is known without asking the rules again.

The rules have answered for a statement, and nothing that they read has changed.  Then the same holds for the next
one of its shape (``_repeated``), and for one of another shape if that has nothing in it that a rule asks about but
its table (``_alike``).  What is compared for each is as little as can be: with many tables every object that is
looked at has to be fetched from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from odp_trio.routing.own_rules import RuleSet
from odp_trio.routing.request import Route
from odp_trio.routing.view import View
from odp_trio.session.held_begin import HeldBegin
from odp_trio.session.ports import TenantViews
from odp_trio.session.server_set import Upstream
from odp_trio.sql.facts import READS, SAME, STAYS, WRITES, Kind, Shape
from odp_trio.state.client import WEAK
from odp_trio.state.prepared import Prepared
from odp_trio.topology.location import Location
from odp_trio.topology.scope import Scope
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.ob20 import Flag
from odp_trio.wire.parameters import HEAD_BYTES

_QUERY, _EXECUTE = int(Com.QUERY), int(Com.STMT_EXECUTE)
_IN_TRANS: Final = int(Status.IN_TRANS)
_EXECUTION: Final = Struct("<BIB").unpack_from
_FLAGS_TO_REPEAT: Final = int(Flag.REROUTE | Flag.WEAK_READ)
_SELECT: Final = Kind.SELECT
_OPEN: Final = "open_transaction"


class Repeating(HeldBegin):
    """The part of a router that is about statements like those before; ``Router`` sets what is declared here."""

    # fmt: off
    __slots__ = (
        "_again", "_again_running", "_frame", "_generation", "_like", "_revision", "_scope", "_stays", "_views",
        "rules", "view",
    )
    # fmt: on
    _again: Shape | None
    _again_running: Prepared | None
    _frame: tuple[bytes, ...] | None
    """Of its text, if that has nothing but a number in it."""
    _generation: int
    _like: int
    """What a shape's ``plain`` must have in common with, so that the statement before speaks for it."""
    _revision: int
    _scope: Scope | None
    _stays: bool
    _views: TenantViews
    rules: RuleSet
    view: View | None

    def _repeated(self, literals: Sequence[bytes]) -> Upstream | None:
        """Return the server session of the statement before, if this one is like it and nothing has changed.

        Only for statements that the leader rule sent by the location of a table
        without partitions, or that are where their transaction is open: then the
        answer of the rules depends on nothing else than what is compared here.
        """
        route, location, upstream, state = self.decision, self.request.location, self.servers.active, self.state
        if (
            upstream is None
            or state.revision != self._revision
            or self._views.generation != self._generation
            or upstream.state.version != state.version
            or upstream.closed
        ):
            return None
        open_here = self.tracker.status & _IN_TRANS
        if self._stays:
            if not open_here or upstream.address != state.last:
                return None
            if location is not None:
                location.counted += 1
        elif open_here or location is None or location.epoch != self._generation or location.route is not route:
            return None
        if location is not None:
            location.routed += 1
        self.values.literals = literals
        return upstream

    def _executed_again(self, buffer: bytearray, end: int) -> Upstream | None:
        """Do what ``_repeated`` and ``_alike`` do, for executions that bring no types; no value is looked at."""
        if end < 10:
            return None
        command, number, cursor = _EXECUTION(buffer, 4)
        if command != _EXECUTE or cursor:
            return None
        statements, statement = self.statements, self._again_running
        again = statement is not None and number == statement.id
        if not again:
            statement = statements.prepared.statements.get(number)
            if statement is None or not statement.shape.plain & self._like or not statement.whole:
                return None
            if statement.long_data is not None or statement.cursor_on is not None:
                return None
        assert statement is not None
        brings_types = 4 + HEAD_BYTES + (statement.parameters + 7) // 8
        if statement.parameters and (brings_types >= end or buffer[brings_types]):
            return None
        if again:
            upstream = self.servers.active
            if upstream is None or not statements.is_ready(upstream, _EXECUTE):
                return None
            if self._repeated(statement.literals) is None:
                return None
        else:
            before, statements.running = statements.running, statement
            upstream = self._alike(statement.shape, _EXECUTE)
            if upstream is None:
                statements.running = before
                return None
            self._again, self._again_running, self._frame = None, statement, None
            self.values.literals = statement.literals
        self.values.parameters = None
        self.text = bytes(buffer[5:end])
        statements.note_sent(upstream, buffer)
        return upstream

    def _asked_alike(self, shape: Shape, sql: bytes, literals: Sequence[bytes]) -> Upstream | None:
        """Do what ``_alike`` does, for a text."""
        upstream = self._alike(shape, _QUERY)
        if upstream is None:
            return None
        self._again, self._again_running, self._frame = shape, None, None
        if self.statements.running is not None:
            self.statements.running, self.values.parameters = None, ()
        self.text, self.values.literals = sql, literals
        return upstream

    def _alike(self, shape: Shape, command: int) -> Upstream | None:  # noqa: C901  # one straight line
        """Return the server session for a statement of another shape, if the one before speaks for it too."""
        state, upstream, request = self.state, self.servers.active, self.request
        if upstream is None or state.revision != self._revision or self._views.generation != self._generation:
            return None
        open_here = self.tracker.status & _IN_TRANS
        if self._stays:
            if not open_here or upstream.address != state.last:
                return None
            location = request.location
            if self.begun:  # the statement before was the first of its transaction
                self.begun, self.cell, self.decision = b"", None, Route(upstream.address, _OPEN)
                state.in_transaction = True
        else:
            scope = self._scope
            if open_here or scope is None:
                return None
            home = shape.home if shape.scope == scope.number else scope.homes.get(shape)
            if type(home) is not Location or home.epoch != self._generation:
                return None
            location = home
            route: Route = location.route  # type: ignore[assignment]  # there is one of this epoch
            address = route.server
            if address is not upstream.address and address != upstream.address:
                other = self.servers.by_address.get(address)
                if other is None or other.framed is not None:
                    return None
                upstream = other
        known = upstream.state
        if known.version != state.version or known.database != state.database or upstream.closed:
            return None
        if command == _EXECUTE and not self.statements.is_ready(upstream, _EXECUTE):
            return None
        if location is not None:
            location.routed += 1
            if self._stays:
                location.counted += 1
        if not self._stays:
            request.location, request.entry, self.decision = location, None, route
            self.servers.active, state.last = upstream, address
        if shape.kind is _SELECT:
            state.rows_server = state.last
        if self.what != command or shape.kind is not request.shape.kind:
            self.what, self.cell = command, None
        request.shape = shape
        return upstream

    def _note_repeatable(self, upstream: Upstream, route: Route, flags: int) -> None:
        """Remember a statement whose like may be sent without asking the rules; see ``_repeated``."""
        request, facts = self.request, self.request.shape.facts
        asked = facts.binds_last or facts.table_locks or facts.leading_comment is not None
        asked = asked or self.watching or bool(request.refused)
        asked = asked or bool(flags & _FLAGS_TO_REPEAT)
        if self.begun:
            self._note_begun(upstream, asked=bool(asked))
            return
        self._stays = stays = route.rule == _OPEN and upstream.framed is None
        by_location = route.rule == "leader" and route.location is not None and request.located is None
        if not (stays or by_location) or asked or self.rules.own:
            return
        self._revision = self.state.revision
        self._again_running = running = self.statements.running
        self._again = request.shape if running is None else None
        self._like = SAME
        if upstream.framed is not None or self.names.running is not None or request.owner is not None:
            return
        if stays:
            self._like |= STAYS
        elif (view := self.view) is not None and request.shape.plain & (READS | WRITES):
            strong = self.state.read_consistency != WEAK and not view.settings.read_write_split
            self._like |= WRITES | READS if strong else WRITES
            self._scope = request.scope(view.tables)

    def _note_begun(self, upstream: Upstream, *, asked: bool) -> None:
        """The first statement of a transaction brings its BEGIN along: those behind it go where it goes."""
        if asked or self.rules.own or upstream.framed is not None or self.names.running is not None:
            return
        self._stays, self._like, self._revision = True, STAYS, self.state.revision
        self._again = self._again_running = None
