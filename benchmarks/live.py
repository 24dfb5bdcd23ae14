"""An OceanBase kernel as a back end, loaded by sysbench where that is installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import product
from pathlib import Path

import msgspec
import trio

from benchmarks import scenarios
from benchmarks.contenders import Backend, Contender, open_contenders
from benchmarks.cpu import family_cpu_seconds
from benchmarks.figures import Sample, Skipped
from benchmarks.processes import Failed, output_of
from benchmarks.rounds import Measured, Round, Run, rotated
from benchmarks.scenarios import Plan
from benchmarks.session import Account, WrongAnswer, ask_once
from odp_trio.testing.bed import template
from odp_trio.testing.live import KernelProcess, kernel_directory, open_kernel
from odp_trio.testing.topology import APP_PASSWORD, APP_USER, PROXYRO_PASSWORD, Node, reset_statements

_CLUSTER = "bench"
_DATABASE = "sbtest"
_BATCH = 1000


@asynccontextmanager
async def opened(run: Run) -> AsyncIterator[Round]:
    """Start a kernel and everybody; each round loads it with point selects through every contender in turn."""
    plan = run.plan
    kernel_directory()
    sysbench = shutil.which("sysbench") is not None
    skipped = [] if sysbench else [Skipped("sysbench", "not installed (Debian package: sysbench); our own load client")]
    run.tell("starting the kernel")
    async with open_live(run.logs, plan.table_rows) as backend, open_contenders(backend, plan.contenders) as contenders:
        for contender in contenders:
            await check(contender, plan.table_rows)
        # A kernel is busy with itself for some seconds after its start: a first load that is not counted.
        await _load(
            contenders[0], backend, msgspec.structs.replace(plan, seconds=plan.seconds * 3), 4, sysbench=sysbench
        )

        async def one_round(number: int) -> Measured:
            samples: list[Sample] = []
            for threads, contender in product(plan.threads, rotated(contenders, number)):
                run.tell(f"point select, {scenarios.counted(threads, 'thread')}: {contender.name}")
                samples += await _load(contender, backend, plan, threads, sysbench=sysbench)
            return samples, skipped

        yield one_round


@asynccontextmanager
async def open_live(log_dir: Path, rows: int) -> AsyncIterator[Backend]:
    """Run a kernel with the table; its topology is itself at three loopback addresses, with nothing in between.

    Raises KernelUnavailable.
    """
    async with open_kernel(None, cluster=_CLUSTER, template=partial(template, _CLUSTER)) as kernel:
        nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
        await kernel.query(*reset_statements(nodes, kernel.port, ("sys",)))
        await trio.to_thread.run_sync(_fill, kernel, rows)
        account = Account(kernel.port, f"{APP_USER}@sys", APP_PASSWORD, _DATABASE)
        yield Backend(account, _CLUSTER, PROXYRO_PASSWORD, kernel.pid, log_dir)


def _fill(kernel: KernelProcess, rows: int) -> None:
    """Create sysbench's table with contents that can be told in advance."""
    kernel.run(
        f"create database {_DATABASE}",
        f"create table {_DATABASE}.sbtest1 (id int not null auto_increment primary key, k int not null default 0,"
        " c char(120) not null default '', pad char(60) not null default '', key k_1 (k))",
    )
    for first in range(1, rows + 1, _BATCH):
        numbers = range(first, min(first + _BATCH, rows + 1))
        values = ",".join(f"({number},{number},'{_value(number)}','pad')" for number in numbers)
        kernel.run(f"insert into {_DATABASE}.sbtest1 values {values}")


async def check(contender: Contender, rows: int) -> None:
    """Ask for one row through a contender; raise WrongAnswer if it is not that of the table."""
    values = await trio.to_thread.run_sync(ask_once, contender.account, _statement(rows))
    if values != (_value(rows // 2),):
        raise WrongAnswer(f"{contender.name}: {_statement(rows)!r} was answered with {values!r}")


def _statement(rows: int) -> str:
    return f"select c from sbtest1 where id={rows // 2}"


def _value(number: int) -> str:
    """Return the 119 characters of column ``c`` in a row."""
    return "-".join(f"{number * 7919 * part % 100_000_000_000:011d}" for part in range(1, 11))


async def _load(contender: Contender, backend: Backend, plan: Plan, threads: int, *, sysbench: bool) -> list[Sample]:
    if sysbench:
        return await _sysbench(contender, backend, plan, threads)
    return await scenarios.point_select(
        "live point select", contender, backend, plan,
        connections=threads, sql=_statement(plan.table_rows), expect=_value(plan.table_rows // 2),
    )  # fmt: skip


async def _sysbench(contender: Contender, backend: Backend, plan: Plan, threads: int) -> list[Sample]:
    watched = [backend.pid] if contender.pid is None else [backend.pid, contender.pid]
    await output_of(_sysbench_command(contender.account, plan, threads, plan.warm_up))
    before = [family_cpu_seconds(pid) for pid in watched]
    out = await output_of(_sysbench_command(contender.account, plan, threads, plan.seconds))
    cpu = [family_cpu_seconds(pid) - then for pid, then in zip(watched, before, strict=True)]
    scenario = f"live sysbench point select, {scenarios.counted(threads, 'thread')}"
    return list(_sysbench_samples(scenario, contender.name, out, cpu))


def _sysbench_command(account: Account, plan: Plan, threads: int, seconds: float) -> list[str]:
    return [
        "sysbench",
        "oltp_point_select",
        "--db-driver=mysql",
        "--db-ps-mode=disable",
        "--mysql-ignore-errors=none",
        f"--mysql-host={account.host}",
        f"--mysql-port={account.port}",
        f"--mysql-user={account.user}",
        f"--mysql-password={account.password}",
        f"--mysql-db={account.database}",
        "--skip-trx=on",
        "--tables=1",
        f"--table-size={plan.table_rows}",
        f"--threads={threads}",
        f"--time={max(1, round(seconds))}",
        f"--events={plan.requests}",
        "--histogram=on",
        "--percentile=99",
        "run",
    ]


def _sysbench_samples(scenario: str, name: str, out: str, cpu: list[float]) -> Iterator[Sample]:
    requests, per_second = _found(r"transactions:\s+(\d+)\s+\(([\d.]+) per sec", out)
    (errors,) = _found(r"ignored errors:\s+(\d+)", out)
    (reconnects,) = _found(r"reconnects:\s+(\d+)", out)
    if errors or reconnects or not requests:
        raise WrongAnswer(f"{name}: sysbench had {errors:.0f} errors and {reconnects:.0f} reconnects: {out}")
    server, *proxy = cpu
    if proxy:
        yield Sample(scenario, "proxy CPU", "µs/request", name, proxy[0] / requests * 1e6)
    yield Sample(scenario, "server CPU", "µs/request", name, server / requests * 1e6)
    yield Sample(scenario, "requests", "1/s", name, per_second)
    histogram = [(float(ms), int(count)) for ms, count in re.findall(r"^\s+([\d.]+) \|\**\s+(\d+)$", out, re.MULTILINE)]
    for share in (50, 99):
        yield Sample(scenario, f"latency p{share}", "µs", name, percentile(histogram, share / 100) * 1e3)


def percentile(histogram: list[tuple[float, int]], share: float) -> float:
    """Return the value below which ``share`` of the counted events lie."""
    wanted = share * sum(count for _, count in histogram)
    for value, count in histogram:
        wanted -= count
        if wanted <= 0:
            return value
    raise Failed("sysbench printed no histogram")


def _found(pattern: str, text: str) -> tuple[float, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise Failed(f"sysbench's output lacks {pattern!r}: {text}")
    return tuple(map(float, match.groups()))
