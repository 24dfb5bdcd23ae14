"""Statements of a test itself, straight on the tables: by nobody's connection, recorded nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from odp_trio.testing.fakes.answers import Column, Form, SQLError, Value, Writer
from odp_trio.testing.fakes.connection import FakeConnection
from odp_trio.testing.fakes.session import Session

if TYPE_CHECKING:
    from odp_trio.testing.fakes.cluster import FakeCluster


def run_directly(cluster: FakeCluster, statements: Sequence[str]) -> list[dict[str, Any]]:
    """Run statements as root; return the rows of the last one.  Raises SQLError, also where one would wait."""
    connection = FakeConnection(cluster, next(iter(cluster.servers.values())), 0)
    connection.now = cluster.now
    connection.user, connection.tenant = "root", "sys"
    session = connection.session = Session(connection)
    rows: list[dict[str, Any]] = []

    def keep(columns: Sequence[Column], found: Sequence[Sequence[Value]]) -> None:
        names = [column.name for column in columns]
        rows.extend(dict(zip(names, row, strict=True)) for row in found)

    for statement in statements:
        rows = []
        writer = Writer(Form.PLAIN, 1, session.pending)
        writer.cursor = keep
        for _ in session.run(statement, writer):
            raise SQLError(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction")
    session.end()
    return rows
