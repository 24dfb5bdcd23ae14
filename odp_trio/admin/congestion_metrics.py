"""The lists of servers as Prometheus metrics.  Imported with HTTP only: the library takes long to import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from odp_trio.admin.congestion import ClusterCongestion
from odp_trio.admin.metric_families import counter, gauge


def congestion_metrics(clusters: Iterable[ClusterCongestion], probes: dict[str, int]) -> Iterator[Metric]:
    """Yield the families of the lists."""
    listed = gauge("odp_congested_servers")
    changes = counter("odp_congestion_changes_total")
    waiting = gauge("odp_congestion_waiting")
    lost = gauge("odp_network_lost")
    losses = counter("odp_network_losses_total")
    for cluster in clusters:
        for name, count in cluster.by_list.items():
            listed.add_metric([cluster.cluster, name], count)
        for name, counts in cluster.changes.items():
            for change, count in counts.items():
                changes.add_metric([cluster.cluster, name, change], count)
        waiting.add_metric([cluster.cluster], cluster.waiting)
        lost.add_metric([cluster.cluster], float(cluster.network_lost))
        losses.add_metric([cluster.cluster], cluster.network_losses)
    results = counter("odp_probes_total")
    for result, count in probes.items():
        results.add_metric([result], count)
    yield from (listed, changes, waiting, lost, losses, results)
