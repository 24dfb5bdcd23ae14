"""The express lane of one session: everything that can be done without waiting.

What one side sent goes to the other in the callback that read it: no task
switch, no allocation per packet.  ``routing`` says for each command which server
session takes it; when it cannot without waiting, the command is left to the
session's task, asleep in ``events.wait()``.  Of requests and of responses at most
one read buffer each is on its way.

Back-pressure: when a peer takes less than it was given, the rest is kept, that
peer is watched for room, and the *other* socket is not watched at all until the
rest is gone (unregistered: a reset would be reported over and over).
"""

from __future__ import annotations

from struct import Struct
from time import perf_counter_ns as clock
from typing import Final, final

from odp_trio.errors import ClientProtocolError, ProtocolError, SessionMemoryExceeded
from odp_trio.net.reactor import BROKEN, READ, WRITE, Reactor
from odp_trio.net.stream import Stream
from odp_trio.observe import Traffic
from odp_trio.session.beginning import Beginning
from odp_trio.session.events import Failed
from odp_trio.session.ports import UNMEASURED, Measures
from odp_trio.session.reasons import KILLED_ERRNOS, End
from odp_trio.session.server_set import Routing, Upstream
from odp_trio.wire.command import HANDLING, Handling, RequestTracker, first_packet_end, is_too_short
from odp_trio.wire.response import ResponseTracker

_WAITING_LIMIT: Final = 65536
_HEADER: Final = Struct("<IB").unpack_from
_EXPRESS: Final = tuple(handling is Handling.FORWARD for handling in HANDLING)


@final
class Lane(Beginning):
    """Forwards between one client and its OBServers until something must wait.

    The owner: ``open()``, then ``await events.wait()``; after ``Parked`` the sockets are its
    own until it calls ``open()`` again; at the end ``close()``, before it closes the sockets.
    """

    __slots__ = ("_buffer", "_choose", "_finish", "_placed", "_receive", "_reply", "_respond", "_submit")

    def __init__(
        self,
        reactor: Reactor,
        client: Stream,
        upstream: Upstream,
        tracker: ResponseTracker,
        traffic: Traffic,
        routing: Routing,
        meter: Measures = UNMEASURED,
    ) -> None:
        super().__init__(reactor, client, tracker, traffic, routing, meter)
        self._buffer, self._placed = reactor.buffer, False
        self._receive, self._respond = self._client.receive, client.send  # bound once: the calls of every statement
        self._choose, self._finish = routing.choose, meter.finish
        self.use(upstream)

    # ---- for the session's task -------------------------------------------------

    def use(self, upstream: Upstream) -> None:
        """Send the next command to another server session; the one before goes idle."""
        if upstream is not self.upstream:
            if self.upstream is not None:
                self.upstream.rest(self.traffic.statements)
            self.upstream, upstream.used_from = upstream, self.traffic.statements
            self._server, self._submit, self._reply = upstream.leg, upstream.submit, upstream.receive
            upstream.leg.redirect(self._on_server, self.crash)
            if self._open:
                self._server.open()

    def open(self, early: bytes = b"", *, placed: bool = False) -> None:
        """Begin with what the client sent already; ``placed``: its first command goes to the session in use."""
        self._open = True
        self._client.open()
        if self.upstream is not None and self.upstream.closed:
            self.upstream = None
        if self.upstream is not None:
            self._server.open()
        self._waiting, self._placed = early, placed
        if early:
            self._next_command()
        elif self._draining and self._sentence is None:
            self.drain()

    def adopt(self, answer: bytes) -> None:
        """Begin with something that the client is told; both sockets are registered for input already."""
        self._client.adopt()
        self._server.adopt()
        self.open()
        self._to_client(answer)

    # ---- from the client ----------------------------------------------------------

    def _on_client(self, events: int) -> None:
        if events != READ and not self._client_is_readable(events):
            return
        try:
            count = self._receive(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._end(End.CLIENT_GONE)
            return
        self.traffic.client_bytes_in += count
        buffer = self._buffer
        header, command = _HEADER(buffer)
        if (
            header == count - 4  # its sequence number is 0
            and _EXPRESS[command]
            and count > 4
            and self.tracker.ended
            and self._request is None
            and not (self._waiting or self._draining)
        ):
            self._arrived = clock()
            upstream = self._choose(buffer, count)
            if upstream is None:
                self._leave(bytes(self._view[:count]))
                return
            if upstream is not self.upstream:
                self.use(upstream)
            self.tracker.begin(command)
            try:
                sent = self._submit(self._view[:count])
            except BlockingIOError:
                sent = 0
            except OSError as exc:
                self._server_lost(exc, whole=False)
                return
            self._sent, self._asked = clock(), count
            if sent != count:
                self._server.owe(self._view[sent:count])
                self._client.read_on(False)
        elif self._request is not None:
            self._request_bytes(count)
        else:
            self._queue_command(count)

    def _client_is_readable(self, events: int) -> bool:
        """Deal with room and breakage; answer whether there is input to read."""
        if events & WRITE:
            try:
                flushed = self._client.flush()
            except OSError:
                self._end(End.CLIENT_GONE)
                return False
            if flushed:
                if self.upstream is not None:
                    self._server.read_on(True)
                if self._waiting:
                    self._next_command()
                elif self._draining and self._sentence is None:
                    self.drain()
        if events & BROKEN and not events & READ:
            self._end(End.CLIENT_GONE)
        return bool(events & READ) and self._open and self._client.reading

    def _queue_command(self, count: int) -> None:
        self._waiting += bytes(self._view[:count])
        if self.tracker.ended:
            self._next_command()
        if len(self._waiting) >= _WAITING_LIMIT:
            self._client.read_on(False)

    def _next_command(self) -> None:
        while (data := self._waiting) and self.tracker.ended and self._request is None and self._open:
            if self._client.owed:  # it goes on when the client has taken the answer before
                return
            try:
                if is_too_short(data, 0 if self._placed else self._routing.looks_at):
                    return
            except ClientProtocolError as exc:
                self._bad_client(exc)
                return
            if self._draining and not self._placed and self._depart(tell_seq=1):
                return
            if not self._placed:
                self._arrived = clock()
            handling = HANDLING[data[4]]
            if handling is Handling.PARK or handling is Handling.REFUSE:
                self._park(data)
                return
            if not self._placed:
                editable = bytearray(data)
                upstream = self._choose(editable, first_packet_end(data))
                data = bytes(editable)
                if upstream is None:
                    self._leave(data)
                    continue
                self.use(upstream)
            self._placed = False
            self._begin_request(data, handling)

    def _begin_request(self, data: bytes, handling: Handling) -> None:
        request = RequestTracker()
        request.begin()
        try:
            stop = request.feed(data, 0, len(data))
        except ProtocolError as exc:
            self._bad_client(exc)
            return
        self._asked, self._waiting = stop, data[stop:]
        if handling is Handling.FORWARD:
            self.tracker.begin(data[4])
        self._request = None if request.complete else request
        self._to_server(data[:stop] if self._waiting else data)
        self._sent = clock()

    def _request_bytes(self, count: int) -> None:
        request = self._request
        assert request is not None
        try:
            stop = request.feed(self._buffer, 0, count)
        except ProtocolError as exc:
            self._bad_client(exc)
            return
        self._waiting += bytes(self._view[stop:count])
        self._to_server(self._view[:stop])
        self._asked += stop
        if request.complete:
            self._request = None
            if self.tracker.pos < 0:  # nothing has been answered yet
                self._sent = clock()
            if self._uploading:
                self._uploading = False
                if self.tracker.wants_upload:  # else the server has refused already
                    self.tracker.uploaded()
        if self._waiting and self._open:
            self._next_command()

    def _to_server(self, data: bytes | memoryview) -> None:
        try:
            if self._open and not self._server.write(data):
                self._client.read_on(False)
        except OSError as exc:
            self._server_lost(exc, whole=False)

    # ---- from the server ------------------------------------------------------------

    def _on_server(self, events: int) -> None:  # noqa: C901  # one straight line: each call would cost 0.1 us
        if events != READ and not self._server_is_readable(events):
            return
        try:
            count = self._reply(self._buffer)
        except BlockingIOError:
            return
        except OSError as exc:
            self._server_lost(exc)
            return
        if not count:
            self._server_lost(None)
            return
        came = self._came = clock()
        traffic, tracker = self.traffic, self.tracker
        before = traffic.server_bytes_in
        traffic.server_bytes_in = before + count
        if tracker.pos < 0:
            self._first, self._before = came, before
        if self.tracker.ended or self._held:
            return self._server_bytes_after_others(count)
        if not (stop := tracker.whole(self._buffer, count)):
            try:
                stop = tracker.feed(self._buffer, 0, count)
            except ProtocolError as exc:
                self._end(End.SERVER_PROTOCOL, exc)
                return
            if tracker.errno and self._withhold(stop):
                stop = 0
        over = tracker.ended and tracker.pos == count
        if answer := tracker.tail if over and not stop else self._view[:stop]:
            try:
                sent = self._respond(answer)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._end(End.CLIENT_GONE)
                return
            if sent != (stop or len(answer)):
                self._client.owe(memoryview(answer)[sent:])
                self._server.read_on(False)
        if over and not (stop and tracker.tail):
            if tracker.errno:
                self._error_over()
                return
            traffic.statements += 1
            self._finish(self._arrived, self._sent, self._first, came)
            if tracker.state or self._waiting or self._draining or self._routing.watching:
                self._response_over()
        elif tracker.tail or tracker.pos != count or tracker.wants_upload:
            self._rest_of_response(self._buffer, count)

    def _server_is_readable(self, events: int) -> bool:
        """Deal with room; answer whether there is input to read (or a breakage)."""
        if events & WRITE:
            try:
                flushed = self._server.flush()
            except OSError as exc:
                self._server_lost(exc)
                return False
            if flushed:
                self._client.read_on(len(self._waiting) < _WAITING_LIMIT)
        return bool(events & (READ | BROKEN)) and self._open and self._server.reading

    def _server_bytes_after_others(self, count: int) -> None:
        if self.tracker.ended:
            self._unasked(count)
            return
        data = bytearray(self._held) if isinstance(self._held, bytes) else self._held  # the tracker may write into it
        data += self._view[:count]
        if 4 <= len(data) < 4 + int.from_bytes(data[:3], "little"):
            self._hold(data)
            return
        self._held = b""
        if self._feed(data, 0, len(data)):
            self._rest_of_response(data, len(data))

    def _rest_of_response(self, buffer: bytearray, end: int) -> None:
        """Go on behind the first stop: rewritten packets, held bytes, the end."""
        tracker = self.tracker
        while self._open:
            if tracker.tail:
                self._to_client(tracker.tail)
            if tracker.wants_upload and not self._uploading:  # a local file comes next, up to an empty packet
                self._request = RequestTracker()
                self._request.begin_upload((tracker.seq + 1) & 0xFF)
                self._uploading = True
            if tracker.held:
                self._hold(bytes(buffer[tracker.pos : end]))
                return
            if tracker.ended:
                if tracker.pos < end:
                    self._unasked(end - tracker.pos)
                elif tracker.errno:
                    self._error_over()
                else:
                    self.traffic.statements += 1
                    self._finish(self._arrived, self._sent, self._first, self._came)
                    self._response_over()
                return
            if (start := tracker.pos) >= end:
                return
            if not self._feed(buffer, start, end):
                return

    def _feed(self, buffer: bytearray, start: int, end: int) -> bool:
        try:
            stop = self.tracker.feed(buffer, start, end)
        except ProtocolError as exc:
            self._end(End.SERVER_PROTOCOL, exc)
            return False
        self._to_client(buffer[start:stop])
        return True

    def _error_over(self) -> None:
        self.traffic.statements += 1
        self.traffic.errors += 1
        if not self._withheld:  # else it may go to another server
            self._finish(self._arrived, self._sent, self._first, self._came, self.tracker.errno)
        if self.tracker.errno in KILLED_ERRNOS:
            self._end(End.KILLED_BY_SERVER)
        else:
            self._response_over()

    def _response_over(self) -> None:
        self._routing.answered()
        if self._routing.account.over:
            self.sentence(End.MEMORY_LIMIT, SessionMemoryExceeded("exceed memory limit: client_max_memory_size"))
        if self._withheld:
            self._fail(Failed(refusal=self._withheld, errno=self.tracker.errno, unanswered=False))
            return
        if self._request is not None or not self._open:
            return
        if self._waiting:
            self._next_command()
            if self._open and not self._server.owed and len(self._waiting) < _WAITING_LIMIT:
                self._client.read_on(True)
        elif self._draining and self._sentence is None:
            self.drain()

    def _to_client(self, data: bytes | bytearray) -> None:
        if not data or not self._open:
            return
        try:
            if not self._client.write(data):
                self._server.read_on(False)
        except OSError:
            self._end(End.CLIENT_GONE)
