"""What the kernel says about a process: its CPU time and its memory.  Linux only."""

from __future__ import annotations

import time
from pathlib import Path

_CPUCLOCK_SCHED = 2


def cpu_seconds(pid: int) -> float:
    """Return user and system time of all threads of a process, those that have ended too, to the nanosecond.

    Raises OSError when there is no such process.
    """
    # What clock_getcpuclockid(3) returns.
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def rss_kib(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")
