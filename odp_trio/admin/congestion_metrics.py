"""The lists of servers as Prometheus metrics.  Imported with HTTP only: the library takes long to import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from odp_trio.admin.congestion import ClusterCongestion


def congestion_metrics(clusters: Iterable[ClusterCongestion], probes: dict[str, int]) -> Iterator[Metric]:
    """Yield the families of the lists."""
    where = ["cluster", "list"]
    listed = GaugeMetricFamily("odp_congested_servers", "Servers on a list.", labels=where)
    changes = CounterMetricFamily(
        "odp_congestion_changes", "Servers put on a list, and taken off it.", labels=[*where, "change"]
    )
    waiting = GaugeMetricFamily(
        "odp_congestion_waiting", "Changes of lists that wait for their turn.", labels=["cluster"]
    )
    lost = GaugeMetricFamily(
        "odp_network_lost", "1 while all servers of a cluster fail: it is our network.", labels=["cluster"]
    )
    losses = CounterMetricFamily("odp_network_losses", "How often that was so.", labels=["cluster"])
    for cluster in clusters:
        for name, count in cluster.by_list.items():
            listed.add_metric([cluster.cluster, name], count)
        for name, counts in cluster.changes.items():
            for change, count in counts.items():
                changes.add_metric([cluster.cluster, name, change], count)
        waiting.add_metric([cluster.cluster], cluster.waiting)
        lost.add_metric([cluster.cluster], float(cluster.network_lost))
        losses.add_metric([cluster.cluster], cluster.network_losses)
    results = CounterMetricFamily("odp_probes", "Probes of servers, by result.", labels=["result"])
    for result, count in probes.items():
        results.add_metric([result], count)
    yield from (listed, changes, waiting, lost, losses, results)
