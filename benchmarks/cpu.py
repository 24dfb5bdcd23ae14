"""What the kernel says about a process: its CPU time and its memory.  Linux only."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_CPUCLOCK_SCHED = 2


def cpu_seconds(pid: int) -> float:
    """Return user and system time of all threads of a process, those that have ended too, to the nanosecond.

    Raises OSError when there is no such process.
    """
    # What clock_getcpuclockid(3) returns.
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it, itself first."""
    found = [pid]
    for each in found:
        for thread in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, thread.read_text().split())
            except OSError:  # it has just ended
                continue
    return found


def family_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of all its living descendants."""
    return sum(map(cpu_seconds, family(pid)))


def run_on(pid: int, cpus: Iterable[int]) -> None:
    """Let the main threads of a process and its descendants, and threads that they start later, run on these only."""
    for each in family(pid):
        os.sched_setaffinity(each, cpus)


def family_rss_kib(pid: int) -> int:
    """Return the resident memory of a process and of its descendants in KiB; shared pages count each time."""
    return sum(map(rss_kib, family(pid)))


def rss_kib(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")
