"""KILL and KILL QUERY through a proxy before three OBServers: whom they reach, who may, what comes of races."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, ConnectionLost, StatementFailed
from odp_trio.testing.demo import settings_for
from odp_trio.wire.command import Com
from tests.live.clients import in_thread, until
from tests.raw_client import RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]

USERS = ("create user if not exists {0} identified by 'pw'", "grant select on *.* to {0}")
_open: list[Client] = []
COLUMNS = "id int primary key) partition by hash(id) partitions 2"
LONG = "select /*kill*/ sleep(30)"


async def settings(bed: Testbed, **options: object) -> Settings:
    """Make accounts to kill with, and return what a proxy before the bed is started with."""
    for user in ("one", "other", "almighty"):
        await bed.query(*(statement.format(user) for statement in USERS))
    await bed.query(
        "grant super on *.* to almighty", "create database if not exists killed", "drop table if exists killed.t",
        "create table killed.t (id int primary key)", "grant all on killed.* to one",
    )  # fmt: skip
    _open.clear()
    return settings_for(bed, **{"enable_http": False, "hot_upgrade_exit_timeout": 0.2, **options})


@pytest.fixture
async def proxy(bed: Testbed) -> AsyncIterator[Proxy]:
    """A proxy before the bed."""
    async with open_proxy(await settings(bed)) as proxy:
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


async def test_kill_of_a_name_that_means_it(bed: Testbed, proxy: Proxy) -> None:
    killer = await login(proxy)
    await killer.query("prepare stop from 'kill query ?'")
    async with running(proxy, bed) as victim:
        await killer.query(f"set @id = {victim.id}")
        await killer.query("execute stop using @id")
        assert await victim.ended() == 1317


# ---- KILL ------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["kill {}", "KILL CONNECTION {}"])
async def test_kill_ends_the_connection_with_all_its_server_sessions(bed: Testbed, proxy: Proxy, sql: str) -> None:
    killer = await login(proxy)
    async with running(proxy, bed) as victim:
        ids = [*proxy.sessions.table[victim.id].server_ids()]
        assert await killer.query(sql.format(victim.id)) == []
        assert await victim.ended() == "lost"
        await until(lambda: victim.id not in proxy.sessions.table, "it is gone")
        assert await failure(killer, sql.format(victim.id)) == 1094
    end, server_end = next(proxy.ends.newest()), next(proxy.ends.newest(servers=True))
    assert (end.id, end.reason, end.user, end.tenant) == (victim.id, "killed", "one", "mytenant")
    assert f"session {killer.connection_id}" in end.detail
    assert (server_end.id, server_end.reason, server_end.server_session in ids) == (victim.id, "killed", True)
    with trio.fail_after(10):  # the kernel looks every now and then whether somebody waits for its answer
        while not {victim.id, *ids}.isdisjoint(row["Id"] for row in await bed.query("show processlist")):  # noqa: ASYNC110
            await trio.sleep(0.05)


async def test_killing_oneself_and_whom_there_is_not(bed: Testbed, proxy: Proxy) -> None:
    killer = await login(proxy)

    assert await failure(killer, "kill 1") == 1094
    assert await killer.query("kill query 1") == []  # as the kernel answers
    assert await failure(killer, f"kill {killer.connection_id}") == 1317
    assert killer.gone or await failure_of_lost(killer)
    await until(lambda: proxy.counts.ends["killed"] == 1, "its end is written down")


async def failure_of_lost(client: Client) -> bool:
    with pytest.raises(ConnectionLost):
        await client.query("select 1")
    return True


async def test_com_process_kill(bed: Testbed, proxy: Proxy) -> None:
    async with running(proxy, bed) as victim:

        def kill() -> tuple[int, int]:
            with RawClient(address(proxy), "one@mytenant#demo", "pw") as raw:
                one, other = (
                    raw.command(bytes((Com.PROCESS_KILL,)) + number.to_bytes(4, "little")) for number in (victim.id, 1)
                )
                return one.errno, other.errno

        assert await in_thread(kill) == (0, 1094)
        assert await victim.ended() == "lost"


async def test_who_may_kill(bed: Testbed, proxy: Proxy) -> None:
    await bed.add_tenant("second")
    async with running(proxy, bed) as victim:
        for user, errno in (
            ("other@mytenant#demo", 1095),
            ("other@second#demo", 1094),
            ("one@second#demo", 1094),
            ("almighty@second#demo", 1094),
        ):
            by = await login(proxy, user)
            assert await failure(by, f"kill query {victim.id}") == errno
            assert await failure(by, f"kill {victim.id}") == errno
        assert victim.id in proxy.sessions.table
        assert not victim.done.is_set()
        await (await login(proxy, "one@mytenant#demo")).query(f"kill query {victim.id}")
        assert await victim.ended() == 1317
        for user in ("one@sys#demo", "almighty@mytenant#demo"):
            async with running(proxy, bed, client=victim.client) as again:
                by = await login(proxy, user)
                await by.query(f"kill query {again.id}")
                assert await again.ended() == 1317
        await by.query(f"kill {victim.id}")
        await until(lambda: victim.id not in proxy.sessions.table, "it is gone")


async def test_the_proxys_administrator_may_kill_everybody(bed: Testbed, proxy: Proxy) -> None:
    admin = await login(proxy, "root@proxysys", proxy.settings().obproxy_sys_password.value)
    async with running(proxy, bed) as victim:
        rows = {row[0]: row for row in await admin.query("show processlist")}
        assert rows[str(victim.id)][1:3] == ("mytenant", "one")
        assert rows[str(victim.id)][7] == "active"
        await admin.query(f"kill query {victim.id}")
        assert await victim.ended() == 1317
        await admin.query(f"kill {victim.id}")
        await until(lambda: victim.id not in proxy.sessions.table, "it is gone")
    assert await failure(admin, f"kill {victim.id}") == 1094
    newest = (await admin.query("show proxyends"))[0]
    assert (newest[0], newest[11]) == (str(victim.id), "killed")
    assert {row[8] for row in await admin.query("show proxyserverends")} >= {"killed", "errand"}
    assert ("killed", "client", "1") in await admin.query("show proxyendreasons")
    assert await failure(admin, f"kill {admin.connection_id}") == 1317


# ---- while the victim's task is at work ------------------------------------------------


async def test_a_statement_that_waits_for_its_server_is_interrupted(bed: Testbed, proxy: Proxy) -> None:
    """Its server accepts and never answers: KILL QUERY does not wait for it."""
    client, killer = await login(proxy), await login(proxy)
    await client.query("set @a = 1")
    here = proxy.sessions.table[client.connection_id].server
    number = next(at for at, observer in enumerate(bed.observers) if observer.address != str(here))
    bed.freeze(number)
    try:
        async with trio.open_nursery() as nursery:
            victim = Victim(client)
            nursery.start_soon(victim.run, f"/* target_db_server='{bed.observers[number].address}' */ select 1")
            await client_waits(proxy, victim.id)
            began = trio.current_time()
            await killer.query(f"kill query {victim.id}")
            assert await victim.ended() == 1317
            assert trio.current_time() - began < 1
        assert await client.query("select @a") == [("1",)]
    finally:
        await bed.thaw(number)


async def client_waits(proxy: Proxy, number: int) -> None:
    await until(lambda: proxy.sessions.table[number].work is not None, "its task is at work")


# ---- version 1 of ids ------------------------------------------------------------------


async def test_ids_of_version_1_are_this_proxys_affair(bed: Testbed) -> None:
    async with open_proxy(await settings(bed, client_session_id_version=1, proxy_id=7)) as proxy:
        try:
            client, killer, other = await login(proxy), await login(proxy), await login(proxy, "other@mytenant#demo")
            assert {number >> 23 for number in proxy.sessions.table} == {7}
            shown = (await client.query("select connection_id()"))[0][0]
            assert int(str(shown)) in [*proxy.sessions.table[client.connection_id].server_ids()]

            assert {row[0] for row in await killer.query("show processlist")} == {
                str(client.connection_id), str(killer.connection_id),
            }  # fmt: skip
            assert await failure(killer, "kill query 1") == 1094
            assert await failure(killer, "kill 1") == 1094
            assert await failure(other, f"kill {client.connection_id}") == 1095
            async with running(proxy, bed, client=client) as victim:
                await killer.query(f"kill query {shown}")  # the id that its server has given it
                assert await victim.ended() == 1317
        finally:
            for client in _open:
                client.close()
