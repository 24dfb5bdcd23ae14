"""An operation that one worker is asked for over HTTP, and that is answered for all of them.

Besides those of /api there is one of our own: what /metrics is made of.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio

from odp_trio.admin.across import records
from odp_trio.admin.across.answers import by_all
from odp_trio.admin.across.departed import Life, Memory, Remembered, life_of, with_counts_of
from odp_trio.admin.across.rows import Asks
from odp_trio.admin.api import API, Caller, Operation
from odp_trio.admin.api_types import Nothing, Operations, Source
from odp_trio.admin.live import Feed, LiveFrame
from odp_trio.admin.metrics import MetricRecords, metric_records
from odp_trio.errors import OdpError, UnknownTask, WorkerMissing
from odp_trio.workers.asking import ANSWER_SECONDS, Answer, Question

log = logging.getLogger("odp_trio.admin")

ABOUT: Final = "operation"
REMEMBERED: Final = "remembered"


async def _metrics(caller: Caller, _: Nothing) -> MetricRecords:
    return await metric_records(caller.source)


def _fold_metrics(answers: Mapping[int, MetricRecords], missing: Sequence[str]) -> MetricRecords:
    found = list(answers.values())
    status = records.status([one.status for one in found])
    return MetricRecords(
        msgspec.structs.replace(status, missing_workers=tuple(missing)),
        records.measurements([one.measured for one in found]),
        records.routes([one.routes for one in found]),
        records.process([one.process for one in found]),
    )


def _each(answers: Any, _: object, missing: Sequence[str]) -> Any:
    return answers, missing


METRICS: Final = Operation("GET", "metrics", "", MetricRecords, _metrics, across=by_all(_each))
STATUS: Final = next(operation for operation in API if operation.name == "status")
LIVE: Final = next(operation for operation in API if operation.name == "live")
_BY_NAME: Final[dict[tuple[str, str], Operation]] = {
    (operation.method, operation.name): operation for operation in (*API, METRICS)
}


class Wanted(msgspec.Struct, frozen=True):
    """An operation that somebody asks a worker for."""

    method: str
    name: str
    asked: bytes
    """The parameters."""
    who: str


# ---- asking -------------------------------------------------------------------------------


async def run(caller: Caller, operation: Operation, asked: Any, *, seconds: float = ANSWER_SECONDS) -> Any:
    """Return what an operation answers for all workers; raise OdpError for what cannot be done."""
    workers, across = caller.source.workers, operation.across
    if workers.count == 1 or across.asks is Asks.ONE:
        return await operation.run(caller, asked)
    wanted = Wanted(operation.method, operation.name, msgspec.msgpack.encode(asked), caller.who)
    question = Question(ABOUT, msgspec.msgpack.encode(wanted))
    answers = await workers.ask_all(question, seconds=seconds)
    if across.fold is None:
        return _first_done(answers, operation)
    own = answers[workers.number]
    if own.refusal is not None:
        raise own.refusal.error()
    missing = [answer.problem for answer in answers if not answer.good]
    if missing:
        log.warning("%s %s: the answer is not complete: %s", operation.method, operation.path, "; ".join(missing))
    if not any(answer.good for answer in answers):
        raise WorkerMissing("; ".join(missing))
    fold = across.fold

    def folded() -> Any:
        """In a thread: it may take longer than statements should wait."""
        good = {answer.worker: _decoded(answer, operation) for answer in answers if answer.good}
        return fold(good, asked, missing)

    return await trio.to_thread.run_sync(folded)


def _decoded(answer: Answer, operation: Operation) -> Any:
    return msgspec.msgpack.decode(answer.body, type=operation.answer)


def _first_done(answers: Sequence[Answer], operation: Operation) -> Any:
    """Return what the first says that has done it; raise the error that says most of the others'."""
    errors: list[OdpError] = []
    for answer in answers:
        if answer.good:
            return _decoded(answer, operation)
        errors.append(WorkerMissing(answer.missing) if answer.refusal is None else answer.refusal.error())
    raise next((error for error in errors if not isinstance(error, UnknownTask)), errors[0])


# ---- answering ----------------------------------------------------------------------------


def answering(source: Source, operations: Operations) -> Callable[[bytes], Awaitable[bytes]]:
    """Return what answers, for one worker's part, the operations that some worker was asked for."""
    feed = Feed(source)

    async def answer(body: bytes) -> bytes:
        wanted = msgspec.msgpack.decode(body, type=Wanted)
        operation = _BY_NAME[wanted.method, wanted.name]
        asked = msgspec.msgpack.decode(wanted.asked, type=operation.asks)
        return msgspec.msgpack.encode(await operation.run(Caller(source, operations, wanted.who, feed.frame), asked))

    return answer


class AllMetrics:
    """What /metrics is made of: counters do not fall when a worker is gone."""

    def __init__(self, source: Source, operations: Operations) -> None:
        self._caller = Caller(source, operations, "metrics", Feed(source).frame)
        self._memory = Memory()
        source.workers.answerer.on(REMEMBERED, self._tell)

    async def records(self) -> MetricRecords:
        """Return what all workers have counted."""
        source = self._caller.source
        if source.workers.count == 1:
            return await metric_records(source)
        answers, missing = await run(self._caller, METRICS, Nothing())
        lives = {life_of(worker, found): found for worker, found in answers.items()}
        if self._memory.see(lives):
            question = Question(REMEMBERED, msgspec.msgpack.encode(list(lives)))
            for answer in await source.workers.ask_all(question):
                if answer.good:
                    self._memory.learn(msgspec.msgpack.decode(answer.body, type=list[Remembered]))
        departed = self._memory.without(lives)
        return await trio.to_thread.run_sync(lambda: with_counts_of(_fold_metrics(answers, missing), departed))

    async def _tell(self, body: bytes) -> bytes:
        """Answer with what is remembered of other lives than those that somebody sees."""
        lives = set(msgspec.msgpack.decode(body, type=list[Life]))
        return msgspec.msgpack.encode(self._memory.without(lives))


class AllFrames:
    """What the console shows of all workers: a ``Feed`` of theirs."""

    def __init__(self, source: Source, operations: Operations) -> None:
        self.watchers = 0
        self._feed = Feed(source)
        self._caller = Caller(source, operations, "console", self._feed.frame)
        self._lock = trio.Lock()
        self._encoded: tuple[LiveFrame | None, bytes] = (None, b"")
        self._next = 0.0

    async def frame(self) -> LiveFrame:
        """Return a record that is not older than its interval."""
        async with self._lock:
            known, now = self._encoded[0], trio.current_time()
            if known is not None and now < self._next:
                return known
            frame: LiveFrame = await run(self._caller, LIVE, Nothing())
            if frame is not known:
                self._encoded = frame, b""
            self._next = now + frame.interval
            return frame

    async def encoded(self) -> bytes:
        """Return the same as JSON, encoded once for everybody."""
        frame = await self.frame()
        if self._encoded[0] is not frame or not self._encoded[1]:
            self._encoded = frame, msgspec.json.encode(frame)
        return self._encoded[1]

    async def wait_next(self) -> None:
        """Sleep until there may be another record."""
        await trio.sleep_until(max(self._next, trio.current_time() + 0.05))


def feed_of(source: Source, operations: Operations) -> Feed | AllFrames:
    """Return what those who look are shown."""
    return Feed(source) if source.workers.count == 1 else AllFrames(source, operations)
