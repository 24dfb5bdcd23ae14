"""The operations of /api: one table, from which the routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from odp_trio.admin.across import answers, records
from odp_trio.admin.across.answers import HERE, IN_EACH, Together, by_all, plainly
from odp_trio.admin.api_types import (
    AlterRequest,
    ConfigAnswer,
    ConfigQuery,
    CongestionAnswer,
    Done,
    EndsAnswer,
    ExplainQuery,
    KillRequest,
    LogAnswer,
    LogQuery,
    Nothing,
    Operations,
    RestartRequest,
    RoutesAnswer,
    RoutesQuery,
    SessionsAnswer,
    SessionsQuery,
    SlowAnswer,
    SlowQuery,
    Source,
)
from odp_trio.admin.explain import ExplainRequest, explanation_object
from odp_trio.admin.explain_answer import ExplainAnswer
from odp_trio.admin.explain_command import read_parameter
from odp_trio.admin.live import LiveFrame
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.routes import list_routes
from odp_trio.admin.session_list import list_sessions
from odp_trio.admin.slow_statements import slow_statement
from odp_trio.admin.status import ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.config.changes import AlterReport, Change, Scope
from odp_trio.topology.snapshot import Snapshot

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
    across: Together = HERE
    """What becomes of it where there are several workers."""

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/api/{self.name}"


UNABLE: Final = (503,)


async def _status(caller: Caller, _: Nothing) -> ProxyStatus:
    return await caller.source.status()


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
    return CongestionAnswer((await caller.source.status()).congestion, caller.source.recent_changes())


async def _ends(caller: Caller, _: Nothing) -> EndsAnswer:
    kept = caller.source.ends
    return EndsAnswer(list(kept.newest()), list(kept.newest(servers=True)))


async def _log(caller: Caller, query: LogQuery) -> LogAnswer:
    return LogAnswer(list(caller.source.logs.ring.lines(query.log_id, since=query.since))[-query.limit :])


async def _slow(caller: Caller, query: SlowQuery) -> SlowAnswer:
    settings = caller.source.settings()
    newest = islice(reversed(caller.source.logs.slow), query.limit)
    return SlowAnswer([slow_statement(one, settings.scoped(one.cluster, one.tenant, one.user)) for one in newest])


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
    Operation("GET", "status", "Everything at one moment.", ProxyStatus, _status, across=by_all(answers.status)),
    Operation(
        "GET",
        "measurements",
        "What statements took, by tenant, kind and route.",
        Measurements,
        _measurements,
        across=plainly(records.measurements),
    ),
    Operation("GET", "tree", "The supervised tasks.", TreeNode, _tree, across=by_all(answers.tree)),
    Operation(
        "GET",
        "live",
        "What the console shows, once; again and again as a WebSocket.",
        LiveFrame,
        _live,
        across=by_all(answers.frame),
    ),
    Operation(
        "GET",
        "sessions",
        "The clients, busiest first.",
        SessionsAnswer,
        _sessions,
        SessionsQuery,
        across=by_all(answers.sessions),
    ),
    Operation(
        "GET", "ends", "The last connections that ended, and why.", EndsAnswer, _ends, across=plainly(answers.ends)
    ),
    Operation(
        "GET",
        "congestion",
        "The lists of servers, and what changed.",
        CongestionAnswer,
        _congestion,
        across=plainly(answers.congestion),
    ),
    Operation(
        "GET",
        "routes",
        "How statements fared, by table, busiest first.",
        RoutesAnswer,
        _routes,
        RoutesQuery,
        across=by_all(answers.routes),
    ),
    Operation(
        "GET", "explain", "Where a statement would go, and why.", ExplainAnswer, _explain_query, ExplainQuery, UNABLE
    ),
    Operation("POST", "explain", "The same, asked in JSON.", ExplainAnswer, _explain, ExplainRequest, UNABLE),
    Operation(
        "GET",
        "snapshot",
        "What routing stands on, for explain --snapshot.",
        Snapshot,
        _snapshot,
        across=plainly(answers.snapshot),
    ),
    Operation("GET", "slow", "The last slow statements.", SlowAnswer, _slow, SlowQuery, across=by_all(answers.slow)),
    Operation(
        "GET",
        "log",
        "The last warnings and errors, as SHOW WARNLOG has them.",
        LogAnswer,
        _log,
        LogQuery,
        across=by_all(answers.log),
    ),
    Operation("GET", "config", "The options, as SHOW PROXYCONFIG has them.", ConfigAnswer, _config, ConfigQuery),
    Operation("POST", "config", "Alter options: all, or none.", AlterReport, _alter, AlterRequest, writes=True),
    Operation(
        "POST", "kill", "End a client's session, or its statement.", Done, _kill, KillRequest, (404, *UNABLE), True
    ),
    Operation(
        "POST",
        "restart",
        "Restart a supervised task.",
        Done,
        _restart,
        RestartRequest,
        (404,),
        writes=True,
        across=IN_EACH,
    ),
    Operation("POST", "drain", "No new clients; the others finish; then end.", Done, _drain, writes=True),
)
"""Every operation."""


def render_operations() -> str:
    """Return the table of operations for docs/http.md."""
    rows = ["| operation | what it does | parameters | token |", "|---|---|---|---|"]
    for one in API:
        words = ", ".join(f"`{name}`" for name in one.asks.__struct_fields__)
        rows.append(f"| `{one.method} {one.path}` | {one.says} | {words} | {'always' if one.writes else ''} |")
    return "\n".join(rows)
