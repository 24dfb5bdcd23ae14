"""What every session is lent, and the session as the table of sessions shows it."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar, final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.errors import FoundDead, QueryInterrupted
from odp_trio.events import Announcements
from odp_trio.model import Address, TenantKey
from odp_trio.net.certificates import Certificates
from odp_trio.net.channel import PacketChannel
from odp_trio.net.listener import Peer
from odp_trio.net.network import KERNEL, Network
from odp_trio.net.reactor import Reactor
from odp_trio.observe import Counts, StatementLog, StatementTable, StatementWatch, Traffic
from odp_trio.routing.own_rules import RuleSet
from odp_trio.session.admission import Admission, Place
from odp_trio.session.attempt import Attempt, ClientLeft
from odp_trio.session.ids import ConnectionIds
from odp_trio.session.lane import Lane
from odp_trio.session.ledger import Ends
from odp_trio.session.login import Credentials, Destination
from odp_trio.session.ports import Diagnosing
from odp_trio.session.reasons import End, ServerEnd
from odp_trio.session.router import Router
from odp_trio.session.server_set import Upstream
from odp_trio.session.upstream import Identity
from odp_trio.session.views import Views
from odp_trio.sql.cache import Statements
from odp_trio.state.login_answers import LoginAnswers
from odp_trio.state.prepared_texts import PreparedTexts
from odp_trio.topology.congestion import Failure
from odp_trio.workers.asking import Alone, Workers

if TYPE_CHECKING:
    from odp_trio.session.entrance import Entrance
    from odp_trio.session.forwarding import Forwarding

T = TypeVar("T")

AdminSession = Callable[["Session", PacketChannel, Credentials, Destination], Awaitable[None]]
"""Serves a login to the proxy itself."""
InternalCommand = Callable[["Session", bytes, int], Awaitable[bytes | None]]
"""Answers a command for the proxy in a session of a cluster, with these status flags; None: a server is to answer."""


class Services(msgspec.Struct):
    """What every session is lent."""

    settings: Callable[[], Settings]
    reactor: Reactor
    views: Views
    statements: Statements
    prepared_texts: PreparedTexts
    admin: AdminSession
    internal: InternalCommand
    counts: Counts
    scramble: Callable[[], bytes]
    seed: Callable[[], int]
    turns: Iterator[int]
    """Numbers logins, so that they are spread over servers that are equally good."""
    wall_clock_us: Callable[[], int]
    rules: RuleSet
    certificates: Certificates
    admission: Admission
    ends: Ends
    ids: ConnectionIds
    measured: StatementTable
    """What the statements of all tenants took."""
    network: Network = KERNEL
    """Where connections to servers are made."""
    watch: StatementWatch = msgspec.field(default_factory=StatementWatch)
    """Which statements somebody wants a record of, and who."""
    diagnosis: Diagnosing | None = None
    """Told of logins, of ends and of misroutes."""
    events: Announcements = msgspec.field(default_factory=Announcements)
    """Told of logins and of ends."""
    workers: Workers = msgspec.field(default_factory=Alone)
    """All processes of this proxy."""
    login_answers: LoginAnswers = msgspec.field(default_factory=LoginAnswers)
    table: dict[int, Session] = msgspec.field(default_factory=dict)
    """Every session, by connection id."""

    def texts(self) -> PreparedTexts | None:
        """Return the cache of prepared texts, if sessions share one."""
        return self.prepared_texts if self.settings().enable_global_ps_cache else None

    @property
    def statement_log(self) -> StatementLog | None:
        """Gets the records of statements; None when nobody wants any.  See ``StatementWatch.want``."""
        return self.watch.log


def _nothing(*_: object) -> None:
    """What a session of no table has."""


@final
class Work:
    """What a session's task does before a statement is sent: KILL QUERY may break it off."""

    __slots__ = ("interrupted", "scope")

    def __init__(self) -> None:
        self.interrupted = False
        self.scope = trio.CancelScope()


@final
class Session(msgspec.Struct, eq=False):
    """One client, as the table of sessions shows it."""

    id: int
    sock: socket.socket
    peer: Peer
    since: float
    rouse: Callable[[Session], None] = _nothing
    """Gives it a task, if it has none."""
    over: Callable[[Session, End], None] = _nothing
    """Told that it has ended, and why: by its task, or where it has none."""
    has_task: bool = False
    entrance: Entrance | None = None
    """Its login, for as long as it has no task."""
    forwarding: Forwarding | None = None
    """What is behind the login, for as long as it has no task."""
    scope: trio.CancelScope | None = None
    """Of its task, from when it begins."""
    state: str = "login"
    destination: Destination | None = None
    origin: str = ""
    """Where the client is, if it has no address of its own: on the unix socket."""
    tls: str = ""
    """The version of TLS that the client uses; empty: none."""
    tracks: bool = False
    """The client wants session-state blocks (SESSION_TRACK): it reads an OK packet otherwise."""
    router: Router | None = None
    lane: Lane | None = None
    traffic: Traffic = msgspec.field(default_factory=Traffic)
    identity: Identity | None = None
    """As whom it is logged in to servers."""
    privileges: int = 0
    """Its ``ob_proxy_user_privilege``."""
    ids_are_known: bool = False
    """Servers know the connection ids of clients, and understand KILL of them."""
    work: Work | None = None
    attempt: Attempt | None = None
    """The server that its task waits for."""
    seen: tuple[object, ...] | None = None
    """What it was doing when its time-outs were looked at last; the same objects: since ``seen_at``."""
    seen_at: float = 0.0
    due: float = 0.0
    """While it is idle, and asks nothing, no time-out of it can be due before."""
    step: tuple[int, float] | None = None
    """How many bytes had come of the command that is on its way, and when that was."""
    place: Place = msgspec.field(default_factory=Place)
    """What it takes of what there may be of clients."""
    why: End | None = None
    """Set when the session ends, or is told to."""
    detail: str = ""
    """What the log says of its end."""
    last_server: Address | None = None
    """The server that its last statement ran on, when it has ended."""

    @property
    def client(self) -> str:
        """Where the client is, in words."""
        ip, port = self.peer
        return self.origin or (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")

    @property
    def server(self) -> Address | None:
        """The OBServer that its last statement ran on, or is running on; None when that is gone."""
        active = self.router.servers.active if self.router is not None else None
        return None if active is None else active.address

    @property
    def is_idle(self) -> bool:
        """Whether its client is logged in and asks nothing, outside a transaction."""
        lane = self.lane
        return lane is not None and lane.is_open and not (lane.busy or lane.half_read or lane.tracker.in_transaction)

    def idle_since(self, now: float) -> float:
        """Return since when it is idle: to the second, as its time-outs are looked at."""
        lane, router, seen = self.lane, self.router, self.seen
        if seen is None or lane is None or router is None or seen[0] is not router.text:
            return now
        return self.seen_at

    def drain(self) -> None:
        """End as soon as no statement and no transaction is running; a login that is under way is broken off."""
        if self.lane is not None:
            self.lane.drain()
        else:
            self.end(End.DRAINED, "it had not logged in yet")

    def end(self, why: End, detail: str = "") -> None:
        """Break off whatever it is doing, at once and without a word, unless it is ending already."""
        if self.why is None:
            self.why, self.detail = why, detail
        if self.scope is not None:
            self.scope.cancel()
        if self.entrance is not None:
            self.entrance.leave_to_task()
        else:
            self.rouse(self)

    async def wait_for(
        self,
        services: Services,
        key: TenantKey,
        address: Address,
        work: Callable[[], Awaitable[T]],
        since: float | None = None,
    ) -> T:
        """Return what comes of work that waits for one server; see ``Attempt`` for what may break it off.

        ``since``: when it was begun, if not now.
        """
        self.attempt = Attempt(address, self.sock, services.reactor, since)
        try:
            ready = await self.attempt.run(work)
        except ClientLeft as exc:
            if exc.seconds >= services.settings().min_congested_connect_timeout:
                services.views.server_failed(key, address, Failure.GIVEN_UP)
            raise
        finally:
            self.attempt = None
        if self.work is not None and self.work.interrupted:
            raise QueryInterrupted("Query execution was interrupted")
        return ready

    def server_dead(self, address: Address, why: str) -> None:
        """A server of the session's cluster does not answer any more: do not wait for it."""
        if self.entrance is not None and self.entrance.begun is not None and self.entrance.begun.address == address:
            self.entrance.break_off(why)
        if self.attempt is not None and self.attempt.address == address:
            self.attempt.break_off(why)
        if self.lane is not None and self.router is not None:
            active = self.router.servers.active
            for upstream in tuple(self.router.servers.by_address.values()):
                if upstream.address == address and upstream is not active:
                    self.router.servers.drop(upstream, ServerEnd.FOUND_DEAD, why)
            if active is not None and active.address == address:
                self.lane.server_dead(FoundDead(why))

    # ---- KILL ---------------------------------------------------------------------------

    def running(self) -> tuple[Upstream, bytes] | None:
        """Return where its statement runs, and the statement: another object for each; None when it runs none."""
        lane, router = self.lane, self.router
        if lane is None or router is None or not lane.is_open or lane.tracker.ended or lane.upstream is None:
            return None
        return lane.upstream, router.text

    def interrupt(self) -> bool:
        """Break off what its task does before its statement is sent; answer whether it did anything.

        What the session holds on a server is not given up for it: then the task is told when that server is ready.
        """
        work = self.work
        if work is None:
            return False
        work.interrupted = True
        router = self.router
        active = router.servers.active if router is not None else None
        if router is None or not (router.tracker.in_transaction or (active is not None and router.is_bound_to(active))):
            work.scope.cancel()
        return True

    async def breakable(self, function: Callable[[], Awaitable[T]]) -> T:
        """Return what comes of work for a statement that was not sent yet; raise QueryInterrupted after KILL QUERY."""
        work = self.work = Work()
        try:
            with work.scope:
                return await function()
        finally:
            self.work = None
        raise QueryInterrupted("Query execution was interrupted")

    def server_ids(self) -> Iterator[int]:
        """Yield the ids that OBServers have given to its server sessions."""
        if self.router is not None:
            yield from (upstream.connection_id for upstream in self.router.servers.by_address.values())

    @property
    def activity(self) -> str:
        """What it is doing, in a word: login, admin, parked, active (a statement runs), idle."""
        if self.state != "active" or self.lane is None:
            return self.state
        return "active" if self.lane.busy else "idle"

    def crash(self, error: Exception) -> None:
        """Make the session die of ``error``, as a bug in it would."""
        if self.lane is not None:
            self.lane.crash(error)

    def __str__(self) -> str:
        who = (
            f" {self.destination.user}@{self.destination.tenant}#{self.destination.cluster}" if self.destination else ""
        )
        return f"session {self.id}{who} from {self.client}"
