"""The local file of rslists where several workers are one proxy: one of them writes for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import odp_trio
from odp_trio.catalog.rslist_file import RslistFile
from odp_trio.topology.rslist_file import CachedRslist, read_rslist_file, write_rslist_file
from odp_trio.workers.asking import Question, Workers

ABOUT: Final = "rslists"
_TAKEN: Final = b"taken"
_SECONDS: Final = 10.0
"""For a disk that is slow."""


def write_for_all(file: RslistFile, workers: Workers) -> None:
    """Have what this worker cannot write written by the one that can, and write what the others cannot."""

    async def take(body: bytes) -> bytes:
        taken = await file.take(read_rslist_file(body, time.time()).entries)
        return _TAKEN if taken else b""

    async def give(entries: Sequence[CachedRslist]) -> bool:
        encoded = write_rslist_file(entries, made_by=f"odp-trio {odp_trio.__version__}", written_at=time.time())
        answers = await workers.ask_all(Question(ABOUT, encoded.data), seconds=_SECONDS)
        return any(answer.body == _TAKEN for answer in answers)

    workers.answerer.on(ABOUT, take)
    file.elsewhere = give
