"""Prepared statements that move between servers, step by step: every answer is the one of a connection that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import trio

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from tests.live.rotation import WHEEL, rotating_proxy
from tests.raw_client import READ_ONLY_CURSOR, Answer, RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]
Script = Callable[[RawClient], Iterator[Answer]]
TABLE = "create table t (id int primary key auto_increment, v varchar(60000), w longtext)"
MIB = 1 << 20


def on(place: int, client: RawClient, sql: str) -> Answer:
    WHEEL.place = place
    return client.query(sql)


def long_data_comes_before_the_transaction(client: RawClient) -> Iterator[Answer]:
    insert = client.prepare("insert into t (v, w) values (?, ?)")
    client.long_data(insert.id, 0, b"abc")
    client.long_data(insert.id, 1, b"x" * 5000)
    client.long_data(insert.id, 0, b"def")
    yield on(1, client, "begin")
    yield on(1, client, "insert into t (v) values ('in')")
    WHEEL.place = 2
    yield client.execute(insert.id, ("", ""), long_data=(0, 1))
    yield on(0, client, "select v, length(w) from t order by id")
    yield on(0, client, "rollback")
    yield on(2, client, "select count(*) from t")
    yield client.execute(insert.id, ("q", "r"))
    client.long_data(insert.id, 0, b"zzz")
    WHEEL.place = 1
    yield client.reset(insert.id)
    yield client.execute(insert.id, ("n", None))
    yield on(0, client, "select v, w from t order by id")


def long_data_is_more_than_is_kept(client: RawClient) -> Iterator[Answer]:
    WHEEL.place = 1
    insert = client.prepare("insert into t (v, w) values (?, ?)")
    for _ in range(30):
        client.long_data(insert.id, 1, b"y" * 100_000)
    WHEEL.place = 2
    yield client.execute(insert.id, ("a", ""), long_data=(1,))
    yield on(0, client, "select v, length(w) from t")


def texts_are_long(client: RawClient) -> Iterator[Answer]:
    WHEEL.place = 0
    long = client.prepare("select 1 as a, '" + "k" * 200_000 + "' as b, ? as c")
    WHEEL.place = 1
    yield client.execute(long.id, (5,))
    yield on(0, client, "prepare p from 'select \"it''s\", \"" + "k" * 200_000 + "\" as b, ? as c'")
    yield on(0, client, "set @v = 4")
    yield on(1, client, "execute p using @v")


def executions_are_long_and_bring_no_types(client: RawClient) -> Iterator[Answer]:
    WHEEL.place = 0
    select = client.prepare("select length(?), ?")
    yield client.execute(select.id, ("a" * 300_000, 7))
    for place, size in ((1, 300_001), (2, 200_001), (0, 16 * MIB - 40), (1, 16 * MIB - 40), (2, 17 * MIB)):
        WHEEL.place = place
        yield client.execute(select.id, ("b" * size, 8), send_types=False)


def names_are_made_in_many_ways(client: RawClient) -> Iterator[Answer]:
    yield on(0, client, "prepare a from 'select 11'; prepare b from 'select 12'")
    yield on(1, client, "execute a")
    yield on(2, client, "execute B")
    yield on(0, client, "prepare c from 'select ' '13'")
    yield on(1, client, "execute c")
    yield on(1, client, "set sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
    yield on(0, client, "prepare d from 'select ''a\\b'''")
    yield on(1, client, "execute d")
    yield on(1, client, "set sql_mode = ''")
    yield on(2, client, "execute d")
    for number in range(60):
        yield on(number, client, f"prepare e{number} from 'select {number}'")
        yield on(number + 1, client, f"execute e{number}")
        yield on(number + 2, client, f"deallocate prepare e{number}")
    yield on(0, client, "execute immediate 'select 1'")


def a_table_is_gone(client: RawClient) -> Iterator[Answer]:
    WHEEL.place = 0
    select = client.prepare("select * from t")
    yield on(0, client, "prepare p from 'select * from t'")
    yield on(0, client, "drop table t")
    WHEEL.place = 1
    yield client.execute(select.id)
    yield on(2, client, "execute p")
    yield on(1, client, "select 1")


def rows_are_fetched_in_a_transaction_elsewhere(client: RawClient) -> Iterator[Answer]:
    yield on(0, client, "insert into t (v) values ('a'), ('b'), ('c')")
    select = client.prepare("select id from t where id > ?")
    yield client.execute(select.id, (0,), cursor=READ_ONLY_CURSOR)
    yield on(1, client, "begin")
    yield on(1, client, "insert into t (v) values ('d')")
    yield client.fetch(select.id, 2)
    yield client.reset(select.id)
    yield client.fetch(select.id, 2)
    yield on(1, client, "select count(*) from t")
    yield on(1, client, "commit")
    WHEEL.place = 2
    yield client.execute(select.id, (None,), send_types=False)


SCRIPTS: tuple[Script, ...] = (
    long_data_comes_before_the_transaction,
    long_data_is_more_than_is_kept,
    texts_are_long,
    executions_are_long_and_bring_no_types,
    names_are_made_in_many_ways,
    a_table_is_gone,
    rows_are_fetched_in_a_transaction_elsewhere,
)


def played(address: Address, user: str, script: Script) -> list[tuple[int, list[bytes]]]:
    """Run a script in a fresh database; both sides use the same one, one after the other."""
    with RawClient(address, user) as client:
        for sql in ("drop database if exists moving", "create database moving", "use moving", TABLE):
            assert not on(0, client, sql).errno, sql
        return [(answer.errno, answer.payloads) for answer in script(client)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
async def test_every_answer_is_that_of_a_connection_that_stays(
    script: Script, kernel: KernelProcess, kernel_address: Address
) -> None:
    kernel.run("set global max_allowed_packet = 67108864")
    direct = await trio.to_thread.run_sync(partial(played, kernel_address, "root", script))
    async with rotating_proxy(kernel) as proxied:
        try:
            moved = await trio.to_thread.run_sync(partial(played, proxied, "root@sys", script))
        finally:
            WHEEL.place = None

    assert len(moved) == len(direct)
    for number, (one, other) in enumerate(zip(direct, moved, strict=True)):
        assert other == one, number


async def test_what_the_kernel_cannot_read_is_refused_before_it(kernel: KernelProcess, kernel_address: Address) -> None:
    """A bare byte 0xA1 ends the process of seekdb 1.3.0."""

    def refused(address: Address) -> list[bytes]:
        answers = []
        with RawClient(address, "root@sys") as client:
            for command in (b"\xa1", b"\xa1" + bytes(20), b"\xa2" + bytes(20), b"\xa3" + bytes(20)):
                client.send(command)
                answers.append(client.socket.recv(1000)[4:13])
            assert not client.query("select 1").errno
        return answers

    async with rotating_proxy(kernel) as proxied:
        assert await trio.to_thread.run_sync(refused, proxied) == [b"\xff\xd3\x04#0A000"] * 4
