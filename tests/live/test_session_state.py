"""What is asked for or changed on one server and must hold on the next: see docs/sessions.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial

import pytest
import trio

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from tests.live.rotation import WHEEL, rotating_proxy
from tests.raw_client import Answer, RawClient

DATABASE = "session_state"


@pytest.fixture
async def rotated(kernel: KernelProcess) -> AsyncIterator[Address]:
    await kernel.query(
        f"drop database if exists {DATABASE}",
        f"create database {DATABASE}",
        f"create table {DATABASE}.t (id int primary key)",
        f"insert into {DATABASE}.t values (1), (2), (3)",
    )
    async with rotating_proxy(kernel) as address:
        try:
            yield address
        finally:
            WHEEL.place = None
            await kernel.query("set global div_precision_increment = 4", f"drop database if exists {DATABASE}_gone")


async def with_client(address: Address, work: Callable[[RawClient], None], database: str | None = DATABASE) -> None:
    def run() -> None:
        WHEEL.place = 0
        with closing(RawClient(address, "root@sys", database=database)) as client:
            work(client)

    await trio.to_thread.run_sync(partial(run))


def on(client: RawClient, place: int, sql: str) -> Answer:
    WHEEL.place = place
    return client.query(sql)


def value(client: RawClient, place: int, sql: str) -> bytes:
    """The first value of the last row."""
    answer = on(client, place, sql)
    assert not answer.errno, (sql, answer.payloads)
    row = answer.payloads[-2]
    return b"" if row[0] == 0xFB else row[1 : 1 + row[0]]


async def test_global_variables_that_changed_meanwhile_do_not_show(rotated: Address, kernel: KernelProcess) -> None:
    def work(client: RawClient) -> None:
        assert value(client, 0, "select @@div_precision_increment") == b"4"
        kernel.run("set global div_precision_increment = 7")
        assert [value(client, place, "select @@div_precision_increment, 1/3") for place in (1, 0)] == [b"4", b"4"]
        on(client, 2, "set div_precision_increment = 9")
        assert [value(client, place, "select @@div_precision_increment") for place in (0, 1, 2)] == [b"9"] * 3

    await with_client(rotated, work)


async def test_a_database_that_is_dropped_is_dropped_everywhere(rotated: Address) -> None:
    def work(client: RawClient) -> None:
        on(client, 0, f"create database {DATABASE}_gone")
        on(client, 1, f"use {DATABASE}_gone")
        assert [value(client, place, "select database()") for place in (0, 2)] == [f"{DATABASE}_gone".encode()] * 2
        on(client, 0, f"drop database {DATABASE}_gone")
        assert [value(client, place, "select database()") for place in (1, 2, 0)] == [b""] * 3
        on(client, 1, f"use {DATABASE}")
        assert value(client, 2, "select database()") == DATABASE.encode()

    await with_client(rotated, work)


async def test_a_database_that_somebody_else_drops(rotated: Address, kernel: KernelProcess) -> None:
    def work(client: RawClient) -> None:
        on(client, 0, f"create database {DATABASE}_gone")
        on(client, 0, f"use {DATABASE}_gone")
        kernel.run(f"drop database {DATABASE}_gone")
        assert on(client, 1, "select 1").errno == 1049
        assert on(client, 2, f"use {DATABASE}").errno == 0
        assert value(client, 1, "select database()") == DATABASE.encode()

    await with_client(rotated, work)


async def test_rows_found_and_warnings_are_asked_for_where_they_are(rotated: Address) -> None:
    def work(client: RawClient) -> None:
        on(client, 0, "select sql_calc_found_rows id from t limit 1")
        on(client, 1, "set @a = 1")
        on(client, 2, "do 1")
        assert value(client, 1, "select found_rows()") == b"3"
        on(client, 2, "update t set id = id + 10")
        WHEEL.place = 0
        assert not client.command(bytes((Com.PING,))).errno
        assert value(client, 1, "select row_count()") == b"3"
        on(client, 2, "select cast('x' as signed)")
        WHEEL.place = 1
        assert not client.command(bytes((Com.PING,))).errno
        assert any(b"Truncated" in payload for payload in on(client, 0, "show warnings").payloads)

    await with_client(rotated, work)


async def test_without_autocommit_a_transaction_stays_until_it_ends(rotated: Address) -> None:
    def work(client: RawClient) -> None:
        on(client, 0, "set autocommit = 0")
        assert on(client, 1, "delete from t where id = 1").status & Status.IN_TRANS
        assert value(client, 2, "select count(*) from t") == b"2"
        on(client, 0, "savepoint s")
        on(client, 2, "delete from t")
        on(client, 1, "rollback to s")
        assert value(client, 0, "select count(*) from t") == b"2"
        assert not on(client, 2, "create table made (a int)").status & Status.IN_TRANS  # commits what was open
        assert value(client, 1, "select count(*) from t") == b"2"
        assert not on(client, 0, "rollback").status & Status.IN_TRANS
        assert value(client, 2, "select count(*) from t") == b"2"

    await with_client(rotated, work)


async def test_a_read_only_transaction_is_one_wherever_it_begins(rotated: Address) -> None:
    def work(client: RawClient) -> None:
        for begin in (["start transaction read only"], ["set transaction read only", "begin"]):
            for place, sql in enumerate(begin):
                on(client, place, sql)
            refused = on(client, 2, "delete from t")
            assert (refused.errno, refused.status & Status.IN_TRANS) == (1792, Status.IN_TRANS)
            on(client, 0, "commit")
        assert on(client, 1, "xa start 'x'").errno == 1235  # this kernel has no XA

    await with_client(rotated, work)
