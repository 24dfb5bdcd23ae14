"""How a lane ends, and how the statement on it fails: once each, told to the session's task.

A lane ends for good when the client or the protocol is gone.  A statement that
has lost its server, or that a server would not run, may go elsewhere: then the
lane stops with ``Failed`` and is opened again when that has been ruled on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from odp_trio.errors import ClientProtocolError, ProtocolError, ServerProtocolError, SessionMemoryExceeded
from odp_trio.net.leg import Leg
from odp_trio.net.reactor import Reactor
from odp_trio.net.stream import Stream
from odp_trio.observe import Traffic
from odp_trio.session.events import Ended, EventBox, Failed, Parked, server_lost
from odp_trio.session.ports import Measures
from odp_trio.session.reasons import End, ServerEnd, server_end
from odp_trio.session.server_set import Routing, Upstream
from odp_trio.wire.command import RequestTracker
from odp_trio.wire.phases import Phase
from odp_trio.wire.response import ResponseTracker

_ERR: Final = 0xFF


class Ending:
    """The part of a lane that is about its end; ``Lane`` is the rest."""

    # fmt: off
    __slots__ = (
        "_arrived", "_asked", "_before", "_came", "_client", "_draining", "_first", "_held", "_meter", "_open",
        "_request", "_routing", "_sent", "_sentence", "_server", "_uploading", "_view", "_waiting", "_withheld",
        "events", "tracker", "traffic", "upstream",
    )
    # fmt: on
    _server: Leg

    def __init__(
        self,
        reactor: Reactor,
        client: Stream,
        tracker: ResponseTracker,
        traffic: Traffic,
        routing: Routing,
        meter: Measures,
    ) -> None:
        self._view = reactor.view
        self._client = Leg(reactor, client, self._on_client, self.crash)
        self.upstream: Upstream | None = None
        self.tracker, self.traffic, self._routing, self._meter = tracker, traffic, routing, meter
        self._arrived = self._sent = self._first = self._came = 0  # of the running statement, or the last: in ns
        self._asked = self._before = 0  # its bytes; those of answers before it
        self._open = self._draining = self._uploading = False
        self._request: RequestTracker | None = None
        self._waiting = self._withheld = b""
        self._held: bytes | bytearray = b""
        self._sentence: Ended | None = None
        self.events = EventBox(reactor)

    def _on_client(self, events: int) -> None:
        raise NotImplementedError

    def tell_of_client(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once, when the client speaks next, before it is read: no cost for any other statement."""
        self._client.redirect(partial(self._client_speaks, tell), self.crash)

    def _client_speaks(self, tell: Callable[[], None], events: int) -> None:
        self._client.redirect(self._on_client, self.crash)
        tell()
        self._on_client(events)

    def close(self) -> None:
        """Unregister the sockets; may be called at any time, before they are closed."""
        self._open = False
        self._client.close()
        if self.upstream is not None:
            self._server.close()

    def drop(self) -> None:
        """Close for good: what a session is made of goes with its last reference, and is no work for the collector."""
        self.close()
        self._client.drop()
        self.events.unheard = None

    def drain(self) -> None:
        """End at the next moment outside a transaction at which no statement is running."""
        self._draining = True
        if self._open and not self.busy:
            self._depart()

    def _depart(self, tell_seq: int = 0) -> bool:
        """Nothing is running: end if that is due; answer whether it was."""
        if self._sentence is not None:
            self._end(self._sentence.why, self._sentence.error, tell_seq=tell_seq)
        elif not self.in_transaction:
            self._end(End.DRAINED, tell_seq=tell_seq)
        return not self._open

    def sentence(self, why: End, error: Exception) -> None:
        """The session may not go on: its next command is answered with the error, and it ends.

        The answer that is on its way is not touched.  Who asks nothing more is ended by ``carry_out``.
        """
        if self._sentence is None:
            self._sentence = Ended(why, error)
            self._draining = True

    def carry_out(self) -> bool:
        """End a session under sentence now, if no statement is running; answer whether it is under sentence."""
        if self._sentence is not None and self._open and not self.busy:
            self._depart()
        return self._sentence is not None

    def _hold(self, data: bytes | bytearray) -> None:
        """Keep the beginning of a packet that must be seen whole; a longer one than a session may have ends it."""
        self._held = data
        limit = self._routing.account.limit
        if len(data) >= 4 and int.from_bytes(data[:3], "little") > limit:
            error = SessionMemoryExceeded(f"exceed memory limit: an answer to be kept is longer than {limit} bytes")
            # In its place an ERR packet may come, unless the client has its whole answer.
            self._end(End.MEMORY_LIMIT, error, tell_seq=None if self.tracker.phase is Phase.EXTRA_OK else data[3])

    @property
    def in_transaction(self) -> bool:
        """Whether the client believes that a transaction is open."""
        return self.tracker.in_transaction or self._routing.holds_transaction

    @property
    def busy(self) -> bool:
        """Whether a statement is running, or its answer is still on its way to the client."""
        return not self.tracker.ended or self._request is not None or bool(self._client.owed)

    @property
    def is_open(self) -> bool:
        """Whether it forwards; else the session's task is at work."""
        return self._open

    @property
    def owed(self) -> bytes:
        """What the client has not taken yet; another object whenever it has taken some of it."""
        return self._client.owed

    @property
    def owed_to_server(self) -> bytes:
        """What the server has not taken yet; another object whenever it has taken some of it."""
        return b"" if self.upstream is None else self._server.owed

    @property
    def kept_bytes(self) -> int:
        """What is on its way and waits here."""
        owed = len(self._client.owed) + len(self.owed_to_server)
        return owed + len(self._waiting) + len(self._held) + len(self._withheld)

    @property
    def request_bytes(self) -> int:
        """What has come of the running command, or of the last one."""
        return self._asked

    @property
    def response_bytes(self) -> int:
        """What the server has answered to it."""
        return self.traffic.server_bytes_in - self._before

    def answered_here(self, answer: bytes) -> None:
        """The running statement was answered by the proxy, after all or at once."""
        self._meter.answered_here(self._arrived, answer)

    @property
    def receives(self) -> bool:
        """Whether the client is to go on with the running command, or with a local file that it sends."""
        return self._request is not None

    @property
    def unanswered(self) -> bool:
        """Whether a statement is running of which nothing has been answered."""
        return not self.tracker.ended and self.tracker.pos < 0 and not self._held and self._request is None

    @property
    def half_read(self) -> bool:
        """Whether the client has sent a part of a command and no more."""
        return self._request is not None or bool(self._waiting)

    def end(self, why: End) -> None:
        """End because of a time-out."""
        self._end(why)

    def crash(self, error: Exception) -> None:
        """End with ``error``, which the session's task then raises, unless the client has caused it: by its framing."""
        if isinstance(error, ClientProtocolError):
            self._bad_client(error)
        else:
            self._end(End.CRASHED, error)

    def server_dead(self, error: Exception) -> None:
        """The server in use will not answer: do as if its connection had been lost."""
        if self._open and self.upstream is not None:
            self._server_lost(error)

    def _end(self, why: End, error: Exception | None = None, *, tell_seq: int | None = None) -> None:
        if self._open:
            self.close()
            self.events.put(Ended(why, error, tell_seq))

    def _bad_client(self, error: ProtocolError) -> None:
        self._end(End.CLIENT_PROTOCOL, error, tell_seq=1 if self.tracker.ended else None)

    def _unasked(self, count: int) -> None:  # it is about to close: a killed session, a shutdown
        self._end(End.SERVER_PROTOCOL, ServerProtocolError(f"{count} bytes that no command asked for"))

    def _park(self, data: bytes) -> None:
        """Leave a command to the session's task."""
        self._waiting = b""
        self.close()
        self.events.put(Parked(data[4], data))

    def _server_lost(self, error: Exception | None, *, whole: bool = True) -> None:
        """The connection in use is of no use any more; ``whole`` is false if the last bytes for it were not sent."""
        if not self.tracker.ended:
            unanswered = self.tracker.pos < 0 and not self._held
            self._fail(Failed(server_lost(error), unanswered=unanswered, whole=whole))
            return
        lost, upstream = server_lost(error), self.upstream
        why = server_end(error, ServerEnd.CLOSED_IDLE)
        if not self.tracker.in_transaction and upstream is not None and self._routing.lost(upstream, why, str(lost)):
            self.upstream = None
            return
        self._end(End.SERVER_GONE, lost)

    def _fail(self, failed: Failed) -> None:
        """Let the session's task rule on the running statement."""
        if not self._open:
            return
        whole = failed.whole and self._request is None and not self._server.owed
        received = self._request is None and not self._uploading
        waiting, self._waiting = self._waiting, b""
        self.close()
        self._request, self._uploading, self._held, self._withheld = None, False, b"", b""
        self.events.put(msgspec.structs.replace(failed, whole=whole, received=received, waiting=waiting))

    def _withhold(self, stop: int) -> bool:
        """Keep back an answer that is an error after which the statement may go elsewhere."""
        if not self.tracker.error_first or self._view[4] != _ERR or self._request is not None or self._uploading:
            return False
        if self._withheld or not self._routing.withholds(self.tracker.errno):
            return False
        self._withheld = bytes(self._view[:stop])
        return True
