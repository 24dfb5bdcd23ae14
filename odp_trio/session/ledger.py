"""The ledger of ends: the last sessions that ended, and why.  It outlives the tasks that write into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import final

import msgspec


class EndRecord(msgspec.Struct, frozen=True):
    """One connection that ended: a client's, or a server session of one.  No secrets: details are what the log says."""

    id: int
    """The client's connection id."""
    client: str
    """``ip:port``."""
    user: str
    tenant: str
    cluster: str
    server: str
    """The OBServer: of a server session, or the one that a client's last statement ran on; empty if there was none."""
    server_session: int
    """The OBServer's own id of a server session; 0 for a client."""
    began: float
    """Seconds since the epoch."""
    seconds: float
    """How long it lasted."""
    statements: int
    """Answered ones; of clients only, as the two below."""
    client_bytes: int
    server_bytes: int
    reason: str
    detail: str


@final
class Ends:
    """The last ends of both sides, at most ``kept`` of each."""

    def __init__(self, kept: int) -> None:
        self.clients: deque[EndRecord] = deque(maxlen=kept)
        self.servers: deque[EndRecord] = deque(maxlen=kept)

    def newest(self, *, servers: bool = False) -> Iterator[EndRecord]:
        """Yield the ends of clients, or of server sessions, the last one first."""
        return reversed(self.servers if servers else self.clients)
