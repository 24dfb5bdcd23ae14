"""Several workers as one: sums, the worst, the newest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odp_trio.admin.across import frames, trees
from odp_trio.admin.across import records as across
from odp_trio.admin.across.folding import digits, record
from odp_trio.admin.congestion import ClusterCongestion
from odp_trio.admin.live import LiveFrame
from odp_trio.admin.measurements import Measurements, Times
from odp_trio.admin.routes import RouteTotals, TableRoutes, Tally, TenantRoutesTotal
from odp_trio.admin.status import ClusterStatus, ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.model import TenantKey
from tests.admin.across.made_up import records

FOLDS: dict[type[msgspec.Struct], Callable[[Sequence[Any]], Any]] = {
    ProxyStatus: across.status,
    Measurements: across.measurements,
    LiveFrame: record(frames.FRAME),
    Times: across.times,
}


@pytest.mark.parametrize("kind", FOLDS, ids=lambda kind: kind.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_it_does_not_matter_how_workers_are_grouped(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    fold, (one, two, three) = FOLDS[kind], [data.draw(records(kind)) for _ in range(3)]
    folded = fold([one, two, three])

    assert fold([fold([one, two]), three]) == folded
    assert fold([one]) == one
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(folded), type=kind) == folded


@settings(max_examples=15, deadline=None)
@given(st.lists(records(ProxyStatus), min_size=1, max_size=4))
def test_what_counts_adds_up(workers: list[ProxyStatus]) -> None:
    folded = across.status(workers)

    assert folded.statements == sum(worker.statements for worker in workers)
    assert folded.clients.clients == sum(worker.clients.clients for worker in workers)
    assert sum(folded.ends.values()) == sum(sum(worker.ends.values()) for worker in workers)
    assert sum(task.restarts for task in folded.tasks) == sum(t.restarts for worker in workers for t in worker.tasks)


@settings(max_examples=15, deadline=None)
@given(st.lists(records(ProxyStatus), min_size=1, max_size=4))
def test_whoever_is_not_ready_makes_all_not_ready(workers: list[ProxyStatus]) -> None:
    """A client may be given to any of them."""
    workers = [msgspec.structs.replace(worker, tasks=()) for worker in workers]
    assert bool(across.status(workers).why_not_ready) == any(
        bool(one.why_not_ready) for one in workers if one is not None
    )


def cluster(**values: Any) -> ClusterStatus:
    return msgspec.structs.replace(ClusterStatus("demo", "4.3", {"10.0.0.1:2881": "ACTIVE"}, 5, 0, "", 1.0), **values)


def test_the_age_of_a_cluster_is_that_of_the_worker_that_knows_it_worst() -> None:
    folded = across._clusters([[cluster(age=2.0, refreshes=7)], [cluster(age=90.0, failures=3, last_failure="gone")]])

    assert folded == (cluster(age=90.0, failures=3, last_failure="gone", refreshes=12),)


def test_a_cluster_that_one_worker_has_not_fetched_yet_has_no_servers() -> None:
    (folded,) = across._clusters([[cluster()], [cluster(age=None, servers={})]])

    assert (folded.age, folded.servers) == (None, {})


def test_histograms_add_up_bucket_by_bucket() -> None:
    one, two = Times((1, 0, 3), 0.5), Times((0, 2), 0.25)

    assert across.times([one, two]) == Times((1, 2, 3), 0.75)


@given(st.lists(st.lists(st.integers(0, 1000), max_size=48), min_size=1, max_size=5))
def test_no_time_is_lost(histograms: list[list[int]]) -> None:
    assert sum(digits(histograms)) == sum(map(sum, histograms))


def table(name: str, routed: int, missed: int) -> TableRoutes:
    return TableRoutes("demo", "shop", "db", name, routed, missed, 0, {"leader": Tally(routed, missed)}, 1, "valid")


def test_the_busiest_tables_are_those_of_all_workers_together() -> None:
    key = TenantKey("demo", "shop")
    one = RouteTotals({key: TenantRoutesTotal({"leader": Tally(13, 1)}, 2)}, (table("a", 9, 1), table("b", 4, 0)))
    two = RouteTotals({key: TenantRoutesTotal({"leader": Tally(6, 0)}, 0)}, (table("b", 6, 2),))

    folded = across.routes([one, two])

    assert folded.tenants == {key: TenantRoutesTotal({"leader": Tally(19, 1)}, 2)}
    assert [(one.table, one.routed, one.missed) for one in folded.busiest] == [("b", 10, 2), ("a", 9, 1)]
    assert across.most_missed(1)([one.busiest, two.busiest]) == (folded.busiest[0],)


def test_the_tasks_of_workers_hang_below_their_numbers() -> None:
    leaf = TreeNode("cluster:demo", "catalog/cluster:demo", "running", 1.0, 0, "", None, ())
    branch = TreeNode("catalog", "catalog", "running", 1.0, 0, "", None, (leaf,))
    root = TreeNode("proxy", "", "running", 1.0, 0, "", None, (branch,))

    folded = trees.tree([root, root], [0, 2])

    assert [child.path for child in folded.children] == ["worker:0", "worker:2"]
    assert folded.children[1].children[0].children[0].path == "worker:2/catalog/cluster:demo"
    assert trees.of_worker("worker:2/catalog/cluster:demo") == (2, "catalog/cluster:demo")
    assert trees.of_worker("catalog/worker:2") == (None, "catalog/worker:2")
    assert trees.of_worker("worker:x/catalog") == (None, "worker:x/catalog")


@settings(max_examples=15, deadline=None)
@given(st.lists(records(ClusterCongestion), min_size=1, max_size=3))
def test_a_server_is_on_a_list_if_it_is_in_one_worker(workers: list[ClusterCongestion]) -> None:
    clusters = across.congestion([[worker] for worker in workers])
    listed = {
        (lists.cluster, server.server_ip) for lists in workers for server in lists.servers if server.alive_congested
    }

    assert {(one.cluster, s.server_ip) for one in clusters for s in one.servers if s.alive_congested} == listed
