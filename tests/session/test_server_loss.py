"""What is seen of servers by looking at sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from odp_trio.model import Address
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.server_loss import Answers, leave, working

A, B = Address("10.0.0.1", 2881), Address("10.0.0.2", 2881)


class One:
    """A session as far as looking goes."""

    def __init__(self, address: Address, text: bytes = b"select 1") -> None:
        self.destination = SimpleNamespace(key="demo")
        self.upstream = SimpleNamespace(address=address)
        self.lane = SimpleNamespace(
            upstream=self.upstream, busy=False, tracker=SimpleNamespace(ended=True, in_transaction=False)
        )
        self.dropped: list[Address] = []
        self.bound = False
        servers = SimpleNamespace(by_address={address: self.upstream})
        state = SimpleNamespace(coordinator=None)
        self.router = SimpleNamespace(text=bytearray(text), servers=servers, state=state, lost=self._lost)
        self.state = "active"

    def _lost(self, upstream: Any, why: ServerEnd) -> bool:
        if not self.bound:
            self.dropped.append(upstream.address)
        return not self.bound

    def run(self, text: bytes) -> None:
        self.router.text = bytearray(text)
        self.lane.tracker.ended, self.lane.busy = False, True

    def end(self) -> None:
        self.lane.tracker.ended, self.lane.busy = True, False


def look(answers: Answers, *sessions: One) -> set[tuple[str, Address]]:
    table: Any = dict(enumerate(sessions))
    return answers.look(table, {"demo": {A}})


def test_a_session_that_moves_on_has_had_an_answer() -> None:
    answers, one = Answers(), One(A)
    assert look(answers, one) == set(), "the first look only remembers"
    assert look(answers, one) == set(), "nothing has happened"
    one.run(b"select 2")
    assert look(answers, one) == {("demo", A)}, "the one before was answered"
    assert look(answers, one) == set(), "it is still running"
    one.end()
    assert look(answers, one) == {("demo", A)}
    one.run(b"select 2")
    one.end()
    assert look(answers, one) == {("demo", A)}, "the same text again is another object"


def test_a_statement_that_hangs_is_no_answer_and_neither_is_one_on_another_server() -> None:
    answers, hanging, elsewhere = Answers(), One(A), One(B)
    hanging.run(b"select sleep(1000)")
    elsewhere.run(b"select 1")
    for _ in range(3):
        assert look(answers, hanging, elsewhere) == set()
        elsewhere.run(b"select 2")


def test_a_session_that_came_from_another_server_has_not_answered_here() -> None:
    answers, one = Answers(), One(A)
    look(answers, one)
    one.upstream.address = B
    one.run(b"select 2")
    assert look(answers, one) == set()
    one.upstream.address = A
    one.run(b"select 3")
    assert look(answers, one) == set()


def test_who_runs_a_statement_makes_its_server_work() -> None:
    busy, idle = One(A), One(B)
    busy.run(b"select 1")
    sessions: Any = [busy, idle]
    assert working(sessions) == {"demo": {A}}


def test_idle_connections_are_left_and_others_are_not() -> None:
    idle, busy, in_transaction, bound, elsewhere = One(A), One(A), One(A), One(A), One(B)
    busy.run(b"select 1")
    in_transaction.lane.tracker.in_transaction = True
    bound.bound = True
    for session in (idle, busy, in_transaction, bound, elsewhere):
        one: Any = session
        leave(one, A)
    assert (idle.dropped, idle.lane.upstream) == ([A], None)
    for session in (busy, in_transaction, bound, elsewhere):
        assert session.dropped == []
        assert session.lane.upstream is session.upstream
