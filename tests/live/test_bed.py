"""The test bed's own promises: ODP's queries are answered, verbs do what they say, the record is right."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pymysql
import pytest
import trio

from odp_trio.catalog import queries
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed, template
from odp_trio.testing.live import KernelProcess, KernelUnavailable, copy_sparsely, free_port
from odp_trio.wire.resultset import parse_err
from odp_trio.wire.state import parse_ok
from tests.live.clients import ask, connect, in_thread
from tests.live.proxy_connection import ProxyConnection

TABLE_QUERY = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ A.*, B.svr_port as svr_port FROM oceanbase.__all_virtual_proxy_schema A "
    "inner join oceanbase.DBA_OB_SERVERS B ON A.svr_ip = B.svr_ip and A.sql_port = B.sql_port WHERE A.tenant_name = '{tenant}' "
    "AND A.database_name = 'bed' AND A.table_name = 'p' AND A.tablet_id = {tablet} "
    "ORDER BY A.role ASC LIMIT 9223372036854775807"
)


def address(bed: Testbed, number: int) -> tuple[str, int]:
    return (bed.observers[number].ip, bed.port)


async def metadata(bed: Testbed, sql: str, number: int = 0, **more: object) -> list[dict[str, object]]:
    """Ask as ODP does: proxyro, database oceanbase."""

    def query() -> list[dict[str, object]]:
        options = {"database": "oceanbase", "cursorclass": pymysql.cursors.DictCursor, **more}
        with closing(connect(address(bed, number), "proxyro@sys", bed.proxyro_password, **options)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

    rows: list[dict[str, object]] = await in_thread(query)
    return rows


async def plain(bed: Testbed, number: int, sql: str, user: str = "app@sys") -> object:
    return await in_thread(partial(ask, address(bed, number), sql, user, bed.app_password))


async def test_every_query_of_odp_is_answered(bed: Testbed) -> None:
    await bed.query(
        "drop database if exists bed",
        "create database bed",
        "create table bed.p(id int primary key) partition by hash(id) partitions 4",
        "create table bed.s(a int, b int) partition by range(a) subpartition by hash(b) subpartitions 2 "
        "(partition p0 values less than (10), partition p1 values less than maxvalue)",
    )
    assert await metadata(bed, queries.VERSION) == [{"cluster_version": "4.3.5.3"}]
    first = await metadata(bed, queries.FIRST_SERVERS)
    assert [(row["cluster"], row["svr_ip"], row["svr_port"], row["zone"], row["spare4"]) for row in first] == [
        ("demo", f"127.0.0.{n}", bed.port, f"zone{n}", f"idc{n}") for n in (1, 2, 3)
    ]
    assert len(await metadata(bed, queries.ZONES)) == 3
    assert len(await metadata(bed, queries.SERVERS)) == 3
    variables = "SELECT /*+READ_CONSISTENCY(WEAK)*/ name, data_type, value, modified_time, flags FROM __all_virtual_proxy_sys_variable LIMIT 9223372036854775807"
    assert len(await metadata(bed, variables)) > 500
    tenants = (
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ tenant_name, tenant_id, locality, previous_locality, primary_zone, status "
        "FROM oceanbase.DBA_OB_TENANTS where previous_locality is null and tenant_id != 1"
    )
    assert [row["tenant_name"] for row in await metadata(bed, tenants)] == ["mytenant"]
    leaders = (
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ t.tenant_name as tenant_name, leader_addr, count(*) = 1 AS is_single_leader FROM "
        "oceanbase.DBA_OB_TENANTS t RIGHT JOIN ( SELECT DISTINCT tenant_id, CONCAT(svr_ip, ':', sql_port) AS leader_addr FROM "
        "oceanbase.CDB_OB_LS_LOCATIONS WHERE ls_id != 1 AND role='leader' AND tenant_id IN (1002)) s ON t.tenant_id = s.tenant_id "
        "GROUP BY tenant_name"
    )
    assert len(await metadata(bed, leaders)) == 1
    rows = await metadata(bed, TABLE_QUERY.format(tenant="sys", tablet=0))
    assert sorted(str(row["role"]) for row in rows) == ["1", "2", "2"]
    table_id = rows[0]["table_id"]
    info = f"SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM oceanbase.__all_virtual_proxy_partition_info WHERE table_id = {table_id} and tenant_name = 'sys' order by part_key_idx LIMIT 128;"
    assert [row["part_key_name"] for row in await metadata(bed, info)] == ["id"]
    partitions = (
        "SELECT /*+READ_CONSISTENCY(WEAK)*/  A.tablet_id as tablet_id, IFNULL((SELECT B.ls_id FROM "
        "oceanbase.__all_virtual_tablet_to_ls B WHERE A.tablet_id = B.tablet_id AND B.table_id = {id} AND B.tenant_id = (SELECT "
        "tenant_id FROM oceanbase.DBA_OB_TENANTS WHERE tenant_name = 'sys' LIMIT 1) LIMIT 1), -1) as ls_id, A.part_id as part_id, "
        "A.part_name as part_name, A.high_bound_val_bin as high_bound_val_bin, A.sub_part_num AS sub_part_num FROM "
        "oceanbase.__all_virtual_proxy_partition A WHERE A.table_id = {id} AND A.tenant_name = 'sys'LIMIT 9223372036854775807;"
    ).format(id=table_id)
    tablets = [row["tablet_id"] for row in await metadata(bed, partitions)]
    assert len(tablets) == 4
    for tablet in tablets:
        assert len(await metadata(bed, TABLE_QUERY.format(tenant="sys", tablet=tablet))) == 3
    assert [row["svr_ip"] for row in await metadata(bed, TABLE_QUERY.format(tenant="nobody", tablet=0))] == []


async def test_tenants_have_the_tables_of_sys_and_servers_of_their_own(bed: Testbed) -> None:
    await bed.query("drop database if exists bed", "create database bed", "create table bed.p(id int primary key)")
    await bed.add_tenant("third", [2])
    await bed.place_tenant("mytenant", [0, 1])

    async def where(tenant: str) -> list[object]:
        return sorted(str(row["svr_ip"]) for row in await metadata(bed, queries.tenant_servers(tenant)))

    assert await where("sys") == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert await where("mytenant") == ["127.0.0.1", "127.0.0.2"]
    assert await where("third") == ["127.0.0.3"]
    rows = await metadata(bed, TABLE_QUERY.format(tenant="mytenant", tablet=0))
    assert {str(row["tenant_name"]) for row in rows} == {"mytenant"}
    assert await plain(bed, 2, "select user()", "app@third") == (("app@127.0.0.1",),)
    await bed.drop_tenant("third")
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        await plain(bed, 2, "select 1", "app@third")


async def test_a_leader_can_be_moved(bed: Testbed) -> None:
    await bed.query(
        "drop database if exists bed",
        "create database bed",
        "create table bed.p(id int primary key) partition by hash(id) partitions 4",
    )
    for number in (2, 0, 1):
        await bed.move_leader("bed.p", number)
        rows = await metadata(bed, TABLE_QUERY.format(tenant="sys", tablet=0))
        assert [row["svr_ip"] for row in rows if row["role"] == 1] == [f"127.0.0.{number + 1}"]


async def test_the_record_says_which_server_ran_what(bed: Testbed) -> None:
    await plain(bed, 1, "select 'first'")
    await plain(bed, 2, "select 'second'", "app@mytenant")

    found = bed.statements("first|second")

    assert [(s.observer, s.tenant, s.user, s.by_proxy, s.command) for s in found] == [
        (1, "sys", "app", False, "QUERY"),
        (2, "mytenant", "app", False, "QUERY"),
    ]
    bed.forget_statements()
    assert bed.statements() == []


async def test_servers_can_be_killed_refused_and_revived(bed: Testbed) -> None:
    held = await in_thread(connect, address(bed, 0), "app@sys", bed.app_password)
    bed.refuse(0)
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        await plain(bed, 0, "select 1")
    await in_thread(held.ping, False)

    await bed.kill(0)
    with pytest.raises(pymysql.err.OperationalError):
        await in_thread(held.ping, False)
    assert (await metadata(bed, queries.SERVERS, 1))[0]["status"] == "INACTIVE"

    await bed.revive(0)
    assert await plain(bed, 0, "select 1") == ((1,),)
    held.close()


async def test_servers_can_be_slow_frozen_and_cut(bed: Testbed) -> None:
    bed.slow(0, 0.3)
    start = trio.current_time()
    await plain(bed, 0, "select 1")
    assert trio.current_time() - start > 0.3
    bed.slow(0, 0)

    bed.freeze(0)
    with pytest.raises(pymysql.err.OperationalError, match="timed out"):
        await in_thread(partial(connect, address(bed, 0), "app@sys", bed.app_password, read_timeout=0.5))
    await bed.thaw(0)

    connection = await in_thread(connect, address(bed, 0), "app@sys", bed.app_password)
    bed.cut(0, after_bytes=12)
    with pytest.raises(pymysql.err.OperationalError), connection.cursor() as cursor:
        await in_thread(cursor.execute, "select 'long enough'")
    connection.close()


async def test_statements_and_logins_can_be_answered_with_errors(bed: Testbed) -> None:
    bed.answer("from nowhere", errno=4038, sqlstate="HY000", message="Not master", times=2)
    for _ in range(2):
        with pytest.raises(pymysql.err.MySQLError, match="Not master"):
            await plain(bed, 0, "select 1 from nowhere")
    with pytest.raises(pymysql.err.MySQLError, match="1046|1146|No database"):
        await plain(bed, 0, "select 1 from nowhere")

    bed.answer_login(errno=8001, sqlstate="08004", message="Server is initializing", number=1)
    with pytest.raises(pymysql.err.MySQLError, match="initializing"):
        await plain(bed, 1, "select 1")
    assert await plain(bed, 1, "select 1") == ((1,),)


async def test_a_real_start_refuses_then_says_8001_then_serves(tmp_path: Path) -> None:
    copy_sparsely(await in_thread(template), tmp_path / "kernel")
    kernel = KernelProcess(tmp_path / "kernel", free_port(), "demo")
    kernel.spawn()
    try:
        await in_thread(kernel.wait_ready)
    finally:
        await in_thread(kernel.stop)

    # Refused, then a greeting whose login is answered with 8001, for as long as the machine needs.
    assert kernel.start_up_errors
    assert set(kernel.start_up_errors) <= {2003, 2013, 8001}


async def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    copy_sparsely(await in_thread(template), tmp_path / "kernel")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        kernel = KernelProcess(tmp_path / "kernel", taken.getsockname()[1], "demo")
        kernel.spawn()
        with pytest.raises(KernelUnavailable, match="is port .* taken"):
            await in_thread(kernel.wait_ready)


def test_the_kernel_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from odp_trio.testing.bed import template; "
        "from odp_trio.testing.live import KernelProcess, copy_sparsely, free_port; "
        f"place = Path({str(tmp_path)!r}) / 'kernel'; copy_sparsely(template(), place); "
        "kernel = KernelProcess(place, free_port(), 'demo'); kernel.spawn(); print(kernel.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"kernel {pid} lives on")


# ---- a proxy's connection, plain and OB 2.0 --------------------------------------


@pytest.mark.parametrize("ob20", [False, True], ids=["plain", "ob20"])
async def test_a_proxy_connection_gets_injected_errors_and_misses(bed: Testbed, ob20: bool) -> None:
    def script() -> None:
        connection = ProxyConnection(Address(bed.observers[0].ip, bed.port), ob20=ob20)
        with closing(connection):
            assert connection.ask(b"select 1")[3] == b"\x011"
            error, extra = connection.ask(b"select 'broken'")
            assert parse_err(error).errno == 4038
            assert parse_ok(extra).status == 0x22
            for sql in (b"select 'missed'", b"set @missed=1"):
                *_, last = connection.ask(sql)
                state = parse_ok(last).state
                assert state is not None
                assert state.system[b"ob_proxy_partition_hit"] == b"OFF"
                assert (b"missed" in state.user) == sql.startswith(b"set")
            assert connection.ask(b"select 2")[3] == b"\x012"

    bed.answer("broken", errno=4038, message="Not master")
    bed.miss("missed", times=2)
    await in_thread(script)

    record = bed.statements("broken|missed", by_proxy=True)
    assert [s.tenant for s in record] == ["mytenant"] * 3
