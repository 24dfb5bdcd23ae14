"""What all sessions come to: how many, how busy, what went through them, how they are protected.

They may be ten thousand: whoever can wait walks them in slices, and others run between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, final

import trio

from odp_trio.observe import Traffic

if TYPE_CHECKING:
    from odp_trio.session.services import Session

PLAIN: Final = "plain"
"""How a connection without TLS counts."""
_SLICE: Final = 500


@final
class Census:
    """Sums over sessions, and what went through those that have ended."""

    __slots__ = ("busy", "clients", "server_sessions", "sessions", "traffic")

    def __init__(self, ended: Traffic) -> None:
        self.sessions = 0
        self.busy = 0
        """Sessions with a statement running."""
        self.traffic = Traffic()
        self.clients: Counter[str] = Counter()
        """Sessions by version of TLS towards the client."""
        self.server_sessions: Counter[str] = Counter()
        self.traffic.add(ended)

    def add(self, sessions: Iterable[Session]) -> None:
        """Count some sessions in."""
        traffic, clients, servers = self.traffic, self.clients, self.server_sessions
        for session in sessions:
            self.sessions += 1
            self.busy += session.lane is not None and session.lane.busy
            traffic.add(session.traffic)
            clients[session.tls or PLAIN] += 1
            if (router := session.router) is not None:
                for upstream in router.servers.by_address.values():
                    servers[upstream.tls or PLAIN] += 1


def count_sessions(sessions: Collection[Session], ended: Traffic) -> Census:
    """Count every session, at once; ``ended`` is what went through those that are no more."""
    census = Census(ended)
    census.add(sessions)
    return census


async def walk_sessions(sessions: Collection[Session], ended: Traffic) -> Census:
    """Count every session that is there now, in slices.  One that ends meanwhile is still counted, and once."""
    census, everybody = Census(ended), tuple(sessions)
    for start in range(0, len(everybody), _SLICE):
        census.add(everybody[start : start + _SLICE])
        await trio.lowlevel.checkpoint()
    return census
