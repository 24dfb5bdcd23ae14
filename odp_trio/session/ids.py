"""Connection ids: 31 bits, so that they never look like an OBServer's own, whose bit 31 is 1.

| version | from the top | known |
|---|---|---|
| 2 | 0, 13 bits of ``proxy_id``, 1 bit of generation, 17 bits that count | in the cluster: servers are told them |
| 1 | 0, 8 bits of ``proxy_id``, 1 bit of generation, 22 bits that count | by this proxy only |

The generation changes when one process takes over from another, so that their ids cannot clash while the older one
drains.  Where several worker processes are one proxy, the upper bits of the count are the worker's number: as many bits
as the number of workers needs, none for one (ODP does so with its threads).  An OBServer that is told the id at login
(capability CLIENT_SESSION_ID, version 2) answers ``connection_id()`` with it and understands ``KILL`` of it.
"""

from __future__ import annotations

import random
from collections.abc import Container
from typing import Final

import msgspec

from odp_trio.config import Settings
from odp_trio.errors import OdpError
from odp_trio.workers.asking import Workers

SERVER_ID: Final = 1 << 31
"""Set in the ids that OBServers give to sessions, never in ours."""


class Layout(msgspec.Struct, frozen=True):
    """How many bits a version of ids has for what."""

    proxy_bits: int
    count_bits: int

    @property
    def proxy_id_limit(self) -> int:
        """Proxy ids are below this."""
        return 1 << self.proxy_bits


LAYOUTS: Final = {1: Layout(8, 22), 2: Layout(13, 17)}
"""By ``client_session_id_version``."""


class ConnectionIds:
    """Hands out ids that are not in use.  ``generation`` counts the processes that followed one another."""

    def __init__(
        self,
        proxy_id: int,
        first: int = 1,
        generation: int = 0,
        *,
        version: int = 2,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        layout = LAYOUTS[version]
        if not 0 <= proxy_id < layout.proxy_id_limit:
            raise ValueError(f"proxy_id {proxy_id} is not between 0 and {layout.proxy_id_limit - 1}")
        if not 0 <= worker < workers:
            raise ValueError(f"worker {worker} is none of {workers}")
        self._proxy_bits = layout.count_bits
        self._sequence_bits = layout.count_bits - (workers - 1).bit_length()
        self._of_proxy = proxy_id << 1 | generation & 1
        self._prefix = self._of_proxy << self._proxy_bits | worker << self._sequence_bits
        self._count = 1 << self._sequence_bits
        self._next = first % self._count

    def allocate(self, used: Container[int]) -> int:
        """Return the next id that is not in ``used``; raise OdpError when all are."""
        for _ in range(self._count):
            candidate = self._prefix | self._next
            self._next = (self._next + 1) % self._count
            if candidate and candidate not in used:
                return candidate
        raise OdpError("no connection id is free")

    def worker_of(self, number: int) -> int | None:
        """Return which worker of this proxy an id belongs to; None for one of another proxy, or of no proxy."""
        if number >> self._proxy_bits != self._of_proxy:
            return None
        return (number & (1 << self._proxy_bits) - 1) >> self._sequence_bits


def ids_for(settings: Settings, rng: random.Random, generation: int, workers: Workers) -> ConnectionIds:
    """Return the ids of one process."""
    version = settings.client_session_id_version
    limit = LAYOUTS[version].proxy_id_limit
    agreed = workers.proxy_id and (workers.proxy_id % limit or 1)
    proxy_id = settings.proxy_id or agreed or rng.randrange(1, limit)
    first = rng.randrange(1 << LAYOUTS[2].count_bits)
    return ConnectionIds(proxy_id, first, generation, version=version, worker=workers.number, workers=workers.count)
