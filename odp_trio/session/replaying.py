"""Bringing a server session to the client's state: what must be sent before the statement, and what was held back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, final

from odp_trio.errors import InitFailed, NotBegun, ServerProtocolError, StatementRefused, UpstreamError
from odp_trio.observe import Counts
from odp_trio.session.asking import Reply, ask, ask_row
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.retry import DID_NOT_RUN, PASSING
from odp_trio.session.router import Router
from odp_trio.session.server_set import Upstream
from odp_trio.sql.facts import Kind
from odp_trio.sql.lexer import MULTIBYTE, NO_BACKSLASHES
from odp_trio.state.client import ServerState
from odp_trio.state.sync import SetVariables, UseDatabase, sync_plan, synced
from odp_trio.state.user_variables import Described, expression, is_clear, question
from odp_trio.wire.command import HANDLING, Com, Handling
from odp_trio.wire.resultset import parse_err

log = logging.getLogger("odp_trio.session")

_SILENT: Final = tuple(handling is Handling.SILENT for handling in HANDLING)
_UNKNOWN_DATABASE: Final = 1049
_NOT_OF_SESSIONS: Final = frozenset({1229, 1238})
"""A GLOBAL variable; a variable that is read only."""


@final
class Replaying:
    """The state of one client session on its way to a server session."""

    def __init__(self, router: Router, timeout: Callable[[], float], counts: Counts, unsettable: set[bytes]) -> None:
        self._unsettable = unsettable
        self._router = router
        self._timeout = timeout
        self._counts = counts

    async def make_ready(self, upstream: Upstream, *, new: bool) -> None:
        """Send what is to be sent, in ODP's order; raises UpstreamError, StatementRefused, NotBegun."""
        if new:
            await self._greet(upstream)
        await self._replay(upstream)
        state = self._router.state
        if state.init_sql and not _SILENT[self._router.what]:
            await self._initialise(upstream, state.init_sql)
        if state.held_begin and not _SILENT[self._router.what]:
            await self._begin(upstream, state.held_begin)

    async def _greet(self, upstream: Upstream) -> None:
        """Let a new server session say what it has to say of itself: its first OK names variables (seekdb 1.3.0).

        A client that tracks its session must not be told in the middle of it.
        """
        autocommit = b"1" if self._router.state.autocommit else b"0"
        reply = await self._query(upstream, b"SET @@autocommit = " + autocommit)
        if reply.errno:
            raise UpstreamError(f"replaying the session's state failed with error {reply.errno}")

    async def _replay(self, upstream: Upstream) -> None:
        state = self._router.state
        if state.user and upstream.state.version != state.version and not state.in_transaction:
            await self._describe(upstream)
        uses = not self._chooses_database()
        for step in sync_plan(state, upstream.state):
            if isinstance(step, UseDatabase):
                if uses:
                    await self._use(upstream, step.database)
                continue
            self._counts.replays += 1
            reply = await self._query(upstream, step.sql)
            if reply.errno:  # one variable that cannot be set must not keep the others from being set
                await self._set_singly(upstream, step)
        synced(state, upstream.state, database=uses)

    def _chooses_database(self) -> bool:
        """Whether the command names the database anew; the one that is current need not be there any more."""
        return self._router.what == Com.INIT_DB or self._router.request.shape.facts.kind is Kind.USE

    async def _use(self, upstream: Upstream, database: bytes) -> None:
        self._counts.replays += 1
        reply = await ask(upstream, bytes((Com.INIT_DB,)) + database, self._timeout())
        if reply.errno == _UNKNOWN_DATABASE:  # on every server
            raise StatementRefused(reply.refusal, reply.errno, parse_err(reply.refusal).message)
        if reply.errno:
            raise UpstreamError(f"the session's database cannot be used: error {reply.errno}")

    async def _set_singly(self, upstream: Upstream, step: SetVariables) -> None:
        """Set variables one by one; what this server refuses is logged, and left as the server has it.

        Raises UpstreamError where it cannot run them now: then another server may.
        """
        for item in step.items:
            reply = await self._query(upstream, b"SET " + item)
            if reply.errno in PASSING:
                raise UpstreamError(f"replaying the session's state failed with error {reply.errno}")
            if reply.errno:
                name = item.partition(b"=")[0].strip()
                if reply.errno in _NOT_OF_SESSIONS:
                    self._unsettable.add(name.removeprefix(b"@@"))
                log.warning("%s does not let %s be set: error %d", upstream.address, name.decode(), reply.errno)

    async def _initialise(self, upstream: Upstream, sql: bytes) -> None:
        """Execute ``init_sql``: what it changes is the client's state, as if the client had sent it."""
        reply = await self._query(upstream, sql)
        if reply.errno in DID_NOT_RUN:
            raise UpstreamError(f"init_sql was not executed: error {reply.errno}")
        if reply.errno:
            raise InitFailed(f"fail to execute init_sql {sql.decode()!r} on {upstream.address}: error {reply.errno}")
        state = self._router.state
        state.init_sql = b""
        if reply.state is not None:
            state.learn(reply.state, upstream.state)

    async def _begin(self, upstream: Upstream, sql: bytes) -> None:
        """Begin the transaction that the client has been told of."""
        reply = await self._query(upstream, sql)
        if reply.errno in DID_NOT_RUN:
            raise UpstreamError(f"the transaction cannot begin: error {reply.errno}")
        if reply.errno:
            raise NotBegun(f"{upstream.address} refused to begin the transaction: error {reply.errno}")

    async def _query(self, upstream: Upstream, sql: bytes) -> Reply:
        return await ask(upstream, bytes((Com.QUERY,)) + sql, self._timeout())

    # ---- user variables -----------------------------------------------------------------

    async def _describe(self, target: Upstream) -> None:
        """Ask the servers that have changed user variables for the types of those that ``target`` is to get."""
        state, asked = self._router.state, dict[ServerState, list[bytes]]()
        for name, (literal, version) in state.user.items():
            if version > target.state.version and name not in state.expressions and not is_clear(literal):
                asked.setdefault(state.origins[name], []).append(name)
        for origin, names in asked.items():
            for upstream in tuple(self._router.servers.by_address.values()):
                if upstream.state is origin and upstream is not target and not upstream.leg.owed:
                    await self._describe_there(upstream, names)

    async def _describe_there(self, upstream: Upstream, names: list[bytes]) -> None:
        state, leg = self._router.state, upstream.leg
        watched = leg.reading
        leg.close()
        try:
            columns, values = await ask_row(upstream, question(names), self._timeout())
        except (UpstreamError, ServerProtocolError) as exc:  # its variables go as they were told
            self._router.servers.drop(upstream, ServerEnd.LOST, str(exc))
            return
        except BaseException:
            self._router.servers.drop(upstream, ServerEnd.BROKEN_OFF)
            raise
        if watched:
            leg.open()
        escapes = not state.dialect() & (NO_BACKSLASHES | MULTIBYTE)
        for at, name in zip(range(0, len(values), 4), names, strict=False):
            described = Described(*columns[at], *values[at + 1 : at + 4])
            state.expressions[name] = expression(state.user[name][0], described, state.collation, escapes=escapes)
