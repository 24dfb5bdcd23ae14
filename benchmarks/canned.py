"""The canned server as a back end: what a proxy costs when the server costs nothing."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path

import msgspec
import trio

from benchmarks import scenarios
from benchmarks.canned_answers import POINT_VALUE, BigResult
from benchmarks.contenders import (
    ODP_TRIO,
    TLS,
    Backend,
    Contender,
    missing,
    open_contenders,
    open_tls_contender,
)
from benchmarks.figures import Sample
from benchmarks.lateness import lateness
from benchmarks.processes import first_answer, free_port, python, running
from benchmarks.rounds import Measured, Round, Run, rotated
from benchmarks.scenarios import counted
from benchmarks.session import Account, Session, check_routed

_SQL = "select c from sbtest1 where id=5001"
_PREPARED = "select c from sbtest1 where id=?"
_STATEMENTS = {"canned point select": _SQL, "canned point select, prepared": _PREPARED}
_CLUSTER = "canned"
_CONNECTIONS = (1, 16)


@asynccontextmanager
async def open_canned(log_dir: Path) -> AsyncIterator[Backend]:
    """Run the canned server for as long as the block."""
    account = Account(free_port())
    log = log_dir / "canned-server.log"
    command = python("benchmarks.canned_server", str(account.port), "--cluster", _CLUSTER)
    async with running(command, log) as process:
        await first_answer(account, process, log)
        yield Backend(account, _CLUSTER, "any", process.pid, log_dir)


@asynccontextmanager
async def opened(run: Run) -> AsyncIterator[Round]:
    """Start everybody; each round measures every scenario on every contender in turn."""
    plan = run.plan
    async with (
        open_canned(run.logs) as backend,
        open_contenders(backend, (*plan.contenders, *plan.ways)) as contenders,
        AsyncExitStack() as stack,
    ):
        for contender in contenders:
            if contender.name.startswith(ODP_TRIO) and not contender.account.compressed:
                await trio.to_thread.run_sync(_check, contender.account)
        with_tls = None
        if plan.tls and TLS not in {skipped.what for skipped in missing()}:
            with_tls = await stack.enter_async_context(open_tls_contender(backend))

        async def one_round(number: int) -> Measured:
            samples = await _measure(run, backend, rotated(contenders, number))
            if with_tls is not None:
                samples += await _measure_tls(run, backend, with_tls)
            run.tell("100-ms timer")
            return samples + await lateness(backend, plan, sql=_SQL, expect=POINT_VALUE), []

        yield one_round


async def _measure(run: Run, backend: Backend, contenders: Sequence[Contender]) -> list[Sample]:
    plan = run.plan
    samples: list[Sample] = []
    size, checksum = expected_big(plan.big_mebibytes)
    once = [contender for contender in contenders if contender.name not in plan.ways]
    for ((scenario, sql), connections), contender in product(product(_STATEMENTS.items(), _CONNECTIONS), contenders):
        run.tell(f"{scenario}, {counted(connections, 'connection')}: {contender.name}")
        samples += await scenarios.point_select(
            scenario, contender, backend, plan, connections=connections, sql=sql, expect=POINT_VALUE
        )
    for contender in contenders:
        run.tell(f"big result: {contender.name}")
        samples += await scenarios.big_result(
            contender, plan, sql=f"select {plan.big_mebibytes} big", size=size, checksum=checksum
        )
    for contender in once:
        run.tell(f"idle sessions, start-up: {contender.name}")
        samples += await scenarios.idle(contender, backend, plan, sql=_SQL, expect=POINT_VALUE)
        samples += await scenarios.start_up(contender, backend, plan)
    return samples


async def _measure_tls(run: Run, backend: Backend, contender: Contender) -> list[Sample]:
    """Ask the same by TLS; the server is met in plain text."""
    plan = run.plan
    samples: list[Sample] = []
    size, checksum = expected_big(plan.big_mebibytes)
    for (scenario, sql), connections in product(_STATEMENTS.items(), _CONNECTIONS):
        run.tell(f"{scenario}, TLS, {counted(connections, 'connection')}")
        samples += await scenarios.point_select(
            f"{scenario}, TLS", contender, backend, plan, connections=connections, sql=sql, expect=POINT_VALUE
        )
    return samples + [
        msgspec.structs.replace(sample, scenario=f"{sample.scenario}, TLS")
        for sample in await scenarios.big_result(
            contender, plan, sql=f"select {plan.big_mebibytes} big", size=size, checksum=checksum
        )
    ]


def _check(account: Account) -> None:
    session = Session(account)
    try:
        check_routed(session, _SQL)
    finally:
        session.close()


def expected_big(mebibytes: int) -> tuple[int, int]:
    """Return length and Adler-32 of a big result as a client gets it."""
    big = BigResult(proxy=False)
    checksum, size = zlib.adler32(big.head), len(big.head)
    for _ in range(big.blocks(mebibytes)):
        checksum, size = zlib.adler32(big.block, checksum), size + len(big.block)
    return size + len(big.tail), zlib.adler32(big.tail, checksum)
