"""Clusters: made once, refreshed every 15 seconds, kept when a refresh fails.  In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from odp_trio.catalog import queries
from odp_trio.catalog.clusters import Clusters
from odp_trio.catalog.origin import Surroundings
from odp_trio.config import Settings
from odp_trio.errors import CatalogError, UnknownCluster
from odp_trio.model import Address
from odp_trio.supervise.supervisor import open_supervisor
from tests.catalog.fake_metadata import FakeMetadata

RSLIST = (Address("10.0.0.1", 2881),)


@asynccontextmanager
async def open_clusters(
    fake: FakeMetadata, *, changed: Callable[[], None] = lambda: None, **settings: Any
) -> AsyncIterator[Clusters]:
    """One cluster that is configured."""
    in_force = Settings(**settings)
    clusters = Clusters({"demo": RSLIST}, lambda _: fake, Surroundings(lambda: in_force, Random(0), changed))
    async with open_supervisor("catalog", rng=Random(0)) as supervisor:
        clusters.start(supervisor)
        yield clusters
    clusters.close()
    assert fake.closed


async def test_a_cluster_is_made_with_odps_own_queries(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")

        assert fake.asked == [queries.VERSION, queries.FIRST_SERVERS, queries.TENANTS]
        assert fake.asked_servers[0] == RSLIST
        assert [str(address) for address in cluster.servers] == ["10.0.0.1:2881", "10.0.0.2:2881", "10.0.0.3:2881"]
        assert cluster.zones["zone1"].idc == "idc1"
        assert cluster.version == "4.3.5.3"


async def test_it_is_refreshed_every_15_seconds_with_jitter(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        times = []
        for _ in range(40):
            before = cluster.refreshes
            while cluster.refreshes == before:  # noqa: ASYNC110  # virtual time: this is how it is told
                await trio.sleep(0.05)
            times.append(trio.current_time())

    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(13.4 <= gap <= 16.6 for gap in gaps)
    assert max(gaps) - min(gaps) > 1
    assert 14 <= sum(gaps) / len(gaps) <= 16


async def test_additions_and_removals_are_noticed_within_one_interval(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        del fake.servers["10.0.0.3"]
        fake.servers["10.0.0.4"] = "ACTIVE"
        fake.servers["10.0.0.2"] = "INACTIVE"
        await trio.sleep(16.6)

        assert sorted(map(str, cluster.sys_route())) == ["10.0.0.1:2881", "10.0.0.4:2881"]
    assert "added 10.0.0.4:2881; removed 10.0.0.3:2881; 10.0.0.2:2881 is INACTIVE" in caplog.text


async def test_a_failed_refresh_keeps_what_is_known_and_says_why(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        fake.down = "nobody answers"
        await trio.sleep(60)

        assert len(cluster.servers) == 3
        assert cluster.failures >= 3
        assert cluster.last_failure == "nobody answers"
        fake.down = ""
        await trio.sleep(17)
        assert (cluster.failures, cluster.last_failure) == (0, "")


async def test_after_ten_failures_the_rslist_is_asked_first(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        await clusters.wait_available("demo")
        fake.down = "nobody answers"
        await trio.sleep(14 * 16.5)

        assert {servers[0] for servers in fake.asked_servers[-2:]} == {RSLIST[0]}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"svr_ip": "10.0.0.1"}],
        [
            {
                "svr_ip": "nonsense",
                "svr_port": 1,
                "zone": "z",
                "status": "ACTIVE",
                "start_service_time": 1,
                "stop_time": 0,
            }
        ],
        [
            {
                "svr_ip": "10.0.0.1",
                "svr_port": 1,
                "zone": "z",
                "status": "DANCING",
                "start_service_time": 1,
                "stop_time": 0,
            }
        ],
    ],
)
async def test_an_answer_that_cannot_be_true_is_no_news(
    autojump_clock: MockClock, rows: list[dict[str, object]]
) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        fake.rows = rows  # type: ignore[assignment]
        await trio.sleep(20)

        assert len(cluster.servers) == 3
        assert "the answer has" in cluster.last_failure


async def test_many_logins_wait_for_one_attempt(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(delay=1.0)
    async with open_clusters(fake) as clusters, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(clusters.wait_available, "demo")

    assert fake.asked == [queries.VERSION, queries.FIRST_SERVERS, queries.TENANTS]


async def test_a_login_to_a_cluster_that_is_down_tries_at_once_and_is_told_why(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(down="proxyro@sys got no answer from 10.0.0.1:2881: refused")
    async with open_clusters(fake) as clusters:
        await trio.sleep(1)
        start = trio.current_time()
        with pytest.raises(CatalogError, match=r"cluster 'demo' is not available: .*10\.0\.0\.1:2881: refused"):
            await clusters.wait_available("demo")
        assert trio.current_time() - start < 1

        fake.down = ""
        assert (await clusters.wait_available("demo")).available


async def test_a_login_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with open_clusters(FakeMetadata(delay=1000)) as clusters:
        with pytest.raises(CatalogError, match="no server has answered within 5 s"):
            await clusters.wait_available("demo")


async def test_an_unknown_cluster_is_an_error_of_its_own(autojump_clock: MockClock) -> None:
    async with open_clusters(FakeMetadata()) as clusters:
        with pytest.raises(UnknownCluster, match="cluster 'x' does not exist") as caught:
            await clusters.wait_available("x")

    assert caught.value.errno == 4669


@pytest.mark.parametrize("check", [True, False])
async def test_servers_of_another_cluster_are_refused_unless_told_not_to_check(
    autojump_clock: MockClock, check: bool
) -> None:
    async with open_clusters(FakeMetadata(cluster="other"), enable_cluster_checkout=check) as clusters:
        if check:
            with pytest.raises(CatalogError, match="call themselves 'other', not 'demo'"):
                await clusters.wait_available("demo")
        else:
            await clusters.wait_available("demo")
