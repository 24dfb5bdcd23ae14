"""Metrics: what Prometheus reads is what the table says, whole, in slices, and no more than it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from odp_trio.admin import metrics
from odp_trio.admin.clients import ClientsStatus, TenantClients
from odp_trio.admin.congestion import ClusterCongestion
from odp_trio.admin.measurements import (
    Measurements,
    ServerSessions,
    StatementCounts,
    TenantBytes,
    TenantTimes,
    Times,
    Worker,
    statement_counts,
    tenant_times,
    times_of,
)
from odp_trio.admin.metric_table import FAMILIES, LABELS
from odp_trio.admin.metrics import SLICE, write_metrics, write_slices
from odp_trio.admin.status import ConfigServerStatus, OwnRuleStatus, ProxyStatus, RslistFileStatus, TaskStatus
from odp_trio.admin.tls import TlsStatus
from odp_trio.observe import BUCKETS, Histogram, StatementTable
from odp_trio.topology.location import TableKey
from tests.admin.source import FakeSource

SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
TIMES = Times(tuple(range(BUCKETS)), 12.5)


class FullSource(FakeSource):
    """A proxy of which everything can be said that there are metrics for."""

    def __init__(self) -> None:
        super().__init__()
        self.with_cluster = True
        entry = self.locations.find(TableKey("demo", "shop", "sales", "orders"))
        assert entry is not None
        entry.tally("leader")[:] = [5, 1]
        self.measured = Measurements(
            (StatementCounts("demo", "shop", "select", "leader", 9, 2, 1, 1.5, 1.0, 0.25),),
            (TenantTimes("demo", "shop", TIMES, TIMES, TIMES),),
            (TenantBytes("demo", "shop", 1000, 2000),),
            (ServerSessions("demo", "10.0.0.1:2881", 3),),
            {"slow": 1, "failed": 2, "sampled": 3},
            TIMES,
            17,
            0,
            15.0,
            (Worker(0, 4711, 2, "inside"),),
            {"WARNING": 5},
            {"dropped": 1, "over_budget": 2, "failed": 3, "repeated": 4},
        )

    def statistics(self) -> ProxyStatus:
        file = RslistFileStatus(**dict.fromkeys(RslistFileStatus.__struct_fields__, 1))  # type: ignore[arg-type]
        server: dict[str, Any] = dict.fromkeys(ConfigServerStatus.__struct_fields__, 1)
        lists: dict[str, Any] = dict.fromkeys(ClusterCongestion.__struct_fields__, 0)
        lists |= {"cluster": "demo", "servers": (), "changes": {"dead": {"put": 2, "taken": 1}}}
        cluster = msgspec.structs.replace(
            self.cluster_status(), servers={"10.0.0.1:2881": "ACTIVE"}, rslist_age=3.0, rslist_source="local file"
        )
        return msgspec.structs.replace(
            super().statistics(),
            clusters=(cluster,),
            config_server=ConfigServerStatus(**server | {"file": file}),
            congestion=(ClusterCongestion(**lists),),
            probes={"good": 4},
            refused_logins={1045: 3},
            ends={"client_quit": 1},
            server_ends={"reset": 1},
            server_failures={"lost": 1},
            failed_statements={"close": 1},
            tasks=(TaskStatus('catalog/cluster:a "b" \\ \n', "running", 2, ""),),
            own_rules=(OwnRuleStatus("mine", "shadow", "enabled", "", "", {"agreed": 3}),),
            clients=ClientsStatus(refused={"proxy": 1}, tenants=(TenantClients("demo", "shop", 1, 0, True),)),
            tls=TlsStatus(clients={"TLSv1.3": 1}),
        )  # fmt: skip


async def read(source: FakeSource) -> dict[str, Metric]:
    """Return what Prometheus would read, by the names that the table has."""
    text = (await write_metrics(source)).decode()
    families: dict[str, Metric] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name not in families, f"{name} comes twice"
        families[name] = family
    return families


async def test_every_family_is_in_the_table_and_every_line_of_the_table_is_there() -> None:
    families = await read(FullSource())

    assert set(families) == set(FAMILIES)
    for name, family in families.items():
        known = FAMILIES[name]
        assert (family.type, family.documentation) == (known.kind, known.text), name
        assert family.samples, name
        for sample in family.samples:
            assert sample.name in [name.removesuffix("_total") + suffix for suffix in SUFFIXES[known.kind]]
            labels = set(sample.labels) - ({"le"} if sample.name.endswith("_bucket") else set())
            assert labels == set(known.labels), name


async def test_a_proxy_that_has_done_nothing_has_metrics_too() -> None:
    families = await read(FakeSource())

    assert set(families) <= set(FAMILIES)
    assert families["odp_route_waits_total"].samples[0].value == 7


async def test_what_labels_hold_is_read_back() -> None:
    families = await read(FullSource())

    assert families["odp_task_restarts_total"].samples[0].labels == {"task": 'catalog/cluster:a "b" \\ \n'}


async def test_a_histogram_grows_up_to_its_count() -> None:
    family = (await read(FullSource()))["odp_statement_seconds"]
    buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
    bounds = [float(sample.labels["le"]) for sample in buckets]
    values = [sample.value for sample in buckets]
    by_name = {sample.name: sample.value for sample in family.samples if "le" not in sample.labels}

    assert bounds == sorted(bounds)
    assert bounds[0] == 0.000016
    assert values == sorted(values)
    assert values[0] == sum(range(5))
    assert values[-1] == by_name["odp_statement_seconds_count"] == TIMES.count
    assert by_name["odp_statement_seconds_sum"] == 12.5


def test_the_names_keep_to_prometheus_rules() -> None:
    for family in FAMILIES.values():
        assert family.name.startswith(("odp_", "process_"))
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert not family.name.endswith(("_bucket", "_sum", "_count"))
        assert family.text.endswith(".")
        assert "le" not in family.labels
        assert set(family.labels) <= set(LABELS), family.name
    assert {label for family in FAMILIES.values() for label in family.labels} == set(LABELS)


# ---- slices ---------------------------------------------------------------------------------


async def test_long_families_come_in_pieces_that_read_as_one() -> None:
    source = FullSource()
    cells = [StatementCounts("demo", f"t{n}", "select", "leader", n, 0, 0, 1.5, 1.0, 0.25) for n in range(250)]
    times = [TenantTimes("demo", f"t{n}", TIMES, TIMES, TIMES) for n in range(12)]
    source.measured = msgspec.structs.replace(source.measured, statements=tuple(cells), times=tuple(times))

    families = await read(source)

    assert [sample.value for sample in families["odp_tenant_statements_total"].samples] == list(range(250))
    assert len(families["odp_tenant_statement_time_seconds_total"].samples) == 750
    counts = [sample for sample in families["odp_statement_seconds"].samples if sample.name.endswith("_count")]
    assert [sample.labels["tenant"] for sample in counts] == [f"t{n}" for n in range(12)]


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, 3 * SLICE])
def test_a_family_in_slices_reads_as_one(count: int) -> None:
    family = CounterMetricFamily("odp_many_total", "Many.\nOr not.", labels=["number"])
    for number in range(count):
        family.add_metric([f"{number}\n"], number)

    pieces = list(write_slices(family))
    [read_back] = text_string_to_metric_families(b"".join(pieces).decode())

    assert len(pieces) == max(1, -(-count // SLICE))
    assert [sample.value for sample in read_back.samples] == list(range(count))
    assert read_back.documentation == "Many.\nOr not."


async def test_others_run_while_metrics_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SLICE", 1)
    source, turns = FullSource(), 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        await write_metrics(source)
        nursery.cancel_scope.cancel()

    assert turns > 100


# ---- what was measured ----------------------------------------------------------------------


def fill(table: StatementTable, tenants: int) -> Iterator[tuple[str, str]]:
    """Count one statement of each of so many tenants: number n took 2**n µs, up to a second."""
    for number in range(tenants):
        cell = table.tenant("demo", f"t{number}").cell(3, "select", "leader", lambda _, kind: kind)
        cell.total[min(number, 20)] += 1
        cell.total_ns += 1000 << min(number, 20)
        yield "demo", f"t{number}"


async def test_times_of_tenants_beyond_the_bound_are_summed_up_and_none_is_lost() -> None:
    table = StatementTable(lambda: 1000)
    names = list(fill(table, 130))

    times = await tenant_times(table)

    assert [(tenant.cluster, tenant.tenant) for tenant in times] == [*names[:100], ("", "")]
    assert sum(tenant.total.count for tenant in times) == 130
    assert times[-1].total.count == 30
    assert len(await statement_counts(table)) == 130


async def test_a_full_table_takes_no_more_cells() -> None:
    table = StatementTable(lambda: 10)
    list(fill(table, 50))

    counts = await statement_counts(table)

    assert len(counts) == 11
    assert (counts[-1].cluster, counts[-1].tenant, counts[-1].statements) == ("", "", 40)


@given(st.lists(st.integers(0, 10**12), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_right_but_for_a_factor_of_two(nanoseconds: list[int], share: float) -> None:
    histogram = Histogram()
    for each in nanoseconds:
        histogram.add(each)

    told = times_of(histogram).quantile(share)

    below = sum(each / 1e9 <= told for each in nanoseconds)
    far_below = sum(each / 1e9 < told / 2 - 1e-6 for each in nanoseconds)
    assert far_below <= share * len(nanoseconds) + 1e-9 <= below + 1e-6
