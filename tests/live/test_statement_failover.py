"""A statement fails on its server: what goes elsewhere, what the client is told, and that nothing runs twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import pymysql
import pytest
import trio

from odp_trio.app import Proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.wire.command import Com
from tests.live.clients import Connection, connect, in_thread, until
from tests.raw_client import Answer, RawClient

DATABASE = "failover"


@pytest.fixture
async def table(bed: Testbed) -> str:
    """A table without a key, so that a row that is there twice can be seen; server 1 leads it."""
    await bed.query(
        f"create database if not exists {DATABASE}",
        f"drop table if exists {DATABASE}.t",
        f"create table {DATABASE}.t (id int, v int) partition by hash(id) partitions 2",
        f"grant all on {DATABASE}.* to app",
    )
    await bed.move_leader(f"{DATABASE}.t", 1)
    return f"{DATABASE}.t"


def run(connection: Connection, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@asynccontextmanager
async def session(proxy: Proxy) -> AsyncIterator[Connection]:
    connection = await in_thread(partial(connect, proxy.addresses[0], database=DATABASE))
    with closing(connection):
        yield connection


async def fails(work: Callable[[], Any]) -> int:
    """Return the errno of what must fail."""
    with pytest.raises(pymysql.err.MySQLError) as info:
        await trio.to_thread.run_sync(work)
    return int(info.value.args[0])


async def run_while_killed(bed: Testbed, connection: Connection, sql: str, *, number: int | None = None) -> list[Any]:
    """Run a statement that takes long, kill the server that it runs on, and return what came of it."""
    found: list[Any] = []

    async def work() -> None:
        try:
            found.extend(await in_thread(run, connection, sql))
        except pymysql.err.MySQLError as exc:
            found.append(int(exc.args[0]))

    bed.forget_statements()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await until(lambda: bool(bed.statements("sleep")), "the statement has reached a server")
        await bed.kill(bed.statements("sleep")[0].observer if number is None else number, noticed=False)
    return found


async def test_a_read_whose_server_dies_runs_on_another_replica(bed: Testbed, proxy: Proxy, table: str) -> None:
    async with session(proxy) as connection:
        await in_thread(run, connection, "set @a = 7, autocommit = 1")
        await bed.query("insert into failover.t values (1, 10)")

        found = await run_while_killed(bed, connection, "select v, @a, sleep(0.5) from t where id = 1")

        assert found == [(10, 7, 0)]
        seen = [statement.observer for statement in bed.statements("sleep")]
        assert (len(seen), seen[0]) == (2, 1)
        assert seen[1] != 1
        assert await in_thread(run, connection, "select database(), @a") == ((DATABASE, 7),)
    assert proxy.counts.failed_statements == {"retry elsewhere": 1}
    assert proxy.counts.server_failures["lost"] == 1


async def test_a_statement_made_by_prepare_is_made_anew_on_it(bed: Testbed, proxy: Proxy, table: str) -> None:
    async with session(proxy) as connection:
        await in_thread(run, connection, "prepare s from 'select ? + 1'")

        assert await run_while_killed(bed, connection, "select 5, sleep(0.5)") == [(5, 0)]

        await in_thread(run, connection, "set @a = 6")
        assert await in_thread(run, connection, "execute s using @a") == ((7,),)


async def test_a_prepared_read_does_too(bed: Testbed, proxy: Proxy, table: str) -> None:
    await bed.query("insert into failover.t values (1, 10), (2, 20)")
    address = Address(*proxy.addresses[0])
    with await in_thread(partial(RawClient, address, "app@sys#demo", "app_pw", database=DATABASE)) as client:
        statement = await in_thread(client.prepare, "select v, sleep(0.5) from t where id = ?")
        for key, row in ((1, b"10"), (2, b"20")):
            answers: list[Answer] = []

            async def work(key: int = key, answers: list[Answer] = answers) -> None:
                answers.append(await in_thread(client.execute, statement.id, (key,)))

            bed.forget_statements()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                await until(lambda: bool(executions(bed)), "it has reached a server")
                first = executions(bed)[0]
                await bed.kill(first, noticed=False)
            await bed.revive(first)

            assert int.from_bytes(answers[0].payloads[-2][2:6], "little") == int(row)
            assert len(set(executions(bed))) == 2


def executions(bed: Testbed) -> list[int]:
    return [item.observer for item in bed.statements("sleep") if item.command == Com.STMT_EXECUTE.name]


async def test_a_write_whose_server_dies_is_never_sent_again(bed: Testbed, proxy: Proxy, table: str) -> None:
    async with session(proxy) as connection:
        found = await run_while_killed(bed, connection, "insert into t select 1, sleep(0.5)")

        assert found == [2013]
        assert len(bed.statements("sleep")) == 1
        assert await fails(lambda: connection.ping(reconnect=False))  # the session is over
    assert len(await bed.query("select * from failover.t")) <= 1


@pytest.mark.parametrize(
    "before",
    [
        ("begin", "insert into t values (2, 2)"),
        ("set autocommit = 0", "insert into t values (2, 2)"),
    ],
)
async def test_a_read_of_a_session_that_is_bound_to_its_server_ends_it(
    bed: Testbed, proxy: Proxy, table: str, before: tuple[str, ...]
) -> None:
    async with session(proxy) as connection:
        for sql in before:
            await in_thread(run, connection, sql)

        assert await run_while_killed(bed, connection, "select sleep(0.5)") == [2013]
        assert len(bed.statements("sleep")) == 1
    assert await bed.query("select * from failover.t") == []


@pytest.mark.parametrize("errno", [8001, 8002, 5150, 5081])
async def test_what_a_server_refuses_to_run_runs_elsewhere_once(
    bed: Testbed, proxy: Proxy, table: str, errno: int
) -> None:
    async with session(proxy) as connection:
        bed.answer("insert into t", errno=errno, number=1)

        await in_thread(run, connection, "insert into t values (5, 5)")

        assert next(item.observer for item in bed.statements("insert into t")) == 1
        assert len(bed.statements("insert into t")) == 2
        assert proxy.counts.server_failures["error"] == (1 if errno in (8001, 8002) else 0)
    assert len(await bed.query("select * from failover.t")) == 1


async def test_4124_is_tried_again_for_reads_only(bed: Testbed, proxy: Proxy, table: str) -> None:
    async with session(proxy) as connection:
        bed.answer("into t|from t", errno=4124, times=2, number=1)

        assert await fails(lambda: run(connection, "insert into t values (6, 6)")) == 4124
        assert await in_thread(run, connection, "select count(*) from t where id = 6") == ((0,),)


async def test_when_every_server_refuses_the_client_gets_the_last_word_and_keeps_its_session(
    bed: Testbed, proxy: Proxy, table: str
) -> None:
    async with session(proxy) as connection:
        await in_thread(run, connection, "set @a = 1")
        bed.answer("insert into t", errno=8001, times=-1)

        assert await fails(lambda: run(connection, "insert into t values (5, 5)")) == 8001

        seen = [item.observer for item in bed.statements("insert into t")]
        assert sorted(set(seen)) == [0, 1, 2]
        assert len(seen) <= 7  # twice the replicas and one
        bed.end_faults()
        assert await in_thread(run, connection, "select @a") == ((1,),)


async def test_a_statement_goes_to_the_server_that_error_5727_names(bed: Testbed, proxy: Proxy, table: str) -> None:
    async with session(proxy) as connection:
        await in_thread(run, connection, "select * from t")
        for target in (0, 2):
            bed.forget_statements()
            bed.answer("insert into t", errno=5727, number=1, reroute=target)

            await in_thread(run, connection, f"insert into t values ({target}, 1)")

            assert [item.observer for item in bed.statements("insert into t")] == [1, target]
        bed.answer("insert into t", errno=5727, number=1)
        assert await fails(lambda: run(connection, "insert into t values (9, 9)")) == 5727
        assert b"ob_client_reroute_info" not in next(iter(proxy.sessions.table.values())).router.state.user  # type: ignore[union-attr]
    assert len(await bed.query("select * from failover.t")) == 2
