"""Where statements run: seen by the OBServers of the test bed, asked of the proxy itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from tests.live.clients import Connection, connect, in_thread
from tests.raw_client import RawClient

KEYS = range(40)


@asynccontextmanager
async def proxied(bed: Testbed, **options: Any) -> AsyncIterator[Proxy]:
    """A proxy before the bed, with options."""
    settings = settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2, **options)
    async with open_proxy(settings) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        yield proxy


def run(connection: Connection, sql: str, arguments: Sequence[object] | None = None) -> Any:
    """Run one statement; blocks."""
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall()


async def make_table(bed: Testbed, name: str, columns: str, partitioned: str = "") -> list[int]:
    """Create a table in database ``routes``; return the tablets of its partitions, in order."""
    await bed.query(
        "create database if not exists routes",
        f"drop table if exists routes.{name}",
        f"create table routes.{name}({columns}) {partitioned}",
    )
    rows = (
        await bed.query(
            "select tablet_id from oceanbase.__all_virtual_proxy_partition where tenant_name='sys' and table_id="
            "(select table_id from oceanbase.lab_proxy_schema where tenant_name='sys' and database_name='routes' "
            f"and table_name='{name}' and tablet_id=0)"
        )
        if partitioned
        else []
    )
    return [row["tablet_id"] for row in rows]


def explained(connection: Connection, sql: str) -> dict[str, str]:
    """Ask EXPLAIN ROUTE; of items that come several times the last one counts."""
    return {str(item): value for item, value in run(connection, f"explain route {sql}")}


async def test_writes_and_strong_reads_go_to_the_leader_of_their_partition(bed: Testbed) -> None:
    tablets = await make_table(bed, "spread", "id int primary key, v int", "partition by hash(id) partitions 6")
    for at, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, (at * 2 + 1) % 3)

    async with proxied(bed) as proxy:

        def work() -> None:
            with closing(connect(proxy.addresses[0], database="routes")) as connection:
                for key in KEYS:
                    run(connection, f"insert into spread values({key}, {key})")
                    run(connection, f"update spread set v = v + 1 where id = {key}")
                    assert run(connection, f"select v from spread where id = {key}") == ((key + 1,),)

        await in_thread(work)

    for key in KEYS:
        wanted = (key % 6 * 2 + 1) % 3
        seen = [item.observer for item in bed.statements(rf"\b(values\({key},|id = {key}$)")]
        assert seen == [wanted] * 3, key


async def test_a_moved_leader_costs_a_session_at_most_one_misroute(bed: Testbed) -> None:
    (tablet, *_) = await make_table(bed, "moved", "id int primary key, v int", "partition by hash(id) partitions 2")
    await bed.query("insert into routes.moved values(0, 0)")
    await bed.move_tablet(tablet, 0)
    sessions = 4
    async with proxied(bed) as proxy:
        connections = [
            await in_thread(partial(connect, proxy.addresses[0], database="routes")) for _ in range(sessions)
        ]
        try:
            for old, new in ((0, 1), (1, 2), (2, 0)):
                for connection in connections:
                    await in_thread(run, connection, "update moved set v = v + 1 where id = 0")
                bed.forget_statements()
                await bed.move_tablet(tablet, new)
                bed.miss("update moved", times=-1, number=old)
                for _ in range(5):
                    for connection in connections:
                        await in_thread(run, connection, "update moved set v = v + 1 where id = 0")
                bed.end_faults()

                seen = bed.statements("update moved")
                by_session = Counter(item.connection for item in seen if item.observer == old)
                assert all(count == 1 for count in by_session.values()), by_session
                assert {item.observer for item in seen} <= {old, new}
                assert len([item for item in seen if item.observer == new]) >= 4 * sessions
        finally:
            for connection in connections:
                connection.close()


async def test_prepared_statements_go_where_their_parameters_say(bed: Testbed) -> None:
    tablets = await make_table(bed, "bound", "id int primary key, v int", "partition by hash(id) partitions 6")
    for at, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, at % 3)
    await bed.query("insert into routes.bound values" + ",".join(f"({key},{key})" for key in KEYS))
    bed.forget_statements()

    async with proxied(bed) as proxy:

        def work() -> None:
            host, port = proxy.addresses[0]
            with RawClient(Address(host, port), "app@sys#demo", "app_pw", database="routes") as client:
                prepared = client.prepare("select v from bound where id = ?")
                for key in KEYS:
                    answer = client.execute(prepared.id, (key,), send_types=key == 0)
                    assert str(key).encode() in b"".join(answer.payloads) or not answer.errno
                client.close_statement(prepared.id)

        await in_thread(work)

    executed = [item.observer for item in bed.statements("select v from bound") if item.command == "STMT_EXECUTE"]
    assert executed == [key % 6 % 3 for key in KEYS]


async def test_a_transaction_stays_on_the_server_where_it_began(bed: Testbed) -> None:
    tablets = await make_table(bed, "stays", "id int primary key, v int", "partition by hash(id) partitions 3")
    for at, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, at)

    async with proxied(bed) as proxy:

        def work() -> list[str | None]:
            with closing(connect(proxy.addresses[0], database="routes", autocommit=True)) as connection:
                run(connection, "begin")
                for key in range(3):
                    run(connection, f"insert into stays values({key}, {key})")
                explanation = explained(connection, "insert into stays values(2, 2)")
                run(connection, "commit")
                return [explanation["rule"], explanation["server"]]

        rule, server = await in_thread(work)

    seen = {item.observer for item in bed.statements(r"^insert into stays")}
    assert len(seen) == 1
    assert rule == "open_transaction"
    assert server == bed.observers[seen.pop()].address


async def test_the_session_is_the_same_on_every_server(bed: Testbed) -> None:
    tablets = await make_table(bed, "same", "id int primary key, v int", "partition by hash(id) partitions 3")
    for at, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, at)
    await bed.query("create database if not exists routes_two", "insert into routes.same values(0,0),(1,1),(2,2)")
    await bed.query("create table if not exists routes_two.same like routes.same")

    async with proxied(bed) as proxy:

        def work() -> set[Any]:
            with closing(connect(proxy.addresses[0], database="routes_two")) as connection:
                run(connection, "set @word = 'it''s', @number = 42, @nothing = null")
                run(connection, "set time_zone = '+03:00', sql_mode = 'ANSI_QUOTES', ob_query_timeout = 7654321")
                run(connection, "set names latin1")
                run(connection, "use routes")
                found = set()
                for key in range(3):
                    row = run(
                        connection,
                        "select @word, @number, @nothing, @@time_zone, @@sql_mode, @@ob_query_timeout, "
                        f"@@character_set_client, database() from same where id = {key}",
                    )
                    found.add(row[0])
                return found

        found = await in_thread(work)

    assert found == {("it's", 42, None, "+03:00", "ANSI_QUOTES", 7654321, "latin1", "routes")}
    assert {item.observer for item in bed.statements("from same where id")} == {0, 1, 2}


async def test_what_asks_about_the_last_statement_goes_where_that_one_ran(bed: Testbed) -> None:
    tablets = await make_table(bed, "asks", "id int primary key, v int", "partition by hash(id) partitions 3")
    for at, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, at)

    async with proxied(bed) as proxy:

        def work() -> None:
            with closing(connect(proxy.addresses[0], database="routes")) as connection:
                for key in range(6):
                    run(connection, f"insert into asks values({key}, {key})")
                    assert run(connection, "select row_count()") == ((1,),)

        await in_thread(work)

    seen = [item.observer for item in bed.statements("insert into asks|row_count")]
    assert seen[0::2] == seen[1::2] == [key % 3 for key in range(6)]


async def test_a_tenant_that_moved_is_looked_up_anew(bed: Testbed) -> None:
    await make_table(bed, "tenanted", "id int primary key")
    async with proxied(bed) as proxy:

        def once() -> None:
            with closing(connect(proxy.addresses[0], "app@mytenant#demo", database="routes")) as connection:
                run(connection, "select 1 from dual")

        await in_thread(once)
        fetches = proxy.counts.tenant_fetches
        bed.answer("select 1 from dual", errno=5150, message="tenant not in this server")
        await in_thread(once)
        await in_thread(once)

        assert proxy.counts.tenant_fetches == fetches + 1


async def test_a_rule_of_ones_own_decides_and_a_shadow_is_compared(
    bed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tablets = await make_table(bed, "owned", "id int primary key, v int", "partition by hash(id) partitions 2")
    for tablet in tablets:
        await bed.move_tablet(tablet, 0)
    (tmp_path / "rules_of_a_user.py").write_text(
        "from odp_trio.routing.own_rules import Choice\n"
        "def to_the_last(request, view):\n"
        '    """Reads go to the last server."""\n'
        "    return Choice(server=max(view.servers)) if request.facts.is_read else None\n"
        "def broken(request, view):\n"
        "    raise RuntimeError('on purpose')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    rules = "rules_of_a_user:to_the_last?budget=100ms rules_of_a_user:broken?mode=shadow"
    async with proxied(bed, own_rules=rules) as proxy:

        def work() -> dict[str, str]:
            with closing(connect(proxy.addresses[0], database="routes")) as connection:
                run(connection, "insert into owned values (1, 1)")
                run(connection, "select v from owned where id = 1")
                return explained(connection, "select v from owned where id = 1")

        explanation = await in_thread(work)
        status = {rule.name: rule for rule in proxy.statistics().own_rules}

    assert [item.observer for item in bed.statements("owned")] == [0, 2]
    assert explanation["rule"] in status
    assert status[explanation["rule"]].outcomes["answered"] >= 1
    (broken,) = (rule for rule in status.values() if rule.mode == "shadow")
    assert "on purpose" in broken.disabled


async def test_ddl_seen_in_passing_renews_what_is_known_of_a_table(bed: Testbed) -> None:
    await make_table(bed, "altered", "id int primary key, v int")
    async with proxied(bed) as proxy:

        def work() -> tuple[dict[str, str], dict[str, str]]:
            with closing(connect(proxy.addresses[0], database="routes")) as connection:
                before = explained(connection, "select v from altered where id = 3")
                run(connection, "drop table altered")
                run(connection, "create table altered(id int primary key, v int) partition by hash(id) partitions 4")
                return before, explained(connection, "select v from altered where id = 3")

        before, after = await in_thread(work)

    assert "partition" not in before
    assert after["partition"] == "p3"


HOSTILE = (
    b"select 'never ends",
    b'select "never ends',
    b"select `never ends",
    b"select /* never ends",
    b"select /*+ never ends",
    b"select \xff\xfe\x80 from \xf0\x28",
    b"select 1\x00, 2 from hostile where id = \x00",
    b"select * from hostile where id in (" + b",".join(b"%d" % number for number in range(100_000)) + b")",
    b"select " + b"(" * 200 + b"1" + b")" * 200,
    b"select * from hostile where " + b" or ".join(b"id = %d" % number for number in range(2_000)),
    b"select /*+read_consistency(sometimes) query_timeout(soon)*/ id from hostile",
    b"insert into hostile values " + b",".join(b"(%d, 'x\\'')" % number for number in range(5_000)),
    b";;;",
    b"   ",
    b"))))",
)


async def test_hostile_statements_are_the_servers_to_judge_and_leave_the_session_intact(bed: Testbed) -> None:
    await make_table(bed, "hostile", "id int primary key, v varchar(20)", "partition by hash(id) partitions 4")
    async with proxied(bed) as proxy:
        host, port = proxy.addresses[0]

        def ask_all(address: Address, user: str, password: str) -> list[int]:
            with RawClient(address, user, password, database="routes") as client:
                found = []
                for sql in HOSTILE:
                    found.append(client.query(sql).errno)
                    assert client.query("select 1").errno == 0
                client.query("delete from hostile")
                assert client.query("set names gbk").errno == 0
                found.append(client.query(b"select '\xbf\x5c', v from hostile where v = '\xbf\x5c'").errno)
                return found

        through = await in_thread(ask_all, Address(host, port), "app@sys#demo", "app_pw")
        direct = await in_thread(ask_all, Address("127.0.0.1", bed.kernel.port), "app", "app_pw")

    assert through == direct
