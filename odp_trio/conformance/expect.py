"""What a check expects of an answer, and the message when it is another one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from odp_trio.testing.answers import Answer, Cell, Cells
from odp_trio.testing.raw_client import RawClient


def that(holds: object, asked: str, expected: str, seen: object) -> None:
    """Raise AssertionError with these three lines unless ``holds``."""
    if not holds:
        raise AssertionError(f"asked: {asked}\nexpected: {expected}\nseen: {seen}")


async def ok(client: RawClient, *statements: str) -> Answer:
    """Run statements that must not fail; return the last answer."""
    answer = None
    for sql in statements:
        answer = good(await client.query(sql), sql)
    assert answer is not None
    return answer


def good(answer: Answer, asked: str) -> Answer:
    """Return an answer that must be no error."""
    that(not answer.errno, asked, "no error", answer.said())
    return answer


async def rows(client: RawClient, sql: str, expected: Sequence[Cells]) -> Answer:
    """Run a statement that must give these rows, as text."""
    answer = await client.query(sql)
    that(not answer.errno and answer.rows == list(expected), sql, f"rows {list(expected)!r}", answer.said())
    return answer


async def value(client: RawClient, sql: str, expected: Cell) -> Answer:
    """Run a statement that must give one row whose first value is this text."""
    answer = await client.query(sql)
    seen = not answer.errno and len(answer.rows) == 1 and answer.rows[0][0] == expected
    that(seen, sql, f"the value {expected!r}", answer.said())
    return answer


async def read(client: RawClient, sql: str) -> Cell:
    """Run a statement that must give one row; return its first value."""
    answer = await client.query(sql)
    that(not answer.errno and len(answer.rows) == 1, sql, "one row", answer.said())
    return answer.rows[0][0]


async def error(client: RawClient, sql: str, *errnos: int) -> Answer:
    """Run a statement that must fail with one of these errors."""
    return failed(await client.query(sql), sql, errnos)


def failed(answer: Answer, asked: str, errnos: Collection[int] = ()) -> Answer:
    """Return an answer that must be one of these errors, or any if none is named."""
    said = " or ".join(map(str, errnos)) or "of any number"
    that(answer.errno and (not errnos or answer.errno in errnos), asked, f"an error {said}", answer.said())
    assert answer.error is not None
    that(len(answer.error.sqlstate) == 5, asked, "an error with an SQLSTATE of five characters", answer.said())
    return answer


async def alive(client: RawClient, after: str) -> None:
    """The connection must still answer."""
    answer = await client.query("select 'alive'")
    that(answer.rows == [("alive",)], f"select 'alive', after {after}", "the value 'alive'", answer.said())


def transaction(answer: Answer, asked: str, *, open: bool) -> Answer:  # noqa: A002
    """Return an answer whose status must say that a transaction is open, or that none is."""
    said = "a status that says that a transaction is open" if open else "a status without an open transaction"
    that(not answer.errno and answer.in_transaction is open, asked, said, answer.said())
    return answer
