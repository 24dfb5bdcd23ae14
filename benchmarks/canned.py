"""The canned server as a back end: what a proxy costs when the server costs nothing."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import msgspec
import trio

from benchmarks import scenarios
from benchmarks.canned_answers import POINT_VALUE, BigResult
from benchmarks.contenders import (
    ODP_TRIO,
    ODP_TRIO_COMPRESSED,
    ODP_TRIO_OB20,
    TLS,
    Backend,
    missing,
    open_contenders,
    open_tls_contender,
)
from benchmarks.figures import Sample
from benchmarks.lateness import lateness
from benchmarks.processes import first_answer, free_port, python, running
from benchmarks.scenarios import Plan
from benchmarks.session import Account, Session, check_routed

_SQL = "select c from sbtest1 where id=5001"
_PREPARED = "select c from sbtest1 where id=?"
_STATEMENTS = {"canned point select": _SQL, "canned point select, prepared": _PREPARED}
_CLUSTER = "canned"
_CONNECTIONS = (1, 16)
_WAYS = (ODP_TRIO_OB20, ODP_TRIO_COMPRESSED)


@asynccontextmanager
async def open_canned(log_dir: Path) -> AsyncIterator[Backend]:
    """Run the canned server for as long as the block."""
    account = Account(free_port())
    log = log_dir / "canned-server.log"
    command = python("benchmarks.canned_server", str(account.port), "--cluster", _CLUSTER)
    async with running(command, log) as process:
        await first_answer(account, process, log)
        yield Backend(account, _CLUSTER, "any", process.pid, log_dir)


async def measure(plan: Plan, log_dir: Path) -> list[Sample]:
    """Run every scenario on every contender, in turn, as often as the plan says."""
    samples: list[Sample] = []
    async with open_canned(log_dir) as backend, open_contenders(backend, *_WAYS) as contenders:
        size, checksum = expected_big(plan.big_mebibytes)
        await trio.to_thread.run_sync(_check, next(one.account for one in contenders if one.name == ODP_TRIO))
        once = [contender for contender in contenders if contender.name not in _WAYS]
        for _ in range(plan.rounds):
            for (scenario, sql), connections in product(_STATEMENTS.items(), _CONNECTIONS):
                for contender in contenders:
                    samples += await scenarios.point_select(
                        scenario, contender, backend, plan, connections=connections, sql=sql, expect=POINT_VALUE
                    )
            for contender in contenders:
                samples += await scenarios.big_result(
                    contender, plan, sql=f"select {plan.big_mebibytes} big", size=size, checksum=checksum
                )
            for contender in once:
                samples += await scenarios.idle(contender, backend, plan, sql=_SQL, expect=POINT_VALUE)
        for contender in once:
            samples += await scenarios.start_up(contender, backend, plan)
        if TLS not in {skipped.what for skipped in missing()}:
            samples += await _measure_tls(plan, backend)
        samples += await lateness(backend, plan, sql=_SQL, expect=POINT_VALUE)
    return samples


async def _measure_tls(plan: Plan, backend: Backend) -> list[Sample]:
    """Ask the same by TLS; the server is met in plain text."""
    samples: list[Sample] = []
    size, checksum = expected_big(plan.big_mebibytes)
    async with open_tls_contender(backend) as contender:
        for _, ((scenario, sql), connections) in product(
            range(plan.rounds), product(_STATEMENTS.items(), _CONNECTIONS)
        ):
            samples += await scenarios.point_select(
                f"{scenario}, TLS", contender, backend, plan, connections=connections, sql=sql, expect=POINT_VALUE
            )
        samples += [
            msgspec.structs.replace(sample, scenario=f"{sample.scenario}, TLS")
            for sample in await scenarios.big_result(
                contender, plan, sql=f"select {plan.big_mebibytes} big", size=size, checksum=checksum
            )
        ]
    return samples


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
