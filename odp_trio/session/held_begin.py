"""A BEGIN that was held back until the first statement of its transaction chose a server."""

from __future__ import annotations

from typing import Final

from odp_trio.session.answering import Answering
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.server_set import Upstream
from odp_trio.sql.lexer import NO_BACKSLASHES
from odp_trio.sql.literals import NOTHING
from odp_trio.wire.fields import Status
from odp_trio.wire.resultset import LOCAL_STATUS

_IN_TRANS: Final = int(Status.IN_TRANS)
_NO_BACKSLASHES: Final = int(Status.NO_BACKSLASH_ESCAPES)
_BEGUN: Final = int(LOCAL_STATUS | Status.IN_TRANS)
"""The flags of an answer to BEGIN."""
_ENDS: Final = ([b"commit"], [b"commit", b"work"], [b"rollback"], [b"rollback", b"work"])


class HeldBegin(Answering):
    """The part of the router that is about transactions which the client has been told of and no server knows yet."""

    __slots__ = ()

    @property
    def holds_transaction(self) -> bool:
        """Whether the client has been told of a transaction that no server knows of yet."""
        return bool(self.state.held_begin)

    def note_begun(self) -> None:
        """A held BEGIN is executed where the command goes now; not every answer says that it was."""
        if self.state.held_begin:
            self.begun = self.state.held_begin
            self.state.hold_begin(b"")
            self.tracker.status |= Status.IN_TRANS

    def begin_again(self, upstream: Upstream, *, gone: bool) -> None:
        """The first statement of a transaction did not run on ``upstream``: the transaction begins elsewhere.

        One that has begun there is left by closing the connection, if that is not gone anyway.
        """
        if self.begun:
            self.state.hold_begin(self.begun)
            self.begun = b""
            self.tracker.status &= ~Status.IN_TRANS
            if not gone:
                self.servers.drop(upstream, ServerEnd.TRANSACTION_MOVED)

    def _hold(self, sql: bytes) -> bool:
        """Keep back what begins a transaction, so that its first statement chooses the server; answer whether it is.

        Where the server is certain already there is nothing to wait for.
        """
        state, annotation = self.state, self.request.annotation
        if self.tracker.status & _IN_TRANS or state.bound or not (annotation is None or annotation is NOTHING):
            return False
        state.hold_begin(sql)
        self._reply_ok(_BEGUN)
        return True

    def _end_unbegun(self, sql: bytes) -> bool:
        """End a transaction that no server knows of; answer whether the statement does that and nothing else.

        It must not fail for want of a server: a client that is told so goes on in a transaction unawares.
        """
        if sql.lower().rstrip(b"; \t\r\n").split() not in _ENDS:
            return False
        self.state.hold_begin(b"")
        self._reply_ok(_BEGUN & ~_IN_TRANS)
        return True

    def _reply_ok(self, status: int) -> None:
        if not self.state.autocommit:
            status &= ~Status.AUTOCOMMIT
        self.reply = self.tracker.own_ok(status | _NO_BACKSLASHES if self.dialect & NO_BACKSLASHES else status)
