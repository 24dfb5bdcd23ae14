"""Clients in threads, for tests of whole processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pymysql

from odp_trio.model import Address
from tests.live.clients import ask


@dataclass
class Visitors:
    """Clients that connect, ask and leave, again and again."""

    served: int = 0
    refused: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Failures behind the connect: of the login, or of a statement."""
    longest: float = 0.0
    stop: bool = False

    def visit(self, address: Address) -> None:
        while not self.stop:
            began = time.monotonic()
            try:
                if ask((address.ip, address.port), "select 1") == ((1,),):
                    self.served += 1
            except (pymysql.err.MySQLError, OSError) as exc:
                (self.refused if "refused" in str(exc) else self.lost).append(str(exc))
            self.longest = max(self.longest, time.monotonic() - began)
            threading.Event().wait(0.01)


@contextmanager
def visitors(address: Address, count: int = 4) -> Iterator[Visitors]:
    load = Visitors()
    threads = [threading.Thread(target=load.visit, args=(address,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop = True
        for thread in threads:
            thread.join()


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.01)


def pair(address: Address) -> tuple[str, int]:
    """The address as PyMySQL wants it."""
    return (address.ip, address.port)
