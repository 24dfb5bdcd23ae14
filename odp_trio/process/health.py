"""Is a child hung, or only busy?  Pure: what was seen goes in, a verdict comes out.

A port that does not greet has three innocent causes: the connection limit is
reached, the proxy drains, its listener is being restarted.  A child says so
over its link, as long as its event loop turns.
"""

from __future__ import annotations

from enum import Enum
from typing import final

import msgspec


class Verdict(Enum):
    """What a probe says of a child."""

    WELL = "well"
    EXCUSED = "excused"
    """The port does not greet, and the child has said why."""
    SICK = "sick"


class Signs(msgspec.Struct, frozen=True):
    """What was seen of a child."""

    greeted: bool
    """The port answered with a MySQL greeting, in time."""
    silence: float
    """Seconds since the child's last beat."""
    accepting: bool
    """Whether that beat said that clients are accepted."""


def judge(signs: Signs, *, silence_limit: float) -> Verdict:
    """Judge by one probe.  A greeting outweighs everything: somebody who answers is not hung."""
    if signs.greeted:
        return Verdict.WELL
    if signs.silence > silence_limit or signs.accepting:
        return Verdict.SICK
    return Verdict.EXCUSED


@final
class Probation:
    """Counts sick verdicts in a row: one may be the probe's own bad luck, or a machine that was paused."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self.failed = 0

    def hung(self, verdict: Verdict) -> bool:
        """Take a verdict; answer whether that is enough."""
        self.failed = self.failed + 1 if verdict is Verdict.SICK else 0
        return self.failed >= self._failures
