"""Transactions whose statements may run on several servers: who coordinates, and what servers are told.

Only in OB 2.0, with session info, which is how a transaction gets to its participants.  A flag of each
request says that we would let the transaction roam; the same flag of its answer says that the
server allows it.  Source: ODP's transaction-internal routing; kernels of one node never allow it.
"""

from __future__ import annotations

from typing import Final

from odp_trio.session.server_set import Upstream
from odp_trio.state.client import ClientState
from odp_trio.wire.fields import OBCapability
from odp_trio.wire.ob20 import Flag

_FREE: Final = int(Flag.FREE_ROUTE)


def can_participate(upstream: Upstream) -> bool:
    """Whether a server session could take part in a transaction that began on another server."""
    return upstream.framed is not None and bool(upstream.capabilities & OBCapability.SESSION_SYNC)


def follow(state: ClientState, active: Upstream | None, *, whole: bool) -> None:
    """Note what the last answer says of the transaction; ``whole``: the statement to come is one that we can keep."""
    framed = None if active is None else active.framed
    if not state.in_transaction or framed is None:
        if not state.in_transaction:
            state.coordinator = None
        state.roams = False
        return
    if state.coordinator is None:
        if not framed.standing_flags & _FREE:  # it began as a transaction that stays
            return
        assert active is not None
        state.coordinator = active.address
    state.roams = whole and not state.bound and bool(framed.answer_flags & _FREE)


def offer(state: ClientState, upstream: Upstream, *, wanted: bool) -> None:
    """Set what the next requests say: would we let a transaction roam that they begin or belong to?"""
    framed = upstream.framed
    if framed is not None:
        allowed = state.roams if state.in_transaction else wanted and can_participate(upstream)
        framed.standing_flags = _FREE if allowed and not state.bound else 0
