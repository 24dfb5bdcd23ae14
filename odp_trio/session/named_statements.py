"""Statements made by PREPARE ... FROM: what their names mean, and where.

EXECUTE is routed as the statement that it executes, with the values of the
variables behind USING; on a server that does not have it, it is made first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.session.statements import TEXT_LIMIT, is_watched
from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import Kind, Shape, StatementFacts, UserVariable
from odp_trio.sql.lexer import NO_BACKSLASHES, is_comment, split
from odp_trio.sql.literals import read_literal
from odp_trio.state.client import ClientState
from odp_trio.state.prepared import TextPrepared

_FEW: Final = 8
"""Names that a server session may have for nothing: it may have 50 statements in all."""


@final
class NamedStatements:
    """The names of one session on their way; what they mean is in ``ClientState.text_prepared``."""

    __slots__ = ("_servers", "_shapes", "_state", "_values", "elsewhere", "running", "whole")

    def __init__(self, servers: ServerSet, values: Values, shapes: Statements, state: ClientState) -> None:
        self._servers, self._values, self._shapes, self._state = servers, values, shapes, state
        self.running: str | None = None
        """The name that the command uses."""
        self.whole = True
        """Whether the text of the command was there to its end."""
        self.elsewhere: Upstream | None = None
        """Several statements in one command may have made names there that are not known here."""

    def wants(self, shape: Shape, buffer: bytes | bytearray) -> int:
        """Return how many bytes of a query must be there: all of a PREPARE whose text is not too long."""
        length = int.from_bytes(buffer[:3], "little")
        self.whole = len(buffer) >= length + 4
        return length + 4 if shape.facts.kind is Kind.PREPARE and length <= TEXT_LIMIT else 0

    def read(self, request: RouteRequest, facts: StatementFacts, *, held: bool) -> bool:
        """EXECUTE or DEALLOCATE; answer whether every server session has what the name means now.

        ``held``: the session may not leave its server, whatever is known elsewhere.
        """
        self.running = name = facts.prepared
        if name is None:
            return True
        meant = self._state.text_prepared.get(name)
        if meant is None:
            known = self.elsewhere
            if known is not None and not known.closed and not held:
                request.owner, request.owner_why = known.address, "its name may have been made there"
        elif meant.on is not None:
            upstream = self._servers.by_address.get(meant.on)
            if upstream is None or upstream.texts.get(name) is not meant:
                del self._state.text_prepared[name]  # it went with its connection
                return False
            if not held:
                request.owner, request.owner_why = meant.on, "its text is known there only"
        elif facts.kind is Kind.EXECUTE:
            request.begin(meant.shape)
            self._values.literals = meant.literals
            self._values.parameters = self._parameters(facts.using)
        return all(upstream.texts.get(name) is meant for upstream in self._servers.by_address.values())

    def source(self) -> bytes:
        """Return the text of the statement that the command executes; empty if it is not known, or none is."""
        meant = None if self.running is None else self._state.text_prepared.get(self.running)
        return b"" if meant is None else meant.source

    def stale(self, upstream: Upstream) -> list[str]:
        """Return the names that a server has and that do not mean that any more; none while they are few."""
        if len(upstream.texts) < _FEW:
            return []
        meant = self._state.text_prepared
        return [name for name, made in upstream.texts.items() if meant.get(name) is not made]

    def is_watched(self) -> bool:
        """Whether the success of the command means something for the session, by what its name means."""
        meant = None if self.running is None else self._state.text_prepared.get(self.running)
        return meant is not None and meant.watched

    def _parameters(self, names: Sequence[str]) -> Sequence[Any] | None:
        """Return the values of USING, or None if one cannot be read."""
        try:
            return [self._value(name) for name in names]
        except ValueError:
            return None

    def _value(self, name: str) -> Any:
        raw = self._state.user_variable(name.encode())
        if raw is None or raw.upper() == b"NULL":
            return None
        if raw[:1] == b"-":
            value = read_literal(raw[1:])
            if isinstance(value, str | bytes):
                raise ValueError("a negative text")
            return -value
        return read_literal(raw)

    # ---- it is answered ---------------------------------------------------------------

    def note_made(self, upstream: Upstream, facts: StatementFacts, sql: bytes, *, dialect: int) -> None:
        """PREPARE ... FROM was executed; what cannot be said again is known to this server only."""
        assert facts.prepared is not None
        source = self._source(facts, sql, dialect) if self.whole and facts.statements == 1 else None
        shape, literals = self._shapes.shape(source or b"", dialect)
        on = upstream.address if source is None else None
        watched = source is None or is_watched(shape.facts)
        made = TextPrepared(facts.prepared, source or b"", shape, tuple(literals), watched, on)
        self._state.text_prepared[facts.prepared] = upstream.texts[facts.prepared] = made

    def _source(self, facts: StatementFacts, sql: bytes, dialect: int) -> bytes | None:
        """Return the text that was prepared, None if that cannot be had."""
        try:
            if isinstance(facts.prepared_text, UserVariable):
                raw = self._state.user_variable(facts.prepared_text.name.encode())
                return None if raw is None else _bytes(read_literal(raw, encoding="latin-1"))
            pieces = split(sql, dialect)
            literals = [slot for slot in pieces[1::2] if not is_comment(slot)]
            if len(literals) != 1 or b" ".join(pieces[::2]).rstrip(b"; ").upper().split()[-1:] != [b"FROM"]:
                return None  # strings side by side are one; an introducer changes what the bytes mean
            return _bytes(read_literal(literals[0], encoding="latin-1", backslashes=not dialect & NO_BACKSLASHES))
        except ValueError:
            return None

    def note_ended(self, upstream: Upstream, name: str) -> None:
        """DEALLOCATE was executed here; other servers are told when the name is used there."""
        self._state.text_prepared.pop(name, None)
        upstream.texts.pop(name, None)

    def note_several(self, upstream: Upstream, sql: bytes) -> None:
        """Several statements in one command were executed: they may have made names, or given others a new meaning."""
        self.elsewhere, lower = upstream, sql.lower()
        for name in tuple(self._state.text_prepared):
            if name.lower().encode() in lower:
                self.note_ended(upstream, name)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str | bytes):
        raise ValueError("a number cannot be prepared")
    return value.encode("latin-1") if isinstance(value, str) else value
