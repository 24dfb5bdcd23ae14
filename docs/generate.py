"""Make again what is made from the code: ``python docs/generate.py`` (also ``nox -s docs``)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from odp_trio import errors as proxy_errors
from odp_trio.admin.api import render_operations
from odp_trio.admin.commands.render import render_commands, render_nothing
from odp_trio.admin.metric_table import render_labels, render_metrics, render_routes
from odp_trio.config.environment import PLAIN, PREFIX
from odp_trio.config.foot_guns import render_foot_guns
from odp_trio.config.foreign import FOREIGN
from odp_trio.config.impact import OF_LAYERS
from odp_trio.config.options import options
from odp_trio.config.render import render_example, render_markdown
from odp_trio.conformance.registry import all_checks
from odp_trio.conformance.sentences import check_table, sentence_table
from odp_trio.logs.diagnosis import render_trace_types
from odp_trio.logs.statement import render_fields
from odp_trio.model import Address
from odp_trio.routing.feedback import CLUSTER_MISMATCH, CONNECT_ERROR, DUPLICATES, NOT_MASTER, REROUTE, Verdict, judge
from odp_trio.routing.feedback import TENANT_NOT_IN_SERVER as MOVED
from odp_trio.routing.render import render_policies, render_rules
from odp_trio.routing.request import Route
from odp_trio.session.limit_table import AMOUNTS, TIMES, render_limits
from odp_trio.session.reasons import End, Reason, ServerEnd
from odp_trio.session.retry import (
    INITIALIZING,
    NO_PARTICIPANT,
    READ_ONLY,
    STOPPING,
    Answered,
    Delivered,
    Effect,
    FailedStatement,
    after_failed_statement,
)
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.wire.phases import render_phases

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.embedding_tables import api_table, event_table  # noqa: E402
from docs.grammar_tables import grammar_tables  # noqa: E402
from docs.man_page import man_page  # noqa: E402
from tests.live.drivers.registry import DIFFERS, DIFFERS_ROTATED, DRIVERS  # noqa: E402

LEADER, FOLLOWER, STRANGER = (Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))
ERRORS = {
    NOT_MASTER: "not master",
    REROUTE: "reroute",
    MOVED: "tenant not in this server",
    CONNECT_ERROR: "connect error",
    CLUSTER_MISMATCH: "other cluster",
}
ABSTRACT = (
    proxy_errors.OdpError,
    proxy_errors.ProtocolError,
    proxy_errors.LoginError,
    proxy_errors.RouteError,
    proxy_errors.UpstreamError,
    proxy_errors.BadCacheFile,
    proxy_errors.ChildGaveUp,
)
"""Not what a client is told."""
WORDS = {
    Verdict.VALID: "right",
    Verdict.DIRTY: "dirty",
    Verdict.DIRTY_AT_ONCE: "dirty, servers too",
    Verdict.NOTHING: "as it was",
}


def verdict(server: Address, *, leader: bool = True, weak: bool = False, policy: str = "", errno: int = 0) -> list[str]:
    """Return what becomes of a location after a partition hit and after a miss, or after an error."""
    replicas = (Replica(LEADER, leader), Replica(FOLLOWER))
    location = Location(TableEntry(TableKey("", "", "", ""), 0.0), 0, replicas, 0.0)
    route = Route(server, "", policy, location=location, weak=weak, to_leader=leader and server == LEADER)
    return [WORDS[judge(route, location, hit=hit, errno=errno)] for hit in ((True,) if errno else (True, False))]


def feedback_tables() -> str:
    """Return what answers say of a location, asked of the function that rules on it."""
    hits = {
        ("strong", "the leader"): verdict(LEADER),
        ("strong", "another one"): verdict(FOLLOWER),
        ("strong", "any, and no leader is known"): verdict(FOLLOWER, leader=False),
        ("strong, duplicate table", "holds a replica"): verdict(FOLLOWER, policy=DUPLICATES),
        ("weak", "holds a replica"): verdict(FOLLOWER, weak=True),
        ("weak", "holds none"): verdict(STRANGER, weak=True),
    }
    lines = ["| read | server | after a partition hit | after a miss |", "|---|---|---|---|"]
    lines += [f"| {' | '.join([*where, *answers])} |" for where, answers in hits.items()]
    lines += ["", "| error | | strong, to the leader | strong, elsewhere | weak |", "|---|---|---|---|---|"]
    for errno, what in (ERRORS | {1: "any other"}).items():
        answers = [
            *verdict(LEADER, errno=errno),
            *verdict(FOLLOWER, errno=errno),
            *verdict(FOLLOWER, weak=True, errno=errno),
        ]
        lines.append(f"| {errno if errno in ERRORS else ''} | {' | '.join([what, *answers])} |")
    return "\n".join(lines)


def failover_table() -> str:
    """Return what becomes of a failed statement, asked of the function that rules on it."""
    lost = {
        "the connection was lost before all of it was sent": {
            "answered": Answered.NOTHING,
            "delivered": Delivered.NOT_WHOLE,
        },
        "the connection was lost before the first byte of an answer": {"answered": Answered.NOTHING},
        "the connection was lost in the middle of an answer": {"answered": Answered.PART},
    }
    errors = {
        INITIALIZING: "the server starts",
        STOPPING: "the server stops",
        MOVED: "tenant not in this server",
        READ_ONLY: "the server's zone is read-only",
        CONNECT_ERROR: "a server behind it cannot be reached",
        NO_PARTICIPANT: "it cannot run away from its transaction's coordinator",
        1: "any other error",
    }
    events: dict[str, dict[str, Any]] = dict(lost)
    for errno, what in errors.items():
        number = f"{errno}: " if errno > 1 else ""
        events[number + what] = {"answered": Answered.ERROR, "errno": errno}
    events["5727 with the address of a server"] = {"answered": Answered.ERROR, "errno": REROUTE, "target": True}
    lines = [
        "| what happened | repeatable | may write | held | no server is left | on a participant |",
        "|---|---|---|---|---|---|",
    ]
    for what, fields in events.items():
        cells = [
            after_failed_statement(FailedStatement(**fields, effect=effect, **more)).value
            for effect, more in (
                (Effect.REPEATABLE, {}),
                (Effect.WRITES, {}),
                (Effect.REPEATABLE, {"in_transaction": True}),
                (Effect.REPEATABLE, {"attempts_left": False}),
                (Effect.WRITES, {"in_transaction": True, "participant": True}),
            )
        ]
        lines.append(f"| {' | '.join([what, *cells])} |")
    return "\n".join(lines)


def driver_tables() -> dict[str, str]:
    """Return the drivers and what differs, of the list that their tests run."""
    table = ["| driver | | requirement | checks | of these, not on the kernel either |", "|---|---|---|---|---|"]
    table += [f"| {e.name} | {e.what} | `{e.requirement}` | {e.checks} | {len(e.lacks)} |" for e in DRIVERS]
    lacks = ["| check | driver | why |", "|---|---|---|"]
    reasons: dict[tuple[str, str], list[str]] = {}
    for entry in DRIVERS:
        for check, reason in entry.lacks.items():
            reasons.setdefault((check, reason), []).append(entry.name)
    lacks += [f"| {check} | {', '.join(names)} | {reason} |" for (check, reason), names in reasons.items()]
    differs = ["| check | driver | why |", "|---|---|---|"]
    for more, listed in (("", DIFFERS), ("only with rotated routes: ", DIFFERS_ROTATED)):
        for (name, check), reason in listed.items():
            differs.append(f"| {check} | {'all' if name == '*' else name} | {more}{reason} |")
    return {"drivers": "\n".join(table), "lacks": "\n".join(lacks), "differs": "\n".join(differs)}


def error_table() -> str:
    """Return the errors that the proxy itself answers with, of the classes that are them."""
    rows: dict[tuple[int, str], list[str]] = {}
    for error in vars(proxy_errors).values():
        if not isinstance(error, type) or not issubclass(error, proxy_errors.OdpError) or error in ABSTRACT:
            continue
        if error.__doc__:
            text = " ".join(error.__doc__.split("\n\n")[0].split()).replace("``", "`")
            rows.setdefault((error.errno, error.sqlstate), []).append(text)
    lines = [f"| {number} | {state} | {'<br>'.join(texts)} |" for (number, state), texts in sorted(rows.items())]
    return "\n".join(["| errno | SQLSTATE | what has happened |", "|---|---|---|", *lines])


def odp_options() -> dict[str, str]:
    """Return ODP's options: those that are here under the same name, and those that are not, with the reason."""
    same = [name for name, described in options().items() if not described.option.own]
    reasons: dict[str, list[str]] = {}
    for name, reason in FOREIGN.items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    absent = ["| what there is instead | options of ODP |", "|---|---|"]
    absent += [f"| {reason} | {', '.join(names)} |" for reason, names in reasons.items()]
    return {"same": ", ".join(f"`{name}`" for name in sorted(same)), "absent": "\n".join(absent)}


def filled(text: str, **tables: str) -> str:
    """Return a page with its tables, each between ``<!-- name -->`` and ``<!-- /name -->``, made again."""
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = f"{head}{begin}\n{table}\n\n{end}{tail}"
    return text


def reason_table(reasons: Iterable[Reason]) -> str:
    """Return the words of a closed list of reasons and what they mean."""
    rows = [f"| `{reason.value}` | {reason.meaning} |" for reason in reasons]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows])


def configuration_tables() -> dict[str, str]:
    """Return variables of the environment, foot-guns, and what else an impact report has."""
    variables = ["| variable | option |", "|---|---|"]
    variables += [f"| `{variable}` | `{option}` |" for variable, option in PLAIN.items()]
    variables += ["| `OBPROXY_ROOT` | `etc_dir`: `etc` in this directory |"]
    variables += [f"| `{PREFIX}NAME` | any option: `{PREFIX}SYSLOG_LEVEL=WARN` |"]
    others = ["| name | what to expect |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in OF_LAYERS.items())]
    return {"environment": "\n".join(variables), "foot_guns": render_foot_guns(), "of_layers": "\n".join(others)}


def pages() -> dict[Path, str]:
    """Return every made file and what it should hold."""
    admin, wire, routing, failover, ends, drivers, limits, errors, migration, metrics, logs = (
        ROOT / "docs" / f"{name}.md"
        for name in (
            "admin",
            "wire",
            "routing",
            "failover",
            "ends",
            "drivers",
            "limits",
            "errors",
            "migration",
            "metrics",
            "logs",
        )
    )
    http = ROOT / "docs" / "http.md"
    embedding = ROOT / "docs" / "embedding.md"
    configuration, conformance = ROOT / "docs" / "configuration.md", ROOT / "docs" / "conformance.md"
    return {
        http: filled(http.read_text(), operations=render_operations()),
        ROOT / "etc" / "odp.toml": render_example(),
        ROOT / "etc" / "man" / "odp-trio.1": man_page(),
        ROOT / "odp_trio" / "sql" / "odp_sql.json": grammar_tables(),
        ROOT / "docs" / "options.md": render_markdown(),
        configuration: filled(configuration.read_text(encoding="utf-8"), **configuration_tables()),
        conformance: filled(
            conformance.read_text(encoding="utf-8"),
            sentences=sentence_table(all_checks()),
            checks=check_table(all_checks()),
        ),
        drivers: filled(drivers.read_text(encoding="utf-8"), **driver_tables()),
        admin: filled(admin.read_text(encoding="utf-8"), commands=render_commands(), nothing=render_nothing()),
        embedding: filled(embedding.read_text(encoding="utf-8"), api=api_table(), events=event_table()),
        wire: filled(wire.read_text(encoding="utf-8"), phases=render_phases()),
        ends: filled(ends.read_text(encoding="utf-8"), ends=reason_table(End), server_ends=reason_table(ServerEnd)),
        errors: filled(errors.read_text(encoding="utf-8"), errors=error_table()),
        migration: filled(migration.read_text(encoding="utf-8"), **odp_options()),
        limits: filled(limits.read_text(encoding="utf-8"), times=render_limits(TIMES), amounts=render_limits(AMOUNTS)),
        failover: filled(failover.read_text(encoding="utf-8"), failover=failover_table()),
        logs: filled(logs.read_text(encoding="utf-8"), fields=render_fields(), diagnosis=render_trace_types()),
        metrics: filled(
            metrics.read_text(encoding="utf-8"),
            routes=render_routes(),
            labels=render_labels(),
            metrics=render_metrics(),
        ),
        routing: filled(
            routing.read_text(encoding="utf-8"),
            rules=render_rules(),
            policies=render_policies(),
            feedback=feedback_tables(),
        ),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
