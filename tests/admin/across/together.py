"""Workers in one process, joined without any sockets between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from odp_trio.admin.configuration import Configuration
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Settings
from odp_trio.config.sources import Sources
from odp_trio.errors import OdpError
from odp_trio.workers.asking import ANSWER_SECONDS, Agreement, Answer, Answerer, Question, Seal, no_seal, refusal_of
from odp_trio.workers.tally import Tally


@dataclass
class Together:
    """One of them.  ``silent``: it answers nobody; ``drained`` is by whom all were drained."""

    group: list[Together]
    proxy_id: int = 77
    silent: bool = False
    drained: str = ""
    answerer: Answerer = field(default_factory=Answerer)
    tally: Tally | None = None

    @property
    def number(self) -> int:
        return next(number for number, worker in enumerate(self.group) if worker is self)

    @property
    def count(self) -> int:
        return len(self.group)

    async def ask_all(self, question: Question, *, seconds: float = ANSWER_SECONDS) -> list[Answer]:
        return [await self.ask_one(number, question) for number in range(self.count)]

    async def ask_one(self, worker: int, question: Question, *, seconds: float = ANSWER_SECONDS) -> Answer:
        await trio.lowlevel.checkpoint()
        if worker >= self.count or self.group[worker].silent:
            return Answer(worker, missing=f"worker {worker} does not answer")
        return await self.group[worker].answerer.answer(worker, question)

    async def agree(self, question: Question, *, seal: Seal = no_seal, seconds: float = ANSWER_SECONDS) -> Agreement:
        answers = []
        for number, worker in enumerate(self.group):
            answer = Answer(number, missing=f"worker {number} does not answer")
            answers.append(answer if worker.silent else await worker.answerer.prepare(number, question))
        parts = [worker.answerer.participant(question.about) for worker in self.group]
        refused = None
        if all(answer.good for answer in answers):
            try:
                await seal()
            except OdpError as exc:
                refused = refusal_of(exc)
            else:
                for part in parts:
                    assert part is not None
                    part.commit()
                return Agreement(True, answers)
        for part in parts:
            assert part is not None
            part.abandon()
        return Agreement(False, answers, refused)

    def drain_all(self, by: str) -> None:
        self.drained = by


def workers(count: int) -> list[Together]:
    """Return so many of them, none of which is a proxy yet."""
    group: list[Together] = []
    group += [Together(group) for _ in range(count)]
    return group


@asynccontextmanager
async def open_workers(settings: Settings, count: int = 2, kept_in: str = "") -> AsyncIterator[list[Proxy]]:
    """Run so many proxies, each on a port of its own, as workers of one."""
    async with AsyncExitStack() as stack:
        proxies = []
        for worker in workers(count):
            configuration = Configuration(Sources(base=settings, kept_in=kept_in))
            proxies.append(await stack.enter_async_context(open_proxy(configuration, workers=worker)))
        yield proxies


def together(proxy: Proxy) -> Together:
    """Return the workers' side of a proxy."""
    found: Any = proxy.workers
    assert isinstance(found, Together)
    return found
