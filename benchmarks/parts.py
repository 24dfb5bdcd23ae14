"""The parts of a run, by name, in the order in which they are run.

A module of scenarios joins with one line.  It offers ``measure(plan, logs)``, which measures one round, or, when what
it starts should live for all rounds, a context manager that is opened with a ``Run`` and gives such a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks import canned, cold, crowded, crowds, fairness, lane, latency, live, micro, observed, routing, scale
from benchmarks.rounds import Part, each_round, pure

PARTS: Final[Mapping[str, Part]] = {
    "canned": Part("what a proxy costs when the server costs nothing", canned.opened),
    "live": Part(
        "sysbench on an OceanBase kernel: point selects, and in the smoke suite everything", live.loaded_with()
    ),
    "read_only": Part("sysbench read_only on an OceanBase kernel", live.loaded_with("read_only")),
    "read_write": Part("sysbench read_write on an OceanBase kernel", live.loaded_with("read_write")),
    "write_only": Part("sysbench write_only on an OceanBase kernel", live.loaded_with("write_only")),
    "latency": Part("latency against offered load, open loop, on the canned server", latency.opened),
    "micro": pure(micro.measure, 1 / 3),
    "lane": pure(lane.measure, 1 / 6),
    "routing": pure(routing.measure, 1 / 6),
    "scale": pure(scale.measure, 1 / 6),
    "crowded": each_round(crowded.measure),
    "cold": each_round(cold.measure),
    "sessions": each_round(crowds.measure),
    "fairness": each_round(fairness.measure),
    "observed": each_round(observed.measure),
}
