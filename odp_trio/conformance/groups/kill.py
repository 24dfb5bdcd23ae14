"""Ending statements and sessions: KILL by the number that the client was greeted with."""

from __future__ import annotations

from contextlib import suppress

import trio

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import empty_table, proxied
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.answers import Answer
from odp_trio.testing.client import ConnectionLost
from odp_trio.testing.raw_client import RawClient
from odp_trio.wire.command import Com

SQL = Needs.SQL
_SLEEP = "select sleep(8)"
_INTERRUPTED = (1317, 1028, 4012, 5065, 5066)


async def _running(client: RawClient) -> None:
    """Send a statement that takes long, and let it arrive."""
    await client.send(b"\x03" + _SLEEP.encode())
    await trio.sleep(0.3)


@check("session.kill.query", "session", needs=SQL)
async def kill_query(target: Target) -> None:
    """KILL QUERY with the number of a client's greeting ends its statement and leaves its session."""
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, "set @kept = 1")
        await _running(client)
        await expect.ok(other, f"kill query {client.greeting.connection_id}")
        answer = await client.answer(Com.QUERY)
        expect.failed(answer, f"{_SLEEP}, and kill query", _INTERRUPTED)
        await expect.value(client, "select @kept", "1")


@check("session.kill.connection", "session", needs=SQL)
async def kill_connection(target: Target) -> None:
    """KILL with the number of a client's greeting ends that client, and its transaction is rolled back."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, "begin", f"insert into {table} (id, v) values (1, 'x')")
        await expect.ok(other, f"kill {client.greeting.connection_id}")
        seen: Answer | str = "closed"
        with suppress(ConnectionLost):
            seen = await client.query("select 1")
        gone = seen == "closed" or (isinstance(seen, Answer) and seen.errno)
        expect.that(gone, "select 1 of a client that was killed", "the end, or an error", seen)
        await expect.ok(other, f"insert into {table} (id, v) values (1, 'y')")


@check("session.kill.unknown", "session", needs=SQL)
async def kill_unknown(target: Target) -> None:
    """KILL of a number that nobody has is refused with 1094."""
    async with proxied(target) as client:
        await expect.error(client, "kill 999999999", 1094)
        await expect.alive(client, "KILL of nobody")


@check("session.kill.command", "session", needs=SQL)
async def kill_command(target: Target) -> None:
    """COM_PROCESS_KILL with the number of a client's greeting ends that client."""
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, "select 1")
        command = bytes((Com.PROCESS_KILL,)) + client.greeting.connection_id.to_bytes(4, "little")
        expect.good(await other.command(command), "COM_PROCESS_KILL")
        try:
            answer = await client.query("select 1")
        except ConnectionLost:
            return
        expect.failed(answer, "select 1 of a client that was killed")


@check("session.kill.disconnect", "session", needs=SQL)
async def disconnect_ends_statement(target: Target) -> None:
    """The locks of a client that goes away in the middle of a statement are free again soon."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "begin", f"insert into {table} (id, v) values (1, 'x')")
        await _running(client)
    async with proxied(target) as other:
        await expect.ok(other, "set ob_query_timeout = 6000000", f"insert into {table} (id, v) values (1, 'y')")


@check("session.processlist", "session", needs=SQL)
async def processlist(target: Target) -> None:
    """SHOW PROCESSLIST shows a client itself, by the number of its greeting."""
    async with proxied(target) as client:
        answer = await expect.ok(client, "show processlist")
        seen = [row[0] for row in answer.rows]
        number = str(client.greeting.connection_id)
        expect.that(number in seen, "show processlist", f"a row of {number}", seen[:20])
