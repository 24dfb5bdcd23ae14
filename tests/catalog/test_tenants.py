"""Tenant routes: single-flight, kept, invalidated, fetched again.  In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from odp_trio.catalog.locations import TableLocations
from odp_trio.catalog.queries import tenant_servers
from odp_trio.catalog.tenants import TenantRoutes
from odp_trio.config import Settings
from odp_trio.errors import AccessDenied, CatalogError
from odp_trio.model import TenantKey
from odp_trio.observe import Counts
from odp_trio.session.views import Views
from odp_trio.topology.location_table import Locations
from odp_trio.topology.tenant import TenantTable
from tests.catalog.fake_metadata import FakeMetadata
from tests.catalog.test_clusters import open_clusters

KEY = TenantKey("demo", "t1")


@asynccontextmanager
async def open_routes(
    fake: FakeMetadata, table: TenantTable | None = None
) -> AsyncIterator[tuple[TenantRoutes, Counts]]:
    counts = Counts()
    async with open_clusters(fake) as clusters, trio.open_nursery() as nursery:
        await clusters.wait_available("demo")
        yield TenantRoutes(clusters, TenantTable() if table is None else table, nursery, counts), counts
        nursery.cancel_scope.cancel()


def fetches(fake: FakeMetadata) -> int:
    return sum("__all_dummy" in sql for sql in fake.asked)


async def test_a_tenant_is_asked_for_once_and_kept(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1", "10.0.0.2"]})
    async with open_routes(fake) as (routes, counts):
        for _ in range(5):
            assert sorted(map(str, await routes.servers(KEY))) == ["10.0.0.1:2881", "10.0.0.2:2881"]

        assert fetches(fake) == 1
        assert tenant_servers("t1") in fake.asked
        assert counts.tenant_fetches == 1


async def test_one_fetch_however_many_sessions_wait(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1"]})
    async with open_routes(fake) as (routes, _):
        fake.delay = 2.0
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(routes.servers, KEY)

    assert fetches(fake) == 1


async def test_a_waiter_that_leaves_does_not_take_the_answer_along(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1"]})
    async with open_routes(fake) as (routes, _):
        fake.delay = 2.0
        with trio.move_on_after(0.5):
            await routes.servers(KEY)
        assert len(await routes.servers(KEY)) == 1

    assert fetches(fake) == 1


async def test_a_stale_route_is_fetched_again_at_the_next_use(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1"]})
    async with open_routes(fake) as (routes, counts):
        await routes.servers(KEY)
        fake.tenants["t1"] = ["10.0.0.2"]
        routes.invalidate(KEY)
        routes.invalidate(KEY)

        assert fetches(fake) == 1
        assert [str(address) for address in await routes.servers(KEY)] == ["10.0.0.2:2881"]
        assert fetches(fake) == 2
        assert counts.tenant_invalidations == 1


async def test_an_unknown_tenant_is_access_denied_and_not_remembered(autojump_clock: MockClock) -> None:
    fake = FakeMetadata()
    table = TenantTable()
    async with open_routes(fake, table) as (routes, _):
        with pytest.raises(AccessDenied, match="tenant 't1' is unknown to cluster 'demo'"):
            await routes.servers(KEY)
        assert len(table) == 0

        fake.tenants["t1"] = ["10.0.0.1"]
        assert await routes.servers(KEY)


async def test_a_failed_fetch_is_everybodys_error_and_tried_again(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1"]})
    async with open_routes(fake) as (routes, _):
        fake.down = "nobody answers"
        with pytest.raises(CatalogError, match="nobody answers"):
            await routes.servers(KEY)
        fake.down = ""
        assert await routes.servers(KEY)


async def test_a_failed_server_is_a_reason_to_ask_again_unless_the_route_is_fresh(autojump_clock: MockClock) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1"]})
    async with open_routes(fake) as (routes, _):
        routes.server_failed(KEY)  # nobody has asked for it
        (first,) = await routes.servers(KEY)
        fake.tenants["t1"] = ["10.0.0.1", "10.0.0.2"]
        for _ in range(3):
            routes.server_failed(KEY)
        await trio.sleep(5)
        assert fetches(fake) == 1

        for _ in range(3):
            routes.server_failed(KEY)
        assert await routes.servers(KEY) == (first,)  # what is known stays in use
        await trio.sleep(1)
        assert len(await routes.servers(KEY)) == 2
        assert fetches(fake) == 2


async def test_a_tenant_is_asked_for_once_more_when_none_of_its_servers_could_be_used(
    autojump_clock: MockClock,
) -> None:
    fake = FakeMetadata(tenants={"t1": ["10.0.0.1"]})
    async with open_routes(fake) as (routes, _):
        (first,) = await routes.servers(KEY)
        assert not await routes.find_others(KEY, {first})
        assert await routes.find_others(KEY, ())
        assert fetches(fake) == 1

        await trio.sleep(5)
        assert not await routes.find_others(KEY, {first})
        assert fetches(fake) == 2

        await trio.sleep(5)
        fake.down = "nobody answers"
        assert not await routes.find_others(KEY, {first})
        assert await routes.servers(KEY) == (first,)

        fake.down = ""
        fake.tenants["t1"] = ["10.0.0.2", "10.0.0.1"]
        assert await routes.find_others(KEY, {first})


async def test_a_view_is_made_anew_when_its_tenant_has_moved_and_not_when_others_come(
    autojump_clock: MockClock,
) -> None:
    fake = FakeMetadata(tenants={f"t{n}": ["10.0.0.1"] for n in range(100)})
    async with open_clusters(fake) as clusters, trio.open_nursery() as nursery:
        views = Views(clusters, Settings, Counts())
        table = TenantTable(limit=50)
        routes = TenantRoutes(clusters, table, nursery, Counts(), views.changed, views.tenant_fetched)
        views.tenants = routes
        views.locations = TableLocations(clusters, Locations(), nursery, Counts(), Settings, Random(0))
        await clusters.wait_available("demo")
        await routes.servers(KEY)
        before, view = views.generation, views.view(KEY, "app")
        assert view is not None

        for n in range(2, 100):
            await routes.servers(TenantKey("demo", f"t{n}"))

        assert views.generation == before
        assert views.view(KEY, "app") is view
        assert table.find(KEY) is None

        fake.tenants["t1"] = ["10.0.0.2"]
        await routes.servers(KEY)

        assert views.generation > before
        moved = views.view(KEY, "app")
        assert moved is not None
        assert [str(address) for address in moved.tenant_servers] == ["10.0.0.2:2881"]
        nursery.cancel_scope.cancel()


async def test_the_table_is_bounded(autojump_clock: MockClock) -> None:
    table = TenantTable(limit=3)
    fake = FakeMetadata(tenants={f"t{n}": ["10.0.0.1"] for n in range(10)})
    async with open_routes(fake, table) as (routes, _):
        for n in range(10):
            await routes.servers(TenantKey("demo", f"t{n}"))

    assert [route.key.tenant for route in table.entries()] == ["t7", "t8", "t9"]
    assert table.evictions == 7


def test_names_are_quoted_as_odp_does() -> None:
    assert "A.tenant_name = 'a''b\\\\c'" in tenant_servers("a'b\\c")
