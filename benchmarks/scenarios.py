"""What is measured over any back end, one contender at a time."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from benchmarks.contenders import (
    DIRECT,
    HAPROXY,
    ODP_TRIO,
    ODP_TRIO_2,
    ODP_TRIO_COMPRESSED,
    ODP_TRIO_OB20,
    TRIO_RELAY,
    Backend,
    Contender,
    open_contender,
    start_up_seconds,
)
from benchmarks.cpu import family_rss_kib
from benchmarks.figures import Sample
from benchmarks.load import BigLoad, PointLoad
from benchmarks.processes import idle_sessions, load
from benchmarks.session import WrongAnswer


class Plan(msgspec.Struct, frozen=True):
    """How much of everything: the sizes of a suite."""

    rounds: int
    seconds: float
    """Of each load, after ``warm_up``."""
    warm_up: float
    requests: int
    """A load ends after so many requests even when its time is not over."""
    big_mebibytes: int
    big_repeats: int
    idle_sessions: int
    start_ups: int
    check_big: bool
    table_rows: int
    cold_tables: int
    """So many tables, of each kind, are asked for the first time."""
    parts: tuple[str, ...]
    """What is run unless ``--only`` says otherwise."""
    contenders: tuple[str, ...]
    ways: tuple[str, ...] = ()
    """Other ways of odp_trio, measured on the canned server only."""
    tls: bool = True
    threads: tuple[int, ...] = (1, 4, 16)
    """Of sysbench."""
    workloads: tuple[str, ...] = ("point_select",)
    """Of the part ``live``."""
    prepared: tuple[bool, ...] = (False,)
    """Whether sysbench's statements are prepared: either, or one after the other."""
    offered: tuple[int, ...] = (10, 25, 50, 75, 90)
    """Percent of what odp_trio can do at most, for the open loop."""


_TRIO = (DIRECT, HAPROXY, ODP_TRIO)
_ALL = (DIRECT, HAPROXY, TRIO_RELAY, ODP_TRIO, ODP_TRIO_2)
_WAYS = (ODP_TRIO_OB20, ODP_TRIO_COMPRESSED)
_FIRST_PARTS = ("canned", "live", "micro", "lane", "routing", "cold", "observed")
FIRST = Plan(3, 3.0, 0.5, 10_000_000, 100, 3, 1000, 2, False, 10_000, 100, _FIRST_PARTS, _TRIO, _WAYS)
_MIXES = ("point_select", "read_only", "read_write", "write_only")
SMOKE = Plan(
    rounds=1, seconds=0.2, warm_up=0.05, requests=300, big_mebibytes=4, big_repeats=1, idle_sessions=20, start_ups=1,
    check_big=True, table_rows=100, cold_tables=3, contenders=_ALL, ways=_WAYS, threads=(2,), workloads=_MIXES,
    parts=("canned", "live", "latency", "micro", "lane", "routing", "cold", "observed"),
    prepared=(False, True), offered=(50,),
)  # fmt: skip
FULL = Plan(
    rounds=5, seconds=1.0, warm_up=0.3, requests=10_000_000, big_mebibytes=100, big_repeats=1, idle_sessions=0,
    start_ups=1, check_big=False, table_rows=10_000, cold_tables=100, contenders=_ALL,
    parts=("canned", "live", "read_only", "read_write", "write_only", "latency"), tls=False,
    threads=(1, 4, 8, 16, 32, 128),
    prepared=(False, True), offered=(25, 50, 75, 90),
)  # fmt: skip
SUITES = {"first": FIRST, "smoke": SMOKE, "full": FULL}


async def point_select(
    scenario: str, contender: Contender, backend: Backend, plan: Plan, *, connections: int, sql: str, expect: str
) -> list[Sample]:
    """Ask one small statement again and again."""
    watched = [backend.pid] if contender.pid is None else [backend.pid, contender.pid]
    run = await load(
        PointLoad,
        contender.account,
        f"--sql={sql}",
        f"--expect={expect}",
        f"--connections={connections}",
        f"--seconds={plan.seconds}",
        f"--requests={plan.requests}",
        f"--warm-up={plan.warm_up}",
        *(f"--watch={pid}" for pid in watched),
    )
    return list(_point_samples(f"{scenario}, {counted(connections, 'connection')}", contender.name, run))


def counted(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _point_samples(scenario: str, name: str, run: PointLoad) -> Iterator[Sample]:
    server, *proxy = run.watched_cpu
    if proxy:
        yield Sample(scenario, "proxy CPU", "µs/request", name, proxy[0] / run.requests * 1e6)
    yield Sample(scenario, "server CPU", "µs/request", name, server / run.requests * 1e6)
    yield Sample(scenario, "requests", "1/s", name, run.requests / run.seconds)
    yield Sample(scenario, "latency p50", "µs", name, run.p50_us)
    yield Sample(scenario, "latency p99", "µs", name, run.p99_us)


async def big_result(contender: Contender, plan: Plan, *, sql: str, size: int, checksum: int) -> list[Sample]:
    """Read one big result, ``plan.big_repeats`` times."""
    samples: list[Sample] = []
    watched = [] if contender.pid is None else [contender.pid]
    for _ in range(plan.big_repeats):
        run = await load(
            BigLoad,
            contender.account,
            f"--sql={sql}",
            f"--bytes={size}",
            *(["--check"] if plan.check_big else []),
            *(f"--watch={pid}" for pid in watched),
        )
        if plan.check_big and run.checksum != checksum:
            raise WrongAnswer(f"{contender.name}: a big result came with other bytes than it was sent with")
        scenario = f"{plan.big_mebibytes}-MiB result"
        samples.append(Sample(scenario, "throughput", "MB/s", contender.name, run.bytes / run.seconds / 1e6))
        per_core = (run.bytes / max(cpu, 1e-6) / 1e6 for cpu in run.watched_cpu)
        samples += (Sample(scenario, "per core", "MB/CPU-s", contender.name, value) for value in per_core)
    return samples


async def idle(contender: Contender, backend: Backend, plan: Plan, *, sql: str, expect: str) -> list[Sample]:
    """Weigh logged-in sessions that have asked once and are silent now.

    The proxy is a new process each time: one that has had sessions before has memory left over from them.
    """
    if contender.pid is None or not plan.idle_sessions:
        return []
    asked = (f"--sql={sql}", f"--expect={expect}")
    async with open_contender(contender.name, backend) as fresh:
        assert fresh.pid is not None
        await load(PointLoad, fresh.account, *asked, "--requests=100", "--warm-up=0.1")
        before = family_rss_kib(fresh.pid)
        async with idle_sessions(fresh.account, *asked, f"--connections={plan.idle_sessions}"):
            weight = (family_rss_kib(fresh.pid) - before) / plan.idle_sessions
    scenario = f"{plan.idle_sessions} idle sessions"
    return [Sample(scenario, "memory of the proxy", "KiB/session", contender.name, weight)]


async def start_up(contender: Contender, backend: Backend, plan: Plan) -> list[Sample]:
    """Start another process of the same kind, several times."""
    if contender.pid is None:
        return []
    times = [await start_up_seconds(contender.name, backend) for _ in range(plan.start_ups)]
    return [Sample("start-up", "to the first answer", "ms", contender.name, seconds * 1e3) for seconds in times]
