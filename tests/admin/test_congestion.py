"""What operators see of the lists: records, metrics, reasons."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from odp_trio.admin.congestion import ClusterCongestion, congestion_status, recent_changes
from odp_trio.admin.congestion_metrics import congestion_metrics
from odp_trio.catalog.congestion import Congestion
from odp_trio.config import Settings
from odp_trio.topology.congestion import Failure
from tests.admin.world import SERVERS, cluster

A, B, C = SERVERS


def congested() -> tuple[Congestion, ClusterCongestion]:
    found, resource = Congestion(Settings, lambda: None), cluster()
    found.refreshed(resource)
    for _ in range(5):
        found.failed("demo", B, Failure.CONNECT)
    found.failed("demo", C, Failure.LOST)
    return found, congestion_status(found, [resource], found.tables["demo"].entries[B].failed_at + 8)[0]


async def test_servers_with_odps_columns_and_a_reason() -> None:
    _, status = congested()
    free, grey, other = status.servers
    assert (free.listed, free.reason, free.last_alive_congested) == ("", "", None)
    assert (grey.server_ip, grey.zone_name, grey.region_name) == (str(B), "z2", "hz")
    assert (grey.listed, grey.alive_congested, grey.dead_congested) == ("alive", True, False)
    assert grey.reason == "5 connect failures in 120 s; next trial in 12 s"
    assert (grey.stat_alive_failures, grey.stat_conn_failures, grey.alive_failure_events) == (5, 5, 5)
    assert grey.last_alive_congested == grey.alive_last_fail_time == 8
    assert (other.stat_alive_failures, other.stat_conn_failures) == (1, 0)


async def test_refused_servers_and_a_lost_network_are_reasons_to_look() -> None:
    found, status = congested()
    assert status.why_degraded == [
        f"cluster demo: {B} is refused (alive): 5 connect failures in 120 s; next trial in 12 s"
    ]
    found.failed("demo", A, Failure.CONNECT)
    lost = congestion_status(found, [cluster()], 0.0)[0]
    assert lost.network_lost
    assert lost.by_list == {"alive": 0, "forced": 0, "dead": 0, "detect": 0}
    assert lost.why_degraded == [
        "cluster demo: our network seems to be lost: 3 of 3 servers have failed, and none has answered since"
    ]


async def test_many_refused_servers_are_counted_not_listed() -> None:
    _, status = congested()
    many = msgspec.structs.replace(status, servers=tuple(status.servers[1] for _ in range(13)))
    assert len(many.why_degraded) == 11
    assert many.why_degraded[-1] == "cluster demo: 3 more servers are refused"


async def test_recent_changes_are_told_newest_first() -> None:
    found, _ = congested()
    found.answered("demo", B)
    changes = recent_changes(found, found.tables["demo"].recent[-1].at + 1)
    assert [(change.server, change.listed, change.put) for change in changes] == [
        (str(B), "alive", False),
        (str(B), "alive", True),
    ]


async def test_metrics() -> None:
    _, status = congested()

    class Families(Collector):
        def collect(self) -> object:
            return congestion_metrics([status], {"good": 3, "failed": 1})

    registry = CollectorRegistry()
    registry.register(Families())
    text = generate_latest(registry).decode()
    for line in (
        'odp_congested_servers{cluster="demo",list="alive"} 1.0',
        'odp_congestion_changes_total{change="put",cluster="demo",list="alive"} 1.0',
        'odp_congestion_waiting{cluster="demo"} 0.0',
        'odp_network_lost{cluster="demo"} 0.0',
        'odp_network_losses_total{cluster="demo"} 0.0',
        'odp_probes_total{result="failed"} 1.0',
    ):
        assert line in text
