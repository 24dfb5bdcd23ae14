"""The load client, a process of its own: ``python -m benchmarks.load MODE --port PORT …``.

    point   N connections in one epoll loop, each asking one statement again and again; prints one JSON object
    big     one connection, one big result, read and discarded; prints one JSON object
    idle    N logged-in sessions that have asked once; prints ``ready`` and waits for the end of its input

Every answer is checked: the first one by its value, the others by being equal to the first.
"""

from __future__ import annotations

import argparse
import os
import select
import ssl
import sys
import time
import zlib
from array import array
from collections.abc import Callable, Sequence
from itertools import cycle
from random import Random

import msgspec

from benchmarks.cpu import family_cpu_seconds, run_on
from benchmarks.packets import execute, query
from benchmarks.session import Account, Answer, Session, WrongAnswer, account_of, add_account

_STALLED = 30.0
_READ_BYTES = 1 << 18
_VARIANTS = 200_000
_FIRST_TABLE = "00000"
"""How a text names the first of many tables."""


class PointLoad(msgspec.Struct, frozen=True):
    """What a run of small statements came to.  CPU seconds are those of the watched processes and their children."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    watched_cpu: tuple[float, ...]
    own_cpu: float
    fewest: int = 0
    """Answers that one session got, of all sessions."""
    mean: float = 0.0
    most: int = 0


class BigLoad(msgspec.Struct, frozen=True):
    """What one big result came to."""

    bytes: int
    seconds: float
    checksum: int
    """Adler-32 of all bytes; 1 when none was asked for."""
    watched_cpu: tuple[float, ...]
    own_cpu: float


class Lane:
    """One connection of a closed loop."""

    __slots__ = ("answers", "partial", "recv", "send", "sent_at")

    def __init__(self, session: Session) -> None:
        session.sock.setblocking(False)
        self.recv = session.sock.recv
        self.send = session.sock.send
        self.partial = b""
        self.sent_at = self.answers = 0


class ClosedLoop:
    """Sends a request on every session as soon as its last answer is in."""

    def __init__(self, sessions: list[Session], requests: Sequence[bytes], expected: bytes) -> None:
        self._requests = cycle(requests)
        self._expected = expected
        self._epoll = select.epoll()
        self._lanes = {session.sock.fileno(): Lane(session) for session in sessions}
        for fd in self._lanes:
            self._epoll.register(fd, select.EPOLLIN)

    def run(self, seconds: float, requests: int) -> tuple[float, array[int]]:
        """Load for so long or so often, whichever is less; return the time and each latency in ns."""
        latencies: array[int] = array("Q")
        clock = time.perf_counter_ns
        begun = clock()
        stop = begun + int(seconds * 1e9)
        for lane in self._lanes.values():
            lane.answers = 0
            lane.sent_at = clock()
            lane.send(next(self._requests))
        busy = len(self._lanes)
        while busy:
            events = self._epoll.poll(_STALLED)
            if not events:
                raise WrongAnswer(f"no answer within {_STALLED:g} s")
            for fd, _ in events:
                lane = self._lanes[fd]
                if not self._answered(lane):
                    continue
                now = clock()
                lane.answers += 1
                latencies.append(now - lane.sent_at)
                if now < stop and len(latencies) + busy <= requests:
                    lane.sent_at = now
                    lane.send(next(self._requests))
                else:
                    busy -= 1
        return (clock() - begun) / 1e9, latencies

    def answers(self) -> list[int]:
        """How many answers each session has got in the last run, in order of their numbers."""
        return sorted(lane.answers for lane in self._lanes.values())

    def _answered(self, lane: Lane) -> bool:
        """Whether the answer is complete; raise WrongAnswer if it is another than the first."""
        try:
            data = lane.recv(_READ_BYTES)
        except ssl.SSLWantReadError:  # session tickets
            return False
        if data == self._expected and not lane.partial:
            return True
        if not data:
            raise ConnectionResetError("the peer closed the connection under load")
        lane.partial += data
        if len(lane.partial) < len(self._expected):
            return False
        if lane.partial != self._expected:
            raise WrongAnswer(f"expected {self._expected!r}, got {lane.partial!r}")
        lane.partial = b""
        return True


def run_point(account: Account, arguments: argparse.Namespace) -> PointLoad:
    """Open the sessions, check the first answer, warm up, measure."""
    sessions = [Session(account) for _ in range(arguments.connections)]
    request, first = _prepare(sessions, arguments) if "?" in arguments.sql else _ask(sessions, arguments)
    check(first.values, arguments.expect)
    loop = ClosedLoop(sessions, _variants(sessions[0], arguments) or (request,), first.raw)
    loop.run(arguments.warm_up, arguments.requests)
    before, own = _watch(arguments.watch), time.process_time()
    seconds, latencies = loop.run(arguments.seconds, arguments.requests)
    own, after = time.process_time() - own, _watch(arguments.watch)
    ordered = sorted(latencies)
    p50, p99, p999 = (ordered[int(share * (len(ordered) - 1))] / 1e3 for share in (0.5, 0.99, 0.999))
    watched = tuple(end - begin for begin, end in zip(before, after, strict=True))
    answers = loop.answers()
    spread = (answers[0], len(ordered) / len(answers), answers[-1])
    return PointLoad(len(ordered), seconds, p50, p99, p999, watched, own, *spread)


def _ask(sessions: list[Session], arguments: argparse.Namespace) -> tuple[bytes, Answer]:
    """Return the request that all sessions send, and its answer."""
    return sessions[0].framed(query(arguments.sql)), sessions[0].ask(arguments.sql)


def _variants(session: Session, arguments: argparse.Namespace) -> list[bytes]:
    """Return the same request on many tables, in any order, the same each time; none for a text of one table."""
    if arguments.tables < 2:
        return []
    chance = Random(0)
    numbers = (chance.randrange(arguments.tables) for _ in range(min(_VARIANTS, 10 * arguments.tables)))
    return [session.framed(query(arguments.sql.replace(_FIRST_TABLE, f"{number:05d}"))) for number in numbers]


def _prepare(sessions: list[Session], arguments: argparse.Namespace) -> tuple[bytes, Answer]:
    """Prepare the statement on all sessions and execute it once with types; later executions have none."""
    statements = {session.prepare(arguments.sql) for session in sessions}
    if len(statements) != 1:
        raise WrongAnswer(f"the sessions have different numbers for their only statement: {statements}")
    (statement,) = statements
    answers = [session.execute(statement, arguments.value) for session in sessions]
    return sessions[0].framed(execute(statement, (arguments.value,))), answers[0]


def run_big(account: Account, arguments: argparse.Namespace) -> BigLoad:
    """Ask for the big result once, and read until its last packet is in."""
    session = Session(account)
    before, own = _watch(arguments.watch), time.process_time()
    begun = time.perf_counter()
    size, checksum = read_big(session, arguments.sql, arguments.bytes, checked=arguments.check)
    seconds = time.perf_counter() - begun
    own, after = time.process_time() - own, _watch(arguments.watch)
    if session.ask("select 1").values != ("1",):
        raise WrongAnswer("the session is out of step behind a big result")
    watched = tuple(end - begin for begin, end in zip(before, after, strict=True))
    return BigLoad(size, seconds, checksum, watched, own)


def read_big(session: Session, sql: str, size: int, *, checked: bool) -> tuple[int, int]:
    """Read an answer of ``size`` bytes; return that and the Adler-32 of it all (1 unless ``checked``)."""
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    session.sock.sendall(session.framed(query(sql)))
    received, checksum, tail = 0, 1, b""
    while received < size:
        count = session.recv_into(buffer, min(_READ_BYTES, size - received))
        if not count:
            raise ConnectionResetError("the peer closed the connection within a big result")
        received += count
        if checked:
            checksum = zlib.adler32(view[:count], checksum)
        tail = (tail + buffer[max(0, count - 9) : count])[-9:]
    if tail[:3] + tail[4:7] != b"\x05\0\0\xfe\0\0":
        raise WrongAnswer(f"a big result ends with {tail!r} and not with an EOF packet")
    return received, checksum


def run_idle(account: Account, arguments: argparse.Namespace) -> None:
    """Hold the sessions until standard input ends."""
    sessions = [Session(account) for _ in range(arguments.connections)]
    for session in sessions:
        check(session.ask(arguments.sql).values, arguments.expect)
    print("ready", flush=True)
    sys.stdin.read()
    check(sessions[-1].ask(arguments.sql).values, arguments.expect)
    for session in sessions:
        session.close()


def check(values: tuple[str, ...], expected: str) -> None:
    """Raise WrongAnswer unless the first column is one row of ``expected``."""
    if expected and values != (expected,):
        raise WrongAnswer(f"expected one row {expected!r}, got {values!r}")


def _watch(pids: list[int]) -> list[float]:
    return [family_cpu_seconds(pid) for pid in pids]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("mode", choices=("point", "big", "idle"))
    add_account(parser)
    parser.add_argument("--sql", default="select c from t where id=1")
    parser.add_argument(
        "--tables", type=int, default=1, help=f"random ones of so many: the number takes the place of {_FIRST_TABLE}"
    )
    parser.add_argument("--value", type=int, default=1, help="of the parameter, if the statement has one: prepared")
    parser.add_argument("--expect", default="", help="value of the one row of the first answer")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--bytes", type=int, default=0, help="length of a big answer")
    parser.add_argument("--check", action="store_true", help="add up the bytes of a big answer")
    parser.add_argument("--cpu", type=int, help="run on this one")
    parser.add_argument("--watch", type=int, action="append", default=[], metavar="PID")
    return parser.parse_args(arguments)


def main() -> int:
    """Run one mode; exit status 1 with the reason on standard error when an answer was wrong."""
    arguments = parse(sys.argv[1:])
    if arguments.cpu is not None:
        run_on(os.getpid(), {arguments.cpu})
    account = account_of(arguments)
    modes: dict[str, Callable[[], PointLoad | BigLoad | None]] = {
        "point": lambda: run_point(account, arguments),
        "big": lambda: run_big(account, arguments),
        "idle": lambda: run_idle(account, arguments),
    }
    try:
        outcome = modes[arguments.mode]()
    except (WrongAnswer, OSError) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    if outcome is not None:
        print(msgspec.json.encode(outcome).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
