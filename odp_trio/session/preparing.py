"""Bringing prepared statements to server sessions that do not have them yet.

A statement is prepared again when it is needed, not before.  What the server
says against it, the client is told: it is what the server with the statement
would have said at its execution (seekdb 1.3.0 resolves a statement in the
database and the sql_mode of each execution).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from odp_trio.errors import StatementRefused, UpstreamError
from odp_trio.observe import Counts
from odp_trio.session.asking import Reply, ask, tell
from odp_trio.session.retry import WITHHELD
from odp_trio.session.router import Router
from odp_trio.session.server_set import Upstream
from odp_trio.sql.facts import Kind
from odp_trio.state.prepared import Copy, Prepared
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.parameters import with_types
from odp_trio.wire.resultset import parse_err

TOO_MANY_OPEN: Final = 5930
"""A session of an OBServer may have ``open_cursors`` statements, 50 unless told otherwise (seen on seekdb 1.3.0)."""


@final
class Preparing:
    """Prepared statements of one session on their way to further servers."""

    def __init__(self, router: Router, timeout: Callable[[], float], counts: Counts) -> None:
        self._router = router
        self._timeout = timeout
        self._counts = counts

    async def make_ready(self, upstream: Upstream) -> None:
        """Prepare what the command is about; raises StatementRefused or UpstreamError."""
        router = self._router
        statement = router.statements.running
        if statement is not None and statement.id not in upstream.copies:
            await self._prepare(upstream, statement)
        facts = router.request.shape.facts
        if facts.prepared is not None and facts.kind is not Kind.PREPARE:
            await self._prepare_named(upstream, facts.prepared)

    async def _prepare(self, upstream: Upstream, statement: Prepared) -> None:
        reply = await self._make(upstream, bytes((Com.STMT_PREPARE,)) + statement.text)
        upstream.copies[statement.id] = Copy(reply.prepared_id)

    async def _prepare_named(self, upstream: Upstream, name: str) -> None:
        """Make what a name means on this server, or end what it does not mean any more."""
        meant, had = self._router.state.text_prepared.get(name), upstream.texts.pop(name, None)
        if meant is None and had is not None:
            await self._end_named(upstream, name)
        elif meant is not None and meant is not had:
            await self._make(upstream, bytes((Com.QUERY,)) + meant.sql)
        if meant is not None:
            upstream.texts[name] = meant

    async def _end_named(self, upstream: Upstream, name: str) -> None:
        sql = b"DEALLOCATE PREPARE `%b`" % name.replace("`", "``").encode()
        await ask(upstream, bytes((Com.QUERY,)) + sql, self._timeout())

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
        number = next((each for each in upstream.copies if statements.is_idle_on(each, upstream)), None)
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
        length = int.from_bytes(command[:3], "little")
        if len(command) != length + 4:
            return command  # cut: it is long, and long ones bring their types or fail on the server
        return bytearray(packet(0, with_types(bytes(command[4:]), statement.parameters, statement.types)))
