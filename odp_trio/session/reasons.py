"""Why connections end: two closed lists, one for clients, one for the server sessions behind them.

The words are the same in the log, in the metrics and in SQL; ``docs/ends.md`` is made from them.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Self

from odp_trio.errors import (
    AccessDenied,
    CatalogError,
    ConfigServerError,
    FoundDead,
    LoginRefused,
    OdpError,
    ProtocolError,
    UnknownCluster,
    UpstreamError,
    UpstreamTimedOut,
)

KILLED_ERRNOS: Final = frozenset({4401, 5066})
"""Errors with which a server says that the session was killed: OB_KILL_CLIENT_SESSION, OB_ERR_SESSION_INTERRUPTED."""


class Reason(Enum):
    """A word and what it means.  Abstract: the two lists are below."""

    _value_: str
    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a member whose value is the word."""
        member = object.__new__(cls)
        member._value_ = word
        member.meaning = meaning
        return member


class End(Reason):
    """Why a client's connection ended."""

    CLIENT_QUIT = "client_quit", "it said COM_QUIT"
    CLIENT_GONE = "client_gone", "it closed its connection, or the connection broke"
    LEFT_BEFORE_LOGIN = "left_before_login", "it left without a word: a health probe, as a rule"
    CLIENT_PROTOCOL = "client_protocol_error", "it broke the protocol"
    IDLE = "idle", "it asked nothing for `wait_timeout` seconds"
    CLIENT_TOO_SLOW = (
        "client_too_slow",
        "it did not take an answer for `net_write_timeout`, or not go on with a command for `net_read_timeout`",
    )
    LOGIN_TIMEOUT = "login_timeout", "it did not log in within `login_timeout`"
    TLS_FAILED = "tls_failed", "it asked for TLS, and the handshake failed"
    TLS_REQUIRED = "tls_required", "it logged in without TLS where that is not allowed"
    LOGIN_REFUSED = "login_refused", "an OBServer refused its login: a wrong password, an account that is locked"
    ACCESS_DENIED = "access_denied", "the proxy refused its login: an unknown tenant, a reserved account"
    UNKNOWN_CLUSTER = "unknown_cluster", "its login named no cluster that is known"
    NO_SERVER = "no_server", "no OBServer could be had for its login"
    TOO_MANY_CLIENTS = (
        "too_many_clients",
        "it came when the proxy, its tenant or its user had as many clients as they may have",
    )
    DISPLACED = (
        "displaced",
        "it had been idle for longest when another client came and there was no room",
    )
    MEMORY_LIMIT = "memory_limit", "what the proxy keeps for it grew beyond `client_max_memory_size`"
    SERVER_GONE = (
        "server_gone",
        "its OBServer was lost in a statement that may have run, or with what the session had there",
    )
    SERVER_TIMEOUT = (
        "server_timeout",
        "its OBServer did not answer, or did not go on with an answer, within the limit for the statement",
    )
    SERVER_PROTOCOL = "server_protocol_error", "its OBServer broke the protocol"
    INIT_SQL_FAILED = "init_sql_failed", "an OBServer refused what init_sql says"
    NOT_BEGUN = "transaction_not_begun", "an OBServer refused to begin the transaction that it had been told of"
    KILLED = "killed", "KILL, executed by this proxy"
    KILLED_BY_SERVER = "killed_by_server", "an OBServer said that the session was killed there"
    DRAINED = "drained", "the proxy is ending; it was sent away between two transactions"
    SHUTDOWN = "shutdown", "the proxy ended before it did"
    CRASHED = "crashed", "a bug in the proxy; the log has the traceback"


class ServerEnd(Reason):
    """Why a server session ended."""

    CLIENT_ENDED = "client_ended", "its client's connection ended"
    CLOSED_IDLE = "closed_idle", "the OBServer closed it while nothing ran on it"
    LOST = "lost", "the connection was lost while a statement ran on it"
    TIMED_OUT = "timed_out", "the OBServer did not answer a statement within its limit"
    FOUND_DEAD = "found_dead", "probes of the OBServer fail: it is not waited for any more"
    EXCLUDED = "excluded", "the OBServer went onto a list of those that get nothing new"
    PROTOCOL = "protocol_error", "the OBServer broke the protocol"
    REPLAY_FAILED = "replay_failed", "the client's state could not be brought there"
    BROKEN_OFF = "broken_off", "the client left, or KILL came, while its state was brought there"
    DATABASE_DROPPED = "database_dropped", "the client dropped its current database by another server session"
    TRANSACTION_MOVED = "transaction_moved", "a transaction that had just begun there begins on another server"
    ERRAND = "errand", "it was made to send one KILL QUERY, and that was done"
    RESET = "reset", "COM_RESET_CONNECTION or COM_CHANGE_USER was answered by another server session"
    KILLED = "killed", "KILL of its client"
    KILLED_BY_SERVER = "killed_by_server", "the OBServer said that the session was killed"
    DRAINED = "drained", "its client was sent away because the proxy is ending"
    SHUTDOWN = "shutdown", "the proxy ended"
    CRASHED = "crashed", "a bug in the proxy ended its client's session"


_WITH_CLIENT: Final = {
    End.KILLED: ServerEnd.KILLED,
    End.KILLED_BY_SERVER: ServerEnd.KILLED_BY_SERVER,
    End.DRAINED: ServerEnd.DRAINED,
    End.SHUTDOWN: ServerEnd.SHUTDOWN,
    End.CRASHED: ServerEnd.CRASHED,
}

QUIET: Final = frozenset(
    {
        End.CLIENT_QUIT,
        End.CLIENT_GONE,
        End.LEFT_BEFORE_LOGIN,
        End.TOO_MANY_CLIENTS,
        End.DISPLACED,
        End.DRAINED,
        End.IDLE,
    }
)
"""Ends that nobody needs to look at, or that have a line of their own: logged at level DEBUG."""


def with_client(why: End) -> ServerEnd:
    """Return why server sessions end whose client's session ends for ``why``."""
    return _WITH_CLIENT.get(why, ServerEnd.CLIENT_ENDED)


def refused_login(error: OdpError) -> End:
    """Return why a session ends whose login fails with ``error``, before or instead of the server's own check."""
    match error:
        case UnknownCluster() | ConfigServerError():
            return End.UNKNOWN_CLUSTER
        case AccessDenied():
            return End.ACCESS_DENIED
        case LoginRefused():
            return End.LOGIN_REFUSED
        case UpstreamError() | CatalogError():
            return End.NO_SERVER
        case _:
            return End.LOGIN_REFUSED


def server_end(error: BaseException | None, otherwise: ServerEnd = ServerEnd.LOST) -> ServerEnd:
    """Return why a server session ended that was lost with ``error``; its causes are looked at too."""
    while error is not None:
        if isinstance(error, UpstreamTimedOut):
            return ServerEnd.TIMED_OUT
        if isinstance(error, FoundDead):
            return ServerEnd.FOUND_DEAD
        if isinstance(error, ProtocolError):
            return ServerEnd.PROTOCOL
        error = error.__cause__
    return otherwise


def lost_server(error: BaseException | None) -> End:
    """Return why a client's session ends that cannot go on without a server session lost with ``error``."""
    while error is not None:
        if isinstance(error, LoginRefused) and error.errno in KILLED_ERRNOS:
            return End.KILLED_BY_SERVER
        if isinstance(error, UpstreamTimedOut):
            return End.SERVER_TIMEOUT
        error = error.__cause__
    return End.SERVER_GONE
