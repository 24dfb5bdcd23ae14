"""A worker that is started while others serve has the settings of those, with what was changed since their start."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
import trio

from odp_trio.admin.configuration import Configuration
from odp_trio.errors import ConfigError
from odp_trio.workers.asking import Question, Workers

log = logging.getLogger("odp_trio.admin")

ABOUT: Final = "settings"


def answer_newcomers(configuration: Configuration, workers: Workers) -> None:
    """Tell those that are started later what settings are here."""

    async def answer(_: bytes) -> bytes:
        return configuration.lineage()

    workers.answerer.on(ABOUT, answer)


async def take_settings(configuration: Configuration, workers: Workers) -> None:
    """Take the settings of the first worker that says them; where none serves, those that were read stay."""
    async with trio.open_nursery() as nursery:

        async def ask(worker: int) -> None:
            answer = await workers.ask_one(worker, Question(ABOUT))
            if not answer.good:
                return
            try:
                configuration.adopt(answer.body)
            except (ConfigError, msgspec.DecodeError) as exc:
                log.error("the settings of worker %d cannot be taken: %s", worker, exc)
                return
            log.info("the settings are those of worker %d", worker)
            nursery.cancel_scope.cancel()

        for worker in range(workers.count):
            if worker != workers.number:
                nursery.start_soon(ask, worker)
