"""The invariants: what must hold whatever goes wrong, and when errors are in order."""

from __future__ import annotations

from enum import Enum
from typing import Final, final

import msgspec
import trio

from odp_trio.errors import OdpError
from odp_trio.testing.simulation.script import Step, explained

RECOVERY_SECONDS: Final = 150.0
"""So long after the end of the last fault clients may still be told of errors: T."""


class Rule(Enum):
    """What must hold."""

    TWICE = "no statement runs twice"
    LOST = "no acknowledged write is lost, and none that failed is there"
    WRONG_ANSWER = "no answer goes to the wrong client or the wrong request"
    STATE = "a session's state is what its client set"
    HANG = "no session hangs"
    REASON = "every session ends with a reason, and none by a crash that nobody made"
    BOUNDED = "tables and caches are bounded"
    OPEN = "nothing is left open"
    RECOVERED = f"errors only while a fault is in force or {RECOVERY_SECONDS:g} s after it"
    EXPLAINED = "clients are told of no more errors than the faults explain"
    CRASHED = "the proxy itself goes on"
    ENGINE = "the fake OBServers do what they are for"


class Broken(msgspec.Struct, frozen=True):
    """A rule that broke: when, and how."""

    rule: Rule
    at: float
    detail: str

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.rule.value}: at {self.at:.3f} s: {self.detail}"


class RuleBroken(OdpError):
    """Ends a run."""


@final
class Rules:
    """Takes note of the first rule that breaks, and knows whether something is wrong on purpose."""

    def __init__(self, clients: int) -> None:
        self._clients = clients
        self.broken: Broken | None = None
        self.noticed = trio.Event()
        self._in_force = 0
        self._calm_at = 0.0
        self.errors = 0
        """Errors that clients were told of."""
        self._told = 0
        self._faults: list[Step] = []
        """Since all was well."""

    def begin_fault(self, step: Step) -> None:
        """Something is wrong from now on."""
        if self.calm:
            self._told = 0
            self._faults.clear()
        self._faults.append(step)
        self._in_force += 1

    def end_fault(self) -> None:
        """It is mended."""
        self._in_force -= 1
        self._calm_at = trio.current_time() + RECOVERY_SECONDS

    @property
    def calm(self) -> bool:
        """Whether everything must work."""
        return not self._in_force and trio.current_time() >= self._calm_at

    def check(self, holds: bool, rule: Rule, detail: str) -> None:
        """Note that a rule broke, unless it holds."""
        if not holds and self.broken is None:
            self.broken = Broken(rule, trio.current_time(), detail)
            self.noticed.set()

    def note_error(self, what: str) -> None:
        """A client was told of an error."""
        self.errors += 1
        self._told += 1
        self.check(not self.calm, Rule.RECOVERED, what)
        most = explained(self._faults, self._clients)
        detail = f"error {self._told} since all was well, where faults explain {most:g}: {what}"
        self.check(self._told <= most, Rule.EXPLAINED, detail)
