"""Transactions whose statements may run on several OBServers, on a test bed that has one kernel.

Kernels of one node do not offer it, so the OBServers of the bed do (``bed.transactions.allowed``): they mark their
answers as a distributed kernel does (OB 2.0, flag FREE_ROUTE), and a statement of a transaction that
comes to another OBServer than the transaction began on is run in that one's kernel session.  So it
sees what the transaction has written, and a rollback undoes what it did.  What cannot be lent like
that, a prepared statement, is refused with error 6279, as a participant may.
"""

from __future__ import annotations

from typing import Final, final

import trio

from odp_trio.errors import ServerProtocolError
from odp_trio.testing.requests import Request
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.ob20 import Flag, Frame, FrameReader, frames
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import err_payload
from odp_trio.wire.state import parse_ok_head

NOT_HERE: Final = 6279
_LENT_ID: Final = 0xF00000
"""Request ids of statements that were lent, far from those of the connection's own."""
_STATEMENTS: Final = {Com.QUERY, Com.STMT_PREPARE, Com.STMT_EXECUTE}
_EXTRA_OK: Final = b"\0\0\0\x23\0\0\0\0"


@final
class Transactions:
    """The open transactions of a bed: which OBServer's kernel session each client session's is in."""

    def __init__(self) -> None:
        self.allowed = False
        """Whether OBServers let statements of a transaction run elsewhere."""
        self.refuse = 0
        """How many statements participants still refuse with 6279."""
        self.hosts: dict[bytes, Participant] = {}
        self.lent = 0
        """Statements that ran elsewhere than their transaction began."""


@final
class Participant:
    """One relayed OB 2.0 connection of a proxy.  ``client`` tells which client session it belongs to."""

    def __init__(self, transactions: Transactions, client: bytes, server_id: int, server: trio.SocketStream) -> None:
        self._transactions = transactions
        self._client = client
        self._server_id = server_id
        self._server = server
        self._reader = FrameReader(ServerProtocolError)
        self._answer = bytearray()
        self._request_id = _LENT_ID
        self._borrower: trio.MemorySendChannel[bytes] | None = None

    async def take(self, request: Request) -> bytes | None:
        """Answer a statement of a transaction that began elsewhere, in frames; None for any other."""
        transactions, frame = self._transactions, request.frame
        host = transactions.hosts.get(self._client)
        if frame is None or host is None or host is self or not frame.flags & Flag.FREE_ROUTE:
            return None
        if request.command not in _STATEMENTS:
            return None
        if request.command == Com.QUERY and not transactions.refuse:
            transactions.lent += 1
            answer = await host.lend(frame.mysql)
        else:
            transactions.refuse = max(0, transactions.refuse - 1)
            refusal = err_payload(NOT_HERE, "HY000", "Transaction free route is not supported here")
            answer = packet(1, refusal) + packet(2, _EXTRA_OK)
        return frames(self._server_id, frame.request_id, 1, answer, flags=int(Flag.FREE_ROUTE))

    async def lend(self, request: bytes) -> bytes:
        """Run a statement in this connection's kernel session; return the packets of its answer."""
        self._request_id += 1
        send, receive = trio.open_memory_channel[bytes](1)
        self._borrower = send
        await self._server.send_all(frames(self._server_id, self._request_id, 0, request))
        return await receive.receive()

    def downwards(self, data: bytes) -> bytes:
        """Note where transactions begin and end; return what is to be sent: whole frames, marked."""
        self._reader.feed(data)
        passed = b""
        while (frame := self._reader.next_frame()) is not None:
            self._answer += frame.mysql
            lent = self._borrower is not None and frame.request_id == self._request_id
            if frame.is_last:
                self._note(_last_status(self._answer))
            if not lent:
                passed += self._marked(frame)
            elif frame.is_last and self._borrower is not None:
                self._borrower.send_nowait(bytes(self._answer))
                self._borrower = None
            if frame.is_last:
                self._answer.clear()
        return passed

    def _marked(self, frame: Frame) -> bytes:
        flags = frame.flags | Flag.FREE_ROUTE if self._transactions.allowed else frame.flags
        made = Frame(frame.connection_id, frame.request_id, frame.seq, flags, frame.mysql, frame.extra, frame.old_extra)
        return made.to_bytes()

    def _note(self, status: int) -> None:
        hosts = self._transactions.hosts
        if status & Status.IN_TRANS:
            hosts.setdefault(self._client, self)
        elif hosts.get(self._client) is self:
            del hosts[self._client]

    def left(self) -> None:
        """The connection is gone, and its transaction with it."""
        if self._transactions.hosts.get(self._client) is self:
            del self._transactions.hosts[self._client]


def _last_status(answer: bytearray) -> int:
    """Return the status of the OK packet that ends every answer to a proxy."""
    start = at = 0
    while at < len(answer):
        start, at = at, at + 4 + int.from_bytes(answer[at : at + 3], "little")
    payload = bytes(answer[start + 4 : at])
    return parse_ok_head(payload)[2] if payload[:1] == b"\0" else 0
