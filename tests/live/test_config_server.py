"""A proxy that is given nothing but the URL of a config server, before a real kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.ocp import ConfigServerBed, open_config_server
from odp_trio.testing.ocp_answers import Question
from tests.live.clients import ask, connect, in_thread, login_error, through, until


@pytest.fixture
async def ocp(bed: Testbed) -> AsyncIterator[ConfigServerBed]:
    async with open_config_server({bed.cluster: bed.rslist}) as ocp:
        yield ocp


def proxy_of(bed: Testbed, ocp: ConfigServerBed, place: Path, **settings: Any) -> AbstractAsyncContextManager[Proxy]:
    """Return a proxy that knows the config server and nothing else."""
    settings = {"enable_http": False, "hot_upgrade_exit_timeout": 0.2, "etc_dir": str(place / "etc"), **settings}
    return open_proxy(settings_for(bed, clusters={}, obproxy_config_server_url=ocp.url, **settings))


@asynccontextmanager
async def open_session(proxy: Proxy) -> AsyncIterator[Any]:
    connection = await in_thread(connect, proxy.addresses[0])
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


async def test_a_url_is_all_that_a_proxy_needs(bed: Testbed, ocp: ConfigServerBed, tmp_path: Path) -> None:
    async with proxy_of(bed, ocp, tmp_path) as proxy:
        assert proxy.clusters.names == ()

        assert await through(proxy, "select 6 * 7") == ((42,),)
        assert await through(proxy, "select 6 * 7", "app@sys") == ((42,),)  # the only cluster is the default

        (cluster,) = proxy.statistics().clusters
        assert (cluster.name, cluster.rslist_source, len(cluster.servers)) == ("demo", "config server", 3)
        assert proxy.root.find("catalog/cluster:demo")
        assert len(ocp.asked(Question.RSLIST)) == 1


async def test_a_cluster_that_is_not_named_is_refused(bed: Testbed, ocp: ConfigServerBed, tmp_path: Path) -> None:
    ocp.set_cluster("other", bed.rslist)
    async with proxy_of(bed, ocp, tmp_path) as proxy:
        errno, text = await login_error(proxy, "app@sys#nowhere")
        assert (errno, "the config server names 'demo', 'other'" in text) == (4669, True)

        errno, text = await login_error(proxy, "app@sys")
        assert (errno, "names no cluster" in text) == (4669, True)

        errno, text = await login_error(proxy, "app@sys#other")  # its servers are another cluster's
        assert errno == 4666
        assert "call themselves 'demo', not 'other'" in text


async def test_an_alias_is_told_its_real_name(bed: Testbed, ocp: ConfigServerBed, tmp_path: Path) -> None:
    from odp_trio.testing.ocp_answers import ServedCluster

    ocp.set_cluster("nick", ServedCluster(bed.rslist, real_name="demo"))
    async with proxy_of(bed, ocp, tmp_path) as proxy:
        assert await through(proxy, "select 1", "app@sys#nick") == ((1,),)


async def test_sessions_and_logins_go_on_when_the_config_server_fails(
    bed: Testbed, ocp: ConfigServerBed, tmp_path: Path
) -> None:
    async with proxy_of(bed, ocp, tmp_path, config_server_refresh_interval=0.2) as proxy:
        async with open_session(proxy) as cursor:
            await in_thread(cursor.execute, "select 1")
            await ocp.down()
            await until(lambda: proxy.clusters.directory.trouble.failures >= 2, "polls have failed")

            await in_thread(cursor.execute, "select 2")
            assert await through(proxy, "select 3") == ((3,),)
            reasons = proxy.statistics().why_degraded
            assert any("config server" in reason and "failures in a row" in reason for reason in reasons)
            assert proxy.statistics().why_not_ready == ()
            cluster = proxy.clusters.resources()[0]
            refreshes = cluster.refreshes
            cluster_wanted = proxy.clusters._keepers["demo"].wanted
            cluster_wanted.ring()
            await until(lambda: cluster.refreshes > refreshes, "the server list is refreshed without it")

            ocp.up()
            await until(lambda: not proxy.statistics().why_degraded, "nothing is degraded any more")


@pytest.mark.parametrize("fault", ["down", "html", "garbage", "status", "no_clusters", "empty_list", "redirect_loop"])
async def test_a_login_is_told_what_is_wrong_with_the_config_server(
    bed: Testbed, ocp: ConfigServerBed, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    match fault:
        case "down":
            await ocp.down()
        case "status":
            ocp.status(503)
        case _:
            getattr(ocp, fault)()
    async with proxy_of(bed, ocp, tmp_path) as proxy:
        with trio.fail_after(8):
            errno, text = await login_error(proxy, "app@sys#demo")
        assert errno == 4669
        assert "config server http://127.0.0.1" in text
        assert "s3cret" not in text + caplog.text
        assert "Traceback" not in caplog.text
        assert bool(proxy.statistics().why_not_ready) == (fault != "empty_list")

        if fault == "down":
            ocp.up()
        ocp.heal()
        with trio.fail_after(10):
            while True:
                try:
                    assert await through(proxy, "select 1") == ((1,),)
                    break
                except Exception as exc:
                    assert "config server" in str(exc)  # what failed is believed for two seconds
                    await trio.sleep(0.2)
        await until(lambda: not proxy.statistics().why_not_ready, "it is ready without a restart")


async def test_a_config_server_that_hangs_is_an_error_in_time(
    bed: Testbed, ocp: ConfigServerBed, tmp_path: Path
) -> None:
    ocp.hang()
    async with proxy_of(bed, ocp, tmp_path, short_async_task_timeout=1.0) as proxy:
        begun = trio.current_time()
        errno, _ = await login_error(proxy, "app@sys#demo")
        assert errno in (4012, 4669)
        assert trio.current_time() - begun < 3


async def test_the_file_lets_logins_in_while_the_config_server_is_down(
    bed: Testbed, ocp: ConfigServerBed, tmp_path: Path
) -> None:
    async with proxy_of(bed, ocp, tmp_path) as proxy:
        assert await through(proxy, "select 1") == ((1,),)
        await until(lambda: (tmp_path / "etc" / "obproxy_rslist_info.json").exists(), "the file is written")
    await ocp.down()

    async with proxy_of(bed, ocp, tmp_path) as proxy:
        assert (await login_error(proxy, "app@sys#demo"))[0] == 4669

    async with proxy_of(bed, ocp, tmp_path, ignore_local_config=False, config_server_refresh_interval=0.2) as proxy:
        assert proxy.statistics().why_not_ready == ()
        assert await through(proxy, "select 2") == ((2,),)
        assert any("is from the local file" in reason for reason in proxy.statistics().why_degraded)
        assert (await login_error(proxy, "app@sys#never"))[0] == 4669
        ocp.up()
        await until(lambda: not proxy.statistics().why_degraded, "the config server speaks for itself again")


async def test_a_login_to_a_primary_that_changes(bed: Testbed, ocp: ConfigServerBed, tmp_path: Path) -> None:
    from odp_trio.testing.ocp_answers import ServedCluster

    ocp.set_cluster("demo", ServedCluster(bed.rslist, 1), ServedCluster(bed.rslist, 2, "STANDBY"))
    async with proxy_of(bed, ocp, tmp_path, config_server_refresh_interval=0.2, enable_cluster_checkout=False) as proxy:
        assert await in_thread(ask, proxy.addresses[0], "select 1") == ((1,),)
        assert proxy.clusters.names == ("demo:1",)
        ocp.set_cluster("demo", ServedCluster(bed.rslist, 1, "STANDBY"), ServedCluster(bed.rslist, 2))
        await until(lambda: len(ocp.asked(Question.RSLIST)) >= 3, "roles are asked for")
        assert await in_thread(ask, proxy.addresses[0], "select 1") == ((1,),)
        assert set(proxy.clusters.names) == {"demo:1", "demo:2"}


async def test_a_frozen_root_server_does_not_keep_a_first_login_waiting(
    bed: Testbed, ocp: ConfigServerBed, tmp_path: Path
) -> None:
    bed.freeze(0)
    async with proxy_of(bed, ocp, tmp_path) as proxy:
        begun = trio.current_time()
        cluster = await proxy.clusters.enter("demo")
        assert trio.current_time() - begun < 2.5
        assert len(cluster.servers) == 3
    await bed.thaw(0)
