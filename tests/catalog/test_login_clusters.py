"""Clusters of a config server: made at their first login, kept, dropped.  In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from odp_trio.catalog import queries
from odp_trio.catalog.clusters import Clusters
from odp_trio.catalog.directory import Directory
from odp_trio.catalog.flights import MOST_REFUSED
from odp_trio.catalog.origin import Surroundings
from odp_trio.config import Settings
from odp_trio.errors import CatalogError, ConfigServerError, UnknownCluster
from odp_trio.model import parse_rslist
from odp_trio.supervise.supervisor import Supervisor, open_supervisor
from odp_trio.topology.rslist import ClusterRole
from tests.catalog.fake_config_server import FakeConfigServer, FakeStore, one, stored
from tests.catalog.fake_metadata import FakeMetadata

RSLIST = "10.0.0.1:2881"
URL = "http://ocp/services?uid=secret"


@dataclass
class World:
    """A config server, clusters before it, and what the proxy keeps of them."""

    server: FakeConfigServer
    store: FakeStore
    fakes: dict[str, FakeMetadata] = field(default_factory=dict)
    opened: list[FakeMetadata] = field(default_factory=list)
    settings: Settings = field(default_factory=lambda: Settings(obproxy_config_server_url=URL))
    used: set[str] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    bumps: list[float] = field(default_factory=list)
    """When something that views are made of was different."""
    clusters: Clusters = field(init=False)
    directory: Directory = field(init=False)
    supervisor: Supervisor = field(init=False)

    def metadata(self, name: str) -> FakeMetadata:
        fake = self.fakes.setdefault(name, FakeMetadata(cluster=name))
        self.opened.append(fake)
        return fake

    def change(self, **settings: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **settings)

    def children(self) -> list[str]:
        return [child.name for child in self.supervisor.statistics().children]


@asynccontextmanager
async def open_world(*names: str, files: FakeStore | None = None, **settings: Any) -> AsyncIterator[World]:
    world = World(FakeConfigServer({name: (one(RSLIST),) for name in names}), files or FakeStore())
    world.change(**settings)
    world.directory = Directory(world.server, world.store, lambda: world.settings, lambda: 1000.0 + trio.current_time())
    world.clusters = Clusters(
        {},
        world.metadata,
        Surroundings(lambda: world.settings, Random(0), lambda: world.bumps.append(trio.current_time())),
        directory=world.directory,
        dropped=world.dropped.append,
    )
    world.clusters.in_use = lambda: world.used
    async with open_supervisor("catalog", rng=Random(0)) as world.supervisor, trio.open_nursery() as nursery:
        await world.directory.open(nursery)
        world.clusters.start(world.supervisor)
        yield world
        nursery.cancel_scope.cancel()
    world.clusters.close()


async def test_a_login_makes_its_cluster_and_its_task(autojump_clock: MockClock) -> None:
    async with open_world("a", "b") as world:
        assert world.clusters.names == ()

        cluster = await world.clusters.enter("b")

        assert cluster.available
        assert cluster.name == "b"
        assert cluster.rslist == parse_rslist(RSLIST)
        assert world.clusters.names == ("b",)
        assert "cluster:b" in world.children()
        assert world.server.asked["rslist b"] == 1
        assert world.server.asked["rslist a"] == 0
        assert await world.clusters.enter("b") is cluster
        assert world.server.asked["rslist b"] == 1


async def test_many_logins_make_one_cluster(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.delay = 1.0
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(world.clusters.enter, "a")

        assert world.server.asked["rslist a"] == 1
        assert world.server.asked["document"] <= 2
        assert world.fakes["a"].asked.count(queries.VERSION) == 1


async def test_every_login_is_told_the_same_reason(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.down = "config server http://ocp/services: status 500"
        world.server.delay = 1.0
        reasons: list[str] = []

        async def log_in() -> None:
            with pytest.raises(ConfigServerError) as caught:
                await world.clusters.enter("a")
            reasons.append(str(caught.value))
            assert caught.value.errno == 4669

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(log_in)

        assert set(reasons) == {f"cluster 'a' is not available: {world.server.down}"}
        assert world.server.asked["document"] <= 2


async def test_a_config_server_that_hangs_makes_no_login_hang(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.delay = 1000
        begun = trio.current_time()
        with pytest.raises(CatalogError, match=r"cluster 'a' is not available: .* within 5 s"):
            await world.clusters.enter("a")
        assert trio.current_time() - begun == pytest.approx(5.0)


async def test_an_unknown_cluster_is_an_error_of_its_own(autojump_clock: MockClock) -> None:
    async with open_world("a", "b") as world:
        await world.clusters.enter("a")
        with pytest.raises(
            UnknownCluster, match=r"cluster 'x' does not exist: the config server names 'a', 'b'"
        ) as caught:
            await world.clusters.enter("x")
        assert caught.value.errno == 4669
        assert world.server.asked["rslist x"] == 0


async def test_a_flood_of_unknown_names_is_no_flood_of_questions(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        for number in range(5000):
            with pytest.raises(UnknownCluster):
                await world.clusters.enter(f"x{number}")
            if number % 500 == 0:
                await trio.sleep(0.1)

        assert world.server.asked["document"] <= 3
        assert world.directory.flights.refused <= MOST_REFUSED


async def test_a_name_that_is_new_to_the_config_server_is_found_at_its_login(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        await world.clusters.enter("a")
        await trio.sleep(5)
        world.server.clusters_told["new"] = (one(RSLIST),)

        assert (await world.clusters.enter("new")).available


async def test_the_default_cluster_is_the_only_one_of_the_document(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        assert (await world.clusters.enter("")).name == "a"


async def test_a_default_is_refused_where_there_are_several(autojump_clock: MockClock) -> None:
    async with open_world("a", "b") as world:
        with pytest.raises(UnknownCluster, match=r"names no cluster, and the config server names 2.*'a', 'b'"):
            await world.clusters.enter("")


async def test_a_config_server_that_comes_back_is_found_without_a_restart(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.down = "refused"
        with pytest.raises(ConfigServerError):
            await world.clusters.enter("a")
        await trio.sleep(100)
        world.server.down = ""
        await trio.sleep(5)

        assert world.directory.document is not None
        assert (await world.clusters.enter("a")).available


async def test_what_is_known_stays_in_force_while_the_config_server_fails(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    async with open_world("a", "b") as world:
        cluster = await world.clusters.enter("a")
        world.server.down = "config server http://ocp/services: connection refused"
        await trio.sleep(3600)

        assert await world.clusters.enter("a") is cluster
        assert cluster.failures == 0
        assert world.directory.trouble.failures >= 60
        assert world.directory.document is not None
        lines = [record.message for record in caplog.records if "connection refused" in record.message]
        assert 5 <= len(lines) <= 8  # once, and a reminder every ten minutes
        with pytest.raises(ConfigServerError, match="connection refused"):
            await world.clusters.enter("b")


async def test_polls_are_spread_over_half_to_all_of_the_interval(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        await trio.sleep(4500)
        assert 75 <= world.directory.polls <= 130


# ---- the local file ---------------------------------------------------------------------


async def test_only_visited_clusters_are_in_the_file(autojump_clock: MockClock) -> None:
    async with open_world("a", "b") as world:
        await world.clusters.enter("a")
        await trio.sleep(1)

        assert world.store.servers("a") == ["10.0.0.1:2881", "10.0.0.2:2881", "10.0.0.3:2881"]
        assert world.store.servers("b") == []
        saves = world.store.saves
        await trio.sleep(600)
        assert world.store.saves == saves

        del world.fakes["a"].servers["10.0.0.3"]
        await trio.sleep(20)
        assert world.store.servers("a") == ["10.0.0.1:2881", "10.0.0.2:2881"]
        assert world.store.entries[0].fetched_at > 1600


@pytest.mark.parametrize("fault", ["down", "hangs", "rslist"])
async def test_the_file_stands_in_for_a_config_server_that_fails(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    files = FakeStore((stored("a", RSLIST, 400.0),))
    async with open_world("a", files=files, ignore_local_config=False) as world:
        match fault:
            case "down":
                world.server.down = "refused"
            case "hangs":
                world.server.delay = 1000
            case _:
                world.server.down_rslist = "status 500"

        assert (await world.clusters.enter("a")).available
        assert "its rslist is from the local file, 60" in caplog.text

        world.server.down = world.server.down_rslist = ""
        world.server.delay = 0
        await trio.sleep(70)
        assert world.directory.entries["a"].source.value == "config server" or fault == "hangs"


async def test_the_file_is_not_used_unless_it_may_be(autojump_clock: MockClock) -> None:
    async with open_world("a", files=FakeStore((stored("a", RSLIST),))) as world:
        world.server.down = "refused"
        with pytest.raises(ConfigServerError, match="refused"):
            await world.clusters.enter("a")


async def test_the_only_cluster_of_the_file_is_the_default_while_the_config_server_fails(
    autojump_clock: MockClock,
) -> None:
    files = FakeStore((stored("a", RSLIST),))
    async with open_world("a", files=files, ignore_local_config=False) as world:
        world.server.down = "refused"
        assert (await world.clusters.enter("")).name == "a"
        world.change(ignore_local_config=True)
        with pytest.raises(ConfigServerError, match="refused"):
            await world.clusters.enter("")


async def test_rslists_that_hang_delay_no_poll_for_long(autojump_clock: MockClock) -> None:
    names = [f"c{number}" for number in range(40)]
    files = FakeStore(tuple(stored(name, RSLIST) for name in names))
    async with open_world(*names, files=files, ignore_local_config=False) as world:
        world.server.down = "refused"
        for name in names:
            await world.clusters.enter(name)
        world.server.down = ""
        world.server.delay = 4.0
        await trio.sleep(120)

        assert {entry.source.value for entry in world.directory.entries.values()} == {"config server"}


async def test_the_file_does_not_bring_back_what_the_config_server_no_longer_names(autojump_clock: MockClock) -> None:
    files = FakeStore((stored("old", RSLIST),))
    async with open_world("a", files=files, ignore_local_config=False) as world:
        with pytest.raises(UnknownCluster):
            await world.clusters.enter("old")
        await world.clusters.enter("a")
        await trio.sleep(1)
        assert world.store.servers("old") == []


# ---- several clusters of a name -----------------------------------------------------------


PRIMARY, STANDBY = ClusterRole.PRIMARY, ClusterRole.STANDBY


async def test_a_name_is_its_primary_and_an_id_that_one(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.clusters_told["a"] = (one("10.0.0.1:1", 1), one("10.0.0.2:1", 2, STANDBY))

        assert (await world.clusters.enter("a")).cluster_id == 1
        assert (await world.clusters.enter("a", 1)).name == "a:1"
        assert (await world.clusters.enter("a", 2)).name == "a:2"
        assert world.clusters.names == ("a:1", "a:2")
        with pytest.raises(UnknownCluster, match=r"cluster 'a' has no cluster of id 3: its ids are 1, 2"):
            await world.clusters.enter("a", 3)


async def test_new_logins_go_to_a_new_primary(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.clusters_told["a"] = (one("10.0.0.1:1", 1), one("10.0.0.2:1", 2, STANDBY))
        assert (await world.clusters.enter("a")).name == "a:1"

        world.server.clusters_told["a"] = (one("10.0.0.1:1", 1, STANDBY), one("10.0.0.2:1", 2))
        await trio.sleep(61)
        assert (await world.clusters.enter("a")).name == "a:2"
        assert world.clusters.names == ("a:1", "a:2")


@pytest.mark.parametrize("role", [PRIMARY, STANDBY])
async def test_without_one_primary_all_are_tried(autojump_clock: MockClock, role: ClusterRole) -> None:
    async with open_world("a") as world:
        world.server.clusters_told["a"] = (one("10.0.0.9:1", 1, role), one("10.0.0.2:1", 2, role))
        world.fakes["a"] = FakeMetadata(cluster="a", only={"10.0.0.2"})

        for _ in range(8):
            assert (await world.clusters.enter("a")).name == "a:2"


async def test_a_kernel_before_4_that_says_it_is_a_standby_is_not_the_primary(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.fakes["a"] = FakeMetadata(cluster="a", version="3.2.4.1", role="PHYSICAL STANDBY")
        with pytest.raises(CatalogError, match="its servers say that it is a standby"):
            await world.clusters.enter("a")
        world.fakes["a"].role = "PRIMARY"
        await trio.sleep(20)
        assert (await world.clusters.enter("a")).role == "PRIMARY"


async def test_without_enable_standby_the_first_is_taken(autojump_clock: MockClock) -> None:
    async with open_world("a", enable_standby=False) as world:
        world.server.clusters_told["a"] = (one("10.0.0.1:1", 1, STANDBY), one("10.0.0.2:1", 2))
        assert (await world.clusters.enter("a")).cluster_id == 1


async def test_a_cluster_behind_an_alias_is_called_by_its_real_name(autojump_clock: MockClock) -> None:
    async with open_world("alias") as world:
        world.server.real_names["alias"] = "real"
        world.fakes["alias"] = FakeMetadata(cluster="real")

        cluster = await world.clusters.enter("alias")

        assert (cluster.name, cluster.real_name) == ("alias", "real")


# ---- going ----------------------------------------------------------------------------------


async def test_a_cluster_that_nobody_uses_expires(autojump_clock: MockClock) -> None:
    async with open_world("a", "b", cluster_expire_time=600.0) as world:
        await world.clusters.enter("a")
        await world.clusters.enter("b")
        world.used = {"b"}
        await trio.sleep(660)

        assert world.clusters.names == ("b",)
        assert world.dropped == ["a"]
        assert "cluster:a" not in world.children()
        assert world.fakes["a"].closed

        world.fakes["a"].closed = False
        assert (await world.clusters.enter("a")).available


async def test_a_cluster_that_is_no_longer_named_goes_when_its_sessions_are_gone(autojump_clock: MockClock) -> None:
    async with open_world("a", "b") as world:
        await world.clusters.enter("a")
        world.used = {"a"}
        del world.server.clusters_told["a"]
        await trio.sleep(120)

        assert world.clusters.names == ("a",)
        with pytest.raises(UnknownCluster):
            await world.clusters.enter("a")
        world.used = set()
        await trio.sleep(30)
        assert world.clusters.names == ()
        assert world.store.servers("a") == []


async def test_the_least_recently_used_goes_first(autojump_clock: MockClock) -> None:
    names = [f"c{number}" for number in range(6)]
    async with open_world(*names, cluster_count_high_water_mark=3) as world:
        world.used = {"c0"}
        for name in names:
            await world.clusters.enter(name)
            await trio.sleep(1)
        await trio.sleep(1)

        assert world.clusters.names == ("c0", "c4", "c5")


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("names", ["ab", "ba"])  # one is being dropped, the other is to be dropped next
async def test_a_login_while_its_cluster_is_dropped_makes_a_new_one(
    autojump_clock: MockClock, steps: int, names: str
) -> None:
    async with open_world("a", "b") as world:
        await world.clusters.enter("a")
        await world.clusters.enter("b")
        world.change(cluster_expire_time=1.0)
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.clusters.sweep)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            for name in names:
                cluster = await world.clusters.enter(name)
                assert world.clusters.find(name) is cluster

        assert set(world.clusters.names) == {"a", "b"}
        assert world.children().count("cluster:a") == world.children().count("cluster:b") == 1
        await trio.sleep(0.5)
        assert world.clusters.find("a").refreshes  # its task lives


# ---- rslists of clusters that are there -----------------------------------------------------


async def test_a_cluster_whose_servers_all_moved_is_found_by_a_fresh_rslist(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        cluster = await world.clusters.enter("a")
        fake = world.fakes["a"]
        fake.servers = {"10.0.1.1": "ACTIVE", "10.0.1.2": "ACTIVE"}
        fake.only = set(fake.servers)
        world.server.clusters_told["a"] = (one("10.0.1.1:2881"),)
        await trio.sleep(9 * 16.5)
        assert len(cluster.servers) == 3  # old lists stay in force
        await trio.sleep(4 * 16.5)

        assert [str(address) for address in cluster.servers] == ["10.0.1.1:2881", "10.0.1.2:2881"]
        assert (cluster.failures, world.clusters.rebuilding("a")) == (0, "")


async def test_a_first_login_with_an_old_rslist_fetches_it_anew(autojump_clock: MockClock) -> None:
    files = FakeStore((stored("a", "10.0.9.9:2881"),))
    async with open_world("a", files=files, ignore_local_config=False) as world:
        world.server.down = "refused"
        world.fakes["a"] = FakeMetadata(cluster="a", only={"10.0.0.1", "10.0.0.2", "10.0.0.3"})
        with pytest.raises(CatalogError, match=r"10\.0\.9\.9:2881"):
            await world.clusters.enter("a")
        world.server.down = ""
        await trio.sleep(61)
        assert (await world.clusters.enter("a")).available


async def test_4666_leads_to_a_rebuild_from_a_fresh_rslist(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        cluster = await world.clusters.enter("a")
        fake = world.fakes["a"]
        fake.servers = {"10.0.1.1": "ACTIVE"}
        fake.only = {"10.0.1.1"}
        world.server.clusters_told["a"] = (one("10.0.1.1:2881"),)
        await trio.sleep(3)
        for _ in range(100):
            world.clusters.note_mismatch("a")
        await trio.sleep(1)

        assert [str(address) for address in cluster.servers] == ["10.0.1.1:2881"]
        assert world.server.asked["rslist a"] <= 3


async def test_servers_that_keep_saying_4666_make_no_flood_of_rebuilds(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        await world.clusters.enter("a")
        for _ in range(200):
            world.clusters.note_mismatch("a")
            await trio.sleep(0.25)

        assert world.fakes["a"].asked.count(queries.VERSION) <= 12
        assert world.server.asked["rslist a"] <= 12


async def test_a_cluster_that_answers_to_nothing_we_ask_is_built_anew(autojump_clock: MockClock) -> None:
    async with open_world("a", server_state_failures_before_rslist=3) as world:
        world.fakes["a"] = FakeMetadata(cluster="a", version="3.2.4")
        cluster = await world.clusters.enter("a")
        world.fakes["a"].version = "4.2.1"  # upgraded: the old views are gone
        await trio.sleep(5 * 16.5)
        assert cluster.failures >= 4
        assert cluster.version == "3.2.4"
        await trio.sleep(4 * 16.5)

        assert (cluster.version, cluster.failures) == ("4.2.1", 0)


async def test_an_rslist_server_that_the_list_lacks_is_asked_about_once(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.clusters_told["a"] = (one("10.0.0.1:2881;10.0.0.77:2881"),)
        await world.clusters.enter("a")
        await trio.sleep(1000)
        assert world.server.asked["rslist a"] <= 2


async def test_with_enable_get_rslist_remote_every_creation_asks(autojump_clock: MockClock) -> None:
    async with open_world("a", "b", cluster_expire_time=100.0, enable_get_rslist_remote=True) as world:
        await world.clusters.enter("a")
        await world.clusters.enter("a")
        assert world.server.asked["rslist a"] == 1


async def test_idcs_are_asked_for_after_their_interval(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.idcs_told = {"far": "shanghai"}
        cluster = await world.clusters.enter("a")
        await trio.sleep(1)
        assert cluster.idcs == {"far": "shanghai"}
        await trio.sleep(3 * 7200)
        assert 3 <= world.server.asked["idcs a"] <= 4
        world.server.down = "refused"
        await trio.sleep(2 * 7200)
        assert cluster.idcs == {"far": "shanghai"}


async def test_what_the_config_server_repeats_does_not_undo_what_servers_have_said(autojump_clock: MockClock) -> None:
    async with open_world("a") as world:
        world.server.clusters_told["a"] = (one("10.0.0.1:2881", 1), one("10.0.0.2:2881", 2, STANDBY))
        await world.clusters.enter("a")
        await trio.sleep(1)
        saves = world.store.saves
        await trio.sleep(1800)

        assert world.server.asked["rslist a"] > 20  # roles may change
        assert world.store.saves == saves
        assert len(world.store.servers("a")) == 4
