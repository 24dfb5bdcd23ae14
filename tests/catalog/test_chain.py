"""The 15-second chain: zones, servers, tenants; what each state does to routes; kernels before version 4."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from odp_trio.catalog import queries
from odp_trio.catalog.tenants import TenantRoutes
from odp_trio.model import TenantKey
from odp_trio.observe import Counts
from odp_trio.topology.cluster import ServerState
from odp_trio.topology.location import TableEntry, TableKey
from odp_trio.topology.location_table import Locations
from odp_trio.topology.tenant import TenantTable
from tests.catalog.fake_metadata import FakeMetadata
from tests.catalog.test_clusters import open_clusters


async def test_an_answer_that_says_nothing_new_changes_nothing(autojump_clock: MockClock) -> None:
    bumps: list[float] = []
    fake = FakeMetadata(listed={"t1": ("FULL{1}@zone1", "zone1")})
    async with open_clusters(fake, changed=lambda: bumps.append(trio.current_time())) as clusters:
        cluster = await clusters.wait_available("demo")
        servers, zones = cluster.servers, cluster.zones
        await trio.sleep(600)

        assert len(bumps) == 1
        assert cluster.refreshes > 30
        assert cluster.servers is servers
        assert cluster.zones is zones

        fake.servers["10.0.0.2"] = "INACTIVE"
        await trio.sleep(20)
        assert len(bumps) == 2


@pytest.mark.parametrize(("status", "takes"), [("ACTIVE", True), ("DELETING", True), ("INACTIVE", False)])
async def test_which_states_take_logins(autojump_clock: MockClock, status: str, takes: bool) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        fake.servers["10.0.0.2"] = status
        await trio.sleep(20)

        assert ("10.0.0.2:2881" in map(str, cluster.sys_route())) is takes


async def test_a_zone_that_is_stopped_stops_its_servers(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        fake.zones["zone2"] = "INACTIVE"
        await trio.sleep(20)

        states = {str(address): server.state for address, server in cluster.servers.items()}
        assert states["10.0.0.2:2881"] is ServerState.UPGRADE
        assert "10.0.0.2:2881" not in map(str, cluster.sys_route())
        fake.zones["zone2"] = "ACTIVE"
        await trio.sleep(20)
        assert len(cluster.sys_route()) == 3


async def test_a_zone_that_vanishes_takes_its_servers_along(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        fake.zones["zone3"] = ""
        await trio.sleep(20)

        assert sorted(map(str, cluster.servers)) == ["10.0.0.1:2881", "10.0.0.2:2881"]
        fake.zones |= {"zone1": "", "zone2": ""}
        await trio.sleep(20)
        assert len(cluster.servers) == 2  # no zones at all: that is not believed
        assert "the answer has no rows" in cluster.last_failure


async def test_a_zone_of_an_unknown_status_spoils_only_its_round(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        fake.zones["zone2"] = "DANCING"
        await trio.sleep(20)
        assert "DANCING" in cluster.last_failure
        assert len(cluster.servers) == 3
        fake.zones.clear()
        await trio.sleep(20)
        assert not cluster.failures


async def test_without_the_privilege_to_see_tenants_everything_else_goes_on(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants_refused=True)
    async with open_clusters(fake) as clusters:
        cluster = await clusters.wait_available("demo")
        await trio.sleep(100)
        assert not cluster.failures
        assert cluster.primary_zones == {}


async def test_a_kernel_before_4_is_asked_its_own_questions(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(version="2.2.77", tenants={"t1": ["10.0.0.1"]})
    async with open_clusters(fake) as clusters, trio.open_nursery() as nursery:
        cluster = await clusters.wait_available("demo")
        assert len(cluster.servers) == 3
        await trio.sleep(20)
        routes = TenantRoutes(clusters, TenantTable(), nursery, Counts())
        assert await routes.servers(TenantKey("demo", "t1"))

    asked = " ".join(fake.asked)
    assert queries.BEFORE_4.servers in fake.asked
    assert "__all_virtual_zone_stat" in asked
    assert "__all_tenant " in asked
    assert "DBA_OB_" not in asked
    assert "v$ob_cluster" not in asked  # of no interest: there is no config server


@pytest.mark.parametrize(
    ("version", "old"), [("4.3.5.3", False), ("3.2.4", True), ("1.4", True), ("10.0", False), ("", False), ("x", False)]
)
def test_the_first_number_of_the_version_decides(version: str, old: bool) -> None:
    assert queries.is_before_4(version) is old


async def test_tenants_that_moved_are_asked_for_anew_while_the_old_route_serves(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(
        listed={"t1": ("F@zone1", "zone1"), "t2": ("F@zone1", "zone1")},
        tenants={"t1": ["10.0.0.1"], "t2": ["10.0.0.1"]},
    )
    key, other = TenantKey("demo", "t1"), TenantKey("demo", "t2")
    async with open_clusters(fake) as clusters, trio.open_nursery() as nursery:
        counts = Counts()
        routes = TenantRoutes(clusters, TenantTable(), nursery, counts)
        clusters._around.moved = routes.renew
        await routes.servers(key)
        await routes.servers(other)
        fake.tenants["t1"] = ["10.0.0.2"]
        del fake.listed["t1"]  # a locality that is being changed is not listed
        await trio.sleep(20)
        assert counts.tenant_fetches == 2

        fake.listed["t1"] = ("F@zone1,F@zone2", "zone1")
        await trio.sleep(20)
        assert counts.tenant_fetches == 3
        assert [str(address) for address in routes.known(key) or ()] == ["10.0.0.2:2881"]

        fake.listed["t1"] = ("F@zone1,F@zone2", "zone2")
        fake.tenants["t1"] = []  # the answer cannot be: the old one stays
        await trio.sleep(20)
        assert counts.tenant_fetches == 4
        assert [str(address) for address in routes.known(key) or ()] == ["10.0.0.2:2881"]

        fake.servers["10.0.0.9"] = "ACTIVE"  # a cluster that grows may have given every tenant more servers
        await trio.sleep(20)
        assert counts.tenant_fetches == 6
        nursery.cancel_scope.cancel()


def test_locations_of_a_tenant_expire_each_at_a_time_of_its_own() -> None:
    table, rng = Locations(), Random(0)
    for number in range(100):
        table.store(TableEntry(TableKey("demo", "t1", "d", f"t{number}"), 0.0))
    table.store(TableEntry(TableKey("demo", "t2", "d", "t"), 0.0))

    table.expire_tenant("demo", "t1", lambda: rng.uniform(30, 60))
    table.expire_tenant("demo", "t1", lambda: rng.uniform(30, 60))

    assert table.expire(29) == 0
    assert 0 < table.expire(45) < 100
    table.expire(60)
    assert len(table) == 1
    table.drop_cluster("demo")
    assert len(table) == 0
