"""A worker's end: it asks all through the parent, and answers what the others ask."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Callable
from typing import Final, assert_never, final

import trio

from odp_trio.errors import OdpError
from odp_trio.workers.asking import (
    ANSWER_SECONDS,
    Agreement,
    Answer,
    Answerer,
    Participant,
    Question,
    Seal,
    no_seal,
    refusal_of,
)
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
from odp_trio.workers.tally import Tally

log = logging.getLogger("odp_trio.workers")

_MARGIN: Final = 1.0
"""Seconds beyond its own limit that the parent is given."""
_SEAL_SECONDS: Final = 15.0
_AT_ONCE: Final = 16
"""Questions that are answered at the same time; others wait."""
_WAITING: Final = 256
"""Frames that may wait to be sent."""


@final
class _Reply:
    """What somebody here waits for."""

    def __init__(self, seal: Seal = no_seal) -> None:
        self.came = trio.Event()
        self.answers: list[Answer] = []
        self.agreement: Agreement | None = None
        self.seal = seal


@final
class Member:
    """One worker of several.  ``run()`` must run for anything to be asked or answered."""

    def __init__(self, sock: socket.socket, number: int, count: int, proxy_id: int, tally: Tally | None = None) -> None:
        self.number = number
        self.count = count
        self.proxy_id = proxy_id
        self.tally = tally
        self.answerer = Answerer()
        self._channel = Channel(sock)
        self._out, self._to_send = trio.open_memory_channel[bytes](_WAITING)
        self._replies: dict[int, _Reply] = {}
        self._ids = itertools.count(1)
        self._limit = trio.CapacityLimiter(_AT_ONCE)
        self._begun, self._steps = trio.open_memory_channel[Prepare | Commit | Abandon](_WAITING)
        self._preparing = trio.CancelScope()
        self._taking_part: Participant | None = None
        self._connected = True

    # ---- asking -------------------------------------------------------------------------

    async def ask_all(self, question: Question, *, seconds: float = ANSWER_SECONDS) -> list[Answer]:
        """Return the answer of every worker."""
        reply = await self._send(lambda number: Ask(number, question, seconds), seconds + _MARGIN)
        return reply.answers or [
            await self._mine(question) if each == self.number else self._unheard(each) for each in range(self.count)
        ]

    async def ask_one(self, worker: int, question: Question, *, seconds: float = ANSWER_SECONDS) -> Answer:
        """Return the answer of one worker."""
        if worker == self.number:
            return await self._mine(question)
        if not 0 <= worker < self.count:
            return Answer(worker, missing=f"there is no worker {worker}")
        reply = await self._send(lambda number: Ask(number, question, seconds, worker), seconds + _MARGIN)
        return reply.answers[0] if reply.answers else self._unheard(worker)

    async def agree(self, question: Question, *, seal: Seal = no_seal, seconds: float = ANSWER_SECONDS) -> Agreement:
        """Have all do something, or none."""
        reply = await self._send(lambda number: Propose(number, question, seconds), _SEAL_SECONDS + 4 * seconds, seal)
        return reply.agreement or Agreement(False, [self._unheard(self.number)])

    def join(self) -> None:
        """Be asked, from now on; until then the others are told that this worker is being started."""
        self._send_soon(Joined())

    def drain_all(self, by: str) -> None:
        """Have the parent drain all."""
        self._send_soon(DrainAll(by))

    def tell_parent(self, note: Question) -> None:
        """Send the parent something that is for itself; nothing comes back."""
        self._send_soon(Note(note))

    async def _mine(self, question: Question) -> Answer:
        return await self.answerer.answer(self.number, question)

    def _unheard(self, worker: int) -> Answer:
        return Answer(worker, missing=f"worker {worker} could not be asked: the parent process does not answer")

    async def _send(self, frame: Callable[[int], Frame], seconds: float, seal: Seal = no_seal) -> _Reply:
        """Send a frame that has an answer, and wait for it; the reply is empty if none comes."""
        number, reply = next(self._ids), _Reply(seal)
        self._replies[number] = reply
        try:
            with trio.move_on_after(seconds):
                if self._connected:
                    await self._out.send(encode(frame(number)))
                    await reply.came.wait()
        except trio.BrokenResourceError:
            pass
        finally:
            del self._replies[number]
        return reply

    def _send_soon(self, frame: Frame) -> None:
        try:
            self._out.send_nowait(encode(frame))
        except (trio.WouldBlock, trio.BrokenResourceError):
            log.error("the parent process does not read what it is told")

    # ---- answering ------------------------------------------------------------------------

    async def run(self) -> None:
        """Pass frames on until the parent is gone."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._take_part)
                while (frame := await self._channel.receive()) is not None:
                    self._obey(frame, nursery)
                nursery.cancel_scope.cancel()
        finally:
            self._connected = False
            for reply in self._replies.values():
                reply.came.set()
            self._channel.close()

    async def _write(self) -> None:
        try:
            async for data in self._to_send:
                await self._channel.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("the parent process is gone")

    def _obey(self, frame: Frame, nursery: trio.Nursery) -> None:
        match frame:
            case Asked(number, question):
                nursery.start_soon(self._answer, number, question)
            case Prepare() | Commit():
                self._begun.send_nowait(frame)
            case Abandon():
                self._preparing.cancel()
                self._begun.send_nowait(frame)
            case Answers(number, answers):
                if (reply := self._replies.get(number)) is not None:
                    reply.answers = answers
                    reply.came.set()
            case Prepared(number):
                nursery.start_soon(self._seal, self._replies.get(number))
            case Agreed(number, agreement):
                if (reply := self._replies.get(number)) is not None:
                    reply.agreement = agreement
                    reply.came.set()
            case Ask() | Propose() | Sealed() | Told() | Joined() | DrainAll() | Note():
                log.error("the parent process sent %s, which is a worker's to send", type(frame).__name__)
            case _:
                assert_never(frame)

    async def _answer(self, number: int, question: Question) -> None:
        async with self._limit:
            await self._tell(number, await self._mine(question))

    async def _tell(self, number: int, answer: Answer) -> None:
        try:
            data = encode(Told(number, answer))
        except TooLong as exc:
            data = encode(Told(number, Answer(self.number, refusal=refusal_of(exc))))
        await self._out.send(data)

    async def _seal(self, reply: _Reply | None) -> None:
        """Ask who proposed it for the last time; who has gone away meanwhile does not want it."""
        refusal = refusal_of(OdpError("nobody waits for it any more"))
        if reply is not None:
            try:
                await reply.seal()
            except OdpError as exc:
                refusal = refusal_of(exc)
            except Exception as exc:
                log.exception("sealing an agreement")
                refusal = refusal_of(OdpError(f"internal error: {type(exc).__name__}: {exc}"))
            else:
                await self._out.send(encode(Sealed()))
                return
        await self._out.send(encode(Sealed(refusal)))

    async def _take_part(self) -> None:
        """Prepare and commit in the order in which the parent says so."""
        async for step in self._steps:
            match step:
                case Prepare(number, question):
                    self._taking_part = self.answerer.participant(question.about)
                    with trio.CancelScope() as self._preparing:
                        await self._tell(number, await self.answerer.prepare(self.number, question))
                case Commit(number):
                    if self._taking_part is not None:
                        self._taking_part.commit()
                    self._taking_part = None
                    await self._tell(number, Answer(self.number))
                case Abandon():
                    if self._taking_part is not None:
                        self._taking_part.abandon()
                    self._taking_part = None
                case _:
                    assert_never(step)
