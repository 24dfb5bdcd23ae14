"""Commands for the proxy in sessions of a cluster: who may say what, what they see, what they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, ConnectionLost, StatementFailed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.ocp import open_config_server
from odp_trio.wire.fields import Status
from tests.live.clients import connect, in_thread, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

IN_TRANSACTION, AUTOCOMMIT = int(Status.IN_TRANS), int(Status.AUTOCOMMIT)
COLUMNS = "(id int primary key) partition by hash(id) partitions 2"
_open: list[Client] = []


@pytest.fixture
async def proxy(bed: Testbed) -> AsyncIterator[Proxy]:
    """A proxy before the bed, which has accounts and tables on two servers."""
    for user in ("one", "other"):
        await bed.query(f"create user if not exists {user} identified by 'pw'", f"grant select on *.* to {user}")
    await bed.query("create database if not exists admin_sql", "grant all on admin_sql.* to one")
    for number in range(2):
        await bed.query(f"drop table if exists admin_sql.t{number}", f"create table admin_sql.t{number} {COLUMNS}")
        await bed.move_leader(f"admin_sql.t{number}", number)
    async with open_proxy(settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2)) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        try:
            yield proxy
        finally:
            while _open:
                _open.pop().close()


async def login(proxy: Proxy, user: str = "one@mytenant#demo", password: str = "pw") -> Client:
    client = await Client.connect(Address(*proxy.addresses[0]), user, password, patience=40)
    _open.append(client)
    return client


async def admin(proxy: Proxy) -> Client:
    return await login(proxy, "root@proxysys", proxy.settings().obproxy_sys_password.value)


async def failure(client: Client, sql: str) -> tuple[int, str]:
    with pytest.raises(StatementFailed) as caught:
        await client.query(sql)
    return caught.value.errno, caught.value.message


async def ids(client: Client) -> set[str]:
    return {str(row[1]) for row in await client.query("show proxysession")}


# ---- who ----------------------------------------------------------------------------------


async def test_anybody_sees_his_own_sessions_and_sends_other_commands_to_the_server(bed: Testbed, proxy: Proxy) -> None:
    client, same, other = await login(proxy), await login(proxy), await login(proxy, "other@mytenant#demo")

    assert await ids(client) == {str(client.connection_id), str(same.connection_id)}
    assert await ids(other) == {str(other.connection_id)}
    await client.query("ping proxy")
    (row,) = [row for row in await client.query("show proxysession") if row[1] == str(client.connection_id)]
    assert row[2:5] == ("demo", "mytenant", "one")
    assert await failure(client, f"show proxysession attribute {other.connection_id}") == (
        1094,
        f"Unknown thread id: {other.connection_id}",
    )
    for sql in ("show proxyconfig", "alter proxyconfig set connect_timeout = 1", "show proxycluster", "show warnlog 1"):
        errno, message = await failure(client, sql)
        assert errno == 1064
        assert "SHOW PROXY" not in message
    errno, message = await failure(client, f"kill proxysession {other.connection_id}")
    assert errno == 1064
    assert "KILL [CONNECTION] id" in message
    errno, message = await failure(client, "show proxysession attributes")
    assert errno == 1064
    assert "SHOW PROXYSESSION ATTRIBUTE [id] [LIKE 'pattern']" in message
    assert proxy.settings().connect_timeout != 1.0


async def test_root_of_a_cluster_may_say_all_beside_its_sql(bed: Testbed, proxy: Proxy) -> None:
    client, root = await login(proxy), await login(proxy, "root@sys#demo", bed.root_password)
    manager = await admin(proxy)

    assert await ids(root) == {str(client.connection_id), str(root.connection_id)}
    assert await ids(manager) == {str(one.connection_id) for one in (client, root, manager)}
    assert [row[3] for row in await root.query("show proxycluster")] == [
        str(address) for address in proxy.clusters.resources()[0].rslist
    ]
    await root.query("alter proxyconfig set connect_timeout = 4s")
    assert proxy.settings().connect_timeout == 4.0
    assert await root.query("select 7") == [("7",)]
    assert (await failure(root, "show proxyclutser"))[0] == 1064
    assert "PROXYCLUSTER" in (await failure(root, "show proxyclutser"))[1]
    await root.query(f"kill proxysession {client.connection_id}")
    await until(lambda: client.connection_id not in proxy.sessions.table, "it is gone")


async def test_a_command_in_a_transaction_leaves_it_as_it_is(bed: Testbed, proxy: Proxy) -> None:
    def run() -> list[int]:
        statements = ("show proxysession", "ping proxy", "begin", "insert into admin_sql.t0 values (1)")
        found = []
        with closing(connect(proxy.addresses[0], "one@mytenant#demo", "pw")) as connection:
            for sql in (*statements, "show proxysession", "ping proxy", "show proxysession stat", "rollback"):
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                found.append(connection.server_status & (IN_TRANSACTION | AUTOCOMMIT))
        return found

    both = IN_TRANSACTION | AUTOCOMMIT
    assert await in_thread(run) == [AUTOCOMMIT, AUTOCOMMIT, both, both, both, both, both, AUTOCOMMIT]
    assert await (await login(proxy)).query("select count(*) from admin_sql.t0") == [("0",)]


# ---- sessions --------------------------------------------------------------------------------


async def test_a_session_and_its_server_sessions_are_shown_and_ended(bed: Testbed, proxy: Proxy) -> None:
    client, manager = await login(proxy), await admin(proxy)
    await client.query("set @answer = 42")
    await client.query("set autocommit = 1, wait_timeout = 1234")
    for number in range(2):
        await client.query(f"select * from admin_sql.t{number} where id = 1")
    number = client.connection_id

    rows = await manager.query(f"show proxysession attribute {number}")
    assert {name for name, _, info in rows if info == "cs common"} == {
        "proxy_sessid", "cs_id", "cluster", "tenant", "user", "host_ip", "host_port", "db", "total_trans_cnt",
        "svr_session_cnt", "active", "read_state", "tid", "pid", "idc_name",
    }  # fmt: skip
    blocks: dict[str, dict[str, str | int | None]] = {}
    for name, value, info in rows:
        blocks.setdefault(str(info), {})[str(name)] = value
    servers = {info: block for info, block in blocks.items() if "ss" in info.split()}
    assert {f"{block['server_ip']}:{block['server_port']}" for block in servers.values()} >= {
        observer.address for observer in bed.observers[:2]
    }
    assert "last used ss" in servers
    by_proxy_id = await manager.query(f"show proxysession attribute {blocks['cs common']['proxy_sessid']} like 'cs_id'")
    assert by_proxy_id == [("cs_id", str(number), "cs common")]

    changed = {row[0]: row for row in await manager.query(f"show proxysession variables {number}")}
    assert changed["wait_timeout"][1:4] == ("1234", "changed sys var", "cold modified vars")
    assert changed["answer"][1:3] == ("42", "user var")
    assert len(await client.query("show proxysession variables all")) > len(changed)
    assert (await client.query("show proxysession stat like 'total_query_count'"))[0][1] != "0"

    pooled = next(block for info, block in servers.items() if info.startswith("ss pool"))
    before = proxy.counts.server_ends["killed"]
    await manager.query(f"kill proxysession {number} {pooled['ss_id']}")
    assert proxy.counts.server_ends["killed"] == before + 1
    await manager.query(f"kill proxysession {number} {servers['last used ss']['ss_id']}")
    assert await client.query("select @answer") == [("42",)]
    assert (await failure(manager, f"kill proxysession {number} 5"))[0] == 4018


async def test_ending_the_server_session_of_a_transaction_ends_the_transaction(bed: Testbed, proxy: Proxy) -> None:
    client, manager = await login(proxy), await admin(proxy)
    await client.query("begin")
    await client.query("insert into admin_sql.t0 values (1)")
    rows = await manager.query(f"show proxysession attribute {client.connection_id} like 'ss_id'")
    (used,) = [value for _, value, info in rows if str(info).startswith("last used")]

    await manager.query(f"kill proxysession {client.connection_id} {used}")

    with pytest.raises((ConnectionLost, StatementFailed)):
        await client.query("select 1")
    assert await (await login(proxy)).query("select count(*) from admin_sql.t0") == [("0",)]


async def test_ending_the_server_session_of_a_statement_ends_the_statement(bed: Testbed, proxy: Proxy) -> None:
    client, manager = await login(proxy), await admin(proxy)
    outcomes: list[Exception] = []

    async def write() -> None:
        with pytest.raises((ConnectionLost, StatementFailed)) as caught:
            await client.query("insert into admin_sql.t0 select 1 + 0 * sleep(25)")
        outcomes.append(caught.value)

    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            running: list[object] = []
            while not running:
                listed = await manager.query(f"show proxysession attribute {client.connection_id} like 'ss_id'")
                running = [value for _, value, info in listed if str(info).startswith("curr used")]
            assert [row[2] for row in await manager.query(f"show proxysm {client.connection_id}")] == running
            await manager.query(f"kill proxysession {client.connection_id} {running[0]}")

    assert "its outcome is unknown" in str(outcomes[0])


# ---- routes and servers ----------------------------------------------------------------------


async def test_routes_are_shown_and_explained(bed: Testbed, proxy: Proxy) -> None:
    client, manager = await login(proxy), await admin(proxy)
    await client.query("select * from admin_sql.t1 where id = 1")

    ((cluster, tenant, database, table, state, partitions, *_),) = await manager.query("show proxyroute like 't1'")
    assert (cluster, tenant, database, table, state) == ("demo", "mytenant", "admin_sql", "t1", "AVAILABLE")
    assert partitions == "2"
    rows = await manager.query("show proxyroute partition")
    assert rows
    assert f"{bed.observers[1].address},LEADER,FULL" in str(rows[0][-1])
    explain = "explain route for 'one@mytenant#demo' database admin_sql select * from t1 where id = 1"
    explained = {str(item): value for item, value in await manager.query(explain)}
    assert (explained["tenant"], explained["user"]) == ("mytenant#demo", "one")
    assert explained["server"] == bed.observers[1].address
    assert (await failure(manager, "explain route for 'one@nowhere#demo' select 1"))[0] != 1064


async def test_a_dead_server_is_on_the_list(bed: Testbed, proxy: Proxy) -> None:
    manager = await admin(proxy)
    assert await manager.query("show proxycongestion") == []
    assert [row[4] for row in await manager.query("show proxycongestion all 'demo'")] == [
        observer.address for observer in bed.observers
    ]
    assert await manager.query("show proxycongestion all 'other'") == []

    await bed.kill(2, noticed=False)
    with trio.fail_after(30):
        while not (rows := await manager.query("show proxycongestion")):
            client = await login(proxy)
            await client.query("select 1")
            await trio.sleep(0.1)

    assert rows[0][4] == bed.observers[2].address
    lines = [str(row[3]) for row in await manager.query("show warnlog")]
    assert any(bed.observers[2].address in line for line in lines)
    assert await manager.query("show warnlog 1000000000") == []
    numbers = dict(row[:2] for row in await manager.query("show proxystat like '%requests'"))
    assert int(str(numbers["client_select_requests"])) >= 1
    assert "1" in (rows[0][7], rows[0][9], rows[0][18])


async def test_a_cluster_of_the_config_server_is_dropped_and_made_anew(bed: Testbed, tmp_path: Path) -> None:
    """Its clients go with it, but for the one who asks; the next login makes it again."""
    async with open_config_server({bed.cluster: bed.rslist}) as ocp:
        settings = settings_for(
            bed, clusters={}, obproxy_config_server_url=ocp.url, etc_dir=str(tmp_path), enable_http=False,
            hot_upgrade_exit_timeout=0.2,
        )  # fmt: skip
        async with open_proxy(settings) as proxy:
            try:
                client, manager = await login(proxy, "app@sys#demo", "app_pw"), await admin(proxy)
                assert [row[0] for row in await manager.query("show proxyresource")] == ["demo"]
                listed = await manager.query("show proxycluster")
                assert {row[2] for row in listed} == {proxy.clusters.directory.server.shown_url}  # type: ignore[union-attr]
                assert sorted(str(row[4]) for row in listed) == ["FOLLOWER"] * (len(listed) - 1) + ["LEADER"]
                before = proxy.clusters.resources()[0]

                await manager.query("alter proxyresource delete 'demo'")

                assert await manager.query("show proxyresource") == []
                with pytest.raises(ConnectionLost):
                    await client.query("select 1")
                assert await (await login(proxy, "app@sys#demo", "app_pw")).query("select 7") == [("7",)]
                assert proxy.clusters.resources()[0] is not before
                newest = (await manager.query("show proxyends like 'killed'"))[0]
                assert str(newest[-1]).startswith("with its cluster resource, by session")
            finally:
                while _open:
                    _open.pop().close()
