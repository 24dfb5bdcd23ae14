"""``odp-trio explain`` and ``odp-trio snapshot``.  Imports wait until a verb runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

NO_SERVER: Final = 1
BAD_INPUT: Final = 2
PROXY: Final = "http://127.0.0.1:2884"
_SECONDS: Final = 30.0


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verbs to a command line."""
    explain = verbs.add_parser(
        "explain",
        help="where a statement would go, and why",
        description="Ask a running proxy, or a snapshot, where a statement would go, and why.",
        epilog="Exit status: 0, 1 when no server may serve the statement, 2 when it could not be asked.",
    )
    explain.set_defaults(verb=explain_verb)
    explain.add_argument("sql", metavar="SQL", nargs="?", help="the statement; '-' reads it from standard input")
    explain.add_argument("--json", action="store_true", help="print the answer as JSON")
    explain.add_argument(
        "--what-if", metavar="CHANGE", action="append", default=[], help="such as 'zone=z1 down'; any number of them"
    )
    where = explain.add_mutually_exclusive_group()
    where.add_argument("--snapshot", metavar="FILE", type=Path, help="ask a snapshot instead of a proxy")
    where.add_argument("--proxy", metavar="URL", default=PROXY, help=f"HTTP address of the proxy (default {PROXY})")
    for name, text in (
        ("cluster", "cluster of the login (default: the proxy's)"),
        ("tenant", "tenant of the login (default: the proxy's, or sys)"),
        ("user", "user of the login"),
        ("database", "database of the session"),
        ("idc", "the session's @proxy_idc_name"),
        ("last-server", "ip:port that ran the statement before"),
        ("in-transaction-on", "ip:port on which a transaction is open"),
    ):
        explain.add_argument(f"--{name}", metavar=name.upper().replace("-", "_"), default="", help=text)
    reads = explain.add_mutually_exclusive_group()
    reads.add_argument("--weak", dest="reads", action="store_const", const="weak", help="ob_read_consistency = WEAK")
    reads.add_argument("--strong", dest="reads", action="store_const", const="strong", help="the same, STRONG")
    explain.add_argument(
        "--param", metavar="VALUE", action="append", default=[], help="value of a '?': JSON, or else text; one for each"
    )

    snapshot = verbs.add_parser(
        "snapshot",
        help="write what the routing of a running proxy stands on to a file",
        description="Write what the routing of a running proxy stands on, for 'explain --snapshot'.",
    )
    snapshot.set_defaults(verb=snapshot_verb)
    snapshot.add_argument("--proxy", metavar="URL", default=PROXY, help=f"HTTP address of the proxy (default {PROXY})")
    snapshot.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: standard output")


def read_parameter(text: str) -> str | int | float | bool | None:
    """Read the value of a placeholder: JSON's number, string, true, false or null; anything else is text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if value is None or isinstance(value, str | int | float) else text


# ---- explain --------------------------------------------------------------------------


def explain_verb(options: argparse.Namespace) -> int:
    """Run ``odp-trio explain`` and return the exit status."""
    from odp_trio.errors import OdpError

    try:
        fields = _fields(options)
        answer = _ask_snapshot(fields, options.snapshot) if options.snapshot else _ask_proxy(fields, options.proxy)
    except (OdpError, OSError) as exc:
        return _refuse(exc)
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    else:
        from odp_trio.admin.explain_text import show

        show(answer)
    return 0 if answer.get("server") else NO_SERVER


def _refuse(error: Exception) -> int:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    sys.stderr.write(f"odp-trio: {' '.join(text.split())}\n")
    return BAD_INPUT


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of an ExplainRequest; importing that takes longer than a proxy takes to answer."""
    from odp_trio.errors import ConfigError

    sql = options.sql
    if sql is None and options.command:
        sql = " ".join(options.command)
    if sql is None:
        raise ConfigError("there is no statement to explain; see 'odp-trio explain --help'")
    if sql == "-":
        sql = sys.stdin.read()
    names = ("cluster", "tenant", "user", "database", "idc", "in_transaction_on", "last_server")
    return {
        "sql": sql,
        **{name: getattr(options, name) for name in names},
        "what_if": options.what_if,
        "parameters": [read_parameter(text) for text in options.param],
        "read_consistency": options.reads or "",
    }


def _ask_snapshot(fields: dict[str, Any], path: Path) -> dict[str, Any]:
    import msgspec

    from odp_trio.admin.explain import ExplainRequest, explain_offline, explanation_object
    from odp_trio.topology.snapshot import read_snapshot, restore

    source = str(path)
    request = msgspec.convert(fields, ExplainRequest)
    return explanation_object(explain_offline(restore(read_snapshot(path.read_bytes(), source), source), request))


def _ask_proxy(fields: dict[str, Any], url: str) -> dict[str, Any]:
    return _object(_http("POST", url, "/api/explain", json.dumps(fields).encode("ascii")), url)


def _object(body: bytes, url: str) -> dict[str, Any]:
    from odp_trio.errors import ConfigError

    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ConfigError(f"{url}: the answer is not that of an odp-trio")
    return answer


def _http(method: str, url: str, path: str, content: bytes | None = None) -> bytes:
    """Return the body of a good answer; raise ConfigError that says what was wrong with it."""
    import httpx

    from odp_trio.errors import ConfigError

    try:
        with httpx.Client(timeout=_SECONDS, trust_env=False) as client:
            headers = {"content-type": "application/json"} if content is not None else {}
            response = client.request(method, url.rstrip("/") + path, content=content, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        reason = str(exc) or type(exc).__name__
        raise ConfigError(f"{url} cannot be asked: {reason}; is the proxy running, with enable_http?") from exc
    if response.status_code == 200:
        return response.content
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f"{url}{path} answered with status {response.status_code}") from None
    raise ConfigError(str(error))


# ---- snapshot -------------------------------------------------------------------------


def snapshot_verb(options: argparse.Namespace) -> int:
    """Run ``odp-trio snapshot`` and return the exit status."""
    from odp_trio.errors import OdpError
    from odp_trio.topology.snapshot import read_snapshot

    try:
        data = _http("GET", options.proxy, "/api/snapshot")
        found = read_snapshot(data, options.proxy)
        if options.output is None:
            sys.stdout.buffer.write(data + b"\n")
            return 0
        _write(options.output, data)
    except (OdpError, OSError) as exc:
        return _refuse(exc)
    sys.stderr.write(f"{options.output}: {len(found.clusters)} clusters, {len(found.tables)} tables\n")
    return 0


def _write(path: Path, data: bytes) -> None:
    """Replace the file in one step, unless it is no ordinary file."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)
