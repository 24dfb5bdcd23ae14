"""Connection ids: 31 bits, known cluster-wide.

Layout (ODP's ``cs_id`` version 2): bit 31 is 0, then 13 bits of proxy id, 1 bit
that changes when one process takes over from another, so that their ids cannot
clash while the older one drains, 17 bits that count.  An OBServer that is told the
id at login (capability CLIENT_SESSION_ID) answers ``connection_id()`` with it
and understands ``KILL`` of it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from odp_trio.errors import OdpError

PROXY_ID_LIMIT: Final = 1 << 13
_COUNT_BITS: Final = 17
_COUNT: Final = 1 << _COUNT_BITS


class ConnectionIds:
    """Hands out ids that are not in use."""

    def __init__(self, proxy_id: int, first: int = 1, version: int = 0) -> None:
        if not 0 <= proxy_id < PROXY_ID_LIMIT:
            raise ValueError(f"proxy_id {proxy_id} is not between 0 and {PROXY_ID_LIMIT - 1}")
        self._prefix = (proxy_id << 1 | version & 1) << _COUNT_BITS
        self._next = first % _COUNT

    def allocate(self, used: Container[int]) -> int:
        """Return the next id that is not in ``used``; raise OdpError when all are."""
        for _ in range(_COUNT):
            candidate = self._prefix | self._next
            self._next = (self._next + 1) % _COUNT
            if candidate and candidate not in used:
                return candidate
        raise OdpError("no connection id is free")
