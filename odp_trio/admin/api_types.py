"""What the operations of /api ask and answer, and what they read."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from odp_trio.admin.configuration import Configuration
from odp_trio.admin.congestion import ClusterCongestion, RecentChange
from odp_trio.admin.explain import Explained, ExplainRequest
from odp_trio.admin.live import ClusterTable
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.routes import TableRoutes
from odp_trio.admin.session_list import SessionStatus
from odp_trio.admin.slow_statements import SlowStatement
from odp_trio.admin.status import ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.config import Settings
from odp_trio.config.listing import ConfigRow
from odp_trio.logs.ring import WarnLine, WarnRing
from odp_trio.observe import StatementRecord
from odp_trio.session.ledger import EndRecord, Ends
from odp_trio.session.services import Session
from odp_trio.topology.location_table import Locations
from odp_trio.topology.snapshot import Snapshot
from odp_trio.workers.asking import Workers

Limit = Annotated[int, Meta(ge=1, le=1000)]


class SessionTable(Protocol):
    """The sessions of clients."""

    table: dict[int, Session]


class Logs(Protocol):
    """What has been logged."""

    slow: deque[StatementRecord]

    @property
    def ring(self) -> WarnRing:
        """The last lines of level WARN and above."""
        ...


class Source(Protocol):
    """What is read: a proxy."""

    locations: Locations
    ends: Ends
    configuration: Configuration
    clusters: ClusterTable

    sessions: SessionTable

    @property
    def logs(self) -> Logs:
        """What has been logged."""
        ...

    @property
    def workers(self) -> Workers:
        """All processes of this proxy."""
        ...

    def settings(self) -> Settings:
        """Return the settings in force."""
        ...

    async def status(self) -> ProxyStatus:
        """Return the state of everything."""
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


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines: from this number on, not older than ``since`` (seconds since the epoch), the last ``limit``."""

    log_id: Annotated[int, Meta(ge=0)] = 0
    since: float = 0.0
    limit: Limit = 100


class SlowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

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


class LogAnswer(msgspec.Struct, frozen=True):
    """Lines of level WARN and above, the oldest first."""

    lines: list[WarnLine]


class SlowAnswer(msgspec.Struct, frozen=True):
    """The newest come first."""

    statements: list[SlowStatement]


class ConfigAnswer(msgspec.Struct, frozen=True):
    """The options; secrets are ``***``."""

    options: list[ConfigRow]


class Done(msgspec.Struct, frozen=True):
    """It was done, or has begun."""

    done: str


class Mistake(msgspec.Struct, frozen=True):
    """Why nothing was done."""

    error: str
