"""What the consoles of workers show as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from odp_trio.admin.across.folding import by, distinct, every, first, joined, largest, of_worst, record, said
from odp_trio.admin.across.records import most_missed, newest_changes
from odp_trio.admin.across.trees import tree
from odp_trio.admin.live import LiveFrame, LiveServer

_HEALTH: Final = ("ok", "off", "grey", "black")


def _sickness(server: LiveServer) -> int:
    return _HEALTH.index(server.health)


_live_servers = by(
    of_worst(_sickness, {"leaders": largest, "sessions": sum, "running": sum, "statements": sum}),
    "address",
)
_zones = by(
    record(
        {**dict.fromkeys(("name", "region", "idc", "kind", "state"), first), "servers": _live_servers},
    ),
    "name",
)
_live_clusters = by(
    record(
        {
            **dict.fromkeys(("name", "version", "role"), said),
            "age": largest,
            "failures": largest,
            "last_failure": said,
            "network_lost": said,
            "zones": _zones,
        }
    ),
    "name",
)
_MOST_REASONS: Final = 20
_MOST_MISROUTES: Final = 20
_MOST_CHANGES: Final = 20
_MOST_SLOW: Final = 30
FRAME: Final = {
    **dict.fromkeys(
        (
            "sessions", "busy_sessions", "accepted", "logins", "statements", "statement_errors", "client_bytes",
            "server_bytes", "route_waits", "replays", "routed", "missed",
        ),
        sum,
    ),
    "at": largest,
    "interval": largest,
    "version": joined,
    "addresses": distinct,
    "uptime": largest,
    "draining": any,
    "why_not_ready": distinct,
    "why_degraded": lambda values: distinct(values)[:_MOST_REASONS],
    "clusters": _live_clusters,
    "tree": first,
    "misroutes": most_missed(_MOST_MISROUTES),
    "changes": lambda values: tuple(newest_changes(_MOST_CHANGES)(values)),
    "slow": lambda values: tuple(sorted(every(values), key=lambda one: -one.at)[:_MOST_SLOW]),
}  # fmt: skip


def frame(values: Sequence[LiveFrame], numbers: Sequence[int]) -> LiveFrame:
    """Fold what the console shows; ``numbers`` are those of the workers."""
    found: LiveFrame = record(FRAME)(values)
    return msgspec.structs.replace(found, tree=tree([one.tree for one in values], numbers))
