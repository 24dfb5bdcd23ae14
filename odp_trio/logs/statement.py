"""A finished statement as the logs have it: which files it goes to, and its fields.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import msgspec

from odp_trio.config import Settings
from odp_trio.logs.masking import masked, masked_message
from odp_trio.observe import StatementRecord
from odp_trio.wire.command import command_name

_NANOS: Final = 1e9


class Log(Enum):
    """A log of its own: the value is part of its file's name, ``obproxy_VALUE.log``."""

    DIGEST = "digest"
    SLOW = "slow"
    ERROR = "error"
    DIAGNOSIS = "diagnosis"


class Finished(msgspec.Struct, frozen=True):
    """A record, and what it was picked for by chance."""

    record: StatementRecord
    digest: bool = False
    span: bool = False


def is_slow(record: StatementRecord, settings: Settings) -> bool:
    """Whether a statement took longer than its user's limit; ``settings`` are those of its user."""
    return 0 < settings.slow_query_time_threshold < record.total_ns / _NANOS


def logs_of(finished: Finished, settings: Settings) -> Iterator[Log]:
    """Yield the logs that a statement has a line in; ``settings`` are those of its user."""
    record = finished.record
    slow = is_slow(record, settings)
    if slow or finished.digest or 0 < settings.query_digest_time_threshold < record.total_ns / _NANOS:
        yield Log.DIGEST
    if slow:
        yield Log.SLOW
    if record.errno:
        yield Log.ERROR


def least_threshold(settings: Settings) -> float:
    """Return the shortest time that makes anybody's statement worth a record; 0: nothing does."""
    found = [settings.query_digest_time_threshold, settings.slow_query_time_threshold]
    for cluster in settings.clusters.values():
        for scope in cluster.scopes.values():
            found += [
                scope[name] for name in ("query_digest_time_threshold", "slow_query_time_threshold") if name in scope
            ]
    return min((limit for limit in found if limit > 0), default=0.0)


class Field(msgspec.Struct, frozen=True):
    """A field of a line: its key, its number in ODP's line (0: none), what it is, and how it is had."""

    key: str
    number: int
    text: str
    value: Callable[[StatementRecord, Settings], Any]


def trace_id(record: StatementRecord) -> str:
    """Return the proxy's own id of a statement, written as ODP writes its trace ids."""
    return f"Y{record.session:X}-{record.wall_us:016X}"


def statement_text(record: StatementRecord, settings: Settings) -> str:
    """Return the text of a statement as it may be written."""
    return masked(record.sql)[: settings.digest_sql_length]


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# fmt: off
FIELDS: Final = (
    Field("time", 0, "When the statement ended: UTC, in ODP's line local time.", lambda r, s: _moment(r.wall_us)),
    Field("app_name", 1, "The option app_name.", lambda r, s: s.app_name),
    Field("cluster", 5, "The cluster. ODP's field is `cluster:tenant:database`.", lambda r, s: r.cluster),
    Field("tenant", 5, "The tenant.", lambda r, s: r.tenant),
    Field("database", 5, "The current database, in ODP's line field 4 too.", lambda r, s: r.database),
    Field("user", 0, "The user.", lambda r, s: r.user),
    Field("database_type", 6, "Always OB_MYSQL.", lambda r, s: "OB_MYSQL"),
    Field("table", 8, "The first table of the statement, in ODP's line field 7 too.",
          lambda r, s: r.tables[0] if r.tables else ""),
    Field("command", 9, "The command, such as COM_QUERY.", lambda r, s: command_name(r.command)),
    Field("statement", 10, "The kind of statement, in capitals.", lambda r, s: r.kind.upper().replace(" ", "_")),
    Field("result", 11, "success or failed.", lambda r, s: "failed" if r.errno else "success"),
    Field("error_code", 12, "Number of the error; 0, in ODP's line nothing, on success.", lambda r, s: r.errno),
    Field("sql", 13, "The text, masked, at most digest_sql_length characters.", statement_text),
    Field("total_us", 14, "Microseconds from the arrival of the statement to the last byte of its answer.",
          lambda r, s: r.total_ns // 1000),
    Field("prepare_us", 15, "Microseconds until it was sent to a server.",
          lambda r, s: (r.sent - r.arrived) // 1000 if r.sent else r.total_ns // 1000),
    Field("server_us", 17, "Microseconds from then to the first byte of the answer.", lambda r, s: r.server_ns // 1000),
    Field("proxy_us", 0, "Microseconds that the proxy took itself: before it was sent, and for the end of the answer.",
          lambda r, s: r.proxy_ns // 1000),
    Field("trace_id", 18, "The proxy's own id of the statement.", lambda r, s: trace_id(r)),
    Field("server_trace_id", 19, "The server's trace id, where the server tells it, in ODP's error line field 25 too.",
          lambda r, s: r.server_trace_id),
    Field("full_link_trace_id", 0, "The id of OceanBase's full-link trace, 32 hexadecimal digits; empty: not traced.",
          lambda r, s: r.trace_id),
    Field("client", 20, "Address of the client.", lambda r, s: r.client),
    Field("server", 23, "Address of the server; empty: the proxy answered.", lambda r, s: r.server),
    Field("session", 0, "The client's connection id.", lambda r, s: r.session),
    Field("server_session", 0, "The id that the server gave to its session.", lambda r, s: r.server_session),
    Field("rule", 0, "The rule of routing that chose the server.", lambda r, s: r.rule),
    Field("missed", 0, "Whether the server said that it was the wrong one.", lambda r, s: r.missed),
    Field("request_bytes", 0, "Bytes of the statement.", lambda r, s: r.request_bytes),
    Field("response_bytes", 0, "Bytes of the server's answer.", lambda r, s: r.response_bytes),
    Field("wanted", 0, "Why there is a record: it was slow, has failed or was sampled.", lambda r, s: r.wanted),
    Field("error_message", 24, "Error lines only: the text of the error, masked.",
          lambda r, s: masked_message(r.message, r.sql)),
)
"""The fields of digest, slow and error lines."""
# fmt: on


def fields(log: Log, record: StatementRecord, settings: Settings) -> dict[str, Any]:
    """Return the fields of a line by their keys; ``log`` says which one it is in."""
    found: dict[str, Any] = {"log": log.value}
    for field in FIELDS:
        if field.key != "error_message" or log is Log.ERROR:
            found[field.key] = field.value(record, settings)
    return found


def odp_line(found: dict[str, Any]) -> str:
    """Return ODP's line of these fields: comma separated; commas and line ends in a field are written %2C, %0A."""
    where = f"{found['cluster']}:{found['tenant']}:{found['database']}"
    cells: list[object] = [
        found["app_name"], "", "", found["database"], where, found["database_type"], found["table"], found["table"],
        found["command"], found["statement"], found["result"], found["error_code"] or "", found["sql"],
        f"{found['total_us']}us", f"{found['prepare_us']}us", "0us", f"{found['server_us']}us",
        found["trace_id"], found["server_trace_id"], found["client"], "", 0, found["server"],
    ]  # fmt: skip
    if found["log"] == Log.ERROR.value:
        cells += [found["error_message"], found["server_trace_id"]]
    moment = datetime.fromisoformat(found["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")
    return ",".join([moment, *map(_cell, cells)])


def _cell(value: object) -> str:
    return str(value).replace(",", "%2C").replace("\r", "%0D").replace("\n", "%0A")


def render_fields() -> str:
    """Return the table of fields for the page on logs."""
    lines = ["| key | ODP's field | meaning |", "|---|---|---|"]
    lines += [f"| `{field.key}` | {field.number or ''} | {field.text} |" for field in FIELDS]
    return "\n".join(lines)
