"""KILL and KILL QUERY through a proxy before three OBServers: whom they reach, who may, what comes of races."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, ConnectionLost, StatementFailed
from odp_trio.testing.demo import settings_for
from tests.live.clients import until

pytestmark = [pytest.mark.live, pytest.mark.slow]

USERS = ("create user if not exists {0} identified by 'pw'", "grant select on *.* to {0}")
_open: list[Client] = []
COLUMNS = "id int primary key) partition by hash(id) partitions 2"
LONG = "select /*kill*/ sleep(30)"


@pytest.fixture
async def proxy(bed: Testbed) -> AsyncIterator[Proxy]:
    """A proxy before the bed, and accounts to kill with."""
    for user in ("one", "other", "almighty"):
        await bed.query(*(statement.format(user) for statement in USERS))
    await bed.query(
        "grant super on *.* to almighty", "create database if not exists killed", "drop table if exists killed.t",
        "create table killed.t (id int primary key)", "grant all on killed.* to one",
    )  # fmt: skip
    _open.clear()
    async with open_proxy(settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2)) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        try:
            yield proxy
        finally:
            for client in _open:
                client.close()


def address(proxy: Proxy) -> Address:
    return Address(*proxy.addresses[0])


async def login(proxy: Proxy, user: str = "one@mytenant#demo", password: str = "pw") -> Client:
    client = await Client.connect(address(proxy), user, password, patience=40)
    _open.append(client)
    return client


class Victim:
    """A client with a statement that takes long."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.id = client.connection_id
        self.outcome: object = None
        self.ended_at = 0.0
        self.done = trio.Event()

    async def run(self, sql: str) -> None:
        try:
            self.outcome = await self.client.query(sql)
        except StatementFailed as exc:
            self.outcome = exc.errno
        except ConnectionLost:
            self.outcome = "lost"
        self.ended_at = trio.current_time()
        self.done.set()

    async def ended(self) -> object:
        with trio.fail_after(20):
            await self.done.wait()
        return self.outcome


@asynccontextmanager
async def running(proxy: Proxy, bed: Testbed, sql: str = LONG, client: Client | None = None) -> AsyncIterator[Victim]:
    """A victim whose statement has reached a server."""
    before = len(bed.statements("kill"))
    async with trio.open_nursery() as nursery:
        victim = Victim(client or await login(proxy))
        nursery.start_soon(victim.run, sql)
        await until(lambda: len(bed.statements("kill")) > before, "the statement runs")
        await trio.sleep(0.05)
        try:
            yield victim
        finally:
            nursery.cancel_scope.cancel()


async def failure(client: Client, sql: str) -> int:
    with pytest.raises(StatementFailed) as caught:
        await client.query(sql)
    return caught.value.errno


# ---- KILL QUERY ------------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["kill query {}", "KILL /*!50000 QUERY */ {}", "kill query '{}' -- x"])
async def test_kill_query_stops_the_statement_and_leaves_the_session(bed: Testbed, proxy: Proxy, sql: str) -> None:
    killer = await login(proxy)
    async with running(proxy, bed) as victim:
        await killer.query(sql.format(victim.id))

        assert await victim.ended() == 1317
        assert await victim.client.query("select 7") == [("7",)]


async def test_kill_query_goes_to_the_server_where_the_statement_runs(bed: Testbed, proxy: Proxy) -> None:
    """The victim has a server session on each OBServer, and runs its statement on each in turn."""
    client, killer = await login(proxy), await login(proxy)
    for number in range(3):
        await bed.query(f"drop table if exists killed.t{number}", f"create table killed.t{number} ({COLUMNS}")
        await bed.query(f"insert into killed.t{number} values (1)")
        await bed.move_leader(f"killed.t{number}", number)
    for number in range(3):
        assert await client.query(f"select id from killed.t{number} where id = 1") == [("1",)]
    for number in range(3):
        async with running(proxy, bed, f"{LONG} from killed.t{number} where id = 1", client) as victim:
            await killer.query(f"kill query {victim.id}")
            assert await victim.ended() == 1317
            told, ran = bed.statements("^KILL QUERY")[-1], bed.statements("sleep")[-1]
            assert (told.observer, ran.observer) == (number, number)


async def test_kill_query_of_a_session_that_does_nothing_is_ok(bed: Testbed, proxy: Proxy) -> None:
    idle, killer = await login(proxy), await login(proxy)

    assert await killer.query(f"kill query {idle.connection_id}") == []
    assert await killer.query(f"kill query {killer.connection_id}") == []
    assert await idle.query("select 1") == await killer.query("select 1")


async def test_in_the_killers_transaction_nothing_of_it_is_touched(bed: Testbed, proxy: Proxy) -> None:
    killer = await login(proxy)
    await killer.query("begin")
    await killer.query("insert into killed.t values (1)")
    async with running(proxy, bed) as victim:
        await killer.query(f"kill query {victim.id}")
        assert await victim.ended() == 1317
    assert await killer.query("select id from killed.t") == [("1",)]
    await killer.query("rollback")
    assert await killer.query("select id from killed.t") == []


async def test_the_victims_transaction_goes_on(bed: Testbed, proxy: Proxy) -> None:
    client, killer = await login(proxy), await login(proxy)
    await client.query("begin")
    await client.query("insert into killed.t values (2)")
    async with running(proxy, bed, client=client) as victim:
        await killer.query(f"kill query {victim.id}")
        assert await victim.ended() == 1317
        assert await client.query("select id from killed.t") == [("2",)]
        await client.query("rollback")


async def test_prepared_kill_query(bed: Testbed, proxy: Proxy) -> None:
    killer = await login(proxy)
    statement = await killer.prepare("kill query ?")
    async with running(proxy, bed) as victim:
        await killer.execute(statement, (victim.id,))
        assert await victim.ended() == 1317
    async with running(proxy, bed) as victim:
        await killer.execute(await killer.prepare(f"kill {victim.id}"))
        assert await victim.ended() == "lost"
