"""What one client session has told its servers, as far as routing and replay need it.

Every change has a version: a server session that has seen the client's version
needs no replay.  Values are kept as the OBServer reported them in the
session-state block of its OK packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from odp_trio.model import Address
from odp_trio.sql.lexer import ANSI_QUOTES, MULTIBYTE, NO_BACKSLASHES
from odp_trio.state.prepared import TextPrepared
from odp_trio.state.session_info import SharedInfo
from odp_trio.wire.state import SessionState

WEAK: Final = 2
STRONG: Final = 3
_CONSISTENCY: Final = {b"1": 1, b"2": 2, b"3": 3, b"frozen": 1, b"weak": 2, b"strong": 3}
_ROUTE_POLICIES: Final = (
    b"merge_idc_order",
    b"readonly_zone_first",
    b"only_readonly_zone",
    b"unmerge_zone_first",
)
_MULTIBYTE: Final = frozenset({b"gbk", b"gb18030", b"gb18030_2022", b"gb2312", b"big5", b"sjis", b"cp932"})
_TRUE: Final = frozenset({b"1", b"on", b"true", b"yes"})
_BY_DEFAULT: Final = {
    b"ob_read_consistency": b"STRONG",
    b"ob_route_policy": b"READONLY_ZONE_FIRST",
    b"autocommit": b"1",
    b"time_zone": b"+08:00",
    b"collation_connection": b"utf8mb4_general_ci",
    b"sql_mode": b"",
    b"character_set_client": b"utf8mb4",
}
"""What routing reads, where a login's OK says nothing of it."""
TIME_LIMITS: Final = {
    b"ob_query_timeout": 10_000_000,
    b"wait_timeout": 28_800,
    b"net_read_timeout": 30,
    b"net_write_timeout": 60,
}
"""Variables that limit time, and OceanBase's values where a login's OK says nothing of them: µs, else seconds."""
UNSYNCED: Final = frozenset(
    {
        b"ob_statement_trace_id",
        b"ob_capability_flag",
        b"ob_last_schema_version",
        b"__min_cluster_version",
        b"last_schema_version",
        b"identity",
        b"error_count",
        b"warning_count",
        b"proxy_user",
        b"_current_default_catalog",
        b"_nlj_batching_enabled",
        b"ob_enable_transmission_checksum",
        b"character_set_database",
        b"collation_database",
        b"pseudo_thread_id",
        b"rand_seed1",
        b"rand_seed2",
        b"insert_id",
    }
)
"""Variables that belong to a statement or to one server and are never replayed."""


def login_defaults(variables: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return what a session's variables are whose login's OK tells ``variables``."""
    return {**_BY_DEFAULT, **variables}


@final
@dataclass(slots=True, eq=False)
class ServerState:
    """How much of the client's state one server session has."""

    version: int = 0
    database: bytes = b""
    behind: dict[bytes, bytes] = field(default_factory=dict)
    """Variables that its login told otherwise than the client's first one, with the values of that."""
    carries_variables: bool = False
    """System variables come to it as session info: they need not be set."""


@final
@dataclass(slots=True, eq=False)
class ClientState:
    """The state of one client session."""

    version: int = 0
    revision: int = 0
    """Changes with everything that routing reads here, but for ``last`` and ``in_transaction``."""
    database: bytes = b""
    system: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    user: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """User variables: literals, as a server told them, and versions."""
    origins: dict[bytes, ServerState] = field(default_factory=dict)
    """Which server session has set a user variable: it knows the type."""
    expressions: dict[bytes, bytes] = field(default_factory=dict)
    """What has the value and the type of a user variable, where that was asked for."""
    # ---- what routing reads ----
    in_transaction: bool = False
    coordinator: Address | None = None
    """The server on which the running transaction began, if its statements may go elsewhere at all."""
    roams: bool = False
    """The coordinator's last word: statements of the running transaction may run on other servers."""
    last: Address | None = None
    """The server that ran the last statement."""
    bound: str = ""
    """Why the session may not leave its last server: a temporary table, locks; empty when it may."""
    temporary_table: bool = False
    transaction_pending: bool = False
    """SET TRANSACTION was executed: the next statement must run on the same server."""
    locked_tables: bool = False
    changed_user: bool = False
    lock_server: Address | None = None
    """Holds user locks (GET_LOCK)."""
    last_lost: bool = False
    """``last`` is None because the connection to that server was lost."""
    rows_server: Address | None = None
    """The server that ran the last statement which has rows: it knows found_rows()."""
    insert_id_server: Address | None = None
    """Produced the last insert id."""
    read_consistency: int = STRONG
    consistency_set: bool = False
    """The client set ob_read_consistency to WEAK or STRONG itself."""
    route_policy: int = 1
    autocommit: bool = True
    lower_case_names: bool = True
    user_policy: str = ""
    """``@proxy_route_policy``."""
    idc: str = ""
    """``@proxy_idc_name``."""
    time_zone: str = "+08:00"
    collation: bytes = b"utf8mb4_general_ci"
    sql_mode: bytes = b""
    charset: bytes = b"utf8mb4"
    text_prepared: dict[str, TextPrepared] = field(default_factory=dict)
    """The statements made by PREPARE … FROM, by upper-case name."""
    init_sql: bytes = b""
    """What is executed before the first statement, and then forgotten."""
    held_begin: bytes = b""
    """A BEGIN that was answered and sent nowhere: the next statement chooses the server, which gets both."""
    route_address: Address | None = None
    """``@obproxy_route_addr``: for one statement."""
    shared: SharedInfo = field(default_factory=SharedInfo)
    """What servers tell each other of the session (OB 2.0)."""
    trace_info: bytes = b""
    """Goes with the next request in OB 2.0."""
    _defaults: Mapping[bytes, bytes] = field(default_factory=lambda: _BY_DEFAULT)
    _imposed: dict[bytes, bytes] = field(default_factory=dict)

    def start(self, defaults: Mapping[bytes, bytes], database: bytes) -> None:
        """Take over what the first login's OK says; these values are every server session's defaults.

        ``defaults`` is made by ``login_defaults``, and may be shared with other sessions.
        """
        self.database = database
        self._defaults = defaults
        for name, value in defaults.items():
            self._read(name, value)
        self.consistency_set = False

    def variable(self, name: bytes) -> bytes | None:
        """Return a system variable as the server told it, at the login or since; None if it did not."""
        changed = self.system.get(name)
        return self._defaults.get(name) if changed is None else changed[0]

    def login_variables(self) -> dict[bytes, bytes]:
        """Return the system variables as the first login's OK told them, with what is taken where it did not."""
        return dict(self._defaults)

    def user_variable(self, name: bytes) -> bytes | None:
        """Return a user variable as a literal, as the server told it last; ``name`` is in lower case."""
        return next((value for known, (value, _) in self.user.items() if known.lower() == name), None)

    def impose(self, name: bytes, value: bytes) -> None:
        """Set a variable on the configuration's behalf: every server session is told."""
        self._imposed[name] = value
        self.revision += 1
        self.version += 1
        self.system[name] = (value, self.version)
        self._read(name, value)

    def hold_begin(self, sql: bytes) -> None:
        """The client has been told that a transaction has begun; ``sql`` begins it.  Empty: no more is held."""
        self.held_begin = sql
        self.revision += 1

    def lose(self, address: Address) -> None:
        """The connection to a server is gone, and with it what only that server session knew."""
        if self.last == address:
            self.last, self.last_lost = None, True
        if self.rows_server == address:
            self.rows_server = None

    def note_changed_user(self) -> None:
        """COM_CHANGE_USER succeeded: no other server can be logged in to any more."""
        self.changed_user = True
        self._bind()

    def dialect(self) -> int:
        """Return the flags that the lexer needs: what sql_mode and character_set_client say of quotes."""
        modes = self.sql_mode.upper()
        flags = ANSI_QUOTES if b"ANSI" in modes else 0
        if b"NO_BACKSLASH_ESCAPES" in modes:
            flags |= NO_BACKSLASHES
        return flags | MULTIBYTE if self.charset.lower() in _MULTIBYTE else flags

    def forget(self) -> int:
        """COM_RESET_CONNECTION: variables and whatever bound the session are gone; the database stays.

        The server says nothing of it in its OK: its variables have their values of the login again.
        Answers the version of the server session that was reset; what is imposed comes behind it.
        """
        self.revision += 1
        self.version += 1
        self.system.clear()
        for of_variables in (self.user, self.origins, self.expressions):
            of_variables.clear()
        self.shared.forget()
        self.text_prepared.clear()
        self.temporary_table = self.transaction_pending = self.locked_tables = False
        self.lock_server = self.insert_id_server = self.route_address = None
        self.held_begin = b""
        self.user_policy = self.idc = ""
        self._bind()
        for name, value in self._defaults.items():
            self._read(name, value)
        self.consistency_set = False
        reset = self.version
        for name, value in self._imposed.items():
            self.impose(name, value)
        return reset

    def learn(self, told: SessionState, server: ServerState) -> None:
        """Take over what the answer to the client's statement says, which ran on ``server``."""
        if told.schema is not None:
            self.revision += 1
            self.database = server.database = told.schema
        changed = [
            (name, value)
            for name, value in told.system.items()
            if name not in UNSYNCED and not name.startswith((b"ob_proxy_", b"_ob_proxy_"))
        ]
        for name, value in told.system.items():
            self._read(name, value)
        if not changed and not told.user:
            return
        self.revision += 1
        up_to_date = server.version == self.version
        self.version += 1
        for name, value in changed:
            self.system[name] = (value, self.version)
        for name, value in told.user.items():
            self.user[name] = (value, self.version)
            self.origins[name] = server
            self.expressions.pop(name, None)
            self._read_user(name.lower(), value)
        if up_to_date:
            server.version = self.version

    def _read(self, name: bytes, value: bytes) -> None:
        """Note what routing needs of a system variable."""
        match name:
            case b"ob_read_consistency":
                self.read_consistency = _CONSISTENCY.get(value.lower(), STRONG)
                self.consistency_set = self.read_consistency in (WEAK, STRONG)
            case b"ob_route_policy":
                self.route_policy = _route_policy(value)
            case b"autocommit":
                self.autocommit = value.lower() in _TRUE
            case b"lower_case_table_names":
                self.lower_case_names = value != b"0"
            case b"time_zone":
                self.time_zone = value.decode("latin-1")
            case b"collation_connection":
                self.collation = value
            case b"sql_mode":
                self.sql_mode = value
            case b"character_set_client":
                self.charset = value
            case b"ob_proxy_set_trx_executed":
                self.transaction_pending = value.lower() in _TRUE
                self._bind()
            case b"_ob_proxy_session_temporary_table_used":
                self.temporary_table = value.lower() in _TRUE
                self._bind()
            case _:
                return

    def _read_user(self, name: bytes, value: bytes) -> None:
        text = value.decode("utf-8", "replace").strip("'")
        if name == b"proxy_idc_name":
            self.idc = "" if text.upper() == "NULL" else text
        elif name == b"proxy_route_policy":
            self.user_policy = "" if text.upper() == "NULL" else text.upper()

    def note_locked_tables(self, locked: bool) -> None:
        """LOCK TABLES or UNLOCK TABLES was executed."""
        self.locked_tables = locked
        self._bind()

    def note_locks(self, server: Address, holds: bool) -> None:
        """A server says whether the session holds locks there."""
        if holds:
            self.lock_server = server
        elif self.lock_server == server:
            self.lock_server = None

    def is_imposed(self, name: bytes) -> bool:
        """Whether the configuration says what a system variable is."""
        return name in self._imposed

    def note_temporary_table(self) -> None:
        """A temporary table was made."""
        self.temporary_table = True
        self._bind()

    def _bind(self) -> None:
        self.revision += 1
        reasons = (
            (self.transaction_pending, "SET TRANSACTION is pending"),
            (self.temporary_table, "it has a temporary table"),
            (self.locked_tables, "it holds table locks"),
            (self.changed_user, "COM_CHANGE_USER: its password is known to this server only"),
        )
        self.bound = "; ".join(reason for holds, reason in reasons if holds)


def _route_policy(value: bytes) -> int:
    if not value:  # so servers name number 0
        return 0
    if value.isdigit():
        number = int(value)
    else:
        lower = value.lower()
        number = _ROUTE_POLICIES.index(lower) if lower in _ROUTE_POLICIES else 1
    return number if number < len(_ROUTE_POLICIES) else 1
