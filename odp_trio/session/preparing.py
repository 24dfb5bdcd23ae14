"""Bringing prepared statements to server sessions that do not have them yet.

A statement is prepared again when it is needed, not before.  What the server
says against it, the client is told: it is what the server with the statement
would have said at its execution (seekdb 1.3.0 resolves a statement in the
database and the sql_mode of each execution).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from odp_trio.errors import StatementRefused, UnknownStatement, UpstreamError
from odp_trio.observe import Counts
from odp_trio.session.asking import Reply, ask, tell
from odp_trio.session.retry import WITHHELD
from odp_trio.session.router import Router
from odp_trio.session.server_set import Upstream
from odp_trio.state.prepared import Copy, Prepared, quoted
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.parameters import with_types
from odp_trio.wire.resultset import parse_err

TOO_MANY_OPEN: Final = 5930
"""A session of an OBServer may have ``open_cursors`` statements, 50 unless told otherwise (seen on seekdb 1.3.0)."""
_USES_LONG_DATA: Final = frozenset({int(Com.STMT_EXECUTE), int(Com.STMT_SEND_LONG_DATA)})


@final
class Preparing:
    """Prepared statements of one session on their way to further servers."""

    def __init__(self, router: Router, timeout: Callable[[], float], counts: Counts) -> None:
        self._router = router
        self._timeout = timeout
        self._counts = counts

    async def make_ready(self, upstream: Upstream) -> None:
        """Prepare what the command is about; raises StatementRefused or UpstreamError."""
        statement, name = self._router.statements.running, self._router.names.running
        for stale in self._router.names.stale(upstream):
            del upstream.texts[stale]
            await self._end_named(upstream, stale)
        if statement is not None:
            if statement.id not in upstream.copies:
                await self._prepare(upstream, statement)
            await self._send_long_data(upstream, statement)
        elif name is not None:
            await self._prepare_named(upstream, name)

    async def _prepare(self, upstream: Upstream, statement: Prepared) -> None:
        if not statement.whole:
            raise UnknownStatement("the only server that had the prepared statement is gone, and its text was too long")
        reply = await self._make(upstream, bytes((Com.STMT_PREPARE,)) + statement.text)
        upstream.copies[statement.id] = Copy(reply.prepared_id)

    async def _send_long_data(self, upstream: Upstream, statement: Prepared) -> None:
        """Send pieces that were kept, as the client sent them; what this server has had of others must be forgotten."""
        kept, copy = statement.long_data, upstream.copies[statement.id]
        if kept is None or kept.on is not None or self._router.what not in _USES_LONG_DATA:
            return
        if copy.long_data is not kept:
            copy.long_data, copy.pieces = kept, 0
        head = bytes((Com.STMT_SEND_LONG_DATA,)) + copy.server_id.to_bytes(4, "little")
        for piece in kept.pieces[copy.pieces :]:
            await tell(upstream, head + piece, self._timeout())
            copy.pieces += 1

    async def _prepare_named(self, upstream: Upstream, name: str) -> None:
        """Make what a name means on this server, or end what it does not mean any more."""
        meant, had = self._router.state.text_prepared.get(name), upstream.texts.pop(name, None)
        if meant is None and had is not None:
            await self._end_named(upstream, name)
        elif meant is not None and meant is not had:
            await self._make(upstream, bytes((Com.QUERY,)) + meant.sql(self._router.dialect))
        if meant is not None:
            upstream.texts[name] = meant

    async def _end_named(self, upstream: Upstream, name: str) -> None:
        await ask(upstream, bytes((Com.QUERY,)) + b"DEALLOCATE PREPARE " + quoted(name), self._timeout())

    async def _make(self, upstream: Upstream, payload: bytes) -> Reply:
        """Let a server prepare a statement; make room for it if it has too many."""
        self._counts.reprepares += 1
        reply = await ask(upstream, payload, self._timeout())
        if reply.errno == TOO_MANY_OPEN and await self._make_room(upstream):
            reply = await ask(upstream, payload, self._timeout())
        if reply.errno in WITHHELD:
            raise UpstreamError(f"preparing the statement failed with error {reply.errno}")
        if reply.errno:
            raise StatementRefused(reply.refusal, reply.errno, parse_err(reply.refusal).message)
        return reply

    async def _make_room(self, upstream: Upstream) -> bool:
        """Give up the oldest statements of this server session, which can be made again; answer whether any was."""
        statements, state = self._router.statements, self._router.state
        for name, made in tuple(upstream.texts.items()):
            if state.text_prepared.get(name) is not made:
                del upstream.texts[name]
                await self._end_named(upstream, name)
                return True
        running = None if statements.running is None else statements.running.id
        idle = (each for each in upstream.copies if each != running and statements.copies.is_idle_on(each, upstream))
        number = next(idle, None)
        if number is None:
            return False
        copy = upstream.copies.pop(number)
        close = bytes((Com.STMT_CLOSE,)) + copy.server_id.to_bytes(4, "little")
        await tell(upstream, close, self._timeout())
        return True

    def with_types(self, upstream: Upstream, command: bytearray) -> bytearray:
        """Insert the parameter types into an execution for a server that does not have them."""
        statement = self._router.statements.running
        if statement is None or command[4] != Com.STMT_EXECUTE or not statement.types:
            return command
        if upstream.copies[statement.id].types_version == statement.types_version:
            return command
        payload = with_types(bytes(command[4:]), statement.parameters, statement.types)
        length = int.from_bytes(command[:3], "little") + len(payload) + 4 - len(command)
        if length >= MAX_PAYLOAD:
            return command  # it brings its types, or goes where they are known
        return bytearray(length.to_bytes(3, "little") + command[3:4] + payload)
