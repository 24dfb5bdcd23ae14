"""Counters: plain integers on plain objects, read when somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final


@dataclass(slots=True)
class Traffic:
    """What went through the lane of one session, or of many."""

    statements: int = 0
    errors: int = 0
    client_bytes_in: int = 0
    server_bytes_in: int = 0

    def add(self, other: Traffic) -> None:
        """Count in what went through another lane."""
        self.statements += other.statements
        self.errors += other.errors
        self.client_bytes_in += other.client_bytes_in
        self.server_bytes_in += other.server_bytes_in


@dataclass(slots=True)
class Counts:
    """What happened to the sessions of one proxy; keys of the counters come from closed lists."""

    accepted: int = 0
    logins: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Logins refused, by errno."""
    ends: Counter[str] = field(default_factory=Counter)
    """Sessions ended, by reason."""
    server_ends: Counter[str] = field(default_factory=Counter)
    """Server sessions ended, by reason."""
    server_connects: int = 0
    server_connect_failures: int = 0
    server_failures: Counter[str] = field(default_factory=Counter)
    """Failures of OBServers that sessions saw, by kind."""
    failed_statements: Counter[str] = field(default_factory=Counter)
    """Statements that failed on a server, by what became of them."""
    tenant_fetches: int = 0
    tenant_invalidations: int = 0
    route_waits: int = 0
    """Statements that waited for a location."""
    replays: int = 0
    """Commands that brought a server session to the client's state."""
    reprepares: int = 0
    location_fetches: int = 0
    location_renewals: int = 0
    location_dirtied: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    """Of sessions that have ended; those that run have their own."""


# ---- times ---------------------------------------------------------------------------------

BUCKETS: Final = 48
"""Bucket number n of a list counts times of fewer than 2**n µs: the number of binary digits says which one."""


@final
class Histogram:
    """Times, counted in BUCKETS."""

    __slots__ = ("counts", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total_ns = 0

    def add(self, nanoseconds: int) -> None:
        """Count one in."""
        self.counts[(nanoseconds // 1000).bit_length()] += 1
        self.total_ns += nanoseconds

    def merge(self, counts: list[int], total_ns: int) -> None:
        """Count others in."""
        self.counts = list(map(int.__add__, self.counts, counts))
        self.total_ns += total_ns


# ---- statements: what they took ------------------------------------------------------------

NEVER: Final = 1 << 60
MOST_FOUND: Final = 1000
"""Ways from a command, a kind and a rule to a cell that are kept for a tenant."""
PROXY: Final = "proxy"
"""The route of what the proxy answers itself."""
ROUTES: Final = {
    "leader": "leader",
    "replica": "replica",
    "statement_owner": "bound",
    "open_transaction": "bound",
    "coordinator": "bound",
    "bound_session": "bound",
    "last_server": "bound",
    "lock_holder": "bound",
    "insert_id_server": "bound",
    "route_address": "named",
    "target_server": "named",
    "reroute": "named",
    "cached_session": "unlocated",
    "primary_zone": "unlocated",
    "tenant_server": "unlocated",
    "forced_use": "forced",
    PROXY: PROXY,
}
"""What the rules of routing come to: the values of the label ``route``."""
OWN_RULE: Final = "own_rule"
"""Of every rule that is the user's own."""


@final
class StatementCell:
    """The statements of one tenant, of one kind, that were routed one way.  Times are in ns, buckets as in BUCKETS.

    ``total`` runs from the arrival of a statement to the last byte of its answer,
    ``server`` from when it was sent to the first byte of the answer, ``proxy`` is
    what the proxy took: before it was sent, and for the last bytes of the answer.
    """

    __slots__ = (
        "errors", "kind", "missed", "proxy", "proxy_ns", "route", "server", "server_ns", "total", "total_ns",
    )  # fmt: skip

    def __init__(self, kind: str, route: str) -> None:
        self.kind, self.route = kind, route
        self.total, self.server, self.proxy = [0] * BUCKETS, [0] * BUCKETS, [0] * BUCKETS
        self.total_ns = self.server_ns = self.proxy_ns = 0
        self.errors = 0
        self.missed = 0
        """Those whose server said that it was the wrong one."""

    @property
    def count(self) -> int:
        """How many statements there were."""
        return sum(self.total)


@final
class TenantStatements:
    """What the sessions of one tenant count in."""

    __slots__ = ("_room", "cells", "cluster", "found", "tenant", "traffic")

    def __init__(self, cluster: str, tenant: str, room: Callable[[TenantStatements], TenantStatements]) -> None:
        self.cluster, self.tenant = cluster, tenant
        self.cells: dict[tuple[str, str], StatementCell] = {}
        """By kind and route."""
        self.found: dict[tuple[int, str, str], StatementCell] = {}
        """The same by command, kind and rule: the short way."""
        self.traffic = Traffic()
        """Of sessions that have ended."""
        self._room = room

    def cell(self, command: int, kind: str, rule: str, kind_of: Callable[[int, str], str]) -> StatementCell:
        """Return where a statement counts; ``kind_of`` says what is counted for a command and the kind of its text."""
        route = ROUTES.get(rule, OWN_RULE)
        key = kind_of(command, kind), route
        cell = self.cells.get(key)
        if cell is None:
            tenant = self._room(self)
            if tenant is not self:
                return tenant.cell(command, kind, rule, kind_of)
            cell = self.cells[key] = StatementCell(*key)
        if len(self.found) < MOST_FOUND:
            self.found[command, kind, rule] = cell
        return cell


@final
class StatementTable:
    """Every tenant's statements.  With ``limit`` cells it is full: what is new then counts in a tenant without a name.

    A tenant is made for sessions that have logged in, so that nobody can make names up.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self.tenants: dict[tuple[str, str], TenantStatements] = {}
        self.rest = TenantStatements("", "", lambda rest: rest)
        """Of tenants and kinds that there was no room for."""
        self.unseen = TenantStatements("", "", lambda unseen: unseen)
        """Of sessions whose statements are not to be counted, but may be recorded."""
        self._limit = limit
        self._cells = 0

    def tenant(self, cluster: str, tenant: str) -> TenantStatements:
        """Return what the sessions of a tenant count in."""
        known = self.tenants.get((cluster, tenant))
        if known is None:
            if len(self.tenants) >= self._limit():
                return self.rest
            known = self.tenants[cluster, tenant] = TenantStatements(cluster, tenant, self._room)
        return known

    def all(self) -> list[TenantStatements]:
        """Return every tenant that has counted anything; what had no room comes last."""
        return [tenant for tenant in (*self.tenants.values(), self.rest) if tenant.cells or tenant.traffic.statements]

    def _room(self, tenant: TenantStatements) -> TenantStatements:
        if self._cells >= self._limit():
            return self.rest
        self._cells += 1
        return tenant


# ---- statements: records of some -----------------------------------------------------------


@final
@dataclass(slots=True)
class StatementRecord:
    """One finished statement.  Its text may hold secrets (``IDENTIFIED BY``): whoever writes it down takes them out.

    Times are ``time.perf_counter_ns()``; 0 for what did not happen, as with statements that no server was asked about.
    """

    wanted: str
    """Why there is a record: ``slow``, ``failed`` or ``sampled``."""
    sampled: bool
    """Its turn has come among the statements of which a share is recorded, whatever else it was."""
    command: int
    kind: str
    """As in the metrics: ``select``, ``ping`` …"""
    cluster: str
    tenant: str
    database: str
    user: str
    session: int
    """The client's connection id."""
    client: str
    """``ip:port``."""
    server: str
    """``ip:port``; empty if the proxy has answered."""
    server_session: int
    sql: bytes
    """The text of the statement, also of one that was prepared before; cut at ``request_buffer_length``, about."""
    tables: tuple[str, ...]
    errno: int
    """0: it succeeded."""
    message: str
    rule: str
    """The rule of routing that chose the server."""
    route: str
    """What that is in the metrics."""
    missed: bool
    """The server says that it was the wrong one."""
    arrived: int
    """When it was read, so far as its route depends on it."""
    sent: int
    first: int
    """When the first bytes of the answer had come."""
    ended: int
    """When the last ones were given to the client."""
    proxy_ns: int
    """What the proxy took: before it was sent, and for the last bytes of the answer."""
    request_bytes: int
    response_bytes: int
    """From the server; 0 if the proxy has answered."""
    wall_us: int
    """When it ended, in µs since the epoch."""
    trace_id: str
    """Full-link trace id of the statement, 32 hexadecimal digits; empty if it is not traced."""
    server_trace_id: str
    """What the server has told of ``ob_statement_trace_id``; empty if nothing."""

    @property
    def total_ns(self) -> int:
        """From its arrival to the last byte of its answer."""
        return self.ended - self.arrived

    @property
    def server_ns(self) -> int:
        """From when it was sent to the first byte of its answer; 0 if no server was asked."""
        return self.first - self.sent


StatementLog = Callable[[StatementRecord], None]
"""Takes a record, in the callback that served the statement: it must return at once."""


@final
class StatementWatch:
    """Which statements somebody wants a record of.  One object for all sessions: changes hold from the next statement.

    ``left`` counts down to the next one that is sampled.
    """

    __slots__ = ("every", "failed", "left", "log", "records", "slow_ns")

    def __init__(self) -> None:
        self.log: StatementLog | None = None
        self.slow_ns = self.left = self.every = NEVER
        self.failed = False
        self.records = {"slow": 0, "failed": 0, "sampled": 0}
        """How many were made, by why they were wanted."""

    def want(self, log: StatementLog | None, *, slow: float = 0.0, share: float = 0.0, failed: bool = True) -> None:
        """Give ``log`` the statements that took at least ``slow`` seconds, a ``share`` of all, and those that failed.

        0 asks for none for being slow, none for chance.  None as log: nobody wants any.
        """
        self.log = log
        self.slow_ns = int(slow * 1e9) if log is not None and slow > 0 else NEVER
        self.every = self.left = max(round(1 / share), 1) if log is not None and share > 0 else NEVER
        self.failed = failed and log is not None

    @property
    def wants_any(self) -> bool:
        """Whether there is anything that a record is wanted of."""
        return self.log is not None and (self.failed or self.slow_ns < NEVER or self.every < NEVER)
