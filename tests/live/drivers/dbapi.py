"""What the drivers that follow Python's DB-API have in common."""

from __future__ import annotations

from typing import Any

from tests.live.drivers import canonical
from tests.live.drivers.script import Connection

VERBS = frozenset(
    ("query", "many", "multi", "stream", "open", "close", "parallel", "autocommit", "commit", "rollback", "ping")
)


class DbApiConnection(Connection):
    """A connection of a driver that follows the DB-API."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def query(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Run one statement; return its results."""
        cursor = self.raw.cursor()
        try:
            self.execute_on(cursor, sql, params)
            return self.results(cursor)
        finally:
            cursor.close()

    def execute_on(self, cursor: Any, sql: str, params: tuple[Any, ...]) -> None:
        """Call ``execute``: without parameters "%" is no placeholder."""
        if params:
            cursor.execute(sql, params)
        else:
            cursor.execute(sql)

    def results(self, cursor: Any) -> list[dict[str, Any]]:
        """Read all results of a statement."""
        found = [self.result(cursor)]
        while cursor.nextset():
            found.append(self.result(cursor))
        return found

    def result(self, cursor: Any) -> dict[str, Any]:
        """Read one result."""
        rows = canonical.rows(cursor.fetchall()) if cursor.description else None
        return {
            "columns": [list(map(str, column)) for column in cursor.description or ()],
            "rows": rows,
            "affected": cursor.rowcount,
            "insert_id": cursor.lastrowid,
            **self.more(cursor),
        }

    def more(self, cursor: Any) -> dict[str, Any]:
        """Return what else the driver shows of a result."""
        return {}

    def many(self, sql: str, *sets: tuple[Any, ...]) -> Any:
        """Run a statement with many sets of parameters."""
        cursor = self.raw.cursor()
        cursor.executemany(sql, sets)
        found = {"affected": cursor.rowcount, "insert_id": cursor.lastrowid}
        cursor.close()
        return found

    def multi(self, sql: str) -> Any:
        """Run several statements, or one that gives several results."""
        return self.query(sql)

    def autocommit(self, on: bool) -> Any:
        """Switch autocommit."""
        self.raw.autocommit(on)
        return self.query("select @@autocommit")[0]["rows"]

    def commit(self) -> Any:
        """Commit."""
        return self.raw.commit()

    def rollback(self) -> Any:
        """Roll back."""
        return self.raw.rollback()

    def ping(self) -> Any:
        """Ask whether the server is there."""
        return self.raw.ping()

    def close(self) -> Any:
        """Take leave of the server."""
        return self.raw.close()

    def stream_on(self, cursor: Any, sql: str) -> Any:
        """Read a result in parts with a cursor that keeps none of it."""
        cursor.execute(sql)
        rows: list[Any] = [cursor.fetchone()]
        while part := cursor.fetchmany(1000):
            rows.extend(part)
        cursor.close()
        return canonical.rows(row for row in rows if row)
