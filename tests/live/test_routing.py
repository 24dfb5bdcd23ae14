"""Where statements run: seen by the OBServers of the test bed, asked of the proxy itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from tests.live.clients import Connection, connect, in_thread

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
