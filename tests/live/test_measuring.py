"""What statements took, told by a kernel's answers; and what Prometheus reads of it over HTTP."""

from __future__ import annotations

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from odp_trio.admin.measurements import Measurements, StatementCounts
from odp_trio.admin.metric_table import FAMILIES
from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.observe import StatementRecord
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, StatementFailed
from odp_trio.testing.demo import settings_for

pytestmark = [pytest.mark.live, pytest.mark.slow]


async def login(proxy: Proxy, bed: Testbed, database: str = "") -> Client:
    user = f"root@sys#{bed.cluster}"
    return await Client.connect(Address(*proxy.addresses[0]), user, bed.root_password, database=database, patience=30)


def of_kind(measured: Measurements, kind: str) -> dict[str, StatementCounts]:
    return {cell.route: cell for cell in measured.statements if cell.kind == kind}


async def test_what_a_client_does_is_counted_timed_and_recorded(bed: Testbed) -> None:
    records: list[StatementRecord] = []
    with trio.fail_after(60):
        async with open_proxy(settings_for(bed, hot_upgrade_exit_timeout=0.2)) as proxy:
            await proxy.clusters.wait_available(bed.cluster)
            proxy.services.watch.want(records.append, slow=0.25)
            client = await login(proxy, bed)
            for sql in ("create database measured", "use measured", "create table t (id int primary key, v int)"):
                await client.query(sql)
            records.clear()
            await client.query("insert into t values (1, 1), (2, 2)")
            for number in range(10):
                await client.query(f"select v from t where id = {number}")
            statement = await client.prepare("select v from t where id = ?")
            for number in range(5):
                await client.execute(statement, (number,))
            await client.query("begin")
            await client.query("update t set v = 3 where id = 1")
            await client.query("commit")
            await client.query("select sleep(0.3)")
            with pytest.raises(StatementFailed):
                await client.query("select nonsense from t")
            measured = await proxy.measurements()
            await client.query("drop database measured")
            text = await scraped(proxy)
            client.close()

    selects = of_kind(measured, "select")
    assert selects["leader"].statements + selects["leader"].errors >= 15
    assert sum(cell.errors for cell in selects.values()) == 1
    assert of_kind(measured, "stmt_prepare")
    assert of_kind(measured, "begin").keys() == {"proxy"}  # it was held
    assert of_kind(measured, "commit").keys() == {"bound"}
    for cell in measured.statements:
        assert cell.proxy_seconds + cell.server_seconds <= cell.total_seconds + 1e-6
    slow, failed = (record for record in records if record.kind == "select")
    assert (slow.wanted, slow.sql, slow.errno) == ("slow", b"select sleep(0.3)", 0)
    assert 0.3 <= slow.server_ns / 1e9 <= slow.total_ns / 1e9 < 5
    assert (failed.wanted, failed.errno, failed.database) == ("failed", 1054, "measured")
    assert "nonsense" in failed.message
    assert failed.tenant == "sys"
    assert failed.server.startswith("127.0.0.")
    [times] = measured.times
    assert times.total.count == sum(cell.statements for cell in measured.statements)
    assert times.server.count == sum(cell.statements for cell in measured.statements if cell.route != "proxy")
    [traffic] = measured.traffic
    assert traffic.from_clients > 500
    assert traffic.from_servers > 1000
    assert sum(server.sessions for server in measured.server_sessions) >= 1
    assert set(text) <= set(FAMILIES)
    assert text["odp_loop_lag_seconds"] > 0
    assert text["odp_worker_info"] == 1


async def scraped(proxy: Proxy) -> dict[str, float]:
    """Return the sum of the samples of each family, by the names of the table; of histograms the counts."""
    assert proxy.http_address is not None
    ip, port = proxy.http_address
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{ip}:{port}/metrics", timeout=30)
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        wanted = [s.value for s in family.samples if family.type != "histogram" or s.name.endswith("_count")]
        sums[name] = sum(wanted)
    return sums


async def test_where_counting_is_off_slow_statements_are_recorded_all_the_same(bed: Testbed) -> None:
    settings = settings_for(
        bed,
        enable_http=False,
        hot_upgrade_exit_timeout=0.2,
        enable_monitor_stat=False,
        slow_query_time_threshold=0.2,
        query_digest_time_threshold=0.0,
    )
    with trio.fail_after(60):
        async with open_proxy(settings) as proxy:
            await proxy.clusters.wait_available(bed.cluster)
            client = await login(proxy, bed)
            await client.query("select sleep(0.3)")
            client.close()
            assert (await proxy.measurements()).statements == ()
            assert proxy.statistics().statements == 1
            assert proxy.services.watch.records == {"slow": 1, "failed": 0, "sampled": 0}
