"""The open-loop client, a process of its own: ``python -m benchmarks.open_loop --port PORT --rate N …``.

Statements are due at times that no answer can shift: a Poisson process, the same for the same seed.  Each goes to
a connection that is free, or waits for one; its latency counts from the time when it was due, so that a pause of the
proxy is charged to every statement that it kept waiting.  Prints one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import select
import sys
import time
from array import array
from collections import deque
from itertools import accumulate

import msgspec

from benchmarks.cpu import family_cpu_seconds, run_on
from benchmarks.load import Lane, check
from benchmarks.packets import query
from benchmarks.session import Session, WrongAnswer, account_of, add_account

_READ_BYTES = 1 << 16
_STALLED = 30.0
_PR_SET_TIMERSLACK = 29
SHARES = (0.5, 0.95, 0.99, 0.999)


class OpenLoad(msgspec.Struct, frozen=True):
    """What a run came to."""

    requests: int
    seconds: float
    """From the first due time to the last answer."""
    latency_us: tuple[float, ...]
    """At each of ``SHARES``."""
    waited: int
    """Statements for which no connection was free when they were due."""
    watched_cpu: tuple[float, ...]


def due_times(rate: float, seconds: float, seed: int) -> array[int]:
    """Return when statements are due, in ns from the start: on average ``rate`` a second."""
    chance = random.Random(seed)
    gaps = (chance.expovariate(rate) * 1e9 for _ in range(max(1, round(rate * seconds))))
    return array("Q", map(int, accumulate(gaps)))


class OpenLoop:
    """Sends one request over free connections as its times come.  The answer must be ``expected`` each time."""

    def __init__(self, sessions: list[Session], request: bytes, expected: bytes) -> None:
        self._request = request
        self._expected = expected
        self._epoll = select.epoll()
        self._lanes = {session.sock.fileno(): Lane(session) for session in sessions}
        self._free = deque(self._lanes.values())
        self.waited = 0
        for fd in self._lanes:
            self._epoll.register(fd, select.EPOLLIN)

    def run(self, due: array[int]) -> array[int]:
        """Send one request at each due time; return the latencies in ns."""
        latencies: array[int] = array("Q")
        clock, free, epoll = time.perf_counter_ns, self._free, self._epoll
        begun = clock() + 1_000_000
        at, total = 0, len(due)
        while len(latencies) < total:
            now = clock() - begun
            while at < total and free and due[at] <= now:
                lane = free.popleft()
                lane.sent_at = due[at]
                lane.send(self._request)
                at += 1
            if at == total or not free:
                events = epoll.poll(_STALLED)
                if not events:
                    raise WrongAnswer(f"no answer within {_STALLED:g} s")
                self.waited += at < total
            else:
                # An epoll waits for whole milliseconds.
                select.select([epoll], [], [], max(0, due[at] + begun - clock()) / 1e9)
                events = epoll.poll(0)
            for fd, _ in events:
                lane = self._lanes[fd]
                if self._answered(lane):
                    latencies.append(clock() - begun - lane.sent_at)
                    free.append(lane)
        return latencies

    def _answered(self, lane: Lane) -> bool:
        data = lane.recv(_READ_BYTES)
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


def run(arguments: argparse.Namespace) -> OpenLoad:
    """Open the sessions, check the first answer of each, warm up, measure."""
    sessions = [Session(account_of(arguments)) for _ in range(arguments.connections)]
    answers = [session.ask(arguments.sql) for session in sessions]
    for answer in answers:
        check(answer.values, arguments.expect)
    loop = OpenLoop(sessions, query(arguments.sql), answers[0].raw)
    loop.run(due_times(arguments.rate, arguments.warm_up, arguments.seed + 1))
    loop.waited = 0
    due = due_times(arguments.rate, arguments.seconds, arguments.seed)
    before = [family_cpu_seconds(pid) for pid in arguments.watch]
    begun = time.perf_counter()
    latencies = sorted(loop.run(due))
    seconds = time.perf_counter() - begun
    cpu = tuple(family_cpu_seconds(pid) - then for pid, then in zip(arguments.watch, before, strict=True))
    at_shares = tuple(latencies[int(share * (len(latencies) - 1))] / 1e3 for share in SHARES)
    return OpenLoad(len(latencies), seconds, at_shares, loop.waited, cpu)


def main() -> int:
    """Run; exit status 1 with the reason on standard error when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.open_loop", description=__doc__)
    add_account(parser)
    parser.add_argument("--sql", default="select c from t where id=1")
    parser.add_argument("--expect", default="", help="value of the one row of the first answer")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, required=True, help="statements a second")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=0.3, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpu", type=int, help="run on this one")
    parser.add_argument("--watch", type=int, action="append", default=[], metavar="PID")
    arguments = parser.parse_args()
    if arguments.cpu is not None:
        run_on(os.getpid(), {arguments.cpu})
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # timers are else late by 50 us
    try:
        print(msgspec.json.encode(run(arguments)).decode())
    except (WrongAnswer, OSError) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
