"""How the kernel schedules this process among others.

Linux: sched(7).  A process of SCHED_BATCH gets as much of a processor as any other, but does not take it from who
runs when something arrives for it.  So more has arrived when its turn comes, and it wakes up less often.
"""

from __future__ import annotations

import logging
import os
from typing import Final

log = logging.getLogger("odp_trio")

_POLICIES: Final = {"batch": os.SCHED_BATCH, "other": os.SCHED_OTHER}


def schedule_as(name: str) -> None:
    """Have the calling thread, and those that it starts from now on, be scheduled as ``cpu_scheduling_policy`` says.

    Where somebody has chosen another policy for this process (idle, or one of real time), that stays.  Where the
    system does not allow it a line of the log says so, and everything goes on as it was.
    """
    wanted = _POLICIES[name]
    try:
        now = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
        if now != wanted and now in _POLICIES.values():
            os.sched_setscheduler(0, wanted, os.sched_param(0))
    except OSError as exc:
        log.info("cpu_scheduling_policy: %s is not allowed here: %s", name, exc.strerror)
