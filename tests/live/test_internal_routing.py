"""Transactions whose statements run on several OBServers: the transaction stays one, and nothing runs twice."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import pymysql
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from tests.live.clients import Connection, connect, in_thread

DATABASE = "roaming"


@asynccontextmanager
async def proxied(bed: Testbed, **options: Any) -> AsyncIterator[Proxy]:
    settings = settings_for(
        bed, enable_http=False, hot_upgrade_exit_timeout=0.2, **({"enable_ob_protocol_v2": True} | options)
    )
    async with open_proxy(settings) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        yield proxy


@asynccontextmanager
async def session(proxy: Proxy) -> AsyncIterator[Connection]:
    connection = await in_thread(partial(connect, proxy.addresses[0], database=DATABASE))
    with closing(connection):
        yield connection


def run(connection: Connection, sql: str, arguments: Sequence[object] | None = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall()


@pytest.fixture
async def roaming(bed: Testbed) -> Testbed:
    """Three tables, each led by another OBServer, on OBServers that let transactions roam."""
    await bed.query(
        f"drop database if exists {DATABASE}",
        f"create database {DATABASE}",
        f"use {DATABASE}",
        *(f"create table t{n} (id int primary key, v int) partition by hash(id) partitions 2" for n in range(3)),
        f"grant all on {DATABASE}.* to app",
    )
    for number in range(3):
        await bed.move_leader(f"{DATABASE}.t{number}", number)
    bed.transactions.allowed = True
    return bed


def ran_on(bed: Testbed, *words: str) -> list[tuple[str, int]]:
    """Return the statements that begin with one of the words, and the OBServer that each came to."""
    found = [statement for statement in bed.statements() if statement.sql.startswith(words)]
    return [(statement.sql, statement.observer) for statement in found if statement.by_proxy]


async def test_dml_goes_to_the_leaders_of_its_tables_and_the_rest_to_the_coordinator(roaming: Testbed) -> None:
    async with proxied(roaming) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "set autocommit = 0")
        roaming.forget_statements()
        for sql in ("replace into t1 values (5, 5)", "insert into t0 values (0, 1)", "insert into t2 values (2, 2)"):
            await in_thread(run, connection, sql)
        await in_thread(run, connection, "update t0 set v = v + 1 where id = 0")
        found = await in_thread(run, connection, "select (select count(*) from t0), (select count(*) from t2)")
        await in_thread(run, connection, "savepoint s")
        await in_thread(run, connection, "commit")

        placed = ran_on(roaming, "insert", "replace", "update", "savepoint", "commit")
        rows = await roaming.query(f"select (select v from {DATABASE}.t0) a, (select v from {DATABASE}.t1) b")

    assert found == ((1, 1),)
    assert rows == [{"a": 2, "b": 5}]
    by_table = {(sql.split()[0], sql.split()[2] if "into" in sql else ""): number for sql, number in placed}
    assert by_table == {
        ("replace", "t1"): 1,
        ("insert", "t0"): 0,
        ("insert", "t2"): 2,
        ("update", ""): 0,
        ("savepoint", ""): 1,
        ("commit", ""): 1,
    }
    assert roaming.transactions.lent >= 3


async def test_a_rollback_undoes_what_participants_did(roaming: Testbed) -> None:
    async with proxied(roaming) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "set autocommit = 0")
        for number in range(3):
            await in_thread(run, connection, f"insert into t{number} values (1, 1)")
        await in_thread(run, connection, "rollback")
        counts = [await in_thread(run, connection, f"select count(*) from t{number}") for number in range(3)]

    assert counts == [((0,),)] * 3
    assert roaming.transactions.lent >= 2
    assert not roaming.transactions.hosts


async def test_what_a_participant_refuses_runs_on_the_coordinator(roaming: Testbed) -> None:
    async with proxied(roaming) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "set autocommit = 0")
        await in_thread(run, connection, "insert into t0 values (1, 1)")
        roaming.transactions.refuse = 1
        roaming.forget_statements()
        await in_thread(run, connection, "insert into t1 values (1, 1)")
        await in_thread(run, connection, "commit")

        assert ran_on(roaming, "insert") == [("insert into t1 values (1, 1)", 1), ("insert into t1 values (1, 1)", 0)]
    assert await roaming.query(f"select count(*) n from {DATABASE}.t1") == [{"n": 1}]


async def test_a_lost_coordinator_ends_the_session_and_nothing_is_left_of_the_transaction(roaming: Testbed) -> None:
    async with proxied(roaming) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "set autocommit = 0")
        await in_thread(run, connection, "insert into t0 values (1, 1)")
        await in_thread(run, connection, "insert into t1 values (1, 1)")
        await roaming.kill(0, noticed=False)

        with pytest.raises(pymysql.err.OperationalError) as info:
            await in_thread(run, connection, "commit")
    assert info.value.args[0] == 2013
    assert await roaming.query(f"select count(*) n from {DATABASE}.t0, {DATABASE}.t1") == [{"n": 0}]


async def test_a_participant_that_is_down_is_followed_by_another_server(roaming: Testbed) -> None:
    async with proxied(roaming) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "set autocommit = 0")
        await in_thread(run, connection, "insert into t0 values (1, 1)")
        await roaming.kill(1, noticed=False)
        await in_thread(run, connection, "insert into t1 values (1, 1)")
        await in_thread(run, connection, "commit")

    assert await roaming.query(f"select count(*) n from {DATABASE}.t0, {DATABASE}.t1") == [{"n": 1}]


@pytest.mark.parametrize("options", [{"enable_transaction_internal_routing": False}, {"enable_ob_protocol_v2": False}])
async def test_without_the_option_or_the_framing_a_transaction_stays(
    roaming: Testbed, options: dict[str, object]
) -> None:
    async with proxied(roaming, **options) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "set autocommit = 0")
        roaming.forget_statements()
        for number in range(3):
            await in_thread(run, connection, f"insert into t{number} values (1, 1)")
        await in_thread(run, connection, "commit")

        assert len({number for _, number in ran_on(roaming, "insert", "commit")}) == 1


async def test_where_servers_do_not_allow_it_a_transaction_stays(roaming: Testbed) -> None:
    roaming.transactions.allowed = False
    async with proxied(roaming) as proxy, session(proxy) as connection:
        await in_thread(run, connection, "begin")
        roaming.forget_statements()
        for number in range(3):
            await in_thread(run, connection, f"insert into t{number} values (1, 1)")
        await in_thread(run, connection, "commit")

        assert len({number for _, number in ran_on(roaming, "insert", "commit")}) == 1


async def test_random_transactions_that_roam_do_what_they_would_on_one_server(roaming: Testbed) -> None:
    chance = random.Random(5)
    await roaming.query(f"create table {DATABASE}.one (t int, id int, v int, primary key (t, id))")

    model: list[str] = []
    async with proxied(roaming) as proxy, session(proxy) as connection:
        for _ in range(25):
            model = []
            await in_thread(run, connection, "begin")
            for _ in range(chance.randrange(1, 6)):
                table, number, value = chance.randrange(3), chance.randrange(6), chance.randrange(100)
                add = f"on duplicate key update v = v + {value}"
                await in_thread(run, connection, f"insert into t{table} values ({number}, {value}) {add}")
                model.append(f"insert into one values ({table}, {number}, {value}) {add}")
                if chance.random() < 0.2:
                    await in_thread(run, connection, f"savepoint s{number}")
            if chance.random() < 0.7:
                await in_thread(run, connection, "commit")
                await roaming.query(f"use {DATABASE}", *model)
            else:
                await in_thread(run, connection, "rollback")
    tables = " union all ".join(f"select {number} t, id, v from t{number}" for number in range(3))
    rows = await roaming.query(f"use {DATABASE}", f"select * from ({tables}) a order by t, id")

    assert rows == await roaming.query(f"use {DATABASE}", "select * from one order by t, id")
    assert roaming.transactions.lent > 25
