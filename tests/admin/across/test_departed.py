"""What workers had counted that are gone: it stays counted, and only what counts does."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from odp_trio.admin.across.departed import Memory, Remembered, life_of, with_counts_of
from odp_trio.admin.measurements import Measurements, Worker
from odp_trio.admin.metrics import COUNTERS, GAUGES, MetricRecords
from odp_trio.admin.routes import RouteTotals
from odp_trio.admin.status import ProxyStatus
from tests.admin.across.made_up import records

NOTHING = Measurements()


def counted(status: ProxyStatus, measured: Measurements = NOTHING, turns: int = 0) -> MetricRecords:
    status = msgspec.structs.replace(status, loop_turns=turns)
    worker = Worker(1, 4711, 0, "inside")
    return MetricRecords(
        status,
        msgspec.structs.replace(measured, loop_events=turns, workers=(worker,)),
        RouteTotals({}, ()),
        {"process_cpu_seconds": 2.0, "process_open_fds": 7.0},
    )


def remembered(found: MetricRecords, worker: int = 1) -> Remembered:
    return Remembered(*life_of(worker, found), found)


@settings(max_examples=15, deadline=None)
@given(now=records(ProxyStatus), gone=records(ProxyStatus), measured=records(Measurements))
def test_counters_add_up_and_gauges_stay(now: ProxyStatus, gone: ProxyStatus, measured: Measurements) -> None:
    alone, there = counted(now), counted(gone, measured)
    found = with_counts_of(alone, [remembered(there)])

    for field in set(COUNTERS.values()) - {"loop_turns"}:
        assert getattr(found.status, field) == getattr(now, field) + getattr(gone, field)
    for field in GAUGES.values():
        assert getattr(found.status, field) == getattr(now, field)
    assert sum(found.status.ends.values()) == sum(now.ends.values()) + sum(gone.ends.values())
    assert [cluster.name for cluster in found.status.clusters] == list(dict.fromkeys(c.name for c in now.clusters))
    assert [task.path for task in found.status.tasks] == list(dict.fromkeys(task.path for task in now.tasks))
    assert found.status.why_not_ready == with_counts_of(alone, [remembered(alone)]).status.why_not_ready
    assert found.measured.workers == alone.measured.workers
    assert found.process == {"process_cpu_seconds": 4.0, "process_open_fds": 7.0}


def status(**values: Any) -> ProxyStatus:
    blank = {
        "version": "0", "addresses": (), "uptime": 1.0, "draining": False, "reactor": "", "clusters": (), "tasks": (),
        "refused_logins": {}, "ends": {}, "server_ends": {}, "server_failures": {}, "failed_statements": {},
    }  # fmt: skip
    fields = {field.name: 0 for field in msgspec.structs.fields(ProxyStatus) if field.required}
    return ProxyStatus(**{**fields, **blank, **values})


def test_the_latest_that_anybody_has_seen_is_what_counts() -> None:
    memory = Memory()
    early, late = counted(status(statements=5), turns=10), counted(status(statements=9), turns=20)
    assert memory.see({(0, 1): counted(status()), (1, 4711): early})

    memory.learn([remembered(late)])
    memory.learn([remembered(early)])

    assert [one.records.status.statements for one in memory.without({(0, 1)})] == [9]
    assert memory.without({(0, 1), (1, 4711)}) == []


def test_the_same_workers_are_no_change() -> None:
    memory = Memory()
    now = {(0, 1): counted(status())}

    assert [memory.see(now), memory.see(dict(now)), memory.see({(0, 2): counted(status())})] == [True, False, True]


@given(st.integers(1, 100))
def test_only_so_many_lives_are_remembered(lives: int) -> None:
    memory = Memory()
    for pid in range(lives):
        memory.see({(0, pid): counted(status())})

    kept = memory.without(())
    assert [one.pid for one in kept] == list(range(lives))[-32:]
