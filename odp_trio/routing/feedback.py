"""What the answer of a server says about the location that a statement was routed by: one pure function."""

from __future__ import annotations

from enum import Enum
from typing import Final

from odp_trio.routing.request import Route
from odp_trio.topology.location import Location


class Verdict(Enum):
    """What becomes of the location."""

    VALID = "valid"
    DIRTY = "dirty"
    """Renewed at the next use."""
    DIRTY_AT_ONCE = "dirty at once"
    """Everything that the route was based on is stale: table, partition, tenant."""
    NOTHING = "nothing"


NOT_MASTER: Final = 4038
TENANT_NOT_IN_SERVER: Final = 5150
CONNECT_ERROR: Final = 4124
CLUSTER_MISMATCH: Final = 4666
REROUTE: Final = 5727

DUPLICATES: Final = "DUP_REPLICA_FIRST"
"""Its reads are strong and may be answered by any replica, as if they were weak."""

_ALL_STALE: Final = frozenset({TENANT_NOT_IN_SERVER, CONNECT_ERROR, CLUSTER_MISMATCH})


def judge(route: Route, location: Location, *, hit: bool, errno: int = 0) -> Verdict:
    """Rule on an answer (ODP: feedback by partition hit, and the error codes that matter for routing).

    ``hit`` is ``ob_proxy_partition_hit``, true when the server did not say.
    """
    if errno in _ALL_STALE:
        return Verdict.DIRTY_AT_ONCE
    if errno == NOT_MASTER:
        return Verdict.DIRTY
    if errno == REROUTE:
        blamed = not route.weak and (route.to_leader or location.leader is None)
        return Verdict.DIRTY if blamed else Verdict.NOTHING  # any other server was a makeshift anyway
    if errno:
        return Verdict.NOTHING
    if route.weak or (route.policy == DUPLICATES and location.leader is not None):
        holds = any(replica.address == route.server for replica in location.replicas)
        if holds:
            return Verdict.VALID if hit else Verdict.DIRTY
        return Verdict.DIRTY if hit else Verdict.NOTHING
    if location.leader is None:
        return Verdict.DIRTY
    if route.to_leader and location.leader != route.server:
        return Verdict.NOTHING  # renewed since the statement was sent: this is about what it was before
    if route.to_leader:
        return Verdict.VALID if hit else Verdict.DIRTY
    if hit and location.leader == route.server:
        return Verdict.VALID  # renewed since: the answer says the same
    return Verdict.DIRTY if hit else Verdict.NOTHING
