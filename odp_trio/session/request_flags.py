"""What an OBServer is told about a request in the flags of its OB 2.0 frames; pure."""

from __future__ import annotations

from odp_trio.model import Address
from odp_trio.routing.request import Route, RouteRequest
from odp_trio.routing.view import View
from odp_trio.wire.ob20 import Flag


def request_flags(request: RouteRequest, route: Route, view: View | None, *, last: Address | None, kept: bool) -> int:
    """Return the flags of a statement that goes by ``route``.

    ``last`` is the server of the statement before; ``kept`` says that we have all of this one, and could send it again.
    """
    flags = int(Flag.WEAK_READ) if route.weak else 0
    if last is not None and last != route.server:
        flags |= Flag.SWITCH_ROUTE
    if view is not None and kept and _may_be_rerouted(request, route, view):
        flags |= Flag.REROUTE
    return flags


def _may_be_rerouted(request: RouteRequest, route: Route, view: View) -> bool:
    """Whether the server may answer 5727 and name another one: the first statement of a transaction, located by us."""
    settings = view.settings
    return (
        (settings.weak_reroute if route.weak else settings.reroute)
        and route.location is not None
        and not request.refused
        and not request.state.in_transaction
        and not settings.primary_zone_name
    )
