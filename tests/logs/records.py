"""Records of statements for tests."""

from __future__ import annotations

from typing import Any

from odp_trio.observe import StatementRecord

MS = 1_000_000


def record(**changed: Any) -> StatementRecord:
    """Return the record of a select that took 2 ms."""
    values: dict[str, Any] = {
        "wanted": "sampled",
        "sampled": True,
        "command": 3,
        "kind": "select",
        "cluster": "demo",
        "tenant": "shop",
        "database": "orders",
        "user": "bob",
        "session": 0x2A,
        "client": "10.0.0.9:4242",
        "server": "10.0.0.1:2881",
        "server_session": 77,
        "sql": b"SELECT a,\nb FROM t WHERE id = 5",
        "tables": ("t",),
        "errno": 0,
        "message": "",
        "rule": "leader",
        "route": "leader",
        "missed": False,
        "arrived": 1000 * MS,
        "sent": 1000 * MS + 50_000,
        "first": 1001 * MS + 50_000,
        "ended": 1002 * MS,
        "proxy_ns": 60_000,
        "request_bytes": 36,
        "response_bytes": 120,
        "wall_us": 1_700_000_000_123_456,
        "trace_id": "",
        "server_trace_id": "YB42AC1E87C9-0000000000000001-0-0",
    }
    return StatementRecord(**values | changed)


def taking(milliseconds: int, **changed: Any) -> StatementRecord:
    """Return the record of a statement that took so long."""
    return record(ended=(1000 + milliseconds) * MS, **changed)
