"""A server goes, a task crashes, the proxy goes: what the others notice."""

from __future__ import annotations

import itertools
import re
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
import trio

from odp_trio.admin.tree import TreeNode
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Settings
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.ocp import open_config_server
from tests.live.clients import ask, connect, in_thread, through, until

NUMBERS = itertools.count()


@dataclass
class Load:
    """Clients that ask again and again on sessions of their own; what they got."""

    answers: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)
    stop: bool = False

    def client(self, address: tuple[str, int]) -> None:
        """Blocks; connects again when its session is lost."""
        while not self.stop and len(self.lost) < 500:
            try:
                with closing(connect(address)) as connection, connection.cursor() as cursor:
                    while not self.stop:
                        number = next(NUMBERS)
                        cursor.execute(f"select {number}")
                        if cursor.fetchall() != ((number,),):
                            self.wrong.append(number)
                        self.answers += 1
            except (pymysql.err.MySQLError, OSError) as exc:
                self.lost.append(str(exc))


async def run_load(load: Load, proxy: Proxy, nursery: trio.Nursery, clients: int = 12) -> None:
    for _ in range(clients):
        nursery.start_soon(in_thread, load.client, proxy.addresses[0])
    nursery.start_soon(stop_with, load)
    await until(lambda: load.answers > 200, "the load runs")


async def stop_with(load: Load) -> None:
    """End the clients when the test fails: a thread cannot be cancelled."""
    try:
        while not load.stop:  # noqa: ASYNC110  # a thread's flag
            await trio.sleep(0.05)
    finally:
        load.stop = True


def servers(proxy: Proxy) -> dict[str, int]:
    """Sessions by server."""
    found: dict[str, int] = {}
    for session in proxy.sessions.table.values():
        if session.server is not None:
            found[str(session.server)] = found.get(str(session.server), 0) + 1
    return found


async def test_one_of_three_servers_is_killed_under_load(bed: Testbed) -> None:
    async with open_proxy(
        settings_for(bed, enable_http=False, server_state_refresh_interval=1.0, congestion_retry_interval=1.0)
    ) as proxy:
        load = Load()
        async with trio.open_nursery() as nursery:
            await run_load(load, proxy, nursery)
            victim = bed.observers[1].address
            on_victim = servers(proxy)[victim]
            before = load.answers

            await bed.kill(1)
            await until(lambda: load.answers > before + 500, "the others go on")
            # At most one loss for each session of the killed server, none for others; those at rest move on.
            assert len(load.lost) <= on_victim
            assert victim not in servers(proxy)
            cluster = proxy.clusters.resources()[0]
            await until(lambda: len(cluster.sys_route()) == 2, "the server list drops it")
            assert await through(proxy, "select 'new session'") == (("new session",),)

            await bed.revive(1)
            await until(lambda: len(cluster.sys_route()) == 3, "the server list regains it")
            await until(lambda: not proxy.views.congestion.refusals(bed.cluster).lists, "it is off the greylist")
            sessions = [await in_thread(connect, proxy.addresses[0]) for _ in range(3)]
            assert victim in servers(proxy)
            for session in sessions:
                await in_thread(session.close)
            load.stop = True

        assert load.wrong == []
        assert len(load.lost) <= on_victim


async def test_the_server_list_follows_within_its_interval(bed: Testbed) -> None:
    """And its jitter, in real time; tests in virtual time have the 15 seconds of the default."""
    assert Settings().server_state_refresh_interval == 15.0
    async with open_proxy(settings_for(bed, enable_http=False, server_state_refresh_interval=3.0)) as proxy:
        cluster = await proxy.clusters.wait_available("demo")
        start = trio.current_time()
        await bed.kill(2)
        await until(lambda: len(cluster.sys_route()) == 2, "dropped", 17)
        assert trio.current_time() - start <= 3.3 + 1.5


async def test_servers_are_added_and_dropped(bed: Testbed) -> None:
    async with open_proxy(settings_for(bed, enable_http=False, server_state_refresh_interval=0.3)) as proxy:
        cluster = await proxy.clusters.wait_available("demo")
        number = await bed.add_server(zone="zone2")
        await until(lambda: len(cluster.servers) == 4, "the new server is known")
        seen = set()
        for _ in range(4):
            with closing(await in_thread(connect, proxy.addresses[0])):
                seen |= set(servers(proxy))
        assert bed.observers[number].address in seen

        await bed.drop_server(number)
        await until(lambda: len(cluster.servers) == 3, "the dropped server is forgotten")


async def metrics(proxy: Proxy) -> dict[str, float]:
    assert proxy.http_address is not None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.http_address[1]}") as client:
        text = (await client.get("/metrics")).text
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)}


def tasks(node: TreeNode, proxy: Proxy) -> list[str]:
    """Return the path of every task of the tree, whatever there is; blocks are none."""
    found = []
    for child in node.children:
        with suppress(KeyError):
            proxy.root.find(child.path)
            found.append(child.path)
        found += tasks(child, proxy)
    return found


def tables(proxy: Proxy) -> dict[str, object]:
    """What no crash of a task may take away."""
    return {
        "sessions": set(proxy.sessions.table),
        "clusters": {name: set(cluster.servers) for name, cluster in named_clusters(proxy).items()},
        "tenants": set(proxy.tenants.entries()),
        "locations": len(proxy.locations),
        "statements": len(proxy.statements),
        "rslists": set() if proxy.clusters.directory is None else set(proxy.clusters.directory.entries),
        "listening on": proxy.addresses,
    }


def named_clusters(proxy: Proxy) -> dict[str, Any]:
    return {cluster.name: cluster for cluster in proxy.clusters.resources()}


async def test_every_task_of_the_tree_can_crash_and_nobody_notices(
    bed: Testbed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await bed.query("drop database if exists crash", "create database crash", "create table crash.t(a int)")
    async with open_config_server({bed.cluster: bed.rslist}) as ocp:
        settings = settings_for(
            bed,
            clusters={},
            obproxy_config_server_url=ocp.url,
            rootservice_cluster_name=bed.cluster,
            etc_dir=str(tmp_path),
            server_state_refresh_interval=0.3,
        )
        async with open_proxy(settings) as proxy:
            session = await in_thread(lambda: connect(proxy.addresses[0], database="crash"))
            with session.cursor() as cursor:
                await in_thread(cursor.execute, "select count(*) from t")
            await until(lambda: all(t.state == "running" for t in proxy.statistics().tasks), "everything runs")
            paths = tasks(proxy.tree(), proxy)
            assert {"catalog/cluster:demo", "catalog/config_server", "catalog/prober", "front/listener", "http"} <= set(
                paths
            )
            known = tables(proxy)
            load = Load()
            async with trio.open_nursery() as nursery:
                await run_load(load, proxy, nursery, clients=2)
                for path in paths:
                    before = load.answers

                    proxy.crash_task(path, RuntimeError(f"{path} on purpose"))

                    await until(lambda path=path: node_of(proxy, path).restarts == 1, f"{path} was counted")
                    await until(lambda path=path: node_of(proxy, path).state == "running", f"{path} runs again")
                    assert node_of(proxy, path).last_error == f"RuntimeError: {path} on purpose"
                    await until(lambda before=before: load.answers > before + 20, "the load goes on")
                    assert await through(proxy, "select 1") == ((1,),)
                load.stop = True

            assert (load.lost, load.wrong) == ([], [])
            await until(lambda: len(proxy.sessions.table) == 1, "the load's sessions are gone")
            assert shrunk(known, tables(proxy)) == []
            with session.cursor() as cursor:
                await in_thread(cursor.execute, "select count(*) from t")
            counted = await metrics(proxy)
            for path in paths:
                assert counted[f'odp_task_restarts_total{{task="{path}"}}'] == 1
                assert f"{path} on purpose" in caplog.text
            refreshes = named_clusters(proxy)["demo"].refreshes
            await until(lambda: named_clusters(proxy)["demo"].refreshes > refreshes, "the list is refreshed")
            await in_thread(session.close)


def shrunk(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name the tables that have lost something."""
    return [
        f"{name}: {value} became {after[name]}"
        for name, value in before.items()
        if (after[name] < value if isinstance(value, int) else after[name] != value)
    ]


def node_of(proxy: Proxy, path: str) -> TreeNode:
    """Find a task in the tree."""
    nodes = [proxy.tree()]
    while nodes:
        node = nodes.pop()
        if node.path == path:
            return node
        nodes += node.children
    raise AssertionError(f"{path} is not in the tree")


async def test_the_tree_is_shown_with_times_and_reasons(bed: Testbed) -> None:
    async with open_proxy(settings_for(bed)) as proxy:
        await until(lambda: all(t.state == "running" for t in proxy.statistics().tasks), "everything runs")
        proxy.crash_task("catalog/locations", RuntimeError("on purpose"))
        await until(lambda: node_of(proxy, "catalog/locations").restarts == 1, "it was counted")
        assert proxy.http_address is not None

        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.http_address[1]}") as client:
            tree = (await client.get("/api/tree")).json()

        assert (tree["name"], tree["path"], tree["state"]) == ("proxy", "", "running")
        catalog = next(child for child in tree["children"] if child["name"] == "catalog")
        locations = next(child for child in catalog["children"] if child["name"] == "locations")
        assert locations["path"] == "catalog/locations"
        assert locations["last_error"] == "RuntimeError: on purpose"
        assert locations["restarts"] == 1
        assert 0 <= locations["since"] < 10
        assert (locations["state"] == "backing_off") == (locations["next_attempt"] is not None)


async def test_a_crashed_session_is_alone_in_it(bed: Testbed, caplog: pytest.LogCaptureFixture) -> None:
    async with open_proxy(settings_for(bed)) as proxy:
        load = Load()
        async with trio.open_nursery() as nursery:
            await run_load(load, proxy, nursery, clients=4)
            victim = await in_thread(connect, proxy.addresses[0])

            proxy.crash_session(victim.thread_id(), RuntimeError("on purpose"))

            with pytest.raises(pymysql.err.OperationalError):
                await in_thread(victim.ping, False)
            before = load.answers
            await until(lambda: load.answers > before + 50, "the load goes on")
            assert (await metrics(proxy))['odp_session_ends_total{reason="crashed"}'] == 1
            load.stop = True
            victim.close()

        assert (load.lost, load.wrong) == ([], [])
        assert "crashed" in caplog.text
        assert "on purpose" in caplog.text


async def test_a_listener_that_keeps_crashing_ends_the_proxy(bed: Testbed) -> None:
    from odp_trio.errors import ChildGaveUp

    async def crash_for_ever(proxy: Proxy) -> None:
        while True:
            proxy.crash_task("front/listener", RuntimeError("on purpose"))
            await trio.sleep(0.05)

    with pytest.raises(ChildGaveUp, match="'listener' failed too often"):
        async with open_proxy(settings_for(bed, enable_http=False)) as proxy:
            with trio.fail_after(30):
                await crash_for_ever(proxy)


async def test_draining_lets_a_transaction_end_and_sends_the_idle_away(bed: Testbed) -> None:
    await bed.query("drop database if exists drain", "create database drain", "create table drain.t(a int)")
    async with trio.open_nursery() as nursery:
        async with open_proxy(settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=20.0)) as proxy:
            address = proxy.addresses[0]
            idle = await in_thread(connect, address)
            busy = await in_thread(lambda: connect(address, database="drain"))
            await in_thread(busy.begin)
            with busy.cursor() as cursor:
                await in_thread(cursor.execute, "insert into t values(1)")

            async def finish_later() -> None:
                await until(lambda: proxy.sessions.draining, "the drain has begun")
                with pytest.raises(pymysql.err.OperationalError):
                    await in_thread(connect, address)
                with pytest.raises(pymysql.err.MySQLError):
                    await in_thread(idle.ping, False)
                with busy.cursor() as cursor:
                    await in_thread(cursor.execute, "insert into t values(2)")
                await in_thread(busy.commit)

            nursery.start_soon(finish_later)
    assert await bed.query("select count(*) as n from drain.t") == [{"n": 2}]
    assert proxy.counts.ends["drained"] == 2
    idle.close()
    busy.close()


async def test_health_and_readiness_say_what_is_wrong(bed: Testbed) -> None:
    for number in range(3):
        await bed.kill(number, noticed=False)
    async with open_proxy(settings_for(bed, server_state_refresh_interval=0.3, short_async_task_timeout=1.0)) as proxy:
        assert proxy.http_address is not None
        await until(
            lambda: any(t.path == "http" and t.state == "running" for t in proxy.statistics().tasks), "http runs"
        )
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.http_address[1]}") as client:
            await until(lambda: proxy.clusters.resources()[0].failures > 0, "a refresh has failed")
            ready, health = await client.get("/ready"), await client.get("/health")
            assert ready.status_code == 503
            assert "cluster demo has no server list: proxyro@sys got no answer" in ready.json()["reasons"][0]
            assert (health.status_code, health.json()["status"]) == (200, "degraded")

            for number in range(3):
                await bed.revive(number)
            await until(lambda: proxy.clusters.resources()[0].available, "the list is there")
            assert (await client.get("/ready")).status_code == 200
            assert (await client.get("/health")).json()["status"] == "ok"
            assert (await client.get("/api/status")).json()["clusters"][0]["name"] == "demo"
            assert (await client.get("/nothing")).status_code == 404


async def test_root_at_proxysys_reads_the_same_records(bed: Testbed, proxy: Proxy) -> None:
    password = proxy.settings().obproxy_sys_password.value

    async def show(sql: str) -> list[tuple[object, ...]]:
        return list(await in_thread(ask, proxy.addresses[0], sql, "root@proxysys", password))

    assert [(row[0], row[1], row[2], row[6]) for row in await show("show proxyserver")] == [
        ("demo", "4.3.5.3", observer.address, "ACTIVE") for observer in bed.observers
    ]
    assert ("front/listener", "running") in [row[:2] for row in await show("show proxytasks")]
    assert await show("show proxystat like 'sess%'") == [("sessions", 1, "NULL")]
    with pytest.raises(pymysql.err.ProgrammingError, match="did you mean SHOW PROXYCLUSTER"):
        await show("show proxyclutser")


async def test_a_tenant_that_came_to_others_unnoticed_can_be_logged_in_to_when_its_known_server_fails(
    bed: Testbed,
) -> None:
    await bed.add_tenant("grown", [0])
    async with open_proxy(
        settings_for(bed, enable_http=False, server_state_refresh_interval=60.0, hot_upgrade_exit_timeout=0.2)
    ) as proxy:
        assert await through(proxy, "select 1", "root@grown", "") == ((1,),)
        await bed.place_tenant("grown", [0, 2])
        await bed.kill(0, noticed=False)

        with trio.fail_after(20):  # what is known of it must be some seconds old to be asked for again
            while True:
                with suppress(pymysql.err.MySQLError):
                    assert await through(proxy, "select 2", "root@grown", "") == ((2,),)
                    break

        assert {item.observer for item in bed.statements("^select 2$")} == {2}
