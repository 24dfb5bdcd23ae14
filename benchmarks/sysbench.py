"""Run sysbench, and read what it says: its workloads, text and prepared, with the CPU time of who is watched."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from benchmarks.cpu import family_cpu_seconds
from benchmarks.processes import Failed
from benchmarks.session import Account, WrongAnswer

_STATEMENTS: Final = {"point_select": 1, "read_only": 16, "read_write": 20, "write_only": 6}
"""Of one transaction."""
WORKLOADS: Final = tuple(_STATEMENTS)
WRITING: Final = ("read_write", "write_only")
_SCRIPT: Final = Path(__file__).with_name("warm.lua")
_WARM: Final = 64
"""Transactions, over all threads, before the clock starts; each thread makes two at least."""
_STARTED: Final = b"Threads started!"
"""Written when all threads have logged in and are warm."""
_TOLERATED: Final = "1213,1205,6002,6005"
"""Errnos of transactions that met each other's locks and are begun again: they are counted."""
_PATIENCE: Final = 60.0


class Outcome(msgspec.Struct, frozen=True):
    """What a load came to; logins and warming up are not counted."""

    transactions: int
    statements: int
    per_second: float
    """Statements."""
    begun_again: int
    """Transactions that were rolled back because of another one's lock."""
    histogram: list[tuple[float, int]]
    """Milliseconds, and how many transactions took about so long."""
    cpu: tuple[float, ...]
    """Seconds of each watched process and its descendants."""


async def sysbench(
    account: Account,
    workload: str,
    *,
    threads: int,
    rows: int,
    seconds: float,
    requests: int,
    prepared: bool,
    watched: Sequence[int],
) -> Outcome:
    """Load for so many seconds, rounded, or until about so many statements were made.

    Raises WrongAnswer when a statement failed, Failed when sysbench itself did.
    """
    command = _command(
        account,
        workload,
        threads=threads,
        rows=rows,
        requests=max(1, requests // _STATEMENTS[workload]),
        prepared=prepared,
    )
    command += [f"--time={max(1, round(seconds))}", "run"]
    environment = {**os.environ, "WORKLOAD": workload, "WARM": str(max(2, min(requests, _WARM // threads)))}
    process = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert process.stdout is not None
    said, before = b"", [0.0] * len(watched)
    waiting = True
    try:
        with trio.fail_after(seconds + _PATIENCE):
            async for chunk in process.stdout:
                said += chunk
                if waiting and _STARTED in said:
                    waiting = False
                    before = [family_cpu_seconds(pid) for pid in watched]
            cpu = [family_cpu_seconds(pid) - then for pid, then in zip(watched, before, strict=True)]
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    out = said.decode()
    if status or waiting:
        raise (WrongAnswer if "error" in out else Failed)(
            f"sysbench {workload} ended with status {status}: {out[-800:]}"
        )
    return _outcome(workload, out, tuple(cpu))


def _command(account: Account, workload: str, *, threads: int, rows: int, requests: int, prepared: bool) -> list[str]:
    return [
        "sysbench",
        str(_SCRIPT),
        "--db-driver=mysql",
        f"--db-ps-mode={'auto' if prepared else 'disable'}",
        f"--mysql-ignore-errors={_TOLERATED}",
        f"--mysql-host={account.host}",
        f"--mysql-port={account.port}",
        f"--mysql-user={account.user}",
        f"--mysql-password={account.password}",
        f"--mysql-db={account.database}",
        *(["--skip-trx=on"] if workload == "point_select" else []),
        "--tables=1",
        f"--table-size={rows}",
        "--rand-type=uniform",
        f"--threads={threads}",
        f"--events={requests}",
        "--histogram=on",
        "--percentile=99",
    ]


def _outcome(workload: str, out: str, cpu: tuple[float, ...]) -> Outcome:
    (transactions,) = _found(r"transactions:\s+(\d+)", out)
    (seconds,) = _found(r"total time:\s+([\d.]+)s", out)
    (errors,) = _found(r"ignored errors:\s+(\d+)", out)
    (reconnects,) = _found(r"reconnects:\s+(\d+)", out)
    if reconnects or not transactions or (errors and workload in ("point_select", "read_only")):
        raise WrongAnswer(f"sysbench {workload} had {errors:.0f} errors and {reconnects:.0f} reconnects: {out}")
    histogram = [(float(ms), int(count)) for ms, count in re.findall(r"^\s+([\d.]+) \|\**\s+(\d+)$", out, re.MULTILINE)]
    statements = transactions * _STATEMENTS[workload]
    return Outcome(int(transactions), int(statements), statements / seconds, int(errors), histogram, cpu)


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
