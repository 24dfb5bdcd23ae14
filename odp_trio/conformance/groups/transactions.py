"""Transactions: what is said of them, where they stay, how they end."""

from __future__ import annotations

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import empty_table, mark, on, proxied
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.raw_client import RawClient
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status

MOVES = Needs.SEVERAL
SQL = Needs.SQL
_THREE = (0, 1, 2)


async def _says(client: RawClient, sql: str, *, open: bool) -> None:  # noqa: A002
    expect.transaction(await client.query(sql), sql, open=open)


async def _count(client: RawClient, table: str, expected: int) -> None:
    await expect.value(client, f"select count(*) from {table}", str(expected))


def _insert(table: str, number: int) -> str:
    return f"insert into {table} (id, v) values ({number}, 'x')"


@check("transaction.commit", "transactions")
async def commit(target: Target) -> None:
    """What was committed is seen by others, and by them only then."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await _says(client, "begin", open=True)
        await _says(client, _insert(table, 1), open=True)
        await _count(client, table, 1)
        await _count(other, table, 0)
        await _says(client, "commit", open=False)
        await _count(other, table, 1)


@check("transaction.rollback", "transactions")
async def rollback(target: Target) -> None:
    """What was rolled back was never there."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await _says(client, "start transaction", open=True)
        await expect.ok(client, _insert(table, 1))
        await _says(client, "rollback", open=False)
        await _count(client, table, 0)


@check("transaction.empty", "transactions")
async def empty(target: Target) -> None:
    """A transaction without a statement can be ended either way."""
    async with proxied(target) as client:
        for end in ("commit", "rollback"):
            await _says(client, "begin", open=True)
            await _says(client, end, open=False)
            await _says(client, "select 1", open=False)


@check("transaction.stays", "transactions", needs=MOVES)
async def stays(target: Target) -> None:
    """Every statement of a transaction sees its changes, whatever server a comment names."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "begin", on(target, 0, _insert(table, 1)))
        for number in _THREE:
            await expect.value(client, on(target, number, f"select count(*) from {table}"), "1")
        for number in _THREE:
            await _says(client, on(target, number, _insert(table, number + 2)), open=True)
        await expect.ok(client, on(target, 2, "rollback"))
        await _count(client, table, 0)


@check("transaction.one-server", "transactions", needs=MOVES | Needs.WHERE | Needs.PROXY)
async def one_server(target: Target) -> None:
    """The statements of a transaction that say nothing of a server run where its first one ran."""
    table = await empty_table(target)
    words = [mark() for _ in range(4)]
    async with proxied(target) as client:
        await expect.ok(client, "begin", on(target, 1, f"insert into {table} (id, v) values (1, '{words[0]}')"))
        for word in words[1:]:
            await expect.ok(client, f"select '{word}' from {table}")
        await expect.ok(client, "commit")
    assert target.parts.record is not None
    seen = [(await target.parts.record.servers(word))[-1] for word in words]
    expect.that(seen == [1, 1, 1, 1], "servers of four statements of a transaction", "[1, 1, 1, 1]", seen)


@check("transaction.begins-where-needed", "transactions", needs=MOVES | Needs.WHERE | Needs.PROXY)
async def begins_where_needed(target: Target) -> None:
    """The first statement behind BEGIN chooses the server, and BEGIN goes there too."""
    table = await empty_table(target)
    words = mark(), mark()
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, f"select '{words[0]}'"), "begin")
        await expect.ok(client, on(target, 2, f"insert into {table} (id, v) values (1, '{words[1]}')"), "rollback")
        await _count(client, table, 0)
    assert target.parts.record is not None
    seen = (await target.parts.record.servers(words[1]))[-1]
    expect.that(seen == 2, "the server of the first statement of a transaction", "2, as its comment says", seen)


@check("transaction.savepoints", "transactions", needs=SQL)
async def savepoints(target: Target) -> None:
    """ROLLBACK TO a savepoint undoes what came behind it and leaves the transaction open."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "begin", _insert(table, 1), "savepoint s", _insert(table, 2))
        await _says(client, "rollback to savepoint s", open=True)
        await _count(client, table, 1)
        await _says(client, "release savepoint s", open=True)
        await expect.error(client, "rollback to no_such_savepoint", 1305)
        await _says(client, "commit", open=False)
        await _count(client, table, 1)


@check("transaction.autocommit-off", "transactions", needs=SQL)
async def autocommit_off(target: Target) -> None:
    """Without autocommit the first statement on a table opens a transaction, which stays until it is ended."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        answer = await expect.ok(client, "set autocommit = 0")
        expect.that(not answer.status & Status.AUTOCOMMIT, "set autocommit = 0", "no AUTOCOMMIT flag", answer.said())
        await _says(client, _insert(table, 1), open=True)
        for number in _THREE:
            await expect.value(client, on(target, number, f"select count(*) from {table}"), "1")
        await _count(other, table, 0)
        await _says(client, "commit", open=False)
        await _count(other, table, 1)


@check("transaction.autocommit-on", "transactions", needs=SQL)
async def autocommit_on(target: Target) -> None:
    """SET autocommit = 1 commits what is open."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, "set autocommit = 0", _insert(table, 1))
        answer = expect.transaction(await client.query("set autocommit = 1"), "set autocommit = 1", open=False)
        expect.that(answer.status & Status.AUTOCOMMIT, "set autocommit = 1", "the AUTOCOMMIT flag", answer.said())
        await _count(other, table, 1)


@check("transaction.second-begin", "transactions", needs=SQL)
async def second_begin(target: Target) -> None:
    """BEGIN in a transaction commits it and opens another."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, "begin", _insert(table, 1))
        await _says(client, "begin", open=True)
        await _count(other, table, 1)
        await expect.ok(client, _insert(table, 2), "rollback")
        await _count(other, table, 1)


@check("transaction.ddl-commits", "transactions", needs=SQL)
async def ddl_commits(target: Target) -> None:
    """DDL in a transaction commits it, and the status says that none is open."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "begin", _insert(table, 1))
        await _says(client, "create table kept_ddl (a int)", open=False)
        await expect.ok(client, "rollback", "drop table kept_ddl")
        await _count(client, table, 1)


@check("transaction.read-only", "transactions", needs=SQL)
async def read_only(target: Target) -> None:
    """START TRANSACTION READ ONLY refuses writes with 1792 and stays open."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await _says(client, "start transaction read only", open=True)
        await expect.error(client, on(target, 2, _insert(table, 1)), 1792)
        await _says(client, "select 1", open=True)
        await _says(client, "commit", open=False)
        await expect.ok(client, _insert(table, 1))


@check("transaction.next-only", "transactions", needs=SQL)
async def next_only(target: Target) -> None:
    """SET TRANSACTION READ ONLY is for the next transaction only, on whatever server that begins."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set transaction read only"), "begin")
        await expect.error(client, on(target, 1, _insert(table, 1)), 1792)
        await expect.ok(client, "rollback", "begin", on(target, 1, _insert(table, 1)), "rollback")


@check("transaction.repeatable-read", "transactions", needs=SQL)
async def repeatable_read(target: Target) -> None:
    """In a REPEATABLE READ transaction a second read gives what the first one gave, whatever others commit."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, on(target, 0, "set session transaction isolation level repeatable read"), "begin")
        await expect.value(client, on(target, 1, f"select count(*) from {table}"), "0")
        await expect.ok(other, _insert(table, 1))
        await _count(client, table, 0)
        await expect.ok(client, "commit")
        await _count(client, table, 1)


@check("transaction.error-leaves-open", "transactions", needs=SQL)
async def error_leaves_open(target: Target) -> None:
    """A statement that fails leaves its transaction open, with what was done before."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "begin", _insert(table, 1))
        await expect.error(client, _insert(table, 1), 1062)
        await expect.error(client, "selec", 1064)
        await _says(client, _insert(table, 2), open=True)
        await expect.ok(client, "commit")
        await _count(client, table, 2)


@check("transaction.disconnect", "transactions")
async def disconnect(target: Target) -> None:
    """The transaction of a client that goes away is rolled back, and its locks with it."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "begin", _insert(table, 1))
    async with proxied(target) as other:
        await expect.ok(other, _insert(table, 1))
        await _count(other, table, 1)


@check("transaction.reset-connection", "transactions", needs=SQL)
async def reset_connection(target: Target) -> None:
    """COM_RESET_CONNECTION rolls the transaction back, an empty one too."""
    table = await empty_table(target)
    async with proxied(target) as client:
        for statements in (["begin", _insert(table, 1)], ["begin"]):
            await expect.ok(client, *statements)
            answer = await client.command(bytes((Com.RESET_CONNECTION,)))
            expect.transaction(answer, "COM_RESET_CONNECTION", open=False)
            await _says(client, f"select count(*) from {table}", open=False)
            await _count(client, table, 0)


@check("transaction.ping", "transactions")
async def ping(target: Target) -> None:
    """COM_PING in a transaction says that it is open."""
    async with proxied(target) as client:
        await expect.ok(client, "begin")
        expect.transaction(await client.ping(), "COM_PING behind BEGIN", open=True)
        await expect.ok(client, "rollback")
        expect.transaction(await client.ping(), "COM_PING behind ROLLBACK", open=False)


@check("transaction.multi", "transactions", needs=SQL)
async def several_statements(target: Target) -> None:
    """A transaction that is opened and ended within one packet is one."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await _says(client, f"begin; {_insert(table, 1)}", open=True)
        await _says(client, f"{_insert(table, 2)}; commit", open=False)
        await _count(client, table, 2)
        await _says(client, f"begin; {_insert(table, 3)}; rollback", open=False)
        await _count(client, table, 2)


@check("transaction.prepared-begin", "transactions", needs=SQL)
async def prepared_begin(target: Target) -> None:
    """BEGIN and COMMIT as prepared statements are as good, or are refused when they are prepared."""
    table = await empty_table(target)
    async with proxied(target) as client:
        begin, end = await client.prepare("begin"), await client.prepare("commit")
        if not begin.id or not end.id:
            expect.failed((end if begin.id else begin).answer, "prepare begin, commit", (1295,))
            return
        expect.transaction(await client.execute(begin.id), "execute begin", open=True)
        await expect.ok(client, _insert(table, 1))
        expect.transaction(await client.execute(end.id), "execute commit", open=False)
        await _count(client, table, 1)


@check("transaction.state", "transactions", needs=SQL)
async def state(target: Target) -> None:
    """What is set in a transaction holds behind it and elsewhere, and a rollback leaves it."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @kept = 'before'"), "begin")
        await expect.ok(client, on(target, 1, f"insert into {table} (id, v) values (1, @kept)"))
        await expect.value(client, f"select v from {table}", "before")
        await expect.ok(client, "set @kept = 'within'", "rollback")
        for number in _THREE:
            await expect.value(client, on(target, number, "select @kept"), "within")


@check("transaction.lock-wait", "transactions", needs=SQL)
async def lock_wait(target: Target) -> None:
    """Who waits for a lock of another transaction too long is told 1205, and its own transaction goes on."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, _insert(table, 1), "begin", f"update {table} set v = 'mine' where id = 1")
        await expect.ok(other, "set ob_trx_lock_timeout = 300000", "begin", _insert(table, 2))
        await expect.error(other, f"update {table} set v = 'theirs' where id = 1", 1205)
        await expect.ok(client, "commit")
        await _says(other, f"update {table} set v = 'theirs' where id = 1", open=True)
        await expect.ok(other, "commit")
        await expect.value(client, f"select group_concat(v order by id) from {table}", "theirs,x")


@check("transaction.for-update", "transactions", needs=SQL)
async def for_update(target: Target) -> None:
    """SELECT ... FOR UPDATE locks until the transaction ends."""
    table = await empty_table(target)
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(client, _insert(table, 1), "begin", f"select * from {table} where id = 1 for update")
        await expect.error(other, f"select * from {table} where id = 1 for update nowait", 1205, 3572)
        await expect.ok(client, "commit")
        await expect.ok(other, f"select * from {table} where id = 1 for update nowait")
