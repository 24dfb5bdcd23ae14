"""Every limit of a session in one table: docs/limits.md is made from it.

``value`` and ``options`` name session variables and options; a test holds the options against their table.
"""

from __future__ import annotations

from typing import Final

import msgspec

from odp_trio.session.reasons import End


class Limit(msgspec.Struct, frozen=True):
    """One limit.  ``seen`` is what the client sees, ``end`` the reason in log, metrics and SQL; None: no end."""

    what: str
    value: str
    options: tuple[str, ...]
    seen: str
    end: End | None = None


_CLOSED: Final = "its connection is closed"

TIMES: Final = (
    Limit("A client logs in", "10 s", ("login_timeout",), _CLOSED, End.LOGIN_TIMEOUT),
    Limit(
        "A login waits for a cluster it is the first to name",
        "5 s for each question",
        ("short_async_task_timeout",),
        "error 4669 or 1045",
        End.UNKNOWN_CLUSTER,
    ),
    Limit(
        "A server is connected to and greets; it answers a login; it answers each command of a replay; COM_CHANGE_USER",
        "5 s each; the next server is tried. What the client needs for an answer of its own does not count",
        ("connect_timeout", "connect_observer_max_retries"),
        "error 4124 when no server is left",
        End.NO_SERVER,
    ),
    Limit(
        "A client asks nothing, in a transaction or not",
        "`wait_timeout` of the session (28800 s); a ping counts as asking",
        (),
        _CLOSED,
        End.IDLE,
    ),
    Limit(
        "A client has sent a part of a command, or of a local file",
        "`net_read_timeout` of the session (30 s) for each 4 KiB, or up to its end",
        (),
        _CLOSED,
        End.CLIENT_TOO_SLOW,
    ),
    Limit(
        "A client does not take an answer",
        "`net_write_timeout` of the session (60 s) without a byte taken",
        (),
        _CLOSED,
        End.CLIENT_TOO_SLOW,
    ),
    Limit(
        "A server does not answer, does not go on with an answer, or does not take a statement",
        "the statement's `query_timeout` hint, else `ob_query_timeout` of the session (10 s), and a delta of 20 s",
        ("observer_query_timeout_delta",),
        "a statement that may run elsewhere does; else error 2013, or in the middle of an answer the end",
        End.SERVER_TIMEOUT,
    ),
    Limit(
        "The same during DDL, CALL, PL blocks, LOAD DATA, several statements in one text, and what is not understood",
        "180000 s: the server's own limits are others there",
        ("default_inactivity_timeout",),
        "error 2013, or the end",
        End.SERVER_TIMEOUT,
    ),
    Limit("A login to the proxy itself asks nothing", "180000 s", ("default_inactivity_timeout",), _CLOSED, End.IDLE),
    Limit(
        "A transaction is idle, or long",
        "`ob_trx_idle_timeout`, `ob_trx_timeout`: the server's own limits. The proxy does not watch them",
        (),
        "what the server says: 4012, 6002 and their like",
    ),
    Limit(
        "A machine is gone: a client's, a server's",
        "keep-alive: 5 s of silence, then 5 probes 5 s apart; unacknowledged data for as long as the kernel says",
        ("client_tcp_keepidle", "client_tcp_user_timeout", "server_tcp_keepidle", "server_tcp_user_timeout"),
        "as if the connection had been closed",
        End.CLIENT_GONE,
    ),
)

AMOUNTS: Final = (
    Limit(
        "Clients of the proxy, those that are logging in among them",
        "8192",
        ("client_max_connections", "client_max_connections_policy", "enable_client_connection_lru_disconnect"),
        "error 1203 (42000) Too many sessions",
        End.TOO_MANY_CLIENTS,
    ),
    Limit(
        "The idle client that makes room for another",
        "off",
        ("enable_client_connection_lru_disconnect",),
        _CLOSED,
        End.DISPLACED,
    ),
    Limit(
        "Clients of one tenant",
        "none",
        ("tenant_max_connections",),
        "error 1040 (08004) Too many connections",
        End.TOO_MANY_CLIENTS,
    ),
    Limit(
        "Clients of one user of a tenant",
        "none",
        ("user_max_connections",),
        "error 1203 (42000) User … already has more than 'user_max_connections' active connections",
        End.TOO_MANY_CLIENTS,
    ),
    Limit(
        "What is kept for a session: variables, prepared texts, long data, session info, bytes on their way",
        "8 MB",
        ("client_max_memory_size",),
        "error 4080 (HY013) in answer to its next command, or in place of an answer that is too long to be kept",
        End.MEMORY_LIMIT,
    ),
    Limit("A packet of a login", "128 KiB", (), "error 1043", End.CLIENT_PROTOCOL),
    Limit("A command that is read whole here, such as COM_CHANGE_USER", "1 MiB", (), "error 1043", End.CLIENT_PROTOCOL),
    Limit(
        "A statement, or an answer",
        "`max_allowed_packet`: the server's own limit. Both pass in pieces of 64 KiB, chains of 16-MiB packets too",
        ("request_buffer_length",),
        "the server's error 1153",
    ),
)


def render_limits(limits: tuple[Limit, ...]) -> str:
    """Return a table in Markdown."""
    lines = ["| what | limit | options | what the client sees | reason of the end |", "|---|---|---|---|---|"]
    for limit in limits:
        options = ", ".join(f"`{name}`" for name in limit.options)
        end = "" if limit.end is None else f"`{limit.end.value}`"
        lines.append(f"| {limit.what} | {limit.value} | {options} | {limit.seen} | {end} |")
    return "\n".join(lines)
