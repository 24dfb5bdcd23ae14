"""Workers that ask one another through their parent: over real sockets, in virtual time where somebody hangs."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from odp_trio.errors import ConfigError, OdpError, UnknownThread
from odp_trio.workers.asking import Question
from odp_trio.workers.frames import LONGEST
from odp_trio.workers.hub import Hub, Orders, Seat
from odp_trio.workers.member import Member
from tests.workers.part import Part


@dataclass
class World:
    """A hub and its workers.  ``did`` is what the hub wanted of the parent."""

    nursery: trio.Nursery
    count: int
    did: list[object] = field(default_factory=list)
    members: dict[int, Member] = field(default_factory=dict)
    parts: dict[int, Part] = field(default_factory=dict)
    lives: dict[int, trio.CancelScope] = field(default_factory=dict)
    """Of processes, by process id: cancelled, one is frozen and its sockets stay open."""
    seats: dict[int, Seat] = field(default_factory=dict)
    pids: itertools.count[int] = field(default_factory=lambda: itertools.count(100))

    def __post_init__(self) -> None:
        self.hub = Hub(
            self.count,
            Orders(
                drain=lambda by: self.did.append(("drain", by)),
                end=lambda pid: self.did.append(("end", pid)),
                renew=lambda: self.did.append("renew"),
                note=lambda question: self.did.append(question),
            ),
        )

    def start(self, number: int, *, joins: bool = True) -> Member:
        ours, its = socket.socketpair()
        seat = self.seats[number] = Seat(number, next(self.pids), ours)
        self.hub.seat(seat)
        member = self.members[number] = Member(its, number, self.count, 77)
        part = self.parts[number] = Part()

        async def who(body: bytes) -> bytes:
            return b"%s from %d" % (body, number)

        member.answerer.on("who", who)
        member.answerer.take_part("alter", part)
        self.nursery.start_soon(self.hub.attend, seat)
        self.nursery.start_soon(self.live, member, seat.pid)
        if joins:
            member.join()
        return member

    async def live(self, member: Member, pid: int) -> None:
        with trio.CancelScope() as self.lives[pid]:
            await member.run()

    def hang(self, number: int) -> None:
        """From now on it reads no frame."""

        async def nothing() -> None:
            await trio.sleep_forever()

        self.members[number]._channel.receive = nothing  # type: ignore[method-assign,assignment]

    def kill(self, number: int) -> None:
        self.lives[self.seats[number].pid].cancel()

    def said(self) -> list[list[str]]:
        return [self.parts[number].said for number in range(self.count)]


@asynccontextmanager
async def world(count: int = 3) -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        made = World(nursery, count)
        for number in range(count):
            made.start(number)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


async def test_everybody_answers_in_order_whoever_asks() -> None:
    async with world() as all_of_them:
        for asker in range(3):
            answers = await all_of_them.members[asker].ask_all(Question("who", b"hello"))

            assert [answer.worker for answer in answers] == [0, 1, 2]
            assert [answer.body for answer in answers] == [b"hello from 0", b"hello from 1", b"hello from 2"]
            assert (await all_of_them.members[asker].ask_one(2, Question("who"))).body == b" from 2"
        assert (await all_of_them.members[0].ask_one(3, Question("who"))).missing == "there is no worker 3"


async def test_many_questions_at_once_get_their_own_answers() -> None:
    async with world() as all_of_them, trio.open_nursery() as nursery:

        async def ask(asker: int, text: bytes) -> None:
            answers = await all_of_them.members[asker].ask_all(Question("who", text))
            assert [answer.body for answer in answers] == [b"%s from %d" % (text, each) for each in range(3)]

        for each in range(60):
            nursery.start_soon(ask, each % 3, b"%d" % each)


async def test_an_answer_that_is_big_arrives_and_one_that_is_too_big_is_refused() -> None:
    async with world(2) as both:

        async def big(body: bytes) -> bytes:
            return bytes(int(body))

        for member in both.members.values():
            member.answerer.on("big", big)

        answers = await both.members[1].ask_all(Question("big", b"3000000"))
        assert [len(answer.body) for answer in answers] == [3_000_000] * 2
        answer = await both.members[1].ask_one(0, Question("big", b"%d" % LONGEST))
        assert "are too long for one message between workers" in answer.problem


async def test_an_error_is_the_answer_of_one_worker() -> None:
    async with world() as all_of_them:

        async def refuse(_: bytes) -> bytes:
            raise UnknownThread("Unknown thread id: 5")

        all_of_them.members[1].answerer.on("who", refuse)

        answers = await all_of_them.members[0].ask_all(Question("who"))

        assert [answer.good for answer in answers] == [True, False, True]
        assert answers[1].refusal is not None
        assert isinstance(answers[1].refusal.error(), UnknownThread)


async def test_one_that_hangs_is_named_after_two_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as all_of_them:
        # the first frame after this one is read by nobody
        all_of_them.hang(1)
        await all_of_them.members[0].ask_all(Question("who"))
        began = trio.current_time()

        answers = await all_of_them.members[0].ask_all(Question("who"))

        assert trio.current_time() - began == pytest.approx(2.0)
        assert [answer.missing for answer in answers] == [
            "",
            "worker 1 (process 101) did not answer within 2 s",
            "",
        ]


async def test_one_that_dies_is_named_at_once_and_its_successor_answers() -> None:
    async with world() as all_of_them:

        async def forever(_: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        all_of_them.members[2].answerer.on("who", forever)
        got = []

        async def ask() -> None:
            got.append(await all_of_them.members[0].ask_all(Question("who")))

        with trio.fail_after(1.5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked(0.01)
                all_of_them.kill(2)
        assert [answer.missing for answer in got[0]] == ["", "", "worker 2 (process 102) ended before it answered"]

        answers = await all_of_them.members[0].ask_all(Question("who"))
        assert answers[2].missing == "worker 2 is being started"

        all_of_them.start(2)
        await trio.testing.wait_all_tasks_blocked()
        answers = await all_of_them.members[0].ask_all(Question("who"))
        assert answers[2].body == b" from 2"


async def test_one_that_has_not_joined_may_ask_and_is_not_asked() -> None:
    async with world(2) as both:
        new = both.start(1, joins=False)
        await trio.testing.wait_all_tasks_blocked()

        answers = await new.ask_all(Question("who"))
        assert (answers[0].body, answers[1].missing) == (b" from 0", "worker 1 is being started")
        with pytest.raises(OdpError, match="nothing is changed: worker 1 is being started"):
            (await both.members[0].agree(Question("alter", b"x"))).check()

        new.join()
        await trio.testing.wait_all_tasks_blocked()
        assert (await both.members[0].ask_all(Question("who")))[1].body == b" from 1"


async def test_one_that_is_replaced_still_asks_but_is_not_asked() -> None:
    async with world(2) as both:
        old = both.members[0]
        both.start(0)
        await trio.testing.wait_all_tasks_blocked()

        async def old_answer(_: bytes) -> bytes:
            return b"the old one"

        old.answerer.on("who", old_answer)

        assert [a.body for a in await old.ask_all(Question("who"))] == [b"the old one", b" from 1"]
        assert [a.body for a in await both.members[1].ask_all(Question("who"))] == [b" from 0", b" from 1"]
        with pytest.raises(OdpError, match="another process serves by now"):
            (await old.agree(Question("alter", b"x"))).check()


async def test_without_a_parent_each_answers_for_itself() -> None:
    async with world(2) as both:
        both.seats[0].channel.close()
        await trio.testing.wait_all_tasks_blocked()

        answers = await both.members[0].ask_all(Question("who"))

        assert answers[0].body == b" from 0"
        assert answers[1].missing == "worker 1 could not be asked: the parent process does not answer"
        assert not (await both.members[0].agree(Question("alter"))).done


async def test_the_parent_is_told() -> None:
    async with world(2) as both:
        both.members[1].drain_all("root")
        both.members[0].tell_parent(Question("keep", b"this"))
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert ("drain", "root") in both.did
        assert Question("keep", b"this") in both.did


# ---- agreements -------------------------------------------------------------------------


async def test_all_do_it_after_all_have_prepared_it_and_it_is_sealed() -> None:
    async with world() as all_of_them:

        async def seal() -> None:
            assert all_of_them.said() == [["prepare x"]] * 3

        agreement = await all_of_them.members[1].agree(Question("alter", b"x"), seal=seal)

        assert [answer.body for answer in agreement.check()] == [b"prepared x"] * 3
        assert all_of_them.said() == [["prepare x", "commit"]] * 3


async def test_one_that_refuses_refuses_for_all() -> None:
    async with world() as all_of_them:
        all_of_them.parts[2].refuses = ConfigError("not here")

        with pytest.raises(ConfigError, match="not here"):
            (await all_of_them.members[0].agree(Question("alter", b"x"))).check()

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert all_of_them.said() == [["prepare x", "abandon"]] * 3


async def test_one_that_hangs_while_it_prepares_means_nobody(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as all_of_them:
        all_of_them.parts[1].hangs = True

        with pytest.raises(OdpError, match=r"nothing is changed: worker 1 \(process 101\) did not answer within 2 s"):
            (await all_of_them.members[0].agree(Question("alter", b"x"))).check()

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert all_of_them.said() == [["prepare x", "abandon"]] * 3
        all_of_them.parts[1].hangs = False
        assert (await all_of_them.members[0].agree(Question("alter", b"y"))).done


async def test_one_that_is_not_there_means_nobody() -> None:
    async with world() as all_of_them:
        all_of_them.kill(2)
        await trio.testing.wait_all_tasks_blocked(0.01)

        with pytest.raises(OdpError, match="nothing is changed: worker 2 is being started"):
            (await all_of_them.members[0].agree(Question("alter", b"x"))).check()

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert all_of_them.said()[:2] == [["prepare x", "abandon"]] * 2


async def test_what_is_not_sealed_is_not_done() -> None:
    async with world() as all_of_them:

        async def seal() -> None:
            raise ConfigError("the disk is full")

        with pytest.raises(ConfigError, match="the disk is full"):
            (await all_of_them.members[0].agree(Question("alter", b"x"), seal=seal)).check()

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert all_of_them.said() == [["prepare x", "abandon"]] * 3


async def test_who_goes_away_while_it_seals_has_all_replaced() -> None:
    async with world() as all_of_them:
        sealing = trio.Event()

        async def seal() -> None:
            sealing.set()
            await trio.sleep_forever()

        all_of_them.nursery.start_soon(lambda: all_of_them.members[0].agree(Question("alter", b"x"), seal=seal))
        await sealing.wait()
        all_of_them.kill(0)
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert all_of_them.did == [("end", 100), "renew"]
        assert all_of_them.said()[1:] == [["prepare x", "abandon"]] * 2


async def test_one_that_does_not_do_what_was_agreed_on_is_ended(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as all_of_them:

        async def seal() -> None:
            all_of_them.hang(1)  # it reads one more frame: a question that comes before the order to do it
            await all_of_them.members[0].ask_one(1, Question("who"))

        agreement = await all_of_them.members[0].agree(Question("alter", b"x"), seal=seal)

        assert agreement.done
        assert all_of_them.did == [("end", 101)]
        assert all_of_them.said() == [["prepare x", "commit"], ["prepare x"], ["prepare x", "commit"]]


async def test_two_agreements_at_once_are_one_after_the_other() -> None:
    async with world(2) as both, trio.open_nursery() as nursery:
        for number, member in both.members.items():
            nursery.start_soon(member.agree, Question("alter", b"%d" % number))
        await trio.testing.wait_all_tasks_blocked(0.02)

        assert both.said()[0] == both.said()[1]
        assert sorted(both.said()[0][::2]) == ["prepare 0", "prepare 1"]
        assert both.said()[0][1::2] == ["commit"] * 2


async def test_nothing_is_agreed_on_while_the_hub_is_closed() -> None:
    async with world(2) as both:
        both.hub.closed = "a hot upgrade is under way"

        with pytest.raises(OdpError, match="nothing is changed: a hot upgrade is under way"):
            (await both.members[0].agree(Question("alter", b"x"))).check()

        assert both.said() == [[], []]
