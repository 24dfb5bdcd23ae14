"""Clients without a port before fake OBServers: limits count them, KILL ends them; two proxies serve one loop."""

from __future__ import annotations

import random
from contextlib import closing

import pymysql
import pytest
import trio
import trio.testing

import odp_trio
from odp_trio.app import Proxy
from odp_trio.app.connection import ConnectionLost
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.model import parse_rslist
from odp_trio.testing.demo import settings_for
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import open_fake_network
from odp_trio.testing.fakes.serving import open_fake_cluster
from odp_trio.wire.answers import StatementFailed

USER = "app@mytenant#demo"


def settings_of(cluster: FakeCluster, **options: object) -> Settings:
    return Settings(
        clusters={cluster.name: ClusterSettings(parse_rslist(cluster.rslist))},
        observer_sys_password=Secret(cluster.proxyro_password),
        hot_upgrade_exit_timeout=5.0,
        **options,
    )


async def test_limits_count_them(autojump_clock: trio.testing.MockClock) -> None:
    cluster = FakeCluster()
    async with (
        open_fake_network(cluster) as network,
        odp_trio.open_proxy(settings_of(cluster, user_max_connections=1), listen=False, network=network) as proxy,
    ):
        async with await proxy.connect(USER, cluster.app_password):
            with pytest.raises(StatementFailed, match="user_max_connections") as refused:
                await proxy.connect(USER, cluster.app_password)
            assert refused.value.errno == 1203
        await trio.sleep(1)
        async with await proxy.connect(USER, cluster.app_password) as again:
            assert (await again.query("select 1")).rows == ((1,),)


async def test_kill_ends_them(autojump_clock: trio.testing.MockClock) -> None:
    cluster = FakeCluster()
    async with (
        open_fake_network(cluster) as network,
        odp_trio.open_proxy(settings_of(cluster), listen=False, network=network, rng=random.Random(1)) as proxy,
        await proxy.connect(USER, cluster.app_password) as victim,
        await proxy.connect(USER, cluster.app_password) as killer,
    ):
        await killer.query(f"kill {victim.connection_id}")
        with pytest.raises(ConnectionLost):
            await victim.query("select 1")
        await trio.sleep(1)
        assert [each.reason for each in proxy.ends.clients] == ["killed"]


async def test_a_drain_waits_for_a_transaction(autojump_clock: trio.testing.MockClock) -> None:
    cluster = FakeCluster()
    committed = False
    async with (
        open_fake_network(cluster) as network,
        odp_trio.open_proxy(settings_of(cluster), listen=False, network=network) as proxy,
        await proxy.connect(USER, cluster.app_password, "test") as connection,
        trio.open_nursery() as nursery,
    ):
        await connection.query("create table t (id int primary key)")
        await connection.query("begin")
        await connection.query("insert into t values (1)")
        nursery.start_soon(proxy.drain)
        await trio.sleep(2)
        await connection.query("commit")
        committed = True

    assert committed
    assert proxy.ends.clients[-1].reason == "drained"


def ask(proxy: Proxy, cluster: FakeCluster, times: int) -> list[int]:
    """Run statements over a port, in a thread."""
    options = {"host": "127.0.0.1", "port": proxy.addresses[0][1], "user": USER, "password": cluster.app_password}
    with closing(pymysql.connect(**options)) as connection, connection.cursor() as cursor:
        return [cursor.execute("select 1") and cursor.fetchone()[0] for _ in range(times)]


async def test_two_proxies_serve_their_ports_on_one_loop() -> None:
    async with open_fake_cluster() as cluster:
        options = {"enable_http": False, "hot_upgrade_exit_timeout": 0.1}
        answers: list[int] = []

        async def work(proxy: Proxy) -> None:
            answers.extend(await trio.to_thread.run_sync(ask, proxy, cluster, 50))

        async with odp_trio.open_proxy(settings_for(cluster, **options)) as one:
            async with odp_trio.open_proxy(settings_for(cluster, **options)) as two:
                with trio.fail_after(20):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(work, one)
                        nursery.start_soon(work, two)
                assert (one.counts.logins, two.counts.logins) == (1, 1)
            with trio.fail_after(20):  # the other one's end took nothing from it
                await work(one)

        assert answers == [1] * 150
        assert one.statistics().statements == 2 * 51  # PyMySQL sets autocommit first
