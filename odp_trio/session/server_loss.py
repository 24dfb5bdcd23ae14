"""What becomes of sessions whose server is dead, and which servers are working for sessions now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from odp_trio.errors import UpstreamLost
from odp_trio.model import Address
from odp_trio.session.services import Session


def working(sessions: Iterable[Session]) -> Mapping[str, set[Address]]:
    """Return the servers that run a statement at this moment, by cluster."""
    found: dict[str, set[Address]] = {}
    for session in sessions:
        lane = session.lane
        if lane is not None and lane.upstream is not None and lane.busy and session.destination is not None:
            found.setdefault(session.destination.key, set()).add(lane.upstream.address)
    return found


def cut_off(session: Session, address: Address, why: str) -> None:
    """A server does not answer: for every session that has a connection to it, it is as if that had been lost.

    A session that is being placed looks after itself: all that it waits for has its time-out.
    """
    router, lane = session.router, session.lane
    if router is None or lane is None or session.state != "active":
        return
    upstream = router.servers.by_address.get(address)
    if upstream is None:
        return
    if upstream is lane.upstream:
        lane.server_dead(UpstreamLost(f"{address} does not answer: {why}"))
    else:
        router.servers.drop(upstream)


def leave(session: Session, address: Address) -> None:
    """Close the idle connection to a server that nothing should be sent to, unless the session is bound to it."""
    router, lane = session.router, session.lane
    if router is None or lane is None or session.state != "active":
        return
    upstream = router.servers.by_address.get(address)
    if upstream is None:
        return
    if upstream is not lane.upstream:
        router.lost(upstream)
    elif not lane.busy and not lane.tracker.in_transaction and router.lost(upstream):
        lane.upstream = None
