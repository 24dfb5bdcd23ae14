"""One client session from its first byte to its end: the task that is parked while the lane works."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final

import trio

from odp_trio.config import Settings
from odp_trio.errors import (
    AccessDenied,
    ClientProtocolError,
    ConnectFailed,
    Draining,
    LoginRefused,
    NotSupported,
    OdpError,
    OutOfOrder,
    ServerProtocolError,
    UpstreamError,
    UpstreamLost,
)
from odp_trio.model import Address, TenantKey
from odp_trio.net.channel import PacketChannel, PeerGone
from odp_trio.net.connect import KeepAlive
from odp_trio.net.listener import Peer
from odp_trio.net.reactor import Reactor
from odp_trio.observe import Counts
from odp_trio.session.change_user import change_user
from odp_trio.session.events import End, Ended, Parked
from odp_trio.session.lane import Lane
from odp_trio.session.login import (
    Credentials,
    Destination,
    LoginTimeout,
    choose_destination,
    denial,
    login_ok,
    parse_name,
    receive_login,
)
from odp_trio.session.retry import TENANT_NOT_IN_SERVER, after_failed_login
from odp_trio.session.upstream import Identity, ServerSession, open_server_session
from odp_trio.wire.command import Com, command_name
from odp_trio.wire.handshake import Greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import err_packet

log = logging.getLogger("odp_trio.session")

_QUIT = packet(0, bytes((Com.QUIT,)))


class Routes(Protocol):
    """The port to the catalog: which servers a login may go to, best first."""

    async def servers(self, key: TenantKey) -> Sequence[Address]:
        """Raise UnknownCluster, CatalogError, or AccessDenied for a tenant that does not exist."""
        ...

    def invalidate(self, key: TenantKey) -> None:
        """A server says that the tenant is not there."""
        ...


AdminSession = Callable[["Session", PacketChannel, Credentials, Destination], Awaitable[None]]
"""Serves a login to the proxy itself."""


@dataclass(slots=True)
class Services:
    """What every session is lent."""

    settings: Callable[[], Settings]
    reactor: Reactor
    routes: Routes
    admin: AdminSession
    counts: Counts
    scramble: Callable[[], bytes]
    wall_clock_us: Callable[[], int]


@final
@dataclass(slots=True, eq=False)
class Session:
    """One client, as the table of sessions shows it."""

    id: int
    sock: socket.socket
    peer: Peer
    since: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    state: str = "login"
    destination: Destination | None = None
    server: Address | None = None
    lane: Lane | None = None
    why: End | None = None
    """Set when the session ends."""

    def drain(self) -> None:
        """End as soon as no statement and no transaction is running; a login that is under way is broken off."""
        if self.lane is not None:
            self.lane.drain()
        else:
            self.why = End.DRAINED
            self.scope.cancel()

    def crash(self, error: Exception) -> None:
        """Make the session die of ``error``, as a bug in it would."""
        if self.lane is not None:
            self.lane.crash(error)

    def __str__(self) -> str:
        who = (
            f" {self.destination.user}@{self.destination.tenant}#{self.destination.cluster}" if self.destination else ""
        )
        return f"session {self.id}{who} from {self.peer[0]}:{self.peer[1]}"


async def converse(session: Session, services: Services) -> End:
    """Serve one client; answer why it ended.  A bug propagates; what peers do never does."""
    settings = services.settings()
    client = PacketChannel(session.sock, ClientProtocolError)
    greeting = Greeting(settings.mysql_version.encode(), session.id, services.scramble())
    try:
        credentials = await receive_login(client, greeting, settings.login_timeout)
    except PeerGone as exc:
        log.debug("%s left before its login: %s", session, exc)  # health probes do so all day
        return End.CLIENT_GONE
    except LoginTimeout as exc:
        log.warning("%s: %s", session, exc)
        return End.LOGIN_TIMEOUT
    except ClientProtocolError as exc:
        return await _refuse(session, services, client, 2, exc, End.CLIENT_PROTOCOL)
    login = _Login(session, services, client, credentials)
    try:
        server = await login.run()
    except PeerGone as exc:
        log.info("%s left during its login: %s", session, exc)
        return End.CLIENT_GONE
    except LoginRefused as exc:
        services.counts.refused[exc.errno] += 1
        log.warning("%s: login refused by the server: %s", session, exc)
        await _send_last(client, packet(login.seq + 1, exc.payload))
        return End.LOGIN_REFUSED
    except AccessDenied as exc:
        log.warning("%s: %s", session, exc)
        told = denial(credentials, session.peer[0])
        return await _refuse(session, services, client, login.seq + 1, told, End.LOGIN_REFUSED, logged=True)
    except OdpError as exc:
        return await _refuse(session, services, client, login.seq + 1, exc, End.LOGIN_REFUSED)
    if server is None:
        return End.CLIENT_QUIT
    services.counts.logins += 1
    try:
        return await _forward(session, services, client, credentials, server, login.seq)
    finally:
        if session.lane is not None:
            session.lane.close()
        server.sock.close()


async def _refuse(
    session: Session,
    services: Services,
    client: PacketChannel,
    seq: int,
    error: OdpError,
    why: End,
    *,
    logged: bool = False,
) -> End:
    """Tell a client that it may not come in: one log line, one ERR packet, a clean close."""
    services.counts.refused[error.errno] += 1
    if not logged:
        log.warning("%s: %s", session, error)
    await _send_last(client, err_packet(seq, error))
    return why


async def _send_last(client: PacketChannel, data: bytes) -> None:
    """Send a last packet so that it arrives even if the client is still sending."""
    try:
        await client.send(data)
    except PeerGone:
        return
    await client.finish()


class _Login:
    """From credentials to a logged-in server session.  ``seq`` is the number of the client's last packet."""

    def __init__(self, session: Session, services: Services, client: PacketChannel, credentials: Credentials) -> None:
        self._session = session
        self._services = services
        self._client = client
        self._credentials = credentials
        self.seq = credentials.seq

    async def run(self) -> ServerSession | None:
        """Choose a server and log in; None after an admin session, which was served here."""
        settings = self._services.settings()
        destination = choose_destination(parse_name(self._credentials, settings), settings)
        self._session.destination = destination
        if destination.is_admin:
            await self._services.admin(self._session, self._client, self._credentials, destination)
            return None
        return await self._log_in(TenantKey(destination.cluster, destination.tenant), self._identity(destination))

    def _identity(self, destination: Destination) -> Identity:
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
            cluster=destination.cluster if settings.enable_cluster_checkout else None,
            cluster_id=destination.cluster_id or (configured.cluster_id if configured else None),
            tell_client_ip=settings.enable_client_ip_checkout,
        )

    async def _log_in(self, key: TenantKey, identity: Identity) -> ServerSession:
        """Try the tenant's servers in turn, and once more with a fresh route if a server says that it is stale."""
        tried: set[Address] = set()
        failures: list[Exception] = []
        for _ in range(2):
            renewed = False
            for address in await self._services.routes.servers(key):
                if address in tried:
                    continue
                tried.add(address)
                try:
                    return await self._try(address, identity)
                except UpstreamError as exc:
                    verdict = after_failed_login(exc)
                    failures.append(exc)
                    if verdict.renew_route:
                        self._services.routes.invalidate(key)
                        renewed = True
                    if not verdict.try_next:
                        raise
                    log.warning("%s: %s; trying another server", self._session, exc)
            if not renewed:
                break
        raise _worst(failures, key)

    async def _try(self, address: Address, identity: Identity) -> ServerSession:
        settings, counts = self._services.settings(), self._services.counts
        counts.server_connects += 1
        try:
            server = await open_server_session(
                address,
                identity,
                timeout=settings.connect_timeout,
                keepalive=server_keepalive(settings),
                ask_client=self._ask_client,
            )
        except UpstreamError:
            counts.server_connect_failures += 1
            raise
        self._session.server = address
        return server

    async def _ask_client(self, seq: int, payload: bytes) -> tuple[int, bytes]:
        await self._client.send_packet(self.seq + 1, payload)
        self.seq, answer = await self._client.receive()
        return seq + 1, answer


def server_keepalive(settings: Settings) -> KeepAlive:
    """Return the keep-alive settings of server connections."""
    return KeepAlive(settings.server_tcp_keepidle, settings.server_tcp_keepintvl, settings.server_tcp_keepcnt)


def _worst(failures: list[Exception], key: TenantKey) -> Exception:
    """Choose what the client is told when no server let it in: a server's own words if there are any."""
    for failure in reversed(failures):
        if isinstance(failure, LoginRefused):
            return failure
    reasons = "; ".join(str(failure) for failure in failures) or "it has no servers"
    return ConnectFailed(f"tenant {key.tenant!r} of cluster {key.cluster!r} cannot be reached: {reasons}")


async def _forward(
    session: Session,
    services: Services,
    client: PacketChannel,
    credentials: Credentials,
    server: ServerSession,
    seq: int,
) -> End:
    """Answer the login and let the lane work; do what it cannot."""
    tracker = ResponseTracker(session_track=credentials.tracks_session)
    await client.send_packet(seq + 1, login_ok(server.ok, credentials))
    assert session.destination is not None
    key = TenantKey(session.destination.cluster, session.destination.tenant)

    def feedback(errno: int) -> None:
        if errno == TENANT_NOT_IN_SERVER:
            services.routes.invalidate(key)

    lane = session.lane = Lane(services.reactor, session.sock, server.sock, tracker, services.counts.traffic, feedback)
    session.state = "active"
    lane.open(client.leftover())
    while True:
        match await lane.next_event():
            case Ended() as ended:
                return await _ended(session, client, server, ended)
            case Parked() as parked:
                session.state = "parked"
                client.unread(parked.data)
                try:
                    why = await _handle_parked(session, services, client, server, tracker)
                except PeerGone as exc:
                    log.info("%s: %s", session, exc)
                    return End.CLIENT_GONE
                except (UpstreamError, ServerProtocolError) as exc:
                    return await _refuse(session, services, client, 1, _lost(exc), End.SERVER_GONE)
                except ClientProtocolError as exc:
                    return await _refuse(session, services, client, 1, exc, End.CLIENT_PROTOCOL)
                if why is not None:
                    return why
                session.state = "active"
                lane.open(client.leftover())


def _lost(error: OdpError) -> OdpError:
    return error if isinstance(error, UpstreamError) else UpstreamLost(str(error))


async def _handle_parked(
    session: Session, services: Services, client: PacketChannel, server: ServerSession, tracker: ResponseTracker
) -> End | None:
    """Handle one command off the lane; answer None to go on."""
    seq, payload = await client.receive()
    if seq:
        raise OutOfOrder(f"packet 0 expected, got {seq}")
    if payload[0] == Com.QUIT:
        _say_quit(server)
        return End.CLIENT_QUIT
    if payload[0] == Com.CHANGE_USER:
        assert session.destination is not None
        separators = services.settings().username_separator
        await change_user(client, server.sock, payload, session.destination, separators, tracker)
        return None
    name = command_name(payload[0])
    log.info("%s: %s is not supported", session, name)
    await client.send(err_packet(1, NotSupported(f"{name} is not supported")))
    return None


async def _ended(session: Session, client: PacketChannel, server: ServerSession, ended: Ended) -> End:
    """Log the end of a lane once, and tell the client where the protocol has room for it."""
    if ended.why is End.CRASHED:
        assert ended.error is not None
        raise ended.error
    error = ended.error
    if ended.why is End.DRAINED:
        _say_quit(server)
        error = Draining("the proxy is shutting down; connect again")
    if ended.why in (End.SERVER_GONE, End.SERVER_PROTOCOL, End.CLIENT_PROTOCOL):
        log.warning("%s: %s on %s: %s", session, ended.why.value, server.address, error)
    if ended.tell_seq is not None and error is not None:
        await _send_last(client, err_packet(ended.tell_seq, error))
    return ended.why


def _say_quit(server: ServerSession) -> None:
    try:
        server.sock.send(_QUIT)
    except OSError as exc:
        log.debug("%s: COM_QUIT not sent: %s", server.address, exc)
