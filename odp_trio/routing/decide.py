"""Asking the rules: for a statement that is to be sent, or for a person who wants to know why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from odp_trio.model import Address
from odp_trio.routing.consistency import choose_policy, why_consistency
from odp_trio.routing.locate import key_operands
from odp_trio.routing.located import Located
from odp_trio.routing.request import Decision, Lookup, Refuse, Route, RouteRequest
from odp_trio.routing.rules import RULES, Rule
from odp_trio.routing.view import View
from odp_trio.sql.facts import Literal
from odp_trio.topology.tenant import EntryState

_SHOWN: Final = 60


def decide(request: RouteRequest, view: View, rules: tuple[Rule, ...] = RULES) -> Decision:
    """Return the first answer of the rules."""
    for rule in rules:
        answer = rule(request, view)
        if answer is not None:
            return answer
    raise AssertionError("the last rule always answers")


def order(request: RouteRequest, view: View, rules: tuple[Rule, ...] = RULES) -> Iterator[Address]:
    """Yield the servers that the rules name, each refused when the next is asked for; raise if they name none."""
    refused: tuple[Address, ...] = ()
    for _ in range(len(view.servers) + len(view.tenant_servers) + 1):
        request.refused = refused
        answer = decide(request, view, rules)
        if not isinstance(answer, Route):
            if isinstance(answer, Refuse) and not refused:
                raise answer.error
            return
        yield answer.server
        refused += (answer.server,)


class Partitioned(msgspec.Struct, frozen=True):
    """The partition of a statement; without a name the reason why there is none."""

    name: str | None
    tablet_id: int | None
    reason: str = ""


class Considered(msgspec.Struct, frozen=True):
    """A server that might have been chosen: its letters, and why it was refused."""

    server: str
    letters: str
    refused: str = ""


class Step(msgspec.Struct, frozen=True):
    """A rule that was asked."""

    rule: str
    says: str
    """What the rule does."""
    answered: bool


class Opinion(msgspec.Struct, frozen=True):
    """What a rule in shadow mode would have done; without a server it would have left the statement to others."""

    rule: str
    says: str
    server: str | None
    agrees: bool = True
    reason: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """Where a statement goes, and why."""

    kind: str
    tables: tuple[str, ...]
    consistency: str
    consistency_reason: str
    partition: Partitioned | None
    """None for a table that is not partitioned, or no table."""
    reason: str
    """Why there is no location; empty when there is one."""
    rule: str
    policy: str
    tier: str
    server: str | None
    error: str
    leader: str | None
    dirty: bool
    candidates: tuple[Considered, ...]
    steps: tuple[Step, ...]
    sent_first: str = ""
    """The BEGIN that is held: the server gets it before the statement."""
    key: tuple[str, ...] = ()
    """Values of the partition key, as the text has them."""
    hints: tuple[tuple[str, str], ...] = ()
    """Hints, and why they are ignored."""
    parsed_by: str = ""
    why_not_parsed: str = ""
    routed: int = 0
    missed: int = 0
    not_computable: int = 0
    shadows: tuple[Opinion, ...] = ()
    """What rules in shadow mode say."""


def explain(request: RouteRequest, view: View, rules: tuple[Rule, ...] = RULES) -> Explanation | Lookup:
    """Ask the same rules as ``decide`` and keep what they say.  A Lookup must be done first."""
    steps: list[Step] = []
    answer: Decision | None = None
    # Rules before the location do not ask for it: what they leave over from the statement before is not shown.
    request.entry = request.location = request.located = None
    request.reason, request.weak = "", False
    for rule in rules:
        answer = rule(request, view)
        if isinstance(answer, Lookup):
            return answer
        steps.append(Step(rule_name(rule), _first_line(rule), answer is not None))
        if answer is not None:
            break
    assert isinstance(answer, Route | Refuse)
    if not any(step.rule == "location" for step in steps):
        lookup = _locate_all_the_same(request, view, rules)
        if lookup is not None:
            return lookup
    return _explanation(request, view, answer, tuple(steps))


def rule_name(rule: Rule) -> str:
    """Return the name of a rule, as metrics and explanations have it."""
    return getattr(rule, "__name__", type(rule).__name__)


def _first_line(rule: Callable[..., object]) -> str:
    return (rule.__doc__ or "").strip().split("\n")[0]


def _locate_all_the_same(request: RouteRequest, view: View, rules: tuple[Rule, ...]) -> Lookup | None:
    """A rule decided before the location was asked for; show the location nevertheless."""
    for rule in rules:
        if rule_name(rule) == "location":
            answer = rule(request, view)
            return answer if isinstance(answer, Lookup) else None
    return None


def _explanation(request: RouteRequest, view: View, answer: Route | Refuse, steps: tuple[Step, ...]) -> Explanation:
    facts, entry, location = request.shape.facts, request.entry, request.location
    route = answer if isinstance(answer, Route) else None
    return Explanation(
        kind=f"explain {facts.kind.value}" if facts.explain else facts.kind.value,
        tables=tuple(f"{table.database}.{table.name}" if table.database else table.name for table in facts.tables),
        consistency="weak" if request.weak else "strong",
        consistency_reason=why_consistency(request, view),
        partition=_partition(request),
        reason="" if location is not None else request.reason,
        rule=answer.rule or steps[-1].rule,
        policy=(route.policy if route else "") or choose_policy(request, view),
        tier=route.letters if route else "",
        server=str(route.server) if route else None,
        error="" if isinstance(answer, Route) else str(answer.error),
        leader=str(location.leader) if location is not None and location.leader is not None else None,
        dirty=location is not None and EntryState.DIRTY in (location.state, location.table.state),
        candidates=_considered(request, view),
        steps=steps,
        sent_first=request.state.held_begin.decode("utf-8", "replace"),
        key=tuple(_key_values(request)),
        hints=tuple((hint.text, hint.ignored) for hint in facts.hints),
        parsed_by=facts.by,
        why_not_parsed=facts.why,
        routed=location.routed if location is not None else 0,
        missed=location.missed if location is not None else 0,
        not_computable=entry.not_computable if entry is not None else 0,
    )


def _partition(request: RouteRequest) -> Partitioned | None:
    entry = request.entry
    if entry is None or entry.partitioning is None:
        return None
    located = request.located
    if isinstance(located, Located) and len(located.partitions) == 1:
        return Partitioned(located.partitions[0].name, located.partitions[0].tablet_id)
    return Partitioned(None, None, request.reason)


def _considered(request: RouteRequest, view: View) -> tuple[Considered, ...]:
    candidates = view.candidates(request.location, request.state.idc)
    return tuple(
        Considered(str(candidate.address), candidate.letters, _refusal(candidate.address, request, view))
        for candidate in candidates
    )


def _refusal(address: Address, request: RouteRequest, view: View) -> str:
    if address in request.refused:
        return "tried in vain by this statement"
    return view.why_out(address)


def _key_values(request: RouteRequest) -> Iterable[str]:
    """Show the values that decide; long ones are cut."""
    literals, parameters = request.values.literals, request.values.parameters or ()
    for operand in key_operands(request.shape)[:16]:
        if isinstance(operand, Literal):
            raw = literals[operand.slot] if operand.slot < len(literals) else b"?"
            text = ("-" if operand.negative else "") + raw.decode("utf-8", "replace")
        else:
            known = operand.index < len(parameters)
            text = repr(parameters[operand.index]) if known else f"parameter {operand.index}"
        yield text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
