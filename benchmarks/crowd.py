"""The crowd, a process of its own: ``python -m benchmarks.crowd MODE --port PORT …``.

    logins   K at a time: connect, log in, ask once, leave; prints one JSON object
    storm    N connections begun within some seconds, each logs in, asks once and stays; prints one JSON object
             and waits for the end of its input, then every session asks once more
    trickle  K sessions that ask at times that are fixed beforehand, however long answers take; prints one JSON object

Every answer is checked by its bytes.  Logins have no password.  Times are those of the system's monotonic clock.
"""

from __future__ import annotations

import argparse
import errno
import gc
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence

import msgspec

from benchmarks.cpu import cpu_seconds
from benchmarks.packets import login, packet, query
from benchmarks.session import Account, Session, WrongAnswer, account_of, add_account

_STALLED = 30.0
_READ_BYTES = 1 << 16
_QUIT = packet(0, b"\x01")


class LoginLoad(msgspec.Struct, frozen=True):
    """What many logins came to.  A login lasts from connect() to its OK; CPU seconds are of the watched processes."""

    logins: int
    began: float
    ended: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    watched_cpu: tuple[float, ...]


class Trickle(msgspec.Struct, frozen=True):
    """When each request of a trickle was due, and how long after that its answer was there: seconds, seconds."""

    due: tuple[float, ...]
    late: tuple[float, ...]


class Guest:
    """One connection: from connect() over the greeting and the login to its first answer."""

    __slots__ = ("began", "expected", "got", "logged_in", "sock", "step")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.step = self.greeted
        self.got = b""
        self.expected = b""
        self.logged_in = 0.0
        self.began = time.monotonic()
        if (code := self.sock.connect_ex(address)) not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")

    def greeted(self, crowd: Crowd) -> bool:
        """Answer the greeting when it is whole."""
        if (greeting := self._whole_packet()) is not None:
            if greeting[4] != 0x0A:
                raise WrongAnswer(f"no greeting but {greeting[4:]!r}")
            self.sock.send(crowd.login)
            self.step = self.admitted
        return False

    def admitted(self, crowd: Crowd) -> bool:
        """Ask once when the login is answered."""
        if (answer := self._whole_packet()) is not None:
            if answer[4]:
                raise WrongAnswer(f"the login was answered with {answer[4:]!r}")
            self.logged_in = time.monotonic()
            self.ask(crowd)
        return False

    def ask(self, crowd: Crowd) -> None:
        """Send the statement."""
        self.sock.send(crowd.request)
        self.step = self.answered

    def answered(self, crowd: Crowd) -> bool:
        """Answer whether the answer is there."""
        if len(self.got) < len(crowd.expected):
            return False
        if self.got != crowd.expected:
            raise WrongAnswer(f"expected {crowd.expected!r}, got {self.got!r}")
        self.got = b""
        return True

    def _whole_packet(self) -> bytes | None:
        got = self.got
        if len(got) < 5 or len(got) < 4 + int.from_bytes(got[:3], "little"):
            return None
        self.got = b""
        return got


class Crowd:
    """Many guests in one epoll loop."""

    def __init__(self, account: Account, sql: str, expect: str) -> None:
        first = Session(account)
        answer = first.ask(sql)
        if expect and answer.values != (expect,):
            raise WrongAnswer(f"expected one row {expect!r}, got {answer.values!r}")
        first.close()
        self.request, self.expected = query(sql), answer.raw
        self.login = packet(1, login(account.user, "", account.database, b""))
        self._address = (account.host, account.port)
        self._epoll = select.epoll()
        self.guests: dict[int, Guest] = {}

    def enter(self) -> None:
        """Begin one connection."""
        guest = Guest(self._address)
        self.guests[guest.sock.fileno()] = guest
        self._epoll.register(guest.sock.fileno(), select.EPOLLIN)

    def leave(self, guest: Guest) -> None:
        """Say goodbye on one connection."""
        del self.guests[guest.sock.fileno()]
        guest.sock.send(_QUIT)
        guest.sock.close()

    def ready(self, timeout: float | None = None) -> Iterator[Guest]:
        """Wait for input at most ``timeout`` seconds and yield the guests that have just got an answer."""
        for fd, _ in self._epoll.poll(_STALLED if timeout is None else timeout):
            guest = self.guests[fd]
            data = guest.sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the peer closed a connection")
            guest.got += data
            if guest.step(self):
                yield guest


def run_logins(account: Account, arguments: argparse.Namespace) -> LoginLoad:
    """Log in again and again, ``connections`` at a time."""
    crowd = Crowd(account, arguments.sql, arguments.expect)
    _cycle(crowd, arguments.connections, arguments.warm_up)
    before, began = _watch(arguments.watch), time.monotonic()
    times = _cycle(crowd, arguments.connections, arguments.requests)
    return _login_load(times, began, time.monotonic(), before, arguments.watch)


def _cycle(crowd: Crowd, at_a_time: int, count: int) -> array[float]:
    times: array[float] = array("d")
    begun = min(at_a_time, count)
    for _ in range(begun):
        crowd.enter()
    while crowd.guests:
        for guest in crowd.ready():
            times.append(guest.logged_in - guest.began)
            crowd.leave(guest)
            if begun < count:
                begun += 1
                crowd.enter()
    return times


def run_storm(account: Account, arguments: argparse.Namespace) -> LoginLoad:
    """Begin ``connections`` logins, spread over ``seconds``; all stay until standard input ends."""
    crowd = Crowd(account, arguments.sql, arguments.expect)
    gc.disable()
    count, pace = arguments.connections, arguments.seconds / arguments.connections
    before, began = _watch(arguments.watch), time.monotonic()
    times: array[float] = array("d")
    begun = 0
    while len(times) < count:
        now = time.monotonic()
        while begun < count and now >= began + begun * pace:
            crowd.enter()
            begun += 1
        wait = max(0.0, began + begun * pace - time.monotonic()) if begun < count else None
        times.extend(guest.logged_in - guest.began for guest in crowd.ready(wait))
        if time.monotonic() - began > _STALLED + arguments.seconds:
            raise WrongAnswer(f"{len(times)} of {count} logins have been answered")
    load = _login_load(times, began, time.monotonic(), before, arguments.watch)
    print(msgspec.json.encode(load).decode(), flush=True)
    sys.stdin.read()
    for guest in tuple(crowd.guests.values()):
        guest.ask(crowd)
        while guest not in crowd.ready():
            pass
    for guest in tuple(crowd.guests.values()):
        crowd.leave(guest)
    return load


def _login_load(
    times: array[float], began: float, ended: float, before: Sequence[float], watch: list[int]
) -> LoginLoad:
    ordered = sorted(times)
    p50, p99, most = (ordered[int(share * (len(ordered) - 1))] * 1e3 for share in (0.5, 0.99, 1.0))
    cpu = tuple(end - begin for begin, end in zip(before, _watch(watch), strict=True))
    return LoginLoad(len(ordered), began, ended, p50, p99, most, cpu)


def run_trickle(account: Account, arguments: argparse.Namespace) -> Trickle:
    """Ask at fixed times: ``rate`` requests a second over all sessions, for ``seconds``.

    A session that has no answer yet asks its next one when it has: the time since it was due counts.
    """
    crowd = Crowd(account, arguments.sql, arguments.expect)
    for _ in range(arguments.connections):
        crowd.enter()
    idle: list[Guest] = []
    while len(idle) < arguments.connections:
        idle += crowd.ready()
    gc.disable()
    print("ready", file=sys.stderr, flush=True)
    count, pace = int(arguments.rate * arguments.seconds), 1 / arguments.rate
    began = time.monotonic()
    asked: dict[int, float] = {}
    due: list[float] = []
    late: list[float] = []
    begun = 0
    while len(due) < count:
        while begun < count and idle and time.monotonic() >= (at := began + begun * pace):
            guest = idle.pop(0)
            asked[guest.sock.fileno()] = at
            guest.ask(crowd)
            begun += 1
        wait = max(0.0, began + begun * pace - time.monotonic()) if begun < count and idle else None
        for guest in crowd.ready(wait):
            due.append(at := asked.pop(guest.sock.fileno()))
            late.append(time.monotonic() - at)
            idle.append(guest)
    return Trickle(tuple(due), tuple(late))


def _watch(pids: list[int]) -> list[float]:
    return [cpu_seconds(pid) for pid in pids]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("mode", choices=("logins", "storm", "trickle"))
    add_account(parser)
    parser.add_argument("--sql", default="select c from t where id=1")
    parser.add_argument("--expect", default="", help="value of the one row of the answer")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1000, help="logins")
    parser.add_argument("--warm-up", type=int, default=100, help="logins before those that count")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second of a trickle")
    parser.add_argument("--watch", type=int, action="append", default=[], metavar="PID")
    return parser.parse_args(arguments)


def main() -> int:
    """Run one mode; exit status 1 with the reason on standard error when an answer was wrong."""
    arguments = parse(sys.argv[1:])
    account = account_of(arguments)
    modes: dict[str, Callable[[], LoginLoad | Trickle]] = {
        "logins": lambda: run_logins(account, arguments),
        "storm": lambda: run_storm(account, arguments),
        "trickle": lambda: run_trickle(account, arguments),
    }
    try:
        outcome = modes[arguments.mode]()
    except (WrongAnswer, OSError) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    if arguments.mode != "storm":
        print(msgspec.json.encode(outcome).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
