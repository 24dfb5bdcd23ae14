"""The express lane alone: one process, socket pairs in place of the client and of the server.

What is timed is all that the proxy does for a request, from one sleep to the next, while 16 sessions have asked at
once: two receives, two sends and an eighth of a poll are the kernel's; ``bare kernel calls`` are the same, called from
Python with nothing between them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import perf_counter, perf_counter_ns
from typing import Final

from benchmarks.canned_answers import POINT_VALUE
from benchmarks.figures import Sample
from benchmarks.packets import column, execute, packet, query, text, text_row
from benchmarks.routing import World, client_state, copied, open_router
from odp_trio.net.reactor import BUFFER_BYTES, Reactor
from odp_trio.observe import StatementTable, StatementWatch, Traffic
from odp_trio.session.lane import Lane
from odp_trio.session.measuring import Meter
from odp_trio.session.ports import UNMEASURED
from odp_trio.session.server_set import Upstream
from odp_trio.session.services import Session
from odp_trio.session.upstream import ServerSession
from odp_trio.state.login_answers import LoginAnswer

SESSIONS: Final = 16
_IN_TRANSACTION: Final = 3
_Exchange = tuple[bytes, bytes]
"""A request, and what the server answers."""


def _rows(row: bytes, status: int = 2) -> bytes:
    ended = b"\xfe\0\0" + status.to_bytes(2, "little")
    extra = b"\0\0\0" + (status | 0x20).to_bytes(2, "little") + b"\0\0\0"
    payloads = (b"\x01", column("c"), ended, row, ended, extra)
    return b"".join(packet(number, payload) for number, payload in enumerate(payloads, 1))


def _done(rows: int, status: int = 2, info: bytes = b"") -> bytes:
    return packet(1, bytes((0, rows, 0)) + status.to_bytes(2, "little") + b"\0\0" + (text(info) if info else b"\0"))


_ROW: Final = text_row([POINT_VALUE])
_POINT: Final = _rows(_ROW)
_INSERT: Final = "INSERT INTO t0 (id, k, c, pad) VALUES (%d, 4711, '" + POINT_VALUE + "', '" + POINT_VALUE[:59] + "')"
_CHANGED: Final = b" Rows matched: 1  Changed: 1  Warnings: 0"
_MIXED: Final = (
    *[("SELECT c FROM t0 WHERE id=%d", _rows(_ROW, _IN_TRANSACTION))] * 10,
    ("SELECT c FROM t0 WHERE id BETWEEN %d AND 5100", _rows(_ROW, _IN_TRANSACTION)),
    ("SELECT SUM(k) FROM t0 WHERE id BETWEEN %d AND 5100", _rows(text_row(["505050"]), _IN_TRANSACTION)),
    ("SELECT c FROM t0 WHERE id BETWEEN %d AND 5100 ORDER BY c", _rows(_ROW, _IN_TRANSACTION)),
    ("SELECT DISTINCT c FROM t0 WHERE id BETWEEN %d AND 5100 ORDER BY c", _rows(_ROW, _IN_TRANSACTION)),
    ("UPDATE t0 SET k=k+1 WHERE id=%d", _done(1, _IN_TRANSACTION, _CHANGED)),
    ("UPDATE t0 SET c='" + POINT_VALUE + "' WHERE id=%d", _done(1, _IN_TRANSACTION, _CHANGED)),
    ("DELETE FROM t0 WHERE id=%d", _done(1, _IN_TRANSACTION)),
    (_INSERT, _done(1, _IN_TRANSACTION)),
)
"""What sysbench's oltp_read_write does within a transaction, on a table without partitions."""


def _asked(text: str, answer: bytes) -> list[_Exchange]:
    return [(query(text % number), answer) for number in range(5000, 5100)]


SCENARIOS: Final[dict[str, list[_Exchange]]] = {
    "point select": _asked("SELECT c FROM t0 WHERE id=%d", _POINT),
    "point selects over 10 tables": [
        (query(f"SELECT c FROM t{number % 10 * 3} WHERE id={number}"), _POINT) for number in range(5000, 5100)
    ],
    "prepared point select": [
        (execute(1, (number,)), _rows(b"\0\0" + text(POINT_VALUE.encode()))) for number in range(5000, 5100)
    ],
    "insert": _asked(_INSERT, _done(1)),
    "within a transaction": [(query(text % (5000 + at)), answer) for at, (text, answer) in enumerate(_MIXED)],
}


class Pair:
    """One session, logged in: the client's end of it and the server's, and the lane between them."""

    def __init__(self, reactor: Reactor, world: World, *, measured: bool) -> None:
        world.state = client_state()
        self.client, client = socket.socketpair()
        self.server, server = socket.socketpair()
        self.sockets = (self.client, client, self.server, server)
        for sock in self.sockets:
            sock.setblocking(False)
        self.router = router = open_router(world)
        router.servers.by_address.clear()
        session = ServerSession(world.view.tenant_servers[0], server, server, 1, LoginAnswer(_LOGGED_IN))
        self.upstream = Upstream(session, reactor, router.servers.closed_idle)
        self.upstream.state.database = world.state.database
        router.servers.add(self.upstream)
        copied(world, router)
        tenant = StatementTable(lambda: 100).tenant("demo", "sys")
        meter = Meter(_NOBODY, router, tenant, StatementWatch(), lambda: 0) if measured else UNMEASURED
        self.lane = Lane(reactor, client, self.upstream, router.tracker, Traffic(), router, meter)
        self.lane.open()

    def close(self) -> None:
        """Close all four sockets."""
        self.lane.close()
        for sock in self.sockets:
            sock.close()


_LOGGED_IN = b"\0\0\0\x02\0\0\0"
_NOBODY: Session = None  # type: ignore[assignment]  # is asked for records only, which nobody wants


class Rig:
    """So many sessions of one proxy, that ask at once and are answered at once."""

    def __init__(self, stack: ExitStack, *, measured: bool = True) -> None:
        self.reactor = Reactor()
        stack.callback(self.reactor.close)
        world = World(30)  # one and the same server leads every third table
        self.pairs = [Pair(self.reactor, world, measured=measured) for _ in range(SESSIONS)]
        for pair in self.pairs:
            stack.callback(pair.close)

    def run(self, exchanges: list[_Exchange], batches: int) -> list[int]:
        """Let every session ask so many times, in turn; return what each batch took, in ns."""
        turn, pairs, times = self.reactor.before_io_wait, self.pairs, []
        buffer = bytearray(BUFFER_BYTES)
        for number in range(batches):
            request, answer = exchanges[number % len(exchanges)]
            for pair in pairs:
                pair.client.send(request)
            begun = perf_counter_ns()
            turn(0)
            asked = perf_counter_ns()
            for pair in pairs:
                pair.server.recv_into(buffer)
                pair.server.send(answer)
            told = perf_counter_ns()
            turn(0)
            times.append(perf_counter_ns() - told + asked - begun)
            for pair in pairs:
                pair.client.recv_into(buffer)
        return times


def bare(stack: ExitStack, exchanges: list[_Exchange], batches: int) -> list[int]:
    """Make the calls of the kernel for so many batches, and nothing else; return what each took, in ns."""
    reactor = Reactor()
    stack.callback(reactor.close)
    left = [stack.enter_context(sock) for _ in range(SESSIONS) for sock in socket.socketpair()]
    right = [stack.enter_context(sock) for _ in range(SESSIONS) for sock in socket.socketpair()]
    for sock in (*left, *right):
        sock.setblocking(False)
    calls: dict[int, Callable[[], object]] = {}

    def relay(source: socket.socket, target: socket.socket) -> Callable[[], object]:
        receive, send, buffer, view = source.recv_into, target.send, reactor.buffer, reactor.view
        return lambda: send(view[: receive(buffer)])

    for client, server in zip(left[1::2], right[1::2], strict=True):
        for source, target in ((client, server), (server, client)):
            reactor.register(source.fileno(), lambda _: None, lambda _: None)
            calls[source.fileno()] = relay(source, target)
    poll, times, buffer = reactor._epoll.poll, [], bytearray(BUFFER_BYTES)

    def turn() -> int:
        begun = perf_counter_ns()
        for fd, _ in poll(0, 64):
            calls[fd]()
        return perf_counter_ns() - begun

    for number in range(batches):
        request, answer = exchanges[number % len(exchanges)]
        for sock in left[::2]:
            sock.send(request)
        took = turn()
        for sock in right[::2]:
            sock.recv_into(buffer)
            sock.send(answer)
        times.append(took + turn())
        for sock in left[::2]:
            sock.recv_into(buffer)
    return times


def measure(seconds: float) -> Iterator[Sample]:
    """Time each kind of request for about so long."""
    with ExitStack() as stack:
        rig, unmeasured = Rig(stack), Rig(stack, measured=False)
        point = SCENARIOS["point select"]
        yield _sample("bare kernel calls", lambda batches: bare(stack, point, batches), seconds)
        yield _sample("point select, no metrics", lambda batches: unmeasured.run(point, batches), seconds)
        for name, exchanges in SCENARIOS.items():
            yield _sample(name, lambda batches: rig.run(exchanges, batches), seconds)  # noqa: B023


def _sample(metric: str, run: Callable[[int], list[int]], seconds: float) -> Sample:
    """Return the median over the batches, for one request."""
    times = run(200)
    stop = perf_counter() + seconds
    while perf_counter() < stop:
        times += run(200)
    return Sample("lane alone", metric, "µs/request", "odp_trio", sorted(times)[len(times) // 2] / SESSIONS / 1e3)
