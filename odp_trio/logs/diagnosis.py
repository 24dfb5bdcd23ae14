"""obproxy_diagnosis.log: starts of the process, logins, connections that ended badly, statements that went astray.

Heads, trace types and keys are ODP's; ODP names the block of a line ``connection_diagnosis``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from odp_trio.model import TenantKey
from odp_trio.routing.request import Route
from odp_trio.session.ledger import EndRecord
from odp_trio.session.reasons import End


class Diagnosis(msgspec.Struct, frozen=True):
    """One line: its head and what it says."""

    head: str
    """REBOOT, LOGIN, CONNECTION or ROUTE."""
    time: float
    fields: Mapping[str, Any]


TRACE_TYPES: Final[Mapping[End, tuple[str, str]]] = {
    End.LOGIN_REFUSED: ("LOGIN_TRACE", ""),
    End.ACCESS_DENIED: ("LOGIN_TRACE", ""),
    End.UNKNOWN_CLUSTER: ("LOGIN_TRACE", ""),
    End.NO_SERVER: ("LOGIN_TRACE", ""),
    End.TOO_MANY_CLIENTS: ("LOGIN_TRACE", ""),
    End.TLS_FAILED: ("LOGIN_TRACE", ""),
    End.TLS_REQUIRED: ("LOGIN_TRACE", ""),
    End.LOGIN_TIMEOUT: ("TIMEOUT_TRACE", "CLIENT_CONNECT_TIMEOUT"),
    End.IDLE: ("TIMEOUT_TRACE", "CLIENT_WAIT_TIMEOUT"),
    End.CLIENT_TOO_SLOW: ("TIMEOUT_TRACE", "CLIENT_NET_WRITE_TIMEOUT"),
    End.SERVER_TIMEOUT: ("TIMEOUT_TRACE", "SERVER_QUERY_TIMEOUT"),
    End.KILLED: ("TIMEOUT_TRACE", "CLIENT_SESSION_KILLED"),
    End.CLIENT_GONE: ("CLIENT_VC_TRACE", "EOS"),
    End.CLIENT_PROTOCOL: ("CLIENT_VC_TRACE", "ERROR"),
    End.SERVER_GONE: ("SERVER_VC_TRACE", "EOS"),
    End.SERVER_PROTOCOL: ("SERVER_VC_TRACE", "ERROR"),
    End.INIT_SQL_FAILED: ("SERVER_INTERNAL_TRACE", ""),
    End.NOT_BEGUN: ("SERVER_INTERNAL_TRACE", ""),
    End.KILLED_BY_SERVER: ("SERVER_INTERNAL_TRACE", ""),
    End.DISPLACED: ("PROXY_INTERNAL_TRACE", ""),
    End.MEMORY_LIMIT: ("PROXY_INTERNAL_TRACE", ""),
    End.CRASHED: ("PROXY_INTERNAL_TRACE", ""),
}
"""ODP's trace type and event of each end that has a line; COM_QUIT, health probes and a drain have none."""


def of_end(end: EndRecord, why: End) -> Diagnosis | None:
    """Return the line of a connection that has ended; None: it needs none."""
    kind = TRACE_TYPES.get(why)
    if kind is None:
        return None
    trace_type, event = kind
    found = {
        "trace_type": trace_type,
        **_who(end),
        "reason": why.value,
        "error_msg": end.detail,
        "seconds": round(end.seconds, 6),
        "statements": end.statements,
    }
    if trace_type == "TIMEOUT_TRACE":
        found["timeout_event"] = event
    elif event:
        found["vc_event"] = event
    if trace_type == "LOGIN_TRACE":
        found["login_result"] = "failed"
    return Diagnosis("LOGIN" if trace_type == "LOGIN_TRACE" else "CONNECTION", end.began + end.seconds, found)


def of_login(end: EndRecord) -> Diagnosis:
    """Return the line of a client that has logged in."""
    return Diagnosis("LOGIN", end.began + end.seconds, {**_who(end), "login_result": "success"})


def of_misroute(key: TenantKey, route: Route, sql: str, now: float) -> Diagnosis:
    """Return the line of a statement that went to a server without its data; ``sql`` is masked."""
    found: dict[str, Any] = {
        "cluster_name": key.cluster,
        "tenant_name": key.tenant,
        "server_addr": str(route.server),
        "rule": route.rule,
        "policy": route.policy,
        "weak": route.weak,
        "user_sql": sql,
    }
    if route.location is not None:
        table = route.location.table.key
        found["table"] = f"{table.database}.{table.table}"
        found["tablet_id"] = route.location.tablet_id
    return Diagnosis("ROUTE", now, found)


def _who(end: EndRecord) -> dict[str, Any]:
    return {
        "cs_id": end.id,
        "client_addr": end.client,
        "server_addr": end.server,
        "cluster_name": end.cluster,
        "tenant_name": end.tenant,
        "user_name": end.user,
    }


def fields(line: Diagnosis) -> dict[str, Any]:
    """Return the fields of a line by their keys."""
    moment = datetime.fromtimestamp(line.time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"log": "diagnosis", "time": moment, "head": line.head, **line.fields}


def odp_line(line: Diagnosis) -> str:
    """Return ODP's line: ``[time] [thread][trace id] [HEAD](trace_type="...", connection_diagnosis={...})``."""
    moment = datetime.fromtimestamp(line.time).strftime("%Y-%m-%d %H:%M:%S.%f")
    rest = dict(line.fields)
    trace_type = rest.pop("trace_type", "")
    block = ", ".join(f"{key}:{msgspec.json.encode(value).decode()}" for key, value in rest.items())
    inner = f'trace_type="{trace_type}", connection_diagnosis={{{block}}}' if trace_type else block
    return f"[{moment}] [0][Y0-0000000000000000] [{line.head}]({inner})"


def render_trace_types() -> str:
    """Return the table of ends and their lines for the page on logs."""
    lines = ["| head | trace type | event | reasons |", "|---|---|---|---|"]
    found: dict[tuple[str, str, str], list[str]] = {}
    for why, (trace_type, event) in TRACE_TYPES.items():
        head = "LOGIN" if trace_type == "LOGIN_TRACE" else "CONNECTION"
        found.setdefault((head, trace_type, event), []).append(f"`{why.value}`")
    lines += [f"| {' | '.join(kind)} | {', '.join(reasons)} |" for kind, reasons in found.items()]
    return "\n".join(lines)
