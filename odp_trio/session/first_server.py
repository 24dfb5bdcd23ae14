"""As whom a client is logged in to its servers, and in which order a login tries them."""

from __future__ import annotations

from collections.abc import Iterator

from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.routing.decide import order
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import View
from odp_trio.session.login import Credentials
from odp_trio.session.services import Session
from odp_trio.session.upstream import Identity, asked_of_servers
from odp_trio.state.client import ClientState
from odp_trio.topology.cluster import ClusterResource


def identity_of(
    session: Session, settings: Settings, credentials: Credentials, cluster: ClusterResource, wall_clock_us: int
) -> Identity:
    """Return what servers are told of a client whose destination is known."""
    destination = session.destination
    assert destination is not None
    configured = settings.clusters.get(destination.cluster)
    return Identity(
        login=credentials.packet,
        user=destination.upstream_user,
        scramble=credentials.scramble,
        connection_id=session.id,
        proxy_session_id=session.id << 16 | session.peer[1],
        client_ip=session.peer[0],
        client_port=session.peer[1],
        connect_time_us=wall_clock_us,
        cluster=cluster.real_name or destination.cluster if settings.enable_cluster_checkout else None,
        cluster_id=cluster.cluster_id or destination.cluster_id or (configured.cluster_id if configured else None),
        tell_client_ip=settings.enable_client_ip_checkout,
        asked=asked_of_servers(settings),
    )


def login_order(view: View, turn: int) -> Iterator[Address]:
    """Yield the servers that a login may try, best first; raise RouteError when the configuration forbids all."""
    request = RouteRequest(ClientState(), Values())
    request.turn = turn
    return order(request, view)
