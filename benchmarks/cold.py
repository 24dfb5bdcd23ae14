"""Statements that nothing is known of: the grammar, the questions about the table, the decision."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pymysql
import trio

from benchmarks.canned import open_canned
from benchmarks.canned_answers import PARTS
from benchmarks.contenders import DIRECT, ODP_TRIO, Backend, open_contender
from benchmarks.figures import Sample, Skipped
from benchmarks.live import open_live
from benchmarks.scenarios import Plan
from benchmarks.session import Account, Session, WrongAnswer, check_routed
from odp_trio.catalog import location_queries
from odp_trio.testing.live import KernelUnavailable, kernel_directory
from odp_trio.topology.location import TableKey

_PARTED: Final = f"{PARTS} partitions"
_KINDS: Final = {"one partition": "", _PARTED: f" partition by hash(id) partitions {PARTS}"}
_WARM_UP: Final = 10
"""Tables that open the server sessions and the proxy's own, and are not counted."""
_REPEATS: Final = 5


async def measure(plan: Plan, log_dir: Path) -> tuple[list[Sample], list[Skipped]]:
    """Ask each table for the first time, before the canned server and before a kernel."""
    samples: list[Sample] = []
    async with open_canned(log_dir) as backend:
        for _ in range(plan.rounds):
            for kind, name in (("one partition", "whole"), (_PARTED, "parted")):
                tables = [f"{name}{number}" for number in range(_WARM_UP + plan.cold_tables)]
                samples += await _first_and_again("cold, canned server", kind, backend, tables)
    try:
        kernel_directory()
    except KernelUnavailable as exc:
        return samples, [Skipped("cold, kernel", str(exc))]
    async with open_live(log_dir, 1) as backend:
        made = await trio.to_thread.run_sync(_make, backend.account, _WARM_UP + plan.cold_tables)
        for kind, tables in made.items():
            await _first_and_again("", kind, backend, tables)  # the kernel's own caches fill
        for _ in range(plan.rounds):
            for kind, tables in made.items():
                samples += await _first_and_again("cold, kernel", kind, backend, tables)
                samples += await trio.to_thread.run_sync(_questions, kind, backend.account, tables)
    return samples, []


def _make(account: Account, count: int) -> dict[str, list[str]]:
    """Create the tables of each kind."""
    made: dict[str, list[str]] = {}
    with closing(_connect(account)) as connection, connection.cursor() as cursor:
        for at, (kind, clause) in enumerate(_KINDS.items()):
            made[kind] = [f"cold{at}_{number}" for number in range(count)]
            for table in made[kind]:
                cursor.execute(f"create table {table} (id int primary key, c int){clause}")
                cursor.execute(f"insert into {table} values (1, 1)")
    return made


def _connect(account: Account, database: str = "") -> pymysql.connections.Connection:
    return pymysql.connect(
        host=account.host, port=account.port, user=account.user, password=account.password,
        database=database or account.database, autocommit=True,
    )  # fmt: skip


async def _first_and_again(scenario: str, kind: str, backend: Backend, tables: Sequence[str]) -> list[Sample]:
    """Ask through a new proxy: what the first statement on a table takes longer than the same one again."""
    async with open_contender(ODP_TRIO, backend) as proxy:
        firsts, agains = await trio.to_thread.run_sync(_ask, proxy.account, tables)
    more = statistics.median(first - again for first, again in zip(firsts, agains, strict=True))
    return [
        Sample(scenario, f"{kind}: first statement", "ms", ODP_TRIO, statistics.median(firsts)),
        Sample(scenario, f"{kind}: the same again", "ms", ODP_TRIO, statistics.median(agains)),
        Sample(scenario, f"{kind}: the difference", "ms", ODP_TRIO, more),
    ]


def _ask(account: Account, tables: Sequence[str]) -> tuple[list[float], list[float]]:
    """Return, in ms, how long the first statement on each table took, and the same one later."""
    session = Session(account)
    firsts, agains = [], []
    try:
        for number, table in enumerate(tables):
            sql = f"select c from {table} where id=1"
            times = [_timed(session, sql) for _ in range(1 + _REPEATS)]
            if number >= _WARM_UP:
                firsts.append(times[0])
                agains.append(statistics.median(times[1:]))
        check_routed(session, f"select c from {tables[-1]} where id=1")
    finally:
        session.close()
    return firsts, agains


def _timed(session: Session, sql: str) -> float:
    begun = time.perf_counter_ns()
    if len(session.ask(sql).values) != 1:
        raise WrongAnswer(f"{sql!r} was not answered with one row")
    return (time.perf_counter_ns() - begun) / 1e6


def _questions(kind: str, account: Account, tables: Sequence[str]) -> list[Sample]:
    """Ask the kernel what a proxy asks it about a table: the part of the time that is not the proxy's.

    Of two questions that a proxy asks at a time only the slower one counts.
    """
    totals = []
    with closing(_connect(account, "oceanbase")) as connection, connection.cursor() as cursor:

        def ask(sql: str) -> tuple[float, Sequence[tuple[Any, ...]], list[str]]:
            begun = time.perf_counter_ns()
            cursor.execute(sql)
            rows = cursor.fetchall()
            return (time.perf_counter_ns() - begun) / 1e6, rows, [column[0] for column in cursor.description]

        for table in tables[_WARM_UP:]:
            key = TableKey("", "sys", account.database, table)
            total, rows, names = ask(location_queries.location(key))
            if kind == _PARTED:
                table_id = rows[0][names.index("table_id")]
                info, _, _ = ask(location_queries.partition_info("sys", table_id))
                listed, rows, names = ask(location_queries.partitions("sys", table_id))
                tablets, _, _ = ask(location_queries.location(key, [row[names.index("tablet_id")] for row in rows]))
                total += max(info, listed) + tablets
            totals.append(total)
    return [Sample("cold, kernel", f"{kind}: the questions alone", "ms", DIRECT, statistics.median(totals))]
