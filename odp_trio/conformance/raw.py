"""Clients that keep every packet, before a target: through its front and round it.

A statement is sent to a certain server by ODP's comment ``target_db_server``; to a server itself that is a comment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, final

import trio

from odp_trio.conformance.notes import Notes
from odp_trio.conformance.target import Account, Target
from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.testing.answers import Answer
from odp_trio.testing.client import ConnectionLost
from odp_trio.testing.raw_client import LoginForm, LoginRefused, RawClient, Tape
from odp_trio.wire.command import Com, command_name

PATIENCE: Final = 15.0
"""Seconds for a login and for each answer."""
TABLE: Final = "kept"
_COLUMNS: Final = "id bigint primary key auto_increment, v varchar(8000), n decimal(10,3), w longtext"
_MARKS: Final = count(1)


@final
class NotesTape:
    """Writes commands and answers into the notes of a check, and onto another tape if there is one."""

    def __init__(self, notes: Notes, who: str, also: Tape | None = None) -> None:
        self._notes = notes
        self._who = who
        self._also = also

    def add(self, command: bytes, answer: Answer) -> None:
        """Keep one exchange."""
        self._notes.add(self._who, command_text(command), answer.said())
        if self._also is not None:
            self._also.add(command, answer)


def command_text(command: bytes) -> str:
    """Write a command for a reader."""
    kind, rest = command[0], command[1:]
    if kind == Com.QUERY:
        return rest[:400].decode(errors="replace")
    if kind in (Com.STMT_PREPARE, Com.INIT_DB):
        return f"{command_name(kind)} {rest[:400].decode(errors='replace')}"
    return f"{command_name(kind)} {rest[:24].hex(' ')}".rstrip()


def form(target: Target, account: Account | None = None, **changes: Any) -> LoginForm:
    """Return what an ordinary client of the front says; ``changes`` are fields of LoginForm."""
    values: dict[str, Any] = {
        "user": target.login(account),
        "password": (account or target.account).password.value,
        "database": target.database,
        **changes,
    }
    return LoginForm(**values)


@asynccontextmanager
async def proxied(
    target: Target, account: Account | None = None, *, at: Address | None = None, **changes: Any
) -> AsyncIterator[RawClient]:
    """Log in at the front, or at another proxy; raise LoginRefused, ConnectionLost."""
    async with _client(target, at or target.front, form(target, account, **changes), "client") as client:
        yield client


@asynccontextmanager
async def direct(target: Target, account: Account | None = None, **changes: Any) -> AsyncIterator[RawClient]:
    """Log in to the first server, round the proxy."""
    said = form(target, account, **{"user": target.login(account, cluster=""), **changes})
    async with _client(target, target.servers[0], said, "direct") as client:
        yield client


@asynccontextmanager
async def _client(target: Target, address: Address, said: LoginForm, who: str) -> AsyncIterator[RawClient]:
    tape = NotesTape(target.notes, who, target.tape if who == "client" else None)
    client = await connected(target, address, said, tape)
    try:
        yield client
    finally:
        with trio.CancelScope(shield=True):
            await client.close()


async def connected(target: Target, address: Address, said: LoginForm, tape: Tape | None = None) -> RawClient:
    """Log in, and write down how that went."""
    try:
        client = await RawClient.connect(address, said, patience=PATIENCE, tape=tape)
    except OdpError as exc:
        target.notes.add("login", f"{said.user} at {address}", f"error: {exc}")
        raise
    target.notes.add("login", f"{said.user} at {address}", "logged in")
    return client


async def refusal(target: Target, *, at: Address | None = None, **changes: Any) -> LoginRefused:
    """Log in, which must be refused with an ERR packet; return it."""
    said = form(target, **changes)
    try:
        client = await connected(target, at or target.front, said)
    except LoginRefused as exc:
        return exc
    except ConnectionLost as exc:
        raise AssertionError(
            f"asked: log in as {said.user!r}\nexpected: an ERR packet that says why not\nseen: {exc}"
        ) from exc
    await client.close()
    raise AssertionError(f"asked: log in as {said.user!r}\nexpected: a refusal\nseen: logged in")


def on(target: Target, number: int, sql: str) -> str:
    """Return the statement for a certain server, numbers beyond the last begin anew."""
    if not target.servers:
        return sql
    return f"/* target_db_server='{target.servers[number % len(target.servers)]}' */ {sql}"


async def empty_table(target: Target) -> str:
    """Return a table of the suite's own, without rows: ``id`` counts by itself, ``n`` is a number, the others text."""
    name = f"{target.database}.{TABLE}"
    async with _client(target, target.front, form(target), "suite") as client:
        for sql in (f"create table if not exists {name} ({_COLUMNS})", f"delete from {name}"):
            answer = await client.query(sql)
            assert not answer.errno, f"{sql}: {answer.said()}"
    return name


def mark() -> str:
    """Return a word that nobody has used before, as long as all the others."""
    return f"mark{next(_MARKS):06}"
