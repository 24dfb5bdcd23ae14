"""Transactions before three OBServers: which server they begin on, and what the client sees of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial

import pytest

from odp_trio.app import Proxy
from odp_trio.model import Address
from odp_trio.session.services import Session
from odp_trio.testing.bed import Testbed
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.resultset import parse_err
from tests.live.clients import in_thread, until
from tests.live.test_routing import proxied
from tests.raw_client import RawClient

DATABASE = "begun"
_BEGIN = r"(?i)^(/\*.*\*/ )?(begin|start)"
BEGINNINGS = ("begin", "BEGIN WORK;", "start transaction", "START TRANSACTION READ WRITE", "/* it */ start transaction")


@pytest.fixture
async def tables(bed: Testbed) -> None:
    """Tables t0, t1 and t2, each led by the server of that number."""
    await bed.query(f"create database if not exists {DATABASE}", f"grant all on {DATABASE}.* to app")
    for number in range(3):
        await bed.query(
            f"drop table if exists {DATABASE}.t{number}",
            f"create table {DATABASE}.t{number} (id int primary key, v int) partition by hash(id) partitions 2",
            f"insert into {DATABASE}.t{number} values (1, {number})",
        )
        await bed.move_leader(f"{DATABASE}.t{number}", number)


@asynccontextmanager
async def session(proxy: Proxy, database: str = DATABASE) -> AsyncIterator[RawClient]:
    client = await in_thread(
        partial(RawClient, Address(*proxy.addresses[0]), "app@sys#demo", "app_pw", database=database)
    )
    with client:
        yield client


async def run(client: RawClient, *statements: str) -> list[tuple[int, bool]]:
    """Run statements; return the errno of each and whether a transaction is said to be open behind it."""
    answers = [await in_thread(client.query, sql) for sql in statements]
    return [(answer.errno, bool(answer.status & Status.IN_TRANS)) for answer in answers]


def begun(bed: Testbed) -> list[tuple[int, str]]:
    """Return where transactions have begun, and how."""
    return [(statement.observer, statement.sql) for statement in bed.statements(_BEGIN)]


# ---- where it begins ----------------------------------------------------------------


@pytest.mark.parametrize("begin", BEGINNINGS)
async def test_the_first_statement_chooses_the_server(bed: Testbed, proxy: Proxy, tables: None, begin: str) -> None:
    async with session(proxy) as client:
        await run(client, "select v from t0 where id = 1")
        bed.forget_statements()

        assert await run(client, begin) == [(0, True)]
        assert bed.statements(_BEGIN) == []
        assert await run(client, "update t2 set v = 5 where id = 1", "select v from t1", "commit") == [
            (0, True), (0, True), (0, False),
        ]  # fmt: skip

    assert [(each.observer, each.sql) for each in bed.statements(f"{_BEGIN}|^update|^commit|from t1")] == [
        (2, begin), (2, "update t2 set v = 5 where id = 1"), (2, "select v from t1"), (2, "commit"),
    ]  # fmt: skip
    assert await bed.query(f"select v from {DATABASE}.t2") == [{"v": 5}]


async def test_what_must_happen_at_once_is_not_held(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy) as client:
        for sql in ("start transaction with consistent snapshot", "begin; select 1", "/*! begin */"):
            bed.forget_statements()
            assert await run(client, sql) == [(0, True)], sql
            assert len(bed.statements("begin|start")) == 1
            await run(client, "rollback")
        assert await run(client, "begin now", "start transaction isolation") == [(1064, False)] * 2
        statement = await in_thread(client.prepare, "begin")
        assert statement.id
        answer = await in_thread(client.execute, statement.id)
        assert answer.status & Status.IN_TRANS
        bed.forget_statements()
        assert await run(client, "begin", "rollback") == [(0, True), (0, False)]
        assert len(bed.statements("begin")) == 1, "inside of a transaction it ends that one"


async def test_the_second_begin_takes_the_place_of_the_first(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy) as client:
        states = await run(
            client,
            "begin",
            "start transaction read only",
            "update t1 set v = 9 where id = 1",
            "select v from t1",
            "rollback",
        )

    assert states == [(0, True), (0, True), (1792, True), (0, True), (0, False)]
    assert begun(bed) == [(1, "start transaction read only")]


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_an_empty_transaction_ends_without_a_server(bed: Testbed, proxy: Proxy, tables: None, end: str) -> None:
    async with session(proxy) as client:
        assert await run(client, "begin", end, "update t1 set v = 3 where id = 1") == [
            (0, True),
            (0, False),
            (0, False),
        ]

    assert not bed.statements("^begin")
    assert not bed.statements(f"^{end}")
    assert [each.observer for each in bed.statements("^update")] == [1]


async def test_state_goes_to_the_server_before_the_transaction_begins(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy, "test") as client:
        await run(
            client,
            f"select v from {DATABASE}.t0 where id = 1",
            f"use {DATABASE}",
            "set @a = 7, tx_isolation = 'REPEATABLE-READ'",
        )
        bed.forget_statements()

        assert await run(client, "begin", "update t2 set v = @a where id = 1", "commit") == [
            (0, True), (0, True), (0, False),
        ]  # fmt: skip

    assert await bed.query(f"select v from {DATABASE}.t2") == [{"v": 7}]
    there = [each.sql for each in bed.statements() if each.observer == 2 and each.user == "app" and each.sql]
    at = there.index("begin")
    assert there[at + 1] == "update t2 set v = @a where id = 1"
    assert any("@a = 7" in sql for sql in there[:at])


async def test_prepared_statements_choose_too(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy) as client:
        prepared = await in_thread(client.prepare, "update t0 set v = ? where id = 1")
        bed.forget_statements()
        await run(client, "begin")
        answer = await in_thread(client.execute, prepared.id, (4,))
        assert (answer.errno, answer.status & Status.IN_TRANS) == (0, Status.IN_TRANS)
        assert begun(bed) == [(0, "begin")]
        await run(client, "rollback", "begin")
        bed.forget_statements()
        await in_thread(client.close_statement, prepared.id)
        late = await in_thread(client.prepare, "update t2 set v = ? where id = 1")
        assert begun(bed) == [(2, "begin")]
        assert (await in_thread(client.execute, late.id, (6,))).errno == 0
        assert await run(client, "commit") == [(0, False)]

    assert await bed.query(f"select t0.v, t2.v as w from {DATABASE}.t0 join {DATABASE}.t2") == [{"v": 0, "w": 6}]


async def test_other_commands_say_that_a_transaction_is_open(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy) as client:
        for command in (bytes((Com.PING,)), b"\x02" + DATABASE.encode()):
            await run(client, "begin")
            assert (await in_thread(client.command, command)).status & Status.IN_TRANS
            await run(client, "rollback")
        await run(client, "begin")
        reset = await in_thread(client.command, bytes((Com.RESET_CONNECTION,)))
        assert not reset.status & Status.IN_TRANS
        assert await run(client, f"update {DATABASE}.t1 set v = 8 where id = 1") == [(0, False)]

    assert await bed.query(f"select v from {DATABASE}.t1") == [{"v": 8}]


async def test_explain_route_says_that_it_is_held_and_sends_nothing(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy) as client:
        await run(client, "begin")
        bed.forget_statements()
        shown = b"".join((await in_thread(client.query, "explain route select v from t1 where id = 1")).payloads)
        assert b"\x0asent_first\x05begin" in shown
        assert f"server\x0f{bed.observers[1].address}".encode() in shown
        assert begun(bed) == []
        await run(client, "update t1 set v = 2 where id = 1")
        assert begun(bed) == [(1, "begin")]


async def test_reads_are_strong_while_it_is_held(bed: Testbed, proxy: Proxy, tables: None) -> None:
    async with session(proxy) as client:
        await run(client, "set ob_read_consistency = weak")
        await run(client, *["select v from t1 where id = 1"] * 3, "begin")
        bed.forget_statements()
        assert await run(client, "select v from t1 where id = 1", "commit") == [(0, True), (0, False)]

    assert [each.observer for each in bed.statements("^select v")] == [1]


# ---- servers fail -------------------------------------------------------------------


async def test_a_server_that_dies_before_the_first_statement_is_nothing(
    bed: Testbed, proxy: Proxy, tables: None
) -> None:
    async with session(proxy) as client:
        await run(client, "select v from t1", "begin")
        bed.forget_statements()
        dead = Address.parse(bed.observers[1].address)
        await bed.kill(1, noticed=False)
        await until(
            lambda: all(dead not in servers_of(each) for each in proxy.sessions.table.values()), "it is noticed"
        )

        assert await run(client, "update t1 set v = 6 where id = 1", "commit") == [(0, True), (0, False)]

    (begun,), (ended,) = bed.statements("^begin"), bed.statements("^commit")
    assert begun.observer == ended.observer != 1
    assert await bed.query(f"select v from {DATABASE}.t1") == [{"v": 6}]


async def test_a_session_is_not_sent_away_between_its_begin_and_the_first_statement(
    bed: Testbed, proxy: Proxy, tables: None
) -> None:
    async with session(proxy) as client:
        assert await run(client, "begin") == [(0, True)]
        (held,) = proxy.sessions.table.values()
        held.drain()
        assert await run(client, "update t1 set v = 8", "select 1") == [(0, True), (0, True)]
        done, farewell = await in_thread(client.last_query, "commit")
    assert (done[4], parse_err(farewell[4:]).errno) == (0, 1053)
    await until(lambda: not proxy.sessions.table, "it was sent away behind its transaction")
    assert proxy.counts.ends["drained"] == 1
    assert await bed.query(f"select v from {DATABASE}.t1") == [{"v": 8}]


async def test_a_session_whose_transaction_ends_unbegun_is_sent_away_then(
    bed: Testbed, proxy: Proxy, tables: None
) -> None:
    async with session(proxy) as client:
        assert await run(client, "begin") == [(0, True)]
        (held,) = proxy.sessions.table.values()
        held.drain()
        done, farewell = await in_thread(client.last_query, "commit")
    assert (done[4], parse_err(farewell[4:]).errno) == (0, 1053)
    await until(lambda: not proxy.sessions.table, "it was sent away behind its transaction")
    assert proxy.counts.ends["drained"] == 1


def servers_of(session: Session) -> Collection[Address]:
    return () if session.router is None else session.router.servers.by_address


# ---- init_sql -----------------------------------------------------------------------


async def test_init_sql_is_executed_once_and_what_it_sets_goes_along(bed: Testbed, tables: None) -> None:
    async with (
        proxied(bed, init_sql="set @started = 5, tx_isolation = 'SERIALIZABLE'") as proxy,
        session(proxy) as client,
    ):
        bed.forget_statements()
        for number in range(3):
            answer = await in_thread(client.query, f"select v, @started, @@tx_isolation from t{number} where id = 1")
            assert b"\x015\x0cSERIALIZABLE" in answer.payloads[-2]

    assert len(bed.statements("^set @started = 5, tx")) == 1


async def test_a_session_whose_init_sql_fails_ends(bed: Testbed, tables: None) -> None:
    async with proxied(bed, init_sql="set no_such_variable = 1") as proxy, session(proxy) as client:
        answer = await in_thread(client.query, "select 1")
        assert answer.errno == 8006
        assert b"no_such_variable" in answer.payloads[0]
        await until(lambda: not proxy.sessions.table, "the session has ended")
    assert proxy.counts.ends["init_sql_failed"] == 1
