"""A worker that is started while others serve has the settings of those, with what was changed since their start."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from odp_trio.admin.configuration import Configuration
from odp_trio.errors import ConfigError
from odp_trio.workers.asking import Question, Workers

log = logging.getLogger("odp_trio.admin")

ABOUT: Final = "settings"
_SECONDS: Final = 0.5
"""One that hangs must not keep another from being started."""


def answer_newcomers(configuration: Configuration, workers: Workers) -> None:
    """Tell those that are started later what settings are here."""

    async def answer(_: bytes) -> bytes:
        return configuration.lineage()

    workers.answerer.on(ABOUT, answer)


async def take_settings(configuration: Configuration, workers: Workers) -> None:
    """Take the settings of the first worker that serves; where none does, those that were read stay."""
    for answer in await workers.ask_all(Question(ABOUT), seconds=_SECONDS):
        if answer.good:
            try:
                configuration.adopt(answer.body)
            except (ConfigError, msgspec.DecodeError) as exc:
                log.error("the settings of worker %d cannot be taken: %s", answer.worker, exc)
                continue
            log.info("the settings are those of worker %d", answer.worker)
            return
