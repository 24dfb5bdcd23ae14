"""Questions to all workers of a proxy, and what must be done by all of them or by none.

``Workers`` is what the inside of a worker sees; ``Alone`` is that of a proxy of one process, which
asks itself.  A question has a name and a body of bytes.  In each worker the ``Answerer`` knows a
function for the name; what that raises comes back as a ``Refusal``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, final

import msgspec
import trio

from odp_trio import errors
from odp_trio.errors import OdpError
from odp_trio.workers.tally import Tally

log = logging.getLogger("odp_trio.workers")

ANSWER_SECONDS: Final = 2.0
"""Within so many seconds a worker answers, or is named as missing."""


class Question(msgspec.Struct, frozen=True):
    """Something for every worker: the name under which somebody answers, and what only that one understands."""

    about: str
    body: bytes = b""


class Refusal(msgspec.Struct, frozen=True):
    """An error that a worker answered with."""

    kind: str
    """Its class in ``odp_trio.errors``."""
    text: str
    errno: int = OdpError.errno
    sqlstate: str = OdpError.sqlstate

    def error(self) -> OdpError:
        """Return the error, of the same class, to be raised where it was asked."""
        found = getattr(errors, self.kind, OdpError)
        try:
            error = found(self.text)
        except TypeError:  # one that is made of more than its text
            error = OdpError(self.text)
        assert isinstance(error, OdpError)
        error.errno, error.sqlstate = self.errno, self.sqlstate
        return error


def refusal_of(error: OdpError) -> Refusal:
    """Return an error as it is sent."""
    return Refusal(type(error).__name__, str(error), error.errno, error.sqlstate)


class Answer(msgspec.Struct, frozen=True):
    """What one worker says: a body, a refusal, or nothing at all, and then ``missing`` says why."""

    worker: int
    body: bytes = b""
    refusal: Refusal | None = None
    missing: str = ""

    @property
    def good(self) -> bool:
        """Whether the body is an answer."""
        return self.refusal is None and not self.missing

    @property
    def problem(self) -> str:
        """Why the body is no answer, with the worker's number; empty when it is one."""
        if self.refusal is not None:
            return f"worker {self.worker}: {self.refusal.text}"
        return self.missing


class Agreement(msgspec.Struct, frozen=True):
    """What became of something that all do or none.

    ``done``: all have done it, ``answers`` are what they said when they prepared it.  Otherwise nobody
    has, and at least one of the answers is not good; unless ``sealed`` says why the asker did not want it.
    """

    done: bool
    answers: list[Answer]
    sealed: Refusal | None = None

    def check(self) -> list[Answer]:
        """Return the answers if it is done; raise the first worker's error, or OdpError naming who is missing."""
        if self.done:
            return self.answers
        if self.sealed is not None:
            raise self.sealed.error()
        for answer in self.answers:
            if answer.refusal is not None:
                raise answer.refusal.error()
        missing = [answer.missing for answer in self.answers if answer.missing]
        raise OdpError(f"nothing is changed: {'; '.join(missing) or 'no worker took part'}")


class Participant(Protocol):
    """One worker's part in something that all do or none.  After ``prepare`` follows exactly one of the others."""

    async def prepare(self, body: bytes) -> bytes:
        """Make sure that ``commit`` cannot fail, and change nothing; raise OdpError to refuse for all."""
        ...

    def commit(self) -> None:
        """Do it.  A worker that cannot is ended, and its successor starts with what is on the disk."""
        ...

    def abandon(self) -> None:
        """Forget it; it may have been cancelled in the middle of ``prepare``, or have refused."""
        ...


AnswerFunction = Callable[[bytes], Awaitable[bytes]]


@final
class Answerer:
    """Who answers in this process."""

    def __init__(self) -> None:
        self._functions: dict[str, AnswerFunction] = {}
        self._participants: dict[str, Participant] = {}

    def on(self, about: str, function: AnswerFunction) -> None:
        """Have questions of this name answered by a function; OdpError from it becomes a refusal."""
        self._functions[about] = function

    def take_part(self, about: str, participant: Participant) -> None:
        """Have somebody take part in agreements of this name."""
        self._participants[about] = participant

    def participant(self, about: str) -> Participant | None:
        """Return who takes part in agreements of a name."""
        return self._participants.get(about)

    async def answer(self, worker: int, question: Question) -> Answer:
        """Return the answer of this process; never raises, but for being cancelled."""
        function = self._functions.get(question.about)
        return await guarded(worker, question, function)

    async def prepare(self, worker: int, question: Question) -> Answer:
        """Prepare an agreement; never raises, but for being cancelled."""
        participant = self._participants.get(question.about)
        return await guarded(worker, question, None if participant is None else participant.prepare)


async def guarded(worker: int, question: Question, function: AnswerFunction | None) -> Answer:
    """Call what answers, and make whatever it raises an answer."""
    if function is None:
        return Answer(worker, refusal=Refusal("OdpError", f"nobody here answers {question.about!r}"))
    try:
        return Answer(worker, await function(question.body))
    except OdpError as exc:
        return Answer(worker, refusal=refusal_of(exc))
    except Exception as exc:  # a bug in one answer must not end the worker
        log.exception("answering %r", question.about)
        return Answer(worker, refusal=Refusal("OdpError", f"internal error: {type(exc).__name__}: {exc}"))


Seal = Callable[[], Awaitable[None]]


async def no_seal() -> None:
    """Nothing lies between preparing and doing."""


class Workers(Protocol):
    """All processes of this proxy, as one of them sees them."""

    @property
    def number(self) -> int:
        """Which of them this is, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def proxy_id(self) -> int:
        """What all of them have in their connection ids where the settings say nothing; 0: not agreed."""
        ...

    @property
    def tally(self) -> Tally | None:
        """What all of them count together; None where that is what this one counts."""
        ...

    @property
    def answerer(self) -> Answerer:
        """Who answers in this one."""
        ...

    async def ask_all(self, question: Question, *, seconds: float = ANSWER_SECONDS) -> list[Answer]:
        """Return the answer of every worker, this one included, by number.

        One that is being started, has died, or does not answer in time is there as missing; nothing is raised.
        """
        ...

    async def ask_one(self, worker: int, question: Question, *, seconds: float = ANSWER_SECONDS) -> Answer:
        """Return the answer of one worker, which may be this one."""
        ...

    async def agree(self, question: Question, *, seal: Seal = no_seal, seconds: float = ANSWER_SECONDS) -> Agreement:
        """Have all do something, or none.  One agreement at a time, whichever worker asks.

        All prepare it; then ``seal`` is called here, and may still raise OdpError; then all commit it.  A worker
        that is missing, or refuses, means that nobody does it.
        """
        ...

    def drain_all(self, by: str) -> None:
        """Begin the orderly end of all workers."""
        ...


@final
class Alone:
    """A proxy of one process: it answers itself, and nothing is sent anywhere."""

    number = 0
    count = 1
    proxy_id = 0
    tally: Tally | None = None

    def __init__(self, drain: Callable[[], None] = lambda: None) -> None:
        self.answerer = Answerer()
        self._drain = drain
        self._turn = trio.Lock()

    async def ask_all(self, question: Question, *, seconds: float = ANSWER_SECONDS) -> list[Answer]:
        """Return one answer."""
        return [await self.answerer.answer(0, question)]

    async def ask_one(self, worker: int, question: Question, *, seconds: float = ANSWER_SECONDS) -> Answer:
        """Return the answer, if it is this worker that is asked."""
        if worker != 0:
            return Answer(worker, missing=f"there is no worker {worker}")
        return await self.answerer.answer(0, question)

    async def agree(self, question: Question, *, seal: Seal = no_seal, seconds: float = ANSWER_SECONDS) -> Agreement:
        """Prepare, seal, commit."""
        participant = self.answerer.participant(question.about)
        async with self._turn:
            committed = False
            try:
                answer = await self.answerer.prepare(0, question)
                if not answer.good:
                    return Agreement(False, [answer])
                try:
                    await seal()
                except OdpError as exc:
                    return Agreement(False, [answer], refusal_of(exc))
                assert participant is not None
                participant.commit()
                committed = True
                return Agreement(True, [answer])
            finally:
                if participant is not None and not committed:
                    participant.abandon()

    def drain_all(self, by: str) -> None:
        """Drain this process."""
        self._drain()
