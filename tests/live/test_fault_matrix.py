"""The fault matrix in short: every fault under load, no write lost, none run twice."""

from __future__ import annotations

import pytest
import trio

from odp_trio.testing.ledger import Fate
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.matrix.fault import Bounds, Fault, World, nothing
from odp_trio.testing.matrix.row import markdown, violations
from odp_trio.testing.matrix.run import SHORT, Phases, faults, run_fault

SECRET = "s3cret"
"""Part of the config server's URL, which nobody may be told."""
FAULTS = {fault.name: fault for fault in faults()}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_loses_no_write_and_runs_none_twice(kernel: KernelProcess, name: str) -> None:
    fault = FAULTS[name]

    row = await run_fault(fault, kernel, SHORT)

    assert violations(fault, row) == []
    assert row.audit.acknowledged > 0
    assert f"| {name} |" in markdown([row])
    assert SECRET not in str(row)


async def test_the_matrix_finds_what_it_is_there_to_find(kernel: KernelProcess) -> None:
    """A write that is lost, one that runs twice, one that was rolled back and is there, and a wrong answer to a read."""

    async def plant(world: World) -> None:
        table, ledger = f"{world.load.plan.database}.writes", world.load.ledger
        with trio.fail_after(60):  # a busy machine
            while sum(ledger.fate(number) is Fate.FAILED for number in ledger) < 10:  # noqa: ASYNC110
                await trio.sleep(0.1)
        numbers = tuple(ledger)[: len(ledger) // 2]
        acknowledged = [number for number in numbers if ledger.fate(number) is Fate.ACKNOWLEDGED]
        rolled_back = next(number for number in ledger if ledger.fate(number) is Fate.FAILED)
        for client, sequence in acknowledged[:10]:  # one of them will be read
            await world.bed.query(f"delete from {table} where client = {client} and seq = {sequence}")
        client, sequence = acknowledged[-1]
        await world.bed.query(f"insert into {table} select * from {table} where client = {client} and seq = {sequence}")
        await world.bed.query(f"insert into {table} values(0, {rolled_back[0]}, {rolled_back[1]})")

    fault = Fault(name="planted", sees="", begin=plant, end=nothing, bounds=Bounds())

    row = await run_fault(fault, kernel, Phases(1.5, 1.0, 0.1))

    assert len(row.audit.lost) == 10
    assert len(row.audit.doubled) == len(row.audit.undead) == 1
    assert row.wrong
    told = violations(fault, row)
    assert "10 acknowledged and lost" in told[0]
    assert "reads were answered wrongly" in told[1]
