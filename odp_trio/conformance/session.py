"""A client's connection that writes down what it asks and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final, final

from odp_trio.conformance.notes import Notes
from odp_trio.conformance.record import Record
from odp_trio.errors import OdpError
from odp_trio.testing.client import Client, Row, StatementFailed, Value

_MARKS: Final = count(1)


class NoRecord(OdpError):
    """It was asked where a statement ran, of a target that cannot say."""


@final
class Session:
    """One logged-in connection.  Values of the text protocol are text, as they come; see ``testing.client``."""

    def __init__(self, client: Client, name: str, notes: Notes, record: Record | None) -> None:
        self.client = client
        self.name = name
        self._notes = notes
        self._record = record

    async def query(self, sql: str) -> list[Row]:
        """Run a statement; return its rows.  Raises as Client does."""
        return await self._noted(sql, sql)

    async def value(self, sql: str) -> Value:
        """Run a statement; return the first value of its first row, None if there is no row."""
        rows = await self.query(sql)
        return rows[0][0] if rows else None

    async def refused(self, sql: str) -> StatementFailed:
        """Run a statement that must fail; return the error it fails with."""
        try:
            rows = await self.query(sql)
        except StatementFailed as exc:
            return exc
        raise AssertionError(f"{sql!r} was to fail, and returned {rows!r}")

    async def where(self, sql: str) -> int:
        """Run a statement; return the number of the server it ran on, counted from 0."""
        return (await self.where_all(sql))[-1]

    async def where_all(self, sql: str) -> list[int]:
        """Run a statement; return the numbers of the servers that got it, in order: more than one for a retry."""
        if self._record is None:
            raise NoRecord("nothing says where a statement ran")
        mark = f"odp-conformance {next(_MARKS)}."
        await self._noted(sql, f"{sql} /* {mark} */")
        found = await self._record.servers(mark)
        self._notes.add(self.name, f"where did it run: {sql}", " then ".join(f"server {one}" for one in found))
        assert found, f"no server has a record of {sql!r}"
        return found

    async def prepare(self, sql: str) -> int:
        """Prepare a statement in the binary protocol; return its id."""
        self._notes.add(self.name, f"prepare: {sql}")
        return await self.client.prepare(sql)

    async def execute(self, statement: int, values: Sequence[int] = ()) -> list[Row]:
        """Execute a prepared statement; return its rows."""
        rows = await self.client.execute(statement, values)
        self._notes.add(self.name, f"execute {statement} with {tuple(values)}", rows)
        return rows

    async def quit(self) -> None:
        """Say goodbye and close."""
        await self.client.quit()

    def close(self) -> None:
        """Close the socket without a word."""
        self.client.close()

    async def _noted(self, sql: str, sent: str) -> list[Row]:
        try:
            rows = await self.client.query(sent)
        except OdpError as exc:
            self._notes.add(self.name, sql, f"error: {exc}")
            raise
        self._notes.add(self.name, sql, rows or "ok")
        return rows
