"""What sessions say of servers when somebody looks: which are working, which have answered; and how one is left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import final

from odp_trio.model import Address
from odp_trio.session.reasons import ServerEnd
from odp_trio.session.services import Session


def working(sessions: Iterable[Session]) -> Mapping[str, set[Address]]:
    """Return the servers that run a statement at this moment, by cluster."""
    found: dict[str, set[Address]] = {}
    for session in sessions:
        lane = session.lane
        if lane is not None and lane.upstream is not None and lane.busy and session.destination is not None:
            found.setdefault(session.destination.key, set()).add(lane.upstream.address)
    return found


@final
class Answers:
    """Sees which servers finish statements, from one look to the next, at no cost for a statement.

    Every command has a text object of its own: a session that has another one
    than before, or runs the same one no longer, has had an answer.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Address, bytes, bool]] = {}

    def look(
        self, sessions: Mapping[int, Session], watched: Mapping[str, Collection[Address]]
    ) -> set[tuple[str, Address]]:
        """Return which of the watched servers have answered somebody since the last look."""
        found: set[tuple[str, Address]] = set()
        seen, self._seen = self._seen, {}
        for number, session in sessions.items():
            lane, router, destination = session.lane, session.router, session.destination
            if lane is None or lane.upstream is None or router is None or destination is None:
                continue
            address = lane.upstream.address
            if address not in watched.get(destination.key, ()):
                continue
            now = (address, router.text, lane.tracker.ended)
            before = seen.get(number)
            self._seen[number] = now
            if before is not None and before[0] == address and (before[1] is not now[1] or (now[2] and not before[2])):
                found.add((destination.key, address))
        return found


def leave(session: Session, address: Address) -> None:
    """Close the idle connection to a server that nothing should be sent to, unless the session is bound to it."""
    router, lane = session.router, session.lane
    if router is None or lane is None or session.state != "active":
        return
    upstream = router.servers.by_address.get(address)
    if upstream is None or router.state.coordinator is not None:  # it may be a part of the transaction
        return
    if upstream is not lane.upstream:
        router.lost(upstream, ServerEnd.EXCLUDED)
    elif not lane.busy and not lane.tracker.in_transaction and router.lost(upstream, ServerEnd.EXCLUDED):
        lane.upstream = None
