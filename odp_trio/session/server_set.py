"""The server sessions of one client session: at most one to each OBServer, one of them active."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, final

from odp_trio.model import Address
from odp_trio.net.leg import Leg
from odp_trio.net.ob20_stream import OB20Stream
from odp_trio.net.reactor import Reactor
from odp_trio.session.account import Account
from odp_trio.session.beside import Extras, carries_variables
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.upstream import ServerSession
from odp_trio.state.client import ServerState
from odp_trio.state.prepared import Copy, TextPrepared
from odp_trio.wire.fields import OBCapability

log = logging.getLogger("odp_trio.session")


@final
class Upstream:
    """One server session, with what it knows of the client's state.

    While it is idle its socket is watched: a server that closes it is dropped silently.
    """

    # fmt: off
    __slots__ = (
        "address", "beside", "capabilities", "closed", "connection_id", "copies", "framed", "leg", "on_lost",
        "receive", "since", "sock", "state", "statements", "stream", "submit", "texts", "tls", "used_from",
    )
    # fmt: on

    def __init__(self, session: ServerSession, reactor: Reactor, on_lost: Callable[[Upstream], None]) -> None:
        self.address: Address = session.address
        self.connection_id = session.connection_id
        self.sock, self.stream, self.tls = session.sock, session.stream, session.tls
        self.capabilities = session.capabilities
        self.framed = session.stream if isinstance(session.stream, OB20Stream) else None
        """The stream, if it is in OB 2.0: ``next_flags`` and ``answer_flags`` are its."""
        self.beside: Extras | None = None
        self.state = ServerState(carries_variables=carries_variables(session.capabilities))
        self.copies: dict[int, Copy] = {}
        """Prepared statements that it has, by the client's id."""
        self.texts: dict[str, TextPrepared] = {}
        """What PREPARE ... FROM has made here, by name; DEALLOCATE may have ended it elsewhere."""
        self.closed = False
        self.since = 0.0
        """When it was logged in."""
        self.statements = self.used_from = 0
        """Statements that it has run before it went idle last, and how many its client had run when it was taken."""
        self.on_lost = on_lost
        self.leg = Leg(reactor, session.stream, self.on_idle, self._broken)
        self.submit, self.receive = session.stream.send, self.leg.receive

    def carry(self, extras: Extras) -> None:
        """Let extra info travel, where it can."""
        if self.framed is not None and self.capabilities & OBCapability.NEW_EXTRA_INFO:
            self.beside = extras
            self.framed.carry(extras)

    def rest(self, statements: int) -> None:
        """No statement runs here for now; ``statements`` are those of its client."""
        self.statements += statements - self.used_from
        if not self.closed:
            self.leg.redirect(self.on_idle, self._broken)
            self.leg.open()

    def on_idle(self, events: int) -> None:
        """Something happened on a socket that no statement runs on."""
        if self.leg.owed:
            try:
                self.leg.flush()
            except OSError:
                self.on_lost(self)
            return
        self.on_lost(self)  # closed, or the server speaks unasked because it is about to close

    def _broken(self, error: Exception) -> None:
        log.error("server session on %s", self.address, exc_info=error)
        self.on_lost(self)

    def close(self) -> None:
        """Unregister and close."""
        self.closed = True
        self.leg.drop()
        self.stream.close()


class Routing(Protocol):
    """What the lane asks about every command; see ``session.router``."""

    watching: bool
    """The answer to the running command is to be reported even if it says nothing."""
    reply: bytes
    """The answer to the command, if ``choose`` returned None and no server is asked; whoever takes it empties it."""
    begins: Upstream | None
    """Where ``begun`` is to go, the command behind it, if ``choose`` returned None; whoever takes it empties it."""
    begun: bytes
    """The BEGIN that was held, and goes to the server of the running statement before it."""
    account: Account
    """Of what is kept for the session."""
    looks_at: int
    """How many bytes of a command must be there for ``choose``, if it is so long."""

    def choose(self, buffer: bytearray, end: int) -> Upstream | None:
        """Return the server session for the command in ``buffer[:end]``, or None when that needs waiting.

        The command may be cut at ``end``.  Statement ids in it may be replaced.
        """
        ...

    @property
    def holds_transaction(self) -> bool:
        """Whether the client has been told of a transaction that no server knows of yet."""
        ...

    def answered(self) -> None:
        """The answer to a command is over, and has something to say."""
        ...

    def withholds(self, errno: int) -> bool:
        """Whether the running command may go to another server after this error, the first of its answer."""
        ...

    def lost(self, upstream: Upstream, why: ServerEnd = ServerEnd.CLOSED_IDLE, detail: str = "") -> bool:
        """The active server session is gone, at rest; answer whether the session can go on without it."""
        ...


Noted = Callable[[Upstream, ServerEnd, str], None]
"""Told of every server session that ends, and why: for the metrics and the ledger."""


def not_noted(upstream: Upstream, why: ServerEnd, detail: str) -> None:
    """Tell nobody."""


@final
class ServerSet:
    """The server sessions of one client, by address.  ``noted`` is told of each that ends."""

    __slots__ = ("_noted", "active", "by_address")

    def __init__(self, noted: Noted = not_noted) -> None:
        self.by_address: dict[Address, Upstream] = {}
        self.active: Upstream | None = None
        self._noted = noted

    def add(self, upstream: Upstream) -> None:
        """Take a new server session."""
        self.by_address[upstream.address] = upstream

    def drop(self, upstream: Upstream, why: ServerEnd, detail: str = "") -> None:
        """Close one and forget it."""
        if self.by_address.get(upstream.address) is upstream:
            del self.by_address[upstream.address]
        if self.active is upstream:
            self.active = None
        if not upstream.closed:
            upstream.close()
            self._noted(upstream, why, detail)

    def closed_idle(self, upstream: Upstream) -> None:
        """Its server closed it while nothing ran on it."""
        self.drop(upstream, ServerEnd.CLOSED_IDLE)

    def keep_only(self, upstream: Upstream, why: ServerEnd) -> None:
        """Close all others."""
        for other in tuple(self.by_address.values()):
            if other is not upstream:
                self.drop(other, why)

    def close(self, why: ServerEnd = ServerEnd.CLIENT_ENDED) -> None:
        """Close all."""
        for upstream in tuple(self.by_address.values()):
            self.drop(upstream, why)
