"""What happens to a proxy before fake OBServers, as its events tell it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing

from odp_trio import events
from odp_trio.app import Proxy, open_proxy
from odp_trio.app.subscription import Subscription
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.events import Event
from odp_trio.model import Address, parse_rslist
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import open_fake_network
from odp_trio.testing.ocp import open_config_server

USER = "app@mytenant#demo"


@asynccontextmanager
async def opened(**options: object) -> AsyncIterator[tuple[FakeCluster, Proxy, Subscription]]:
    cluster = FakeCluster()
    settings = Settings(
        clusters={cluster.name: ClusterSettings(parse_rslist(cluster.rslist))},
        observer_sys_password=Secret(cluster.proxyro_password),
        hot_upgrade_exit_timeout=0.1,
        **options,
    )
    async with (
        open_fake_network(cluster) as network,
        open_proxy(settings, listen=False, network=network, rng=random.Random(1)) as proxy,
    ):
        yield cluster, proxy, proxy.events()


async def wait_for(happened: Subscription, kind: type[Event], seconds: float = 120) -> Event:
    with trio.fail_after(seconds):
        async for event in happened:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the proxy has ended, and there was no {kind.__name__}")


def address(number: int) -> Address:
    return Address(f"127.0.0.{number + 1}", 2881)


async def test_servers_come_go_and_come_back(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as (cluster, _, happened):
        listed = await wait_for(happened, events.ServerListChanged)
        assert listed == events.ServerListChanged(listed.at, "demo", tuple(address(number) for number in range(3)))

        await cluster.kill(1)
        off = await wait_for(happened, events.ServerOff)
        assert (off.cluster, off.server, off.on) == ("demo", address(1), "dead")
        changed = await wait_for(happened, events.ServerListChanged)
        assert changed.changed == (address(1),)

        await cluster.revive(1)
        on = await wait_for(happened, events.ServerOn)
        assert on.server == address(1)


async def test_sessions_begin_and_end_for_a_reason(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as (cluster, proxy, happened):
        async with await proxy.connect(USER, cluster.app_password) as connection:
            await connection.query("select 1")
            began = await wait_for(happened, events.SessionBegan)
            assert (began.id, began.client) == (connection.connection_id, "this process")
            assert (began.user, began.tenant, began.cluster) == ("app", "mytenant", "demo")
            assert Address.parse(began.server) in {address(number) for number in range(3)}
            await connection.quit()
        ended = await wait_for(happened, events.SessionEnded)

        assert (ended.id, ended.reason, ended.statements, ended.user) == (began.id, "client_quit", 1, "app")


async def test_a_login_that_is_refused_has_only_an_end(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as (_, proxy, happened):
        with pytest.raises(Exception, match="Access denied"):
            await proxy.connect(USER, "wrong")

        ended = await wait_for(happened, events.SessionEnded)
        assert (ended.reason, ended.user) == ("login_refused", "app")


async def test_the_leader_of_a_table_in_use_moves(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as (cluster, proxy, happened):
        async with await proxy.connect(USER, cluster.app_password, "test") as connection:
            await connection.query("create table t (id int primary key)")
            await connection.query("insert into t values (1)")
            await cluster.move_leader("test.t", 2)
            for number in range(2, 6):
                await connection.query(f"insert into t values ({number})")
                await trio.sleep(5)

        moved = await wait_for(happened, events.LeaderMoved)
        assert (moved.tenant, moved.database, moved.table, moved.tablet) == ("mytenant", "test", "t", 0)
        assert (moved.before, moved.after) == (address(0), address(2))


async def test_a_task_that_crashes_is_started_again(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as (_, proxy, happened):
        proxy.crash_task("catalog/prober", ValueError("a bug"))

        restarted = await wait_for(happened, events.TaskRestarted)
        assert (restarted.path, restarted.error, restarted.restarts) == ("catalog/prober", "ValueError: a bug", 1)
        assert restarted.pause > 0


async def test_the_config_server_is_lost_and_comes_back() -> None:
    async with open_config_server({"demo": "127.0.0.1:1"}) as ocp:
        settings = Settings(obproxy_config_server_url=ocp.url, config_server_refresh_interval=0.05)
        async with open_proxy(settings, listen=False) as proxy:
            happened = proxy.events()
            await ocp.down()
            lost = await wait_for(happened, events.ConfigServerLost, 10)
            assert lost.reason
            ocp.up()
            back = await wait_for(happened, events.ConfigServerBack, 10)
            assert back.failures > 0


def test_events_are_a_closed_set_that_can_be_sent() -> None:
    event = events.ServerOff(1.5, "demo", address(0), "dead", "gone")

    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


async def test_an_iteration_ends_with_the_proxy(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as (_, _, happened):
        pass

    assert [event async for event in happened if isinstance(event, events.EventsLost)] == []
