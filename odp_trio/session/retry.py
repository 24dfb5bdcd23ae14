"""What may be tried again after a failure, and what must be learnt from it: pure, with a truth table in its test.

A statement is never sent twice: this module only rules on logins, which change
nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from odp_trio.errors import ConnectFailed, LoginRefused, UpstreamLost

INITIALIZING: Final = 8001
STOPPING: Final = 8002
TENANT_NOT_IN_SERVER: Final = 5150
CONNECT_ERROR: Final = 4124
CLUSTER_MISMATCH: Final = 4666

_ELSEWHERE: Final = frozenset({INITIALIZING, STOPPING, TENANT_NOT_IN_SERVER, CONNECT_ERROR, CLUSTER_MISMATCH})
_RENEWS_ROUTE: Final = frozenset({TENANT_NOT_IN_SERVER, CONNECT_ERROR, CLUSTER_MISMATCH})


class Verdict(msgspec.Struct, frozen=True):
    """What a failed login on one server means for the next step."""

    try_next: bool
    renew_route: bool
    rebuild_cluster: bool = False
    """The server is of another cluster."""


def after_failed_login(failure: Exception) -> Verdict:
    """Rule on a login that failed on one server (protocol-level codes: OceanBase's)."""
    if isinstance(failure, LoginRefused):
        number = failure.errno
        return Verdict(number in _ELSEWHERE, number in _RENEWS_ROUTE, rebuild_cluster=number == CLUSTER_MISMATCH)
    # Nothing of the client's was changed by a connection that broke before its login was answered.
    return Verdict(isinstance(failure, ConnectFailed | UpstreamLost), renew_route=False)
