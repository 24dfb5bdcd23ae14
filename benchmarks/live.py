"""An OceanBase kernel as a back end, loaded by sysbench where that is installed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import msgspec
import trio

from benchmarks import scenarios
from benchmarks.contenders import Backend, Contender, open_contenders
from benchmarks.figures import Sample, Skipped
from benchmarks.rounds import Measured, Round, Run, rotated
from benchmarks.scenarios import Plan
from benchmarks.session import Account, WrongAnswer, ask_once
from benchmarks.sysbench import WRITING, Outcome, percentile, sysbench
from odp_trio.testing.bed import template
from odp_trio.testing.live import KernelProcess, kernel_directory, open_kernel
from odp_trio.testing.topology import APP_PASSWORD, APP_USER, PROXYRO_PASSWORD, Node, reset_statements

_CLUSTER = "bench"
_DATABASE = "sbtest"
_WRITTEN = "sbwritten"
_BATCH = 1000


def loaded_with(*workloads: str) -> Callable[[Run], AbstractAsyncContextManager[Round]]:
    """Return how to open a part that loads a kernel with these workloads, or the plan's if none are named."""

    @asynccontextmanager
    async def opened(run: Run) -> AsyncIterator[Round]:
        plan = msgspec.structs.replace(run.plan, workloads=workloads or run.plan.workloads)
        kernel_directory()
        run.tell("starting the kernel")
        async with (
            open_live(run.logs, plan.table_rows) as backend,
            open_contenders(backend, plan.contenders) as contenders,
        ):
            for contender in contenders:
                await check(contender, plan.table_rows)
            if shutil.which("sysbench") is None:
                yield partial(_own_round, run, backend, contenders)
            else:
                # A kernel is busy with itself for some seconds after its start: a first load that is not counted.
                longer = msgspec.structs.replace(plan, seconds=plan.seconds * 3)
                await _sysbench(contenders[0], backend, longer, 4, plan.workloads[0], prepared=False)
                yield partial(_round, msgspec.structs.replace(run, plan=plan), backend, contenders)

    return opened


async def _round(run: Run, backend: Backend, contenders: Sequence[Contender], number: int) -> Measured:
    plan = run.plan
    samples: list[Sample] = []
    for workload, prepared, threads in product(plan.workloads, plan.prepared, plan.threads):
        for contender in rotated(contenders, number):
            run.tell(f"{_scenario(workload, prepared, threads)}: {contender.name}")
            samples += await _sysbench(contender, backend, plan, threads, workload, prepared=prepared)
    if set(plan.workloads) & set(WRITING):
        for contender in contenders:
            await _check_written(contender, plan.table_rows)
    return samples, []


async def _own_round(run: Run, backend: Backend, contenders: Sequence[Contender], number: int) -> Measured:
    """Load with point selects by the load client of our own."""
    samples: list[Sample] = []
    for threads, contender in product(run.plan.threads, rotated(contenders, number)):
        run.tell(f"point select, {scenarios.counted(threads, 'connection')}: {contender.name}")
        samples += await _load(contender, backend, run.plan, threads, sysbench=False)
    why_not = Skipped("sysbench", "not installed (Debian package: sysbench); our own load client instead")
    return samples, [why_not]


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
    """Create sysbench's table with contents that can be told in advance, to be read, and another to be written to."""
    for database in (_DATABASE, _WRITTEN):
        kernel.run(
            f"create database {database}",
            f"create table {database}.sbtest1 (id int not null auto_increment primary key, k int not null default 0,"
            " c char(120) not null default '', pad char(60) not null default '', key k_1 (k))",
        )
        for first in range(1, rows + 1, _BATCH):
            numbers = range(first, min(first + _BATCH, rows + 1))
            values = ",".join(f"({number},{number},'{_value(number)}','pad')" for number in numbers)
            kernel.run(f"insert into {database}.sbtest1 values {values}")


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
        return await _sysbench(contender, backend, plan, threads, prepared=False)
    return await scenarios.point_select(
        "live point select", contender, backend, plan,
        connections=threads, sql=_statement(plan.table_rows), expect=_value(plan.table_rows // 2),
    )  # fmt: skip


async def _sysbench(
    contender: Contender, backend: Backend, plan: Plan, threads: int, workload: str = "point_select", *, prepared: bool
) -> list[Sample]:
    account = replace(contender.account, database=_WRITTEN if workload in WRITING else _DATABASE)
    found = await sysbench(
        account, workload, threads=threads, rows=plan.table_rows, seconds=plan.seconds, requests=plan.requests,
        prepared=prepared, watched=[backend.pid] if contender.pid is None else [backend.pid, contender.pid],
    )  # fmt: skip
    return list(_samples(_scenario(workload, prepared, threads), contender.name, found))


def _scenario(workload: str, prepared: bool, threads: int) -> str:
    return f"sysbench {workload}, {'prepared' if prepared else 'text'}, {scenarios.counted(threads, 'thread')}"


def _samples(scenario: str, name: str, found: Outcome) -> Iterator[Sample]:
    server, *proxy = found.cpu
    if proxy:
        yield Sample(scenario, "proxy CPU", "µs/request", name, proxy[0] / found.statements * 1e6)
    yield Sample(scenario, "server CPU", "µs/request", name, server / found.statements * 1e6)
    yield Sample(scenario, "requests", "1/s", name, found.per_second)
    for share in (50, 99):
        yield Sample(
            scenario, f"latency of a transaction p{share}", "µs", name, percentile(found.histogram, share / 100) * 1e3
        )


async def _check_written(contender: Contender, rows: int) -> None:
    """Raise WrongAnswer unless the table that was written to has its rows: what was deleted was inserted again."""
    account = replace(contender.account, database=_WRITTEN)
    values = await trio.to_thread.run_sync(ask_once, account, "select concat(count(*), ' ', sum(id)) from sbtest1")
    if values != (f"{rows} {rows * (rows + 1) // 2}",):
        raise WrongAnswer(f"{contender.name}: the rows of the table that was written to add up to {values!r}")
