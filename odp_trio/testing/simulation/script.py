"""Faults by seed: what goes wrong, when, and for how long.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

WARM_UP: Final = 60.0
MEAN_PAUSE: Final = 3600.0
"""Seconds between two faults, on average."""

_SHARES: Final = {
    "kill": 5,
    "lose host": 2,
    "freeze": 3,
    "slow": 3,
    "cut answers": 6,
    "refuse logins": 3,
    "fail statements": 3,
    "move leader": 3,
    "add server": 1,
    "drop server": 1,
    "move tenant": 2,
    "config server": 4,
    "crash task": 3,
    "crash session": 2,
    "reload": 2,
    "restart": 2,
    "kill proxy": 1,
}


class Step(msgspec.Struct, frozen=True):
    """One fault.  ``pick`` is a number that chooses among what there is then."""

    at: float
    what: str
    seconds: float
    pick: int

    def __str__(self) -> str:
        return f"{self.at:10.1f} s  {self.what:16s} for {self.seconds:6.1f} s  ({self.pick})"


_EXPLAINED: Final = {
    "kill": 1.0,
    "lose host": 1.0,
    "freeze": 1.0,
    "slow": 0.4,
    "cut answers": 3.0,
    "refuse logins": 2.0,
    "fail statements": 2.0,
    "drop server": 0.6,
    "move tenant": 3.2,
    "crash session": 0.4,
    "restart": 8.0,
    "kill proxy": 2.0,
}
"""How many errors a fault explains, for each client: about twice as many as most that were seen in hundreds of seeds.

Of faults that are not here no client hears anything.
"""
_OUTAGES: Final = ("kill", "lose host", "freeze", "slow", "drop server", "move tenant")
"""Two of these at a time may leave a tenant without a server."""
_PER_SECOND: Final = 0.5
"""Errors for each client meanwhile: so often it tries to log in."""
_STARTS: Final = ("restart", "kill proxy")


def explained(steps: Sequence[Step], clients: int) -> float:
    """Return of how many errors clients may be told because of these faults, since all was well."""
    kinds = {step.what for step in steps}
    if "config server" in kinds and not kinds.isdisjoint(_STARTS):
        return math.inf  # a proxy that begins without it knows no server
    errors = sum(_EXPLAINED.get(step.what, 0) for step in steps)
    outages = [step.seconds for step in steps if step.what in _OUTAGES]
    return round(clients * (errors + (_PER_SECOND * sum(outages) if len(outages) > 1 else 0)), 3)


def make_script(rng: Random, hours: float) -> tuple[Step, ...]:
    """Return the faults of so many hours.  Some overlap."""
    names, shares = list(_SHARES), list(_SHARES.values())
    steps: list[Step] = []
    at = WARM_UP + rng.uniform(0, 60)
    while at < hours * 3600 - 600:
        what = rng.choices(names, shares)[0]
        seconds = rng.choice((1.0, 5.0, 20.0, 60.0)) * rng.uniform(0.5, 1.5)
        steps.append(Step(round(at, 3), what, round(seconds, 3), rng.getrandbits(30)))
        at += rng.uniform(0, 30) if rng.random() < 0.25 else rng.expovariate(1 / MEAN_PAUSE)
    return tuple(steps)
