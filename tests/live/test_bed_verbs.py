"""The verbs of the test bed that change servers, zones and tenants; what the kernel process promises."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
import trio
import trio.testing

from odp_trio.catalog import queries
from odp_trio.testing import live
from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.live import KernelProcess, KernelUnavailable, kernel_directory
from tests.live.clients import connect, in_thread, until
from tests.live.test_bed import TABLE_QUERY, address, metadata, plain

TABLE = (
    "drop database if exists bed",
    "create database bed",
    "create table bed.p(id int primary key) partition by hash(id) partitions 6",
)
TABLETS = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/  A.tablet_id as tablet_id, IFNULL((SELECT B.ls_id FROM "
    "oceanbase.__all_virtual_tablet_to_ls B WHERE A.tablet_id = B.tablet_id AND B.table_id = {id} AND B.tenant_id = (SELECT "
    "tenant_id FROM oceanbase.DBA_OB_TENANTS WHERE tenant_name = '{tenant}' LIMIT 1) LIMIT 1), -1) as ls_id, A.part_id as "
    "part_id, A.part_name as part_name, A.high_bound_val_bin as high_bound_val_bin, A.sub_part_num AS sub_part_num FROM "
    "oceanbase.__all_virtual_proxy_partition A WHERE A.table_id = {id} AND A.tenant_name = '{tenant}'LIMIT 9223372036854775807;"
)
SUB_TABLETS = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/  A.tablet_id as tablet_id, IFNULL((SELECT B.ls_id FROM "
    "oceanbase.__all_virtual_tablet_to_ls B WHERE A.tablet_id = B.tablet_id AND B.table_id = {id} AND B.tenant_id = (SELECT "
    "tenant_id FROM oceanbase.DBA_OB_TENANTS WHERE tenant_name = '{tenant}' LIMIT 1) LIMIT 1), -1) as ls_id, A.part_id as "
    "part_id, A.sub_part_id as sub_part_id, A.part_name as part_name, A.high_bound_val_bin as high_bound_val_bin FROM "
    "oceanbase.__all_virtual_proxy_sub_partition A WHERE A.table_id = {id} AND A.tenant_name = '{tenant}'"
    "LIMIT 9223372036854775807;"
)
PARTITION_INFO = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM oceanbase.__all_virtual_proxy_partition_info WHERE table_id = {id} and "
    "tenant_name = '{tenant}' order by part_key_idx LIMIT 128;"
)


async def replicas(bed: Testbed, tenant: str, table: str = "p") -> dict[object, list[tuple[str, int]]]:
    """Return (address, role) of each replica by tablet, asked as ODP asks."""
    by_table = TABLE_QUERY.replace("'p'", f"'{table}'")
    rows = await metadata(bed, by_table.format(tenant=tenant, tablet=0), 1)
    tablets = await metadata(bed, TABLETS.format(id=rows[0]["table_id"], tenant=tenant), 1)
    found = {0: rows}
    for row in tablets:
        tablet = int(str(row["tablet_id"]))
        found[tablet] = await metadata(bed, by_table.format(tenant=tenant, tablet=tablet), 1)
    return {key: [(str(row["svr_ip"]), int(str(row["role"]))) for row in rows] for key, rows in found.items()}


@pytest.mark.parametrize("tenant", ["sys", "mytenant"])
async def test_partitions_of_every_tenant_are_found(bed: Testbed, tenant: str) -> None:
    await bed.query(
        *TABLE,
        "create table bed.s(a int, b int) partition by range(a) subpartition by hash(b) subpartitions 2 "
        "(partition p0 values less than (10), partition p1 values less than maxvalue)",
    )
    ids = {
        table: (await metadata(bed, TABLE_QUERY.replace("'p'", f"'{table}'").format(tenant=tenant, tablet=0)))[0][
            "table_id"
        ]
        for table in "ps"
    }
    tablets = await metadata(bed, TABLETS.format(id=ids["p"], tenant=tenant))
    assert len({row["tablet_id"] for row in tablets}) == 6
    assert {row["ls_id"] for row in tablets} == {1001, 1002, 1003}
    # high_bound_val_bin is bytes in a column of text: no UTF-8.
    parts = await metadata(bed, TABLETS.format(id=ids["s"], tenant=tenant), use_unicode=False)
    assert [(row["part_name"], row["sub_part_num"]) for row in parts] == [(b"p0", 2), (b"p1", 2)]
    assert parts[0]["high_bound_val_bin"] == bytes.fromhex("0105053f000a")
    subs = await metadata(bed, SUB_TABLETS.format(id=ids["s"], tenant=tenant), use_unicode=False)
    assert len({row["tablet_id"] for row in subs}) == 4
    info = await metadata(bed, PARTITION_INFO.format(id=ids["s"], tenant=tenant))
    assert [row["part_key_name"] for row in info] == ["a", "b"]


async def test_every_tablet_has_one_leader_wherever_a_tenant_is(bed: Testbed) -> None:
    await bed.query(*TABLE)
    await bed.place_tenant("mytenant", [0, 2])
    for tenant, ips in (("sys", {1, 2, 3}), ("mytenant", {1, 3})):
        leaders = Counter[str]()
        for found in (await replicas(bed, tenant)).values():
            assert {ip for ip, _ in found} == {f"127.0.0.{number}" for number in ips}
            (leader,) = (ip for ip, role in found if role == 1)
            leaders[leader] += 1
        assert len(leaders) == len(ips)  # spread over all of them

    await bed.move_leader("bed.p", 0)
    await bed.drop_server(0)
    for tenant, ips in (("sys", {2, 3}), ("mytenant", {3})):
        for found in (await replicas(bed, tenant)).values():
            assert {ip for ip, _ in found} == {f"127.0.0.{number}" for number in ips}
            assert [role for _, role in found].count(1) == 1


async def test_a_server_can_be_added_and_dropped(bed: Testbed) -> None:
    number = await bed.add_server(zone="zone3")

    assert await plain(bed, number, "select 1") == ((1,),)
    rows = await metadata(bed, queries.SERVERS)
    assert [(row["svr_ip"], row["zone"]) for row in rows][2:] == [("127.0.0.3", "zone3"), ("127.0.0.4", "zone3")]
    assert bed.rslist.endswith(f";127.0.0.4:{bed.port}")

    await bed.drop_server(number)
    assert len(await metadata(bed, queries.SERVERS)) == 3
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        await plain(bed, number, "select 1")


async def test_what_the_lists_say_of_servers_and_zones_can_be_set(bed: Testbed) -> None:
    await bed.set_server(1, status="DELETING", stopped=True)
    await bed.set_server(2, started=False, zone="zone2")
    await bed.set_zone("zone3", status="INACTIVE", idc="hz", region="east", kind="ReadOnly")

    servers = {row["svr_ip"]: row for row in await metadata(bed, queries.SERVERS)}
    seen = [
        (row["status"], row["start_service_time"], row["stop_time"], row["zone"])
        for row in (servers["127.0.0.2"], servers["127.0.0.3"])
    ]
    assert seen == [("DELETING", 1, 1, "zone2"), ("ACTIVE", 0, 0, "zone2")]
    zone = (await metadata(bed, queries.ZONES))[-1]
    assert [zone[column] for column in ("zone", "status", "spare4", "region", "spare5")] == [
        "zone3", "INACTIVE", "hz", "east", "ReadOnly",
    ]  # fmt: skip


async def test_tenants_come_and_go_in_any_order_under_any_name(bed: Testbed) -> None:
    await bed.add_tenant("one")
    await bed.add_tenant("two")
    await bed.drop_tenant("one")
    await bed.add_tenant("the-third's")
    await bed.place_tenant("the-third's", [1])

    assert [row["svr_ip"] for row in await metadata(bed, queries.tenant_servers("two"))] == [
        "127.0.0.1", "127.0.0.2", "127.0.0.3",
    ]  # fmt: skip
    ids = [row["tenant_id"] for row in await bed.query("select tenant_id from oceanbase.DBA_OB_TENANTS")]
    assert len(set(ids)) == 4
    assert await plain(bed, 1, "select 1", "app@the-third's") == ((1,),)
    assert await metadata(bed, queries.tenant_servers("one")) == []


async def test_a_kill_is_over_when_it_returns(bed: Testbed) -> None:
    socks = [socket.create_connection(address(bed, 0), timeout=10) for _ in range(20)]
    await trio.testing.wait_all_tasks_blocked(0.01)  # accepted, still on their way to the kernel or in their login
    late = socket.create_connection(address(bed, 0), timeout=10)  # not even accepted

    await bed.kill(0, noticed=False)

    assert bed.observers[0].open_connections == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(bed, 0))
    for sock in (*socks, late):
        with closing(sock):
            assert await in_thread(ended, sock)
    assert [row["status"] for row in await metadata(bed, queries.SERVERS, 1)] == ["ACTIVE"] * 3


def ended(sock: socket.socket) -> bool:
    """Read until the connection ends; blocks."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


async def test_refuse_and_revive_at_once(bed: Testbed) -> None:
    for _ in range(3):
        bed.refuse(0)
        bed.refuse(0)
        await bed.revive(0)
        await bed.revive(0)
        assert await plain(bed, 0, "select 1") == ((1,),)


async def test_frozen_twice_thaws_once(bed: Testbed) -> None:
    with closing(await in_thread(connect, address(bed, 0), "app@sys", bed.app_password)) as connection:
        answered: list[object] = []

        async def ping() -> None:
            await in_thread(connection.ping, False)
            answered.append(1)

        bed.freeze(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            await trio.testing.wait_all_tasks_blocked(0.05)
            bed.freeze(0)
            assert not answered
            await bed.thaw(0)
            await until(lambda: bool(answered), "the answer has come")


async def test_verbs_work_while_clients_block_in_all_threads(bed: Testbed) -> None:
    limiter = trio.to_thread.current_default_thread_limiter()
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(int(limiter.total_tokens)):
            nursery.start_soon(in_thread, release.wait)
        await until(lambda: limiter.available_tokens == 0, "every thread is taken")
        with trio.fail_after(10):
            await bed.kill(2)
        release.set()


async def test_two_beds_may_follow_each_other_on_one_kernel(kernel: KernelProcess) -> None:
    for tenants in (("sys", "alpha"), ("sys", "beta", "mytenant")):
        async with open_testbed(kernel=kernel, observers=2, tenants=tenants) as bed:
            await bed.kill(1)
            await bed.move_tablet(1, 1)
            rows = await bed.query("select tenant_name from oceanbase.DBA_OB_TENANTS order by tenant_id")
            assert tuple(row["tenant_name"] for row in rows) == tenants
            assert await plain(bed, 0, "select 1", f"app@{tenants[1]}") == ((1,),)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address(bed, 0))


async def test_slow_only_slows_the_server_it_is_about(bed: Testbed) -> None:
    bed.slow(0, 0.5)
    took = []
    for number in (0, 1):
        with closing(await in_thread(connect, address(bed, number), "app@sys", bed.app_password)) as connection:
            start = trio.current_time()
            await in_thread(connection.ping, False)
            took.append(trio.current_time() - start)
    assert took[0] >= 0.5 > took[1]


async def test_a_fault_for_all_servers_is_used_up_by_any_of_them(bed: Testbed) -> None:
    bed.answer("select 1", errno=5150, times=2)
    bed.answer_login(errno=8001, number=2)

    async def codes(*numbers: int) -> list[int]:
        found = []
        for number in numbers:
            try:
                await plain(bed, number, "select 1")
                found.append(0)
            except pymysql.err.MySQLError as exc:
                found.append(exc.args[0])
        return found

    assert await codes(0, 2, 1, 2, 0) == [5150, 8001, 5150, 0, 0]
    bed.answer("select 1", errno=5150, times=-1)
    bed.answer_login(errno=8001, times=-1, number=2)
    assert await codes(0, 0, 1, 2) == [5150, 5150, 5150, 8001]
    bed.end_faults()
    assert await codes(0, 1, 2) == [0, 0, 0]


# ---- the kernel -----------------------------------------------------------------


async def test_a_query_after_a_lost_connection_connects_again(kernel: KernelProcess) -> None:
    number = (await kernel.query("select connection_id() as id"))[0]["id"]
    with closing(kernel.connect()) as other, other.cursor() as cursor:
        await in_thread(cursor.execute, f"kill {number}")

    with pytest.raises(pymysql.err.MySQLError):
        await kernel.query("select 1")
    assert await kernel.query("select 1 as one") == [{"one": 1}]


def test_a_missing_kernel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PACKAGE", "no_such_package_here")

    with pytest.raises(KernelUnavailable, match=r"pip install 'odp-trio\[demo\]'"):
        kernel_directory()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ODP_TRIO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.slow
def test_two_processes_may_make_the_template_at_once(empty_cache: Path) -> None:
    code = "from odp_trio.testing.bed import template; print(template())"
    left = empty_cache / "making-killed"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    makers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [maker.communicate(timeout=120)[0].strip() for maker in makers]

    assert [maker.returncode for maker in makers] == [0, 0]
    (place,) = empty_cache.iterdir()  # nothing half made is left
    assert printed == [str(place)] * 2
    assert sum(path.lstat().st_blocks * 512 for path in place.rglob("*")) < 100 << 20  # holes are holes
