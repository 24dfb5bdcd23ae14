"""How a transaction begins on a lane: a BEGIN that was held back goes out, then the statement that chose its server.

The client has had the answer to its BEGIN.  The server's is taken here; the statement
follows when it has come.  Of a server that is lost meanwhile, or that does not begin, it is
certain that the statement did not run there: it was not sent.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import Final

from odp_trio.errors import ProtocolError, UpstreamError
from odp_trio.net.reactor import READ, Reactor
from odp_trio.net.stream import Stream
from odp_trio.observe import Traffic
from odp_trio.session.ending import Ending
from odp_trio.session.ports import Measures
from odp_trio.session.server_set import Routing, Upstream
from odp_trio.wire.command import Com, first_packet_end
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker

_QUERY: Final = bytes((Com.QUERY,))
_ANSWER_LIMIT: Final = 65536


class Beginning(Ending):
    """The part of a lane that is about commands for which routing chose no server, or one that must begin first."""

    __slots__ = ("_answer", "_behind_begin")

    def __init__(
        self,
        reactor: Reactor,
        client: Stream,
        tracker: ResponseTracker,
        traffic: Traffic,
        routing: Routing,
        meter: Measures,
    ) -> None:
        super().__init__(reactor, client, tracker, traffic, routing, meter)
        self._behind_begin = self._answer = b""

    def use(self, upstream: Upstream) -> None:
        """Send the next command to another server session."""
        raise NotImplementedError

    def _on_server(self, events: int) -> None:
        raise NotImplementedError

    def _server_is_readable(self, events: int) -> bool:
        raise NotImplementedError

    def _to_server(self, data: bytes | memoryview) -> None:
        raise NotImplementedError

    def _to_client(self, data: bytes) -> None:
        raise NotImplementedError

    def _leave(self, data: bytes) -> None:
        """Do with a command what routing says that chose no server: reply, begin, or leave it to the session's task."""
        routing = self._routing
        reply, routing.reply = routing.reply, b""
        if not reply:
            upstream, routing.begins = routing.begins, None
            if upstream is None:
                self._park(data)
            else:
                self._begin(data, upstream)
            return
        self._waiting = data[first_packet_end(data) :]
        self.traffic.statements += 1
        self._to_client(reply)
        self._meter.answered_here(self._arrived, reply)
        if self._draining and not self._waiting and self._sentence is None:
            self.drain()

    def _begin(self, data: bytes, upstream: Upstream) -> None:
        """Send the BEGIN; the command counts as running from now on."""
        end = first_packet_end(data)
        self._behind_begin, self._waiting, self._answer = data[:end], data[end:], b""
        self.use(upstream)
        self.tracker.begin(data[4])
        self._asked = end
        upstream.leg.redirect(self._on_begun, self.crash)
        self._to_server(packet(0, _QUERY + self._routing.begun))

    def _on_begun(self, events: int) -> None:
        if events != READ and not self._server_is_readable(events):
            return
        try:
            count = self._server.receive(self._view)
        except BlockingIOError:
            return
        except OSError as exc:
            self._server_lost(exc)
            return
        if not count:
            self._server_lost(None)
            return
        self.traffic.server_bytes_in += count
        self._answer += bytes(self._view[:count])
        answer, tracker = self._answer, ResponseTracker()
        tracker.begin(Com.QUERY)
        try:
            tracker.feed(answer, 0, len(answer))
        except ProtocolError as exc:
            self._server_lost(exc)
            return
        if tracker.ended and tracker.pos == len(answer) and not tracker.errno:
            command, self._behind_begin = self._behind_begin, b""
            self._server.redirect(self._on_server, self.crash)
            self._to_server(command)
            self._sent = clock()
        elif tracker.ended or not tracker.held or len(answer) > _ANSWER_LIMIT:
            self._server_lost(UpstreamError(f"the transaction did not begin there: error {tracker.errno}"))

    def _server_lost(self, error: Exception | None, *, whole: bool = True) -> None:
        """The connection in use is of no use any more; a command that is behind a BEGIN has not been sent."""
        behind, self._behind_begin = self._behind_begin, b""
        super()._server_lost(error, whole=whole and not behind)
