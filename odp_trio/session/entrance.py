"""A client from its greeting to the OK of its login in callbacks: where nothing has to be waited for, without a task.

It goes the way of nearly all logins: plain native password, a cluster and a tenant that are known, a server that lets
the client in.  Whatever is otherwise, or takes longer than the limits of time are looked at, is left to the session's
task, with everything that has been done: ``session.entrance`` is what ``conversation`` goes on with.
"""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import Final, final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.errors import ClientProtocolError, ConnectFailed, OdpError, ProtocolError, UpstreamLost
from odp_trio.model import TenantKey
from odp_trio.net.channel import PacketChannel
from odp_trio.net.pace import Pace
from odp_trio.net.reactor import BROKEN
from odp_trio.session.first_server import identity_of, login_order
from odp_trio.session.forwarding import Forwarding
from odp_trio.session.login import Credentials, choose_destination, needs_switch, parse_name
from odp_trio.session.reasons import End
from odp_trio.session.recording import note_login
from odp_trio.session.services import Services, Session
from odp_trio.session.unattended import unheard
from odp_trio.session.upstream import Begun, Identity, logged_in, login_packet, server_socket_options
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import OFFERED, Greeting, parse_greeting, parse_login, wants_tls
from odp_trio.wire.packets import packet

LOGIN_BYTES: Final = 128 << 10
"""The longest packet of a login: its attributes may have 64 KiB."""
COMMAND_BYTES: Final = 1 << 20
"""The longest command that is read whole, to be answered or changed here; others pass in pieces of any number."""
SHORTEST_LIMIT: Final = 3.0
"""With a limit of time below this the session's task does everything: sessions are looked at once a second only."""
STEPS_PER_TURN: Final = 4
"""Of all logins, in one turn of the loop: each is about 0.1 ms, for which running statements wait."""
_READ_BYTES: Final = 32768
_OK, _GREETS = 0x00, 0x0A


def greeting_for(session: Session, services: Services, settings: Settings) -> Greeting:
    """Return what a client is greeted with."""
    offered = OFFERED | (Capability.COMPRESS if settings.client_compression_level else 0)
    if services.certificates.client is not None:
        offered |= Capability.SSL
    return Greeting(settings.mysql_version.encode(), session.id, services.scramble(), offered)


@final
class Entrance:
    """What has been done of one login.  ``enter()`` begins; ``leave_to_task()`` may be called at any time."""

    __slots__ = (
        "_pace",
        "_registered",
        "_services",
        "_session",
        "begun",
        "channel",
        "credentials",
        "failure",
        "greeted",
        "greeting",
        "identity",
        "key",
    )

    def __init__(self, session: Session, services: Services, settings: Settings, pace: Pace) -> None:
        self._session, self._services, self._pace = session, services, pace
        self.channel = PacketChannel(session.sock, ClientProtocolError, LOGIN_BYTES)
        self.greeting = greeting_for(session, services, settings)
        self.credentials: Credentials | None = None
        self.identity: Identity | None = None
        """Set when the client has its place: in the proxy, in its tenant."""
        self.key: TenantKey
        self.begun: Begun | None = None
        """The first server that is tried."""
        self.failure: Exception | None = None
        """Why the client may not come in, or a bug."""
        self.greeted = False
        self._registered = False

    def enter(self) -> None:
        """Greet the client, and wait for its login."""
        sock, greeting = self._session.sock, packet(0, self.greeting.to_bytes())
        try:
            sent = sock.send(greeting)
        except OSError:
            sent = len(greeting)  # whoever reads finds out
        if sent != len(greeting):  # a kernel without room for it
            self._session.end(End.CLIENT_GONE, "it does not take its greeting")
            return
        self.greeted = True
        self._services.reactor.register(sock.fileno(), self._on_login, self._crash)
        self._registered = True

    def leave_to_task(self) -> None:
        """Let the session's task go on from here."""
        self._unregister()
        self._session.rouse(self._session)

    def close(self) -> None:
        """Give back what nobody has taken over."""
        self._unregister()
        if self.begun is not None:
            self.begun.sock.close()

    def take_begun(self) -> Begun | None:
        """Hand over the connection to the first server, once."""
        begun, self.begun = self.begun, None
        return begun

    def break_off(self, why: str) -> None:
        """The server that is waited for does not answer: another one is to be tried."""
        if self.begun is not None:
            self.begun.error = ConnectFailed(f"{self.begun.address}: {why}")
        self.leave_to_task()

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            self._services.reactor.unregister(self._session.sock.fileno())
            if self.begun is not None:
                self._services.reactor.unregister(self.begun.sock.fileno())

    def _crash(self, error: Exception) -> None:
        self.failure = error
        if self._session.forwarding is not None:
            self._session.crash(error)
        self.leave_to_task()

    # ---- the client ---------------------------------------------------------------------

    def _on_login(self, events: int) -> None:
        if not self._pace.allows():
            return
        try:
            data = self._session.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.channel.unread(data)
        if not data or not self._is_plain(data) or not self._admitted(data):
            self.leave_to_task()

    def _is_plain(self, data: bytes) -> bool:
        """Whether it is one whole packet, of the right number, and no wish for TLS."""
        return len(data) > 4 and data[0] | data[1] << 8 | data[2] << 16 == len(data) - 4 and data[3] == 1

    def _admitted(self, data: bytes) -> bool:
        """Begin to connect to the first server for the login; answer False where the task must go on."""
        session, services = self._session, self._services
        settings, views, certificates = services.settings(), services.views, services.certificates
        payload = data[4:]
        if wants_tls(payload) or certificates.server is not None:
            return False
        if certificates.forced and session.sock.family != socket.AF_UNIX:
            return False
        try:
            login = parse_login(payload, self.greeting.capabilities)
            if needs_switch(login) or login.capabilities & Capability.COMPRESS:
                return False
            typed = login.user.decode("utf-8", "surrogateescape")
            credentials = Credentials(login, 1, typed, self.greeting.scramble)
            destination = choose_destination(parse_name(credentials, settings), settings)
            if destination.is_admin or (cluster := views.cluster_at_hand(destination.cluster)) is None:
                return False
            key = TenantKey(cluster.name, destination.tenant)
            if (view := views.view(key, destination.user)) is None:
                return False
            address = next(login_order(view, next(services.turns)), None)
        except OdpError:  # the task says so
            return False
        if address is None:
            return False
        self.channel.leftover()
        self.credentials, self.key = credentials, key
        session.tracks = credentials.tracks_session
        destination = msgspec.structs.replace(destination, key=cluster.name)
        session.destination = destination
        try:
            services.admission.enter(session.place)
            services.admission.enter_tenant(session.place, key, destination.user)
        except OdpError as exc:
            self.failure = exc
            return False
        self.identity = identity_of(session, settings, credentials, cluster, services.wall_clock_us())
        try:
            sock = services.network.begin_connection(address, server_socket_options(settings))
        except ConnectFailed:  # the task tries it once more, and the next one
            return False
        trial = views.connecting(key, address)
        services.counts.server_connects += 1
        self.begun = Begun(address, sock, trio.current_time(), trial=trial)
        services.reactor.redirect(session.sock.fileno(), self._on_client, self._crash)
        services.reactor.register(sock.fileno(), self._on_server, self._crash)
        return True

    def _on_client(self, events: int) -> None:
        self.leave_to_task()  # it left, or speaks before it is answered: that stays where it is

    # ---- the server ---------------------------------------------------------------------

    def _on_server(self, events: int) -> None:
        begun = self.begun
        assert begun is not None
        if events & BROKEN:
            self.leave_to_task()
            return
        if not self._pace.allows():
            return
        try:
            data = begun.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._lost(begun, exc)
            return
        if not data:
            self.leave_to_task()
            return
        begun.channel.unread(data)
        try:
            if begun.greeting is None:
                self._answer_greeting(begun, data)
            else:
                self._read_answer(begun)
        except ProtocolError:  # the task says so
            self.leave_to_task()

    def _answer_greeting(self, begun: Begun, data: bytes) -> None:
        """Log in when the greeting is there, whole and nothing but it."""
        if len(data) < 5 or data[0] | data[1] << 8 | data[2] << 16 != len(data) - 4 or data[4] != _GREETS:
            self.leave_to_task()
            return
        assert self.identity is not None
        greeting = parse_greeting(data[4:])
        login = packet(data[3] + 1, login_packet(self.identity, greeting.scramble, greeting.connection_id).to_bytes())
        begun.channel.leftover()
        begun.greeting, begun.since = greeting, trio.current_time()
        try:
            sent = begun.sock.send(login)
        except OSError as exc:
            self._lost(begun, exc)
            return
        if sent != len(login):  # a kernel without room for it
            self._lost(begun, OSError(errno.ENOBUFS, "a login was not taken whole"))

    def _read_answer(self, begun: Begun) -> None:
        """Let the client in if the server does."""
        head = begun.channel.peek(5)
        if len(head) == 5 and head[4] != _OK:
            self.leave_to_task()
            return
        found = begun.channel.taken()
        if found is None:
            return
        if begun.channel.peek(1):
            self._lost(begun, OSError(errno.EPROTO, "bytes behind the answer to a login"))
            return
        self._let_in(begun, found[1])

    def _lost(self, begun: Begun, error: OSError) -> None:
        begun.error = UpstreamLost(f"{begun.address}: connection lost: {error.strerror}")
        self.leave_to_task()

    def _let_in(self, begun: Begun, ok: bytes) -> None:
        session, services, client = self._session, self._services, self.channel
        assert self.identity is not None
        assert self.credentials is not None
        server = logged_in(begun, ok, self.identity, services.login_answers)
        services.views.server_let_in(self.key, begun.address, trial=begun.trial)
        note_login(services, session, str(begun.address))
        client.limit_bytes = COMMAND_BYTES
        forwarding = Forwarding(session, services, client, self.credentials, self.identity, server)
        session.forwarding, session.entrance, self.begun = forwarding, None, None
        assert session.lane is not None
        self._registered = False
        session.state = "active"
        session.lane.events.unheard = partial(unheard, session, forwarding)
        session.lane.adopt(packet(2, server.answer.tracked if session.tracks else server.answer.plain))
