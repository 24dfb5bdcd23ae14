"""Two workers of one proxy before three OBServers: whom clients see and kill, what is counted, from either of them.

Here both are in one process and have ports of their own, so that a test knows which one serves whom.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import trio

from odp_trio.admin.http import make_app
from odp_trio.admin.operate import Operator
from odp_trio.admin.routes import list_routes
from odp_trio.app import Proxy
from odp_trio.testing.bed import Testbed
from odp_trio.wire.command import Com
from tests.admin.across.together import open_workers, together
from tests.live.clients import in_thread, through, until
from tests.live.test_kill import _open, address, failure, login, running, settings
from tests.raw_client import RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(params=[2])
async def proxies(bed: Testbed, request: pytest.FixtureRequest) -> AsyncIterator[list[Proxy]]:
    """Two workers; the parameter is the version of connection ids."""
    options = await settings(bed, reactor="nested", client_session_id_version=request.param, proxy_id=7)
    async with open_workers(options) as proxies:
        with trio.fail_after(20):
            for proxy in proxies:
                await proxy.clusters.wait_available(bed.cluster)
        try:
            yield proxies
        finally:
            for client in _open:
                client.close()


both_versions = pytest.mark.parametrize("proxies", [1, 2], indirect=True)


@both_versions
async def test_kill_query_interrupts_a_statement_of_the_other_worker(bed: Testbed, proxies: list[Proxy]) -> None:
    killer = await login(proxies[1])
    async with running(proxies[0], bed) as victim:
        await killer.query(f"kill query {victim.id}")

        assert await victim.ended() == 1317
        assert await victim.client.query("select 7") == [("7",)]


@both_versions
async def test_kill_ends_a_client_of_the_other_worker(bed: Testbed, proxies: list[Proxy]) -> None:
    killer = await login(proxies[0])
    async with running(proxies[1], bed) as victim:
        await killer.query(f"kill {victim.id}")

        assert await victim.ended() == "lost"
    await until(lambda: victim.id not in proxies[1].sessions.table, "it is gone")
    assert await failure(killer, f"kill {victim.id}") == 1094
    await killer.query(f"kill query {victim.id}")


async def test_com_process_kill(bed: Testbed, proxies: list[Proxy]) -> None:
    async with running(proxies[1], bed) as victim:

        def kill() -> int:
            with RawClient(address(proxies[0]), "one@mytenant#demo", "pw") as raw:
                return raw.command(bytes((Com.PROCESS_KILL,)) + victim.id.to_bytes(4, "little")).errno

        assert await in_thread(kill) == 0
        assert await victim.ended() == "lost"


async def test_the_id_of_a_server_session_names_a_client_of_any_worker(bed: Testbed, proxies: list[Proxy]) -> None:
    killer = await login(proxies[0])
    async with running(proxies[1], bed) as victim:
        (number,) = proxies[1].sessions.table[victim.id].server_ids()
        await killer.query(f"kill query {number}")

        assert await victim.ended() == 1317


async def test_who_may_kill_is_the_same(bed: Testbed, proxies: list[Proxy]) -> None:
    await bed.add_tenant("second")
    async with running(proxies[1], bed) as victim:
        for user, errno in (
            ("other@mytenant#demo", 1095),
            ("one@second#demo", 1094),
        ):
            killer = await login(proxies[0], user)
            assert await failure(killer, f"kill {victim.id}") == errno
            assert await failure(killer, f"kill query {victim.id}") == errno
        almighty = await login(proxies[0], "almighty@mytenant#demo")
        await almighty.query(f"kill query {victim.id}")
        assert await victim.ended() == 1317


async def test_a_worker_that_hangs_is_named(bed: Testbed, proxies: list[Proxy]) -> None:
    victim, killer = await login(proxies[1]), await login(proxies[0])
    together(proxies[1]).silent = True

    assert await failure(killer, f"kill {victim.connection_id}") == 4012
    assert await victim.query("select 7") == [("7",)]


@pytest.mark.parametrize("proxies", [1], indirect=True)
async def test_the_process_list_of_version_1_has_the_clients_of_all(bed: Testbed, proxies: list[Proxy]) -> None:
    one, two, other = await login(proxies[0]), await login(proxies[1]), await login(proxies[1], "other@mytenant#demo")
    numbers = {str(one.connection_id), str(two.connection_id)}

    for client in (one, two):
        assert {row[0] for row in await client.query("show processlist")} == numbers
        assert {row[1] for row in await client.query("show proxysession")} == numbers
    assert [row[0] for row in await other.query("show processlist")] == [str(other.connection_id)]


async def test_statements_of_both_are_counted_once(bed: Testbed, proxies: list[Proxy]) -> None:
    """By tenant, in /metrics, in SHOW PROXYSTAT and in SHOW PROXYROUTE."""
    for count, proxy in ((3, proxies[0]), (4, proxies[1])):
        client = await login(proxy)
        for number in range(count):
            await client.query(f"select id from killed.t where id = {number}")
        await client.quit()
    await until(lambda: not any(proxy.sessions.table for proxy in proxies), "all have left")

    own = [
        await list_routes(proxy.locations, like="killed.t", cluster="demo", tenant="mytenant", limit=10)
        for proxy in proxies
    ]
    routed = sum(table.routed for found, _ in own for table in found)
    assert [bool(found) for found, _ in own] == [True, True]
    for proxy in proxies:
        transport = httpx.ASGITransport(make_app(proxy, Operator(proxy)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            metrics = (await http.get("/metrics")).text
            routes = (await http.get("/api/routes", params={"like": "killed.t"})).json()["routes"]
            explained = (
                await http.get(
                    "/api/explain", params={"sql": "select id from killed.t", "cluster": "demo", "tenant": "mytenant"}
                )
            ).json()
        counted = [
            float(line.rsplit(" ", 1)[1])
            for line in metrics.splitlines()
            if line.startswith("odp_tenant_statements_total{") and 'kind="select"' in line and '"mytenant"' in line
        ]
        timed = next(
            float(line.rsplit(" ", 1)[1])
            for line in metrics.splitlines()
            if line.startswith("odp_statement_seconds_count{") and '"mytenant"' in line
        )
        assert sum(counted) == 7
        assert timed >= 7
        assert [(route["table"], route["routed"]) for route in routes] == [("t", routed)]
        assert explained["server"]
        shown = await through(proxy, "show proxyroute like 't'", "root@sys#demo", bed.root_password)
        assert [row[:4] for row in shown] == [("demo", "mytenant", "killed", "t")]


async def test_a_snapshot_knows_what_any_worker_knows(bed: Testbed, proxies: list[Proxy]) -> None:
    await bed.query("drop table if exists killed.other", "create table killed.other (id int primary key)")
    sessions = [await login(proxy) for proxy in proxies]

    async def tables(proxy: Proxy) -> set[str]:
        for table, session in zip(("t", "other"), sessions, strict=True):
            await session.query(f"select id from killed.{table} where id = 1")
        transport = httpx.ASGITransport(make_app(proxy, Operator(proxy)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            taken = msgspec.json.decode((await http.get("/api/snapshot")).content)
        assert [tenant["tenant"] for tenant in taken["tenants"]] == ["mytenant"]
        return {table["table"] for table in taken["tables"] if table["database"] == "killed"}

    for proxy in proxies:
        with trio.fail_after(20):
            while await tables(proxy) != {"t", "other"}:  # noqa: ASYNC110  # it is looked up, and may take too long
                await trio.sleep(0.1)
