"""The operations of /api: one table, from which the routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
from msgspec import Meta

from odp_trio.admin.configuration import Configuration
from odp_trio.admin.congestion import ClusterCongestion, RecentChange
from odp_trio.admin.explain import Explained, ExplainRequest, explanation_object
from odp_trio.admin.explain_answer import ExplainAnswer
from odp_trio.admin.explain_command import read_parameter
from odp_trio.admin.live import ClusterTable, LiveFrame
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.routes import TableRoutes, list_routes
from odp_trio.admin.session_list import SessionStatus, list_sessions
from odp_trio.admin.status import ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.config import Settings
from odp_trio.config.changes import AlterReport, Change, Scope
from odp_trio.config.listing import ConfigRow
from odp_trio.session.ledger import EndRecord, Ends
from odp_trio.session.services import Session
from odp_trio.topology.location import Locations
from odp_trio.topology.snapshot import Snapshot

Limit = Annotated[int, Meta(ge=1, le=1000)]


class SessionTable(Protocol):
    """The sessions of clients."""

    table: dict[int, Session]


class Source(Protocol):
    """What is read: a proxy."""

    locations: Locations
    ends: Ends
    configuration: Configuration
    clusters: ClusterTable
    sessions: SessionTable

    def settings(self) -> Settings:
        """Return the settings in force."""
        ...

    def statistics(self) -> ProxyStatus:
        """Return the state of everything at this moment."""
        ...

    def tree(self) -> TreeNode:
        """Return the tree of supervised tasks."""
        ...

    async def measurements(self) -> Measurements:
        """Return what was measured, of statements above all."""
        ...

    async def explain(self, request: ExplainRequest) -> Explained:
        """Explain where a statement would go."""
        ...

    async def snapshot(self) -> Snapshot:
        """Return what routing stands on."""
        ...

    def recent_changes(self) -> list[RecentChange]:
        """Return the last changes of the lists of servers."""
        ...


class Operations(Protocol):
    """What is done: see ``operate.Operator``."""

    async def kill(self, number: int, *, query: bool, by: str) -> None:
        """End a client's session, or only its statement."""
        ...

    def restart_task(self, path: str, *, by: str) -> None:
        """Restart a supervised task."""
        ...

    def drain(self, *, by: str) -> None:
        """Begin the orderly end."""
        ...


# ---- what is asked ----------------------------------------------------------------------


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class RoutesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tables: ``like`` is an SQL pattern of ``database.table``."""

    like: str = "%"
    cluster: str = ""
    tenant: str = ""
    limit: Limit = 100


class SessionsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sessions: those that have every word of ``search`` in id, login name, addresses or state."""

    search: str = ""
    state: Literal["", "login", "admin", "parked", "active", "idle"] = ""
    limit: Limit = 100


class ExplainQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As the body of POST /api/explain; ``what_if`` and ``param`` (values of ``?``) may come several times."""

    sql: str
    cluster: str = ""
    tenant: str = ""
    user: str = ""
    database: str = ""
    what_if: tuple[str, ...] = ()
    param: tuple[str, ...] = ()
    read_consistency: Literal["", "weak", "strong"] = ""
    idc: str = ""
    in_transaction_on: str = ""
    last_server: str = ""


class ConfigQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which options: an SQL pattern; ``diff`` for those that are not at their defaults, ``all`` with their scopes."""

    like: str = "%"
    diff: bool = False
    all: bool = False


class WantedChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An option that is to have another value, for all or for a scope; null forgets what was set at run time."""

    name: str
    value: str | int | float | bool | None
    cluster: str = ""
    tenant: str = ""
    user: str = ""


class AlterRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change, all or nothing; with ``dry_run`` it is only said what that would do."""

    changes: Annotated[tuple[WantedChange, ...], Meta(min_length=1, max_length=1000)]
    dry_run: bool = False


class KillRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to end; with ``query`` only the statement that it runs."""

    id: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    query: bool = False


class RestartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The path of a task, as /api/tree has it."""

    path: Annotated[str, Meta(max_length=1000)]


# ---- what is answered -------------------------------------------------------------------


class RoutesAnswer(msgspec.Struct, frozen=True):
    """``total`` tables were found; the busiest are listed."""

    total: int
    routes: tuple[TableRoutes, ...]


class SessionsAnswer(msgspec.Struct, frozen=True):
    """``total`` sessions were found; the busiest are listed."""

    total: int
    sessions: tuple[SessionStatus, ...]


class CongestionAnswer(msgspec.Struct, frozen=True):
    """The lists of servers, and the last changes of them, the newest first."""

    clusters: tuple[ClusterCongestion, ...]
    recent: list[RecentChange]


class EndsAnswer(msgspec.Struct, frozen=True):
    """The last ends of clients and of server sessions, the newest first."""

    clients: list[EndRecord]
    servers: list[EndRecord]


class ConfigAnswer(msgspec.Struct, frozen=True):
    """The options; secrets are ``***``."""

    options: list[ConfigRow]


class Done(msgspec.Struct, frozen=True):
    """It was done, or has begun."""

    done: str


class Mistake(msgspec.Struct, frozen=True):
    """Why nothing was done."""

    error: str


# ---- the table --------------------------------------------------------------------------


class Caller(msgspec.Struct, frozen=True):
    """What an operation works on."""

    source: Source
    operations: Operations
    who: str
    frame: Callable[[], Awaitable[LiveFrame]]


class Operation(msgspec.Struct, frozen=True):
    """One operation.  ``asks`` comes as query parameters of a GET, as JSON of a POST; ``refusals`` are status codes."""

    method: Literal["GET", "POST"]
    name: str
    says: str
    answer: Any
    run: Callable[[Caller, Any], Awaitable[object]]
    asks: type[msgspec.Struct] = Nothing
    refusals: tuple[int, ...] = ()
    writes: bool = False

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/api/{self.name}"


UNABLE: Final = (503,)


async def _status(caller: Caller, _: Nothing) -> ProxyStatus:
    return caller.source.statistics()


async def _measurements(caller: Caller, _: Nothing) -> Measurements:
    return await caller.source.measurements()


async def _tree(caller: Caller, _: Nothing) -> TreeNode:
    return caller.source.tree()


async def _live(caller: Caller, _: Nothing) -> LiveFrame:
    return await caller.frame()


async def _snapshot(caller: Caller, _: Nothing) -> Snapshot:
    return await caller.source.snapshot()


async def _explain(caller: Caller, request: ExplainRequest) -> object:
    return explanation_object(await caller.source.explain(request))


async def _explain_query(caller: Caller, query: ExplainQuery) -> object:
    words = msgspec.structs.asdict(query)
    words["parameters"] = tuple(read_parameter(text) for text in words.pop("param"))
    return await _explain(caller, ExplainRequest(**words))


async def _routes(caller: Caller, query: RoutesQuery) -> RoutesAnswer:
    found, total = await list_routes(
        caller.source.locations, like=query.like, cluster=query.cluster, tenant=query.tenant, limit=query.limit
    )
    return RoutesAnswer(total, found)


async def _sessions(caller: Caller, query: SessionsQuery) -> SessionsAnswer:
    table = caller.source.sessions.table
    found, total = await list_sessions(table.values(), search=query.search, state=query.state, limit=query.limit)
    return SessionsAnswer(total, found)


async def _congestion(caller: Caller, _: Nothing) -> CongestionAnswer:
    return CongestionAnswer(caller.source.statistics().congestion, caller.source.recent_changes())


async def _ends(caller: Caller, _: Nothing) -> EndsAnswer:
    kept = caller.source.ends
    return EndsAnswer(list(kept.newest()), list(kept.newest(servers=True)))


async def _config(caller: Caller, query: ConfigQuery) -> ConfigAnswer:
    return ConfigAnswer(caller.source.configuration.rows(query.like, diff=query.diff, all_scopes=query.all))


async def _alter(caller: Caller, request: AlterRequest) -> AlterReport:
    changes = [
        Change(wanted.name, wanted.value, Scope(wanted.cluster, wanted.tenant, wanted.user))
        for wanted in request.changes
    ]
    return await caller.source.configuration.alter(changes, dry_run=request.dry_run)


async def _kill(caller: Caller, request: KillRequest) -> Done:
    await caller.operations.kill(request.id, query=request.query, by=caller.who)
    return Done(f"{'the statement of session' if request.query else 'session'} {request.id} is ended")


async def _restart(caller: Caller, request: RestartRequest) -> Done:
    caller.operations.restart_task(request.path, by=caller.who)
    return Done(f"task {request.path} is restarted")


async def _drain(caller: Caller, _: Nothing) -> Done:
    caller.operations.drain(by=caller.who)
    return Done("the proxy takes no new clients, and ends when those that are there are gone")


API: Final = (
    Operation("GET", "status", "Everything at one moment.", ProxyStatus, _status),
    Operation("GET", "measurements", "What statements took, by tenant, kind and route.", Measurements, _measurements),
    Operation("GET", "tree", "The supervised tasks.", TreeNode, _tree),
    Operation("GET", "live", "What the console shows, once; again and again as a WebSocket.", LiveFrame, _live),
    Operation("GET", "sessions", "The clients, busiest first.", SessionsAnswer, _sessions, SessionsQuery),
    Operation("GET", "ends", "The last connections that ended, and why.", EndsAnswer, _ends),
    Operation("GET", "congestion", "The lists of servers, and what changed.", CongestionAnswer, _congestion),
    Operation("GET", "routes", "How statements fared, by table, busiest first.", RoutesAnswer, _routes, RoutesQuery),
    Operation(
        "GET", "explain", "Where a statement would go, and why.", ExplainAnswer, _explain_query, ExplainQuery, UNABLE
    ),
    Operation("POST", "explain", "The same, asked in JSON.", ExplainAnswer, _explain, ExplainRequest, UNABLE),
    Operation("GET", "snapshot", "What routing stands on, for explain --snapshot.", Snapshot, _snapshot),
    Operation("GET", "config", "The options, as SHOW PROXYCONFIG has them.", ConfigAnswer, _config, ConfigQuery),
    Operation("POST", "config", "Alter options: all, or none.", AlterReport, _alter, AlterRequest, writes=True),
    Operation(
        "POST", "kill", "End a client's session, or its statement.", Done, _kill, KillRequest, (404, *UNABLE), True
    ),
    Operation("POST", "restart", "Restart a supervised task.", Done, _restart, RestartRequest, (404,), writes=True),
    Operation("POST", "drain", "No new clients; the others finish; then end.", Done, _drain, writes=True),
)
"""Every operation."""
