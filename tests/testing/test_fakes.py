"""Fake OBServers behind the whole proxy, with other people's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pymysql
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.testing.demo import settings_for
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.serving import open_fake_cluster

USER = "app@mytenant#demo"


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with open_fake_cluster() as cluster:
        yield cluster


@pytest.fixture
async def proxy(cluster: FakeCluster) -> AsyncIterator[Proxy]:
    async with open_proxy(settings_for(cluster, enable_http=False, hot_upgrade_exit_timeout=0.2)) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(cluster.name)
        yield proxy


async def in_thread(work: Any, *arguments: Any) -> Any:
    with trio.fail_after(20):
        return await trio.to_thread.run_sync(work, *arguments)


def connect(proxy: Proxy, user: str = USER, password: str = "app_pw", **options: Any) -> Any:
    return pymysql.connect(host="127.0.0.1", port=proxy.addresses[0][1], user=user, password=password, **options)


def run(connection: Any, *statements: str) -> Any:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


async def test_a_client_logs_in_and_asks(cluster: FakeCluster, proxy: Proxy) -> None:
    def work() -> None:
        with connect(proxy, database="test") as client:
            assert run(client, "select 1, 'a', null") == ((1, "a", None),)
            assert run(client, "create table t (id int primary key, s varchar(9))", "select * from t") == ()
            assert run(client, "insert into t values (1, 'a'), (2, 'b')", "select * from t where id = 2") == ((2, "b"),)
            client.commit()

    def wrong() -> None:
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            connect(proxy, password="wrong")
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            connect(proxy, user="app@nowhere#demo")

    await in_thread(work)
    await in_thread(wrong)
    assert [statement.tenant for statement in cluster.statements("insert into t")] == ["mytenant"]
    assert {statement.by_proxy for statement in cluster.statements("select \\*")} == {True}
