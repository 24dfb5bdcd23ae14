"""One client session from its first byte to its end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.config.values import is_within
from odp_trio.errors import (
    AccessDenied,
    ClientProtocolError,
    ConnectFailed,
    LoginRefused,
    OdpError,
    SecureTransportRequired,
    TooManyClients,
    UpstreamError,
)
from odp_trio.model import Address, TenantKey
from odp_trio.net.channel import PacketChannel, PeerGone, PeerTooSlow
from odp_trio.net.tls import TlsFailed
from odp_trio.routing.decide import order
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import View
from odp_trio.session.forwarding import Forwarding
from odp_trio.session.login import (
    Credentials,
    Destination,
    LoginTimeout,
    choose_destination,
    denial,
    parse_name,
    receive_login,
)
from odp_trio.session.reasons import End, refused_login, with_client
from odp_trio.session.recording import note_login
from odp_trio.session.refusing import refuse, send_last
from odp_trio.session.retry import after_failed_login, failure_of
from odp_trio.session.services import Services, Session
from odp_trio.session.upstream import (
    Identity,
    ServerSession,
    asked_of_servers,
    open_server_session,
    server_socket_options,
)
from odp_trio.state.client import ClientState
from odp_trio.topology.cluster import ClusterResource
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import OFFERED, Greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.proxy_protocol import ProxyHeader

log = logging.getLogger("odp_trio.session")

LOGIN_BYTES: Final = 128 << 10
"""The longest packet of a login: its attributes may have 64 KiB."""
COMMAND_BYTES: Final = 1 << 20
"""The longest command that is read whole, to be answered or changed here; others pass in pieces of any number."""


async def converse(session: Session, services: Services) -> End:
    """Serve one client; answer why it ended.  A bug propagates; what peers do never does."""
    client = PacketChannel(session.sock, ClientProtocolError, LOGIN_BYTES)
    client.write_limit = services.settings().login_timeout
    try:
        return await _converse(session, services, client)
    finally:
        if client.stream is not session.sock:
            client.stream.close()  # TLS has a word for it


async def _receive(session: Session, services: Services, client: PacketChannel) -> Credentials | End:
    """Greet, and get the login; or answer why none came that may go on."""
    settings = services.settings()
    certificates = services.certificates
    offered = OFFERED | (Capability.COMPRESS if settings.client_compression_level else 0)
    if (tls := certificates.client) is not None:
        offered |= Capability.SSL
    greeting = Greeting(settings.mysql_version.encode(), session.id, services.scramble(), offered)
    try:
        login = await receive_login(
            client, greeting, settings.login_timeout, partial(_note_client, session, settings), tls
        )
    except PeerGone as exc:
        log.debug("%s left before its login: %s", session, exc)  # health probes do so all day
        return End.CLIENT_GONE if client.heard else End.LEFT_BEFORE_LOGIN
    except TlsFailed as exc:
        log.warning("%s: no TLS: %s", session, exc)
        session.detail = str(exc)
        return End.TLS_FAILED
    except LoginTimeout as exc:
        log.warning("%s: %s", session, exc)
        session.detail = str(exc)
        return End.LOGIN_TIMEOUT
    except ClientProtocolError as exc:
        seq = 2 if client.stream is session.sock else 3
        return await refuse(session, services, client, seq, exc, End.CLIENT_PROTOCOL)
    session.tls, session.tracks = login.tls, login.tracks_session
    if certificates.forced and not login.tls and session.sock.family != socket.AF_UNIX:  # which nobody can listen in on
        insecure = SecureTransportRequired("Connections using insecure transport are prohibited")
        return await refuse(session, services, client, login.seq + 1, insecure, End.TLS_REQUIRED)
    return login


async def _converse(session: Session, services: Services, client: PacketChannel) -> End:
    credentials = await _receive(session, services, client)
    if isinstance(credentials, End):
        return credentials
    client.read_limit = services.settings().login_timeout  # until here it was that of the whole login
    login = _Login(session, services, client, credentials)
    try:
        server = await login.run()
    except PeerTooSlow as exc:
        log.warning("%s: %s", session, exc)
        session.detail = str(exc)
        return End.IDLE if session.state == "admin" else End.LOGIN_TIMEOUT
    except PeerGone as exc:
        log.info("%s left during its login: %s", session, exc)
        session.detail = str(exc)
        return End.CLIENT_GONE
    except LoginRefused as exc:
        services.counts.refused[exc.errno] += 1
        log.warning("%s: login refused by the server: %s", session, exc)
        session.detail = str(exc)
        await send_last(client, packet(login.seq + 1, exc.payload))
        return End.LOGIN_REFUSED
    except AccessDenied as exc:
        log.warning("%s: %s", session, exc)
        told = denial(credentials, session.peer[0])
        return await refuse(session, services, client, login.seq + 1, told, refused_login(exc), logged=True)
    except TooManyClients as exc:
        services.admission.tell(session, exc, trio.current_time())
        return await refuse(session, services, client, login.seq + 1, exc, End.TOO_MANY_CLIENTS, logged=True)
    except OdpError as exc:
        return await refuse(session, services, client, login.seq + 1, exc, refused_login(exc))
    if server is None:
        return End.CLIENT_QUIT
    note_login(services, session, str(server.address))
    client.limit_bytes = COMMAND_BYTES
    forwarding = Forwarding(session, services, client, credentials, login.identity, server)
    why = End.CRASHED
    try:
        why = await forwarding.run(login.seq)
    except trio.Cancelled:
        why = session.why or End.SHUTDOWN
        raise
    finally:
        forwarding.close(with_client(why))
    return why


def _note_client(session: Session, settings: Settings, header: ProxyHeader) -> None:
    """A load balancer says who the client is; raise ClientProtocolError if it is none that we believe."""
    if not is_within(session.peer[0], settings.proxy_protocol_networks):
        raise ClientProtocolError(f"a PROXY header from {session.peer[0]}, which is not in proxy_protocol_networks")
    if header.source is not None:
        session.peer, session.origin = header.source, ""


class _Login:
    """From credentials to a logged-in server session.  ``seq`` is the number of the client's last packet."""

    def __init__(self, session: Session, services: Services, client: PacketChannel, credentials: Credentials) -> None:
        self._session = session
        self._services = services
        self._client = client
        self._credentials = credentials
        self.seq = credentials.seq
        self.identity: Identity

    async def run(self) -> ServerSession | None:
        """Choose a server and log in; None after an admin session, which was served here."""
        settings = self._services.settings()
        destination = choose_destination(parse_name(self._credentials, settings), settings)
        self._session.destination = destination
        if destination.is_admin:
            await self._services.admin(self._session, self._client, self._credentials, destination)
            return None
        admission = self._services.admission
        admission.enter(self._session.place)
        cluster = await self._services.views.cluster(destination.cluster, destination.cluster_id)
        destination = self._session.destination = msgspec.structs.replace(
            destination, cluster=destination.cluster or cluster.name, key=cluster.name
        )
        key = TenantKey(destination.key, destination.tenant)
        admission.enter_tenant(self._session.place, key, destination.user)
        self.identity = self._identity(destination, cluster)
        return await self._log_in(key, destination.user)

    def _identity(self, destination: Destination, cluster: ClusterResource) -> Identity:
        settings, session = self._services.settings(), self._session
        configured = settings.clusters.get(destination.cluster)
        return Identity(
            login=self._credentials.packet,
            user=destination.upstream_user,
            scramble=self._credentials.scramble,
            connection_id=session.id,
            proxy_session_id=session.id << 16 | session.peer[1],
            client_ip=session.peer[0],
            client_port=session.peer[1],
            connect_time_us=self._services.wall_clock_us(),
            cluster=cluster.real_name or destination.cluster if settings.enable_cluster_checkout else None,
            cluster_id=cluster.cluster_id or destination.cluster_id or (configured.cluster_id if configured else None),
            tell_client_ip=settings.enable_client_ip_checkout,
            asked=asked_of_servers(settings),
        )

    async def _log_in(self, key: TenantKey, user: str) -> ServerSession:
        """Try the tenant's servers in turn, and once more with a fresh route if a server says that it is stale."""
        tried: set[Address] = set()
        failures: list[Exception] = []
        for _ in range(2):
            renewed = False
            for address in await self._servers(key, user):
                if address in tried:
                    continue
                tried.add(address)
                try:
                    trial = self._services.views.connecting(key, address)
                    server = await self._try(key, address)
                    self._services.views.server_let_in(key, address, trial=trial)
                    return server
                except UpstreamError as exc:
                    verdict = after_failed_login(exc)
                    failures.append(exc)
                    if (failure := failure_of(exc)) is not None:
                        self._services.views.server_failed(key, address, failure)
                    if verdict.rebuild_cluster:
                        self._services.views.cluster_mismatch(key)
                    if verdict.renew_route:
                        self._services.views.tenant_moved(key)
                        renewed = True
                    if not verdict.try_next:
                        raise
                    log.warning("%s: %s; trying another server", self._session, exc)
            if not renewed:
                break
        raise _worst(failures, key)

    async def _servers(self, key: TenantKey, user: str) -> Iterable[Address]:
        """Return the tenant's servers in the order of routing: a login is a statement without a table."""
        views = self._services.views
        await views.tenant(key)
        view = views.view(key, user)
        return () if view is None else login_order(view, next(self._services.turns))

    async def _try(self, key: TenantKey, address: Address) -> ServerSession:
        settings, counts = self._services.settings(), self._services.counts
        work = partial(
            open_server_session,
            address,
            self.identity,
            timeout=settings.connect_timeout,
            options=server_socket_options(settings),
            ask_client=self._ask_client,
            answers=self._services.login_answers,
            tls=self._services.certificates.server,
        )
        counts.server_connects += 1
        try:
            return await self._session.wait_for(self._services, key, address, work)
        except UpstreamError:
            counts.server_connect_failures += 1
            raise

    async def _ask_client(self, seq: int, payload: bytes) -> tuple[int, bytes]:
        await self._client.send_packet(self.seq + 1, payload)
        self.seq, answer = await self._client.receive()
        return seq + 1, answer


def _worst(failures: list[Exception], key: TenantKey) -> Exception:
    """Choose what the client is told when no server let it in: a server's own words if there are any."""
    for failure in reversed(failures):
        if isinstance(failure, LoginRefused):
            return failure
    reasons = "; ".join(str(failure) for failure in failures) or "it has no servers"
    return ConnectFailed(f"tenant {key.tenant!r} of cluster {key.cluster!r} cannot be reached: {reasons}")


def login_order(view: View, turn: int) -> Iterator[Address]:
    """Yield the servers that a login may try, best first; raise RouteError when the configuration forbids all."""
    request = RouteRequest(ClientState(), Values())
    request.turn = turn
    return order(request, view)
