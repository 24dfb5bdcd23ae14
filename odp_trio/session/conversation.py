"""One client session from its first byte to its end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from functools import partial
from itertools import chain

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
from odp_trio.net.channel import PeerGone, PeerTooSlow
from odp_trio.net.pace import Pace
from odp_trio.net.tls import TlsFailed
from odp_trio.session.entrance import COMMAND_BYTES, Entrance
from odp_trio.session.first_server import identity_of, login_order
from odp_trio.session.forwarding import Forwarding
from odp_trio.session.login import (
    Credentials,
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
    Begun,
    Identity,
    ServerSession,
    open_server_session,
    server_socket_options,
)
from odp_trio.wire.packets import packet
from odp_trio.wire.proxy_protocol import ProxyHeader

log = logging.getLogger("odp_trio.session")


async def converse(session: Session, services: Services) -> End:
    """Serve one client; answer why it ended.  A bug propagates; what peers do never does."""
    if (forwarding := session.forwarding) is not None:
        return await _forward(session, forwarding, None)
    entrance, session.entrance = session.entrance, None
    if entrance is None:
        entrance = Entrance(session, services, services.settings(), Pace(services.reactor, 1))
    client = entrance.channel
    client.write_limit = services.settings().login_timeout
    try:
        return await _converse(session, services, entrance)
    finally:
        entrance.close()
        if client.stream is not session.sock:
            client.stream.close()  # TLS has a word for it


async def _receive(session: Session, services: Services, entrance: Entrance) -> Credentials | End:
    """Greet, if that is to be done, and get the login; or answer why none came that may go on."""
    settings = services.settings()
    certificates, client = services.certificates, entrance.channel
    try:
        login = await receive_login(
            client,
            entrance.greeting,
            settings.login_timeout,
            partial(_note_client, session, settings),
            certificates.client,
            session.since if entrance.greeted else None,
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


async def _converse(session: Session, services: Services, entrance: Entrance) -> End:
    client, credentials = entrance.channel, entrance.credentials or await _receive(session, services, entrance)
    if isinstance(credentials, End):
        return credentials
    client.read_limit = services.settings().login_timeout  # until here it was that of the whole login
    login = _Login(session, services, entrance, credentials)
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
    return await _forward(session, forwarding, login.seq)


async def _forward(session: Session, forwarding: Forwarding, seq: int | None) -> End:
    """Serve a client that is logged in; ``seq`` is the number of its last packet if it has not been told so yet."""
    why = End.CRASHED
    try:
        why = await (forwarding.go_on() if seq is None else forwarding.run(seq))
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

    def __init__(self, session: Session, services: Services, entrance: Entrance, credentials: Credentials) -> None:
        self._session = session
        self._services = services
        self._entrance, self._client = entrance, entrance.channel
        self._credentials = credentials
        self.seq = credentials.seq
        self.identity: Identity

    async def run(self) -> ServerSession | None:
        """Choose a server and log in; None after an admin session, which was served here."""
        settings, entrance = self._services.settings(), self._entrance
        if entrance.failure is not None:
            raise entrance.failure
        if entrance.identity is not None:
            assert self._session.destination is not None
            self.identity = entrance.identity
            return await self._log_in(entrance.key, self._session.destination.user)
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
        now = self._services.wall_clock_us()
        self.identity = identity_of(self._session, settings, self._credentials, cluster, now)
        return await self._log_in(key, destination.user)

    async def _log_in(self, key: TenantKey, user: str) -> ServerSession:
        """Try the tenant's servers in turn, and once more with a fresh route if a server says that it is stale, or none
        of them can be reached."""
        tried: set[Address] = set()
        failures: list[Exception] = []
        begun = self._entrance.take_begun()
        for last in (False, True):
            renewed = False
            first = () if begun is None else (begun.address,)
            for address in chain(first, await self._servers(key, user)):
                if address in tried:
                    continue
                tried.add(address)
                try:
                    trial = self._services.views.connecting(key, address) if begun is None else begun.trial
                    server = await self._try(key, address, begun)
                    self._services.views.server_let_in(key, address, trial=trial)
                    return server
                except UpstreamError as exc:
                    begun = None
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
            if last or not (renewed or await self._has_others(key, tried)):
                break
        raise _worst(failures, key)

    async def _has_others(self, key: TenantKey, tried: set[Address]) -> bool:
        with trio.move_on_after(self._services.settings().connect_timeout):
            return await self._services.views.find_others(key, tried)
        return False

    async def _servers(self, key: TenantKey, user: str) -> Iterable[Address]:
        """Return the tenant's servers in the order of routing: a login is a statement without a table."""
        views = self._services.views
        await views.tenant(key)
        view = views.view(key, user)
        return () if view is None else login_order(view, next(self._services.turns))

    async def _try(self, key: TenantKey, address: Address, begun: Begun | None) -> ServerSession:
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
            network=self._services.network,
            begun=begun,
        )
        counts.server_connects += begun is None
        since = None if begun is None else begun.since
        try:
            return await self._session.wait_for(self._services, key, address, work, since)
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
