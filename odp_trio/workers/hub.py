"""The parent's end: it passes questions on, gathers answers, and sees that all agree or none."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final, assert_never, final

import msgspec
import trio

from odp_trio.workers.asking import Agreement, Answer, Question, Refusal
from odp_trio.workers.frames import (
    Abandon,
    Agreed,
    Answers,
    Ask,
    Asked,
    Channel,
    Commit,
    DrainAll,
    Frame,
    Joined,
    Note,
    Prepare,
    Prepared,
    Propose,
    Sealed,
    Told,
    TooLong,
    encode,
)

log = logging.getLogger("odp_trio.workers")

SEAL_SECONDS: Final = 10.0
_WAITING: Final = 256
"""Frames that may wait for a worker that does not read."""
_AT_ONCE: Final = 64
"""Questions that one worker may have asked and that have no answer yet."""


@final
class _Reply:
    """What a worker was asked for, and has not said yet."""

    def __init__(self) -> None:
        self.came = trio.Event()
        self.answer: Answer | None = None


@final
class Seat:
    """One process of the proxy, as the hub knows it."""

    def __init__(self, number: int, pid: int, sock: socket.socket) -> None:
        self.number = number
        self.pid = pid
        self.joined = False
        """Whether it may be asked."""
        self.gone = trio.Event()
        self.channel = Channel(sock)
        self.out, self.to_send = trio.open_memory_channel[bytes](_WAITING)
        self.replies: dict[int, _Reply] = {}
        self.sealed: Sealed | None = None
        self.has_sealed = trio.Event()
        self.questions = 0

    def __str__(self) -> str:
        return f"worker {self.number} (process {self.pid})"

    def send(self, frame: Frame) -> bool:
        """Send without waiting; whether there was room."""
        try:
            self.out.send_nowait(encode(frame))
        except (trio.WouldBlock, trio.BrokenResourceError, TooLong):
            return False
        return True

    async def seal(self, proposal: int) -> Sealed | None:
        """Tell it that all have prepared what it proposed, and return what it says; None if it is gone, or hangs."""
        self.sealed, self.has_sealed = None, trio.Event()
        if not self.gone.is_set() and self.send(Prepared(proposal)):
            with trio.move_on_after(SEAL_SECONDS):
                await self.has_sealed.wait()
        return self.sealed


class Orders(msgspec.Struct, frozen=True):
    """What the hub has done by the parent.  Nothing here may raise."""

    drain: Callable[[str], None]
    """All shall end; told who wants it."""
    end: Callable[[int], None]
    """The process of this id must be ended at once: it did not do what all have agreed on."""
    renew: Callable[[], None]
    """All shall be replaced: it is unknown whether an agreement is kept on the disk."""
    note: Callable[[Question], None]
    """A worker tells the parent something."""


@final
class Hub:
    """Where the workers of a proxy meet."""

    def __init__(self, count: int, orders: Orders) -> None:
        self.count = count
        self.closed = ""
        """Why nothing may be agreed on at this time; empty: it may."""
        self._orders = orders
        self._seats: dict[int, Seat] = {}
        self._ids = itertools.count(1)
        self._turn = trio.Lock()

    def seat(self, seat: Seat) -> None:
        """From now on this is the worker of its number; one before it may still ask."""
        self._seats[seat.number] = seat

    async def attend(self, seat: Seat) -> None:
        """Do what a worker asks for, until it is gone."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, seat)
                try:
                    while (frame := await seat.channel.receive()) is not None:
                        self._obey(frame, seat, nursery)
                finally:
                    self._leave(seat)
                nursery.cancel_scope.cancel()
        except* msgspec.DecodeError as group:
            log.error("%s sent what is no message: %s", seat, group.exceptions[0])
        finally:
            seat.channel.close()

    def _leave(self, seat: Seat) -> None:
        """Nothing comes from a worker any more: who waits for it need not."""
        if self._is_current(seat):
            del self._seats[seat.number]
        seat.gone.set()
        for reply in seat.replies.values():
            reply.came.set()
        seat.has_sealed.set()

    async def _write(self, seat: Seat) -> None:
        try:
            async for data in seat.to_send:
                await seat.channel.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("%s is gone", seat)

    def _obey(self, frame: Frame, seat: Seat, nursery: trio.Nursery) -> None:
        match frame:
            case Ask() | Propose() if seat.questions >= _AT_ONCE:
                self._turn_away(frame, seat)
            case Ask():
                seat.questions += 1
                nursery.start_soon(self._ask, frame, seat)
            case Propose():
                seat.questions += 1
                nursery.start_soon(self._propose, frame, seat)
            case Told(number, answer):
                if (reply := seat.replies.get(number)) is not None:
                    reply.answer = answer
                    reply.came.set()
            case Joined():
                seat.joined = True
            case Sealed():
                seat.sealed = frame
                seat.has_sealed.set()
            case DrainAll(by):
                self._orders.drain(by)
            case Note(question):
                self._orders.note(question)
            case Asked() | Answers() | Prepare() | Prepared() | Commit() | Abandon() | Agreed():
                log.error("%s sent %s, which is the parent's to send", seat, type(frame).__name__)
            case _:
                assert_never(frame)

    def _turn_away(self, frame: Ask | Propose, seat: Seat) -> None:
        answers = [Answer(each, missing=f"{seat} asks too much at once") for each in range(self.count)]
        if isinstance(frame, Ask):
            seat.send(Answers(frame.id, answers if frame.only is None else [answers[frame.only]]))
        else:
            seat.send(Agreed(frame.id, Agreement(False, answers)))

    # ---- questions --------------------------------------------------------------------------

    async def _ask(self, ask: Ask, seat: Seat) -> None:
        seats = self._seats if self._is_current(seat) else self._seats | {seat.number: seat}
        numbers = range(self.count) if ask.only is None else (ask.only,)
        try:
            answers = await self._gather(seats, numbers, ask.question, ask.seconds, Asked)
        finally:
            seat.questions -= 1
        try:
            await seat.out.send(encode(Answers(ask.id, answers)))
        except TooLong as exc:
            refusal = Refusal("OdpError", f"the answers of all workers: {exc}")
            seat.send(Answers(ask.id, [Answer(each, refusal=refusal) for each in numbers]))

    async def _gather(
        self,
        seats: dict[int, Seat],
        numbers: Iterable[int],
        question: Question,
        seconds: float,
        kind: type[Asked | Prepare],
    ) -> list[Answer]:
        """Ask some workers at the same time; one answer for each, by number."""
        found: dict[int, Answer] = {}

        async def ask(number: int) -> None:
            seat = seats.get(number)
            if seat is None or not seat.joined:
                found[number] = Answer(number, missing=f"worker {number} is being started")
            else:
                found[number] = await self._ask_seat(seat, lambda mark: kind(mark, question), seconds)

        async with trio.open_nursery() as nursery:
            for number in numbers:
                nursery.start_soon(ask, number)
        return [found[number] for number in sorted(found)]

    async def _ask_seat(self, seat: Seat, frame: Callable[[int], Frame], seconds: float) -> Answer:
        mark, reply = next(self._ids), _Reply()
        seat.replies[mark] = reply
        try:
            if seat.gone.is_set() or not seat.send(frame(mark)):
                return Answer(seat.number, missing=f"{seat} does not read what it is asked")
            with trio.move_on_after(seconds):
                await reply.came.wait()
        finally:
            del seat.replies[mark]
        if reply.answer is not None:
            return reply.answer
        if seat.gone.is_set():
            return Answer(seat.number, missing=f"{seat} ended before it answered")
        return Answer(seat.number, missing=f"{seat} did not answer within {seconds:g} s")

    # ---- agreements ---------------------------------------------------------------------------

    async def _propose(self, propose: Propose, seat: Seat) -> None:
        async with self._turn:
            agreement = await self._agree(propose, seat)
        seat.questions -= 1
        seat.send(Agreed(propose.id, agreement))

    async def _agree(self, propose: Propose, asker: Seat) -> Agreement:
        """Come to an end whatever happens to who asked, and leave nobody prepared."""
        if reason := self.closed or ("" if self._is_current(asker) else "another process serves by now"):
            return Agreement(False, [Answer(asker.number, missing=reason)])
        seats, numbers = dict(self._seats), range(self.count)
        with trio.CancelScope(shield=True):
            answers = await self._gather(seats, numbers, propose.question, propose.seconds, Prepare)
            agreement = Agreement(False, answers)
            if all(answer.good for answer in answers):
                agreement = await self._seal(propose, asker, answers)
            if not agreement.done:
                for seat in seats.values():
                    if not seat.gone.is_set() and not seat.send(Abandon()):
                        self._orders.end(seat.pid)
                return agreement
            await self._commit(seats.values(), propose.seconds)
        return agreement

    async def _seal(self, propose: Propose, asker: Seat, answers: list[Answer]) -> Agreement:
        sealed = await asker.seal(propose.id)
        if sealed is None:
            log.error("%s went away in the middle of %s: all are replaced", asker, propose.question.about)
            self._orders.end(asker.pid)
            self._orders.renew()
            return Agreement(False, [Answer(asker.number, missing=f"{asker} went away")])
        refusal = sealed.refusal
        return Agreement(refusal is None, answers, refusal)

    async def _commit(self, seats: Iterable[Seat], seconds: float) -> None:
        """Who does not do it is ended: its successor starts with what is on the disk."""

        async def commit(seat: Seat) -> None:
            answer = await self._ask_seat(seat, Commit, seconds)
            if not answer.good:
                log.error("%s: it is ended, since all others have done what was agreed on", answer.problem)
                self._orders.end(seat.pid)

        async with trio.open_nursery() as nursery:
            for seat in seats:
                nursery.start_soon(commit, seat)

    def _is_current(self, seat: Seat) -> bool:
        return self._seats.get(seat.number) is seat
