"""A logged-in session: the lane forwards, this task does what the lane cannot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Final, final

import msgspec
import trio

from odp_trio.errors import (
    ClientProtocolError,
    ConnectFailed,
    Draining,
    InitFailed,
    NoReplica,
    NotBegun,
    NotSupported,
    OdpError,
    OutcomeUnknown,
    OutOfOrder,
    QueryInterrupted,
    RouteError,
    ServerProtocolError,
    SessionLost,
    SessionMemoryExceeded,
    StatementRefused,
    UpstreamError,
    UpstreamLost,
)
from odp_trio.model import Address, TenantKey
from odp_trio.net.channel import PacketChannel, PeerGone, PeerTooSlow
from odp_trio.session.beside import Extras
from odp_trio.session.change_user import change_user
from odp_trio.session.compression import stream_behind_login
from odp_trio.session.events import Ended, Failed, Parked
from odp_trio.session.failover import command_of, rule
from odp_trio.session.lane import Lane
from odp_trio.session.login import Credentials, impose
from odp_trio.session.measuring import meter_of
from odp_trio.session.own_answers import OwnKill, own_answer, tells_ids
from odp_trio.session.placing import Placing
from odp_trio.session.reasons import End, ServerEnd, lost_server, server_end
from odp_trio.session.recording import note_server_end
from odp_trio.session.refusing import refuse, send_last
from odp_trio.session.retry import Action
from odp_trio.session.router import Router
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.session.services import Services, Session
from odp_trio.session.time_limits import seconds
from odp_trio.session.tracing import Tracer
from odp_trio.session.upstream import (
    Identity,
    ServerSession,
    client_is_not_asked,
    for_further_logins,
    open_server_session,
    server_socket_options,
)
from odp_trio.state.client import ClientState
from odp_trio.wire.command import HANDLING, Com, Handling, command_name, first_packet_end
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import err_packet
from odp_trio.wire.state import find_number

log = logging.getLogger("odp_trio.session")

_QUIT: Final = packet(0, bytes((Com.QUIT,)))
_SILENT: Final = tuple(handling is Handling.SILENT for handling in HANDLING)


@final
class Forwarding:
    """One session from its login on."""

    def __init__(
        self,
        session: Session,
        services: Services,
        client: PacketChannel,
        credentials: Credentials,
        identity: Identity,
        server: ServerSession,
    ) -> None:
        assert session.destination is not None
        destination = session.destination
        self._session, self._services, self._client = session, services, client
        self._credentials, self._identity = credentials, identity
        self._first_answer = answer = server.answer
        settings = services.settings()
        session.identity = identity
        session.privileges = answer.privileges
        session.ids_are_known = tells_ids(answer.capabilities, settings.client_session_id_version)
        key = TenantKey(destination.key, destination.tenant)
        self._tracker = ResponseTracker(session_track=credentials.tracks_session)
        self._servers = ServerSet(partial(note_server_end, services, session))
        state = ClientState()
        state.start(answer.defaults, credentials.packet.database or b"")
        self._tracer = Tracer()
        state.trace_info = b"client_ip=" + session.peer[0].encode()
        impose(state, settings.scoped(destination.cluster, destination.tenant, destination.user))
        self._router = session.router = Router(
            key,
            destination.user,
            state,
            self._servers,
            self._tracker,
            services.statements,
            services.views,
            services.views,
            services.rules,
            services.seed(),
            settings.request_buffer_length,
        )
        self._router.account.allow(settings.client_max_memory_size)
        self._router.statements.lend(services.texts(), settings.max_prepared_stmt_count)
        first = self._upstream(server)
        first.state.database = state.database
        self._servers.active = first
        self._identity = for_further_logins(identity, answer)
        state.last = first.address
        self._client_stream = stream_behind_login(client, credentials, settings)
        self._lane = session.lane = Lane(
            services.reactor, self._client_stream, first, self._tracker, session.traffic, self._router,
            meter_of(session, self._router, services),
        )  # fmt: skip

    @cached_property
    def _placing(self) -> Placing:
        services = self._services
        return Placing(
            self._router,
            services.views,
            self._connect,
            partial(self._session.wait_for, services, self._router.key),
            lambda: services.settings().connect_timeout,
            services.counts,
            services.login_answers.unsettable,
        )

    def _upstream(self, server: ServerSession) -> Upstream:
        upstream = Upstream(server, self._services.reactor, self._servers.closed_idle)
        upstream.since = trio.current_time()
        upstream.carry(Extras(server, self._router.state, self._tracer))
        self._servers.add(upstream)
        return upstream

    async def _connect(self, address: Address) -> Upstream:
        """Log in to another server as the client did to the first one."""
        counts, settings = self._services.counts, self._services.settings()
        counts.server_connects += 1
        self._services.views.connecting(self._router.key, address)
        try:
            server = await open_server_session(
                address,
                self._identity,
                timeout=settings.connect_timeout,
                options=server_socket_options(settings),
                ask_client=client_is_not_asked,
                answers=self._services.login_answers,
                tls=self._services.certificates.server,
                network=self._services.network,
            )
        except UpstreamError:
            counts.server_connect_failures += 1
            raise
        upstream = self._upstream(server)
        upstream.state.behind = self._services.login_answers.differing(self._first_answer, server.answer)
        return upstream

    async def run(self, seq: int) -> End:
        """Answer the login and let the lane work; do what it cannot."""
        session, client, answer = self._session, self._client, self._first_answer
        await client.send_packet(seq + 1, answer.tracked if session.tracks else answer.plain)
        client.stream = self._client_stream
        session.state = "active"
        self._lane.open(client.leftover())
        return await self.go_on()

    async def go_on(self) -> End:
        """Do what the lane leaves, from now on."""
        session, lane = self._session, self._lane
        while True:
            match await lane.events.wait():
                case Ended() as ended:
                    return await self._ended(ended)
                case event:
                    session.state = "parked"
                    why = await self._handled(event)
                    if why is not None:
                        return why
                    session.state = "active"

    def close(self, why: ServerEnd) -> None:
        """Give every server session back."""
        self._session.last_server = self._router.state.last
        self._lane.drop()
        self._servers.close(why)

    # ---- what the lane leaves -------------------------------------------------------

    async def _handled(self, event: Parked | Failed) -> End | None:
        """Handle one command off the lane and open it again; answer why the session ends if it does."""
        session, services, client = self._session, self._services, self._client
        client.read_limit = seconds(self._router, b"net_read_timeout")
        client.write_limit = seconds(self._router, b"net_write_timeout")
        try:
            return await (self._parked(event) if isinstance(event, Parked) else self._failed(event))
        except PeerGone as exc:
            log.info("%s: %s", session, exc)
            session.detail = str(exc)
            return End.CLIENT_TOO_SLOW if isinstance(exc, PeerTooSlow) else End.CLIENT_GONE
        except (UpstreamError, ServerProtocolError) as exc:
            return await self._refuse(SessionLost(str(exc)), lost_server(exc))  # it was bound to its server
        except NotBegun as exc:
            return await self._refuse(exc, End.NOT_BEGUN)
        except InitFailed as exc:
            return await self._refuse(exc, End.INIT_SQL_FAILED)
        except SessionMemoryExceeded as exc:
            return await self._refuse(exc, End.MEMORY_LIMIT)
        except ClientProtocolError as exc:
            return await refuse(session, services, client, 1, exc, End.CLIENT_PROTOCOL)

    async def _refuse(self, error: OdpError, why: End) -> End:
        """The running statement, and its session with it, may not go on."""
        self._lane.answered_here(err_packet(1, error))
        return await refuse(self._session, self._services, self._client, 1, error, why)

    async def _parked(self, parked: Parked) -> End | None:
        handling = HANDLING[parked.command]
        if handling is Handling.FORWARD or handling is Handling.SILENT:
            return await self._place(parked.data)
        client = self._client
        client.unread(parked.data)
        seq, payload = await client.receive()
        if seq:
            raise OutOfOrder(f"packet 0 expected, got {seq}")
        if payload[0] == Com.QUIT:
            self.say_quit()
            return End.CLIENT_QUIT
        if payload[0] == Com.CHANGE_USER:
            await self._change_user(payload)
        else:
            name = command_name(payload[0])
            log.info("%s: %s is not supported", self._session, name)
            await client.send(err_packet(1, NotSupported(f"{name} is not supported")))
        self._lane.open(client.leftover())
        return None

    async def _place(
        self, data: bytes, tried: Sequence[Address] = (), target: Address | None = None, refusal: bytes = b""
    ) -> End | None:
        """Find a server session for a command, and let the lane send it; or answer it here.

        ``refusal`` is the answer of the last of the servers that were ``tried``: the client's, if there is no other.
        """
        router, lane, session = self._router, self._lane, self._session
        error: OdpError
        if (wanted := router.wants(data)) > len(data):
            self._client.unread(data)
            data = await self._client.at_least(wanted)
        end = first_packet_end(data)
        try:
            if not router.read(bytearray(data), end):
                answer = await session.breakable(partial(own_answer, session, self._services, self._placing, data))
                if answer is not None:
                    await self._answer(data, answer)
                    return None
            upstream, command = await session.breakable(partial(self._placing.place, data[:end], tried, target))
        except StatementRefused as exc:
            await self._answer(data, None if _SILENT[data[4]] else packet(1, exc.payload))
            return None
        except OwnKill as exc:
            return await self._refuse(exc, End.KILLED)
        except QueryInterrupted as exc:
            error, refusal = exc, b""
        except RouteError as exc:
            error = exc
        except ConnectFailed as exc:
            if self._tracker.in_transaction:
                raise
            error = exc
        else:
            lane.use(upstream)
            lane.open(command + data[end:], placed=True)
            return None
        log.warning("%s: %s", session, error)
        await self._answer(data, None if _SILENT[data[4]] else refusal or err_packet(1, error))
        return None

    async def _failed(self, failed: Failed) -> End | None:
        """Do with a statement that failed what ``retry`` rules: the truth table is there."""
        router, lane, services = self._router, self._lane, self._services
        upstream = lane.upstream
        assert upstream is not None
        action, target = rule(router, upstream, failed, services.settings().connect_observer_max_retries)
        services.counts.failed_statements[action.value] += 1
        if action is Action.CLOSE:
            return await self._close(failed)
        tried = (*router.request.refused, upstream.address)
        if failed.error is not None:
            self._tracker.abandon()
            router.lost(upstream, server_end(failed.error), str(failed.error))
        if action is not Action.TELL or failed.error is not None:
            router.begin_again(upstream, gone=failed.error is not None)
        data = command_of(router) + failed.waiting
        if action is Action.TELL:
            nowhere = NoReplica(f"no server was left to run it after {failed.error}")
            await self._answer(data, failed.refusal or err_packet(1, nowhere))
            return None
        why = failed.error or f"error {failed.errno}"
        log.info("%s: %s: %s (%s)", self._session, upstream.address, action.value, why)
        return await self._place(data, tried, target, failed.refusal)

    async def _close(self, failed: Failed) -> End:
        """The running statement is lost with its server: say so where the protocol has room for it."""
        meaning = "its outcome is unknown" if failed.unanswered else "in the middle of an answer"
        error = OutcomeUnknown(f"{failed.error}; {meaning}")
        why = lost_server(failed.error)
        log.warning("%s: %s on %s: %s", self._session, why.value, self._router.state.last, error)
        self._session.detail = str(error)
        if self._lane.upstream is not None:
            self._servers.drop(self._lane.upstream, server_end(failed.error), str(failed.error))
        self._lane.answered_here(err_packet(1, error))
        if failed.unanswered:
            await send_last(self._client, err_packet(1, error))
        return why

    async def _answer(self, data: bytes, answer: bytes | None) -> None:
        """Send an answer of our own to a command, and go on with what comes after it."""
        client = self._client
        router = self._router
        if data[4] == Com.STMT_EXECUTE:
            router.statements.drop_long_data()
        elif data[4] == Com.STMT_SEND_LONG_DATA and router.grown(len(data)):
            raise SessionMemoryExceeded("exceed memory limit: client_max_memory_size")
        client.unread(data)
        await client.discard_command()
        if answer:
            await client.send(answer)
            self._lane.answered_here(answer)
        self._lane.open(client.leftover())

    async def _change_user(self, payload: bytes) -> None:
        session, servers = self._session, self._servers
        assert session.destination is not None
        active = servers.active
        if active is None:
            raise UpstreamLost("the connection to the OBServer was lost before COM_CHANGE_USER")
        settings, admission = self._services.settings(), self._services.admission
        admit = partial(admission.check_user, session.place)
        changed = await change_user(
            self._client, active.stream, payload, session.destination, settings, self._tracker, admit
        )
        if changed is not None:
            admission.become(session.place, changed.user)
            session.destination = msgspec.structs.replace(session.destination, user=changed.user)
            session.privileges = find_number(changed.ok, b"ob_proxy_user_privilege")
            self._router.start_anew(active)
            # The new password is known as this server's answer to its scramble only.
            self._router.state.note_changed_user()

    async def _ended(self, ended: Ended) -> End:
        """Log the end of a lane once, and tell the client where the protocol has room for it."""
        session = self._session
        if ended.why is End.CRASHED:
            assert ended.error is not None
            raise ended.error
        session.why = ended.why  # whatever breaks off what is said now
        error = ended.error
        session.detail = "" if error is None else str(error)
        if ended.why is End.DRAINED:
            self.say_quit()
            error = Draining("the proxy is shutting down; connect again")
        if ended.why in (End.SERVER_GONE, End.SERVER_PROTOCOL, End.CLIENT_PROTOCOL):
            server = self._router.state.last
            log.warning("%s: %s on %s: %s", session, ended.why.value, server, error)
            if ended.why is not End.CLIENT_PROTOCOL and (upstream := self._lane.upstream) is not None:
                # It was at rest: for what is lost in a statement the lane does not end.
                self._servers.drop(upstream, server_end(error, ServerEnd.CLOSED_IDLE), session.detail)
        if ended.tell_seq is not None and error is not None:
            await send_last(self._client, err_packet(ended.tell_seq, error))
        return ended.why

    def say_quit(self) -> None:
        """Tell the servers that the client leaves."""
        for upstream in self._servers.by_address.values():
            try:
                upstream.stream.send(_QUIT)
            except OSError as exc:
                log.debug("%s: COM_QUIT not sent: %s", upstream.address, exc)
