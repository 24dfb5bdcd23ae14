"""Routing rules of one's own: functions of users, asked among ours.

Such a function gets a read-only request and the view, and answers a Choice, or
None to leave the statement to the rules behind it.  It is asked once the
location is known, and never about what binds a statement to a server session:
an open transaction stays where it is, whatever a rule says.

A rule that raises is disabled at once, one that overruns its budget too often
a little later; the statement is then routed as if the rule were not there.
"""

# Pure: the clock and the alarm are handed in.  An answer is cached under everything
# that the function can read but values; reading those keeps an answer from the cache.

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, final

import msgspec

from odp_trio.model import Address
from odp_trio.routing.choice import Choice, RuleRequest, cache_key, what_is_wrong
from odp_trio.routing.decide import Explanation, Opinion, decide, explain, rule_name
from odp_trio.routing.locate import location_of
from odp_trio.routing.request import NO_TEXT, Decision, Lookup, Route, RouteRequest
from odp_trio.routing.rules import RULES, Rule
from odp_trio.routing.view import View
from odp_trio.topology.location import Location
from odp_trio.topology.tenant import EntryState

__all__ = [
    "Choice",
    "Mode",
    "OwnRule",
    "RuleRequest",
    "RuleSet",
    "decider",
    "explain_with_own_rules",
    "rule_set",
    "with_own_rules",
]

DEFAULT_BUDGET: Final = 200e-6
DEFAULT_OVERRUNS: Final = 3
WINDOW: Final = 100
"""Calls of which some may overrun: a pause of the garbage collector is not the rule's fault."""
CACHE_LIMIT: Final = 4096

_WINDOW_MASK: Final = (1 << WINDOW) - 1
_NAMES: Final = tuple(rule_name(rule) for rule in RULES)
_PLACE: Final = _NAMES.index("leader")
"""Where own rules stand among ours: behind the location."""
_EARLIER: Final = frozenset(_NAMES[:_PLACE])


class Mode(Enum):
    """What a rule is there for."""

    ACTIVE = "active"
    SHADOW = "shadow"
    """Asked after the decision; its answer is compared and counted, and nothing else."""
    OFF = "off"


Function = Callable[[RuleRequest, View], Choice | None]


@final
class OwnRule:
    """A user's function as a rule, with its budget, its cache and its counters."""

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        clock: Callable[[], int],
        alarm: Callable[[OwnRule, str], None],
        mode: Mode = Mode.ACTIVE,
        budget: float = DEFAULT_BUDGET,
        overruns_allowed: int = DEFAULT_OVERRUNS,
        cache: bool | None = None,
    ) -> None:
        if name in _NAMES or not name:
            raise ValueError(f"{name!r} is the name of a built-in rule" if name else "a rule needs a name")
        self.name = self.__name__ = name
        self.__doc__ = getattr(function, "__doc__", None) or "A rule without a docstring."
        self.function = function
        self.mode = mode
        self.budget = budget
        self.overruns_allowed = overruns_allowed
        """How many of the last WINDOW calls may overrun; one more disables the rule."""
        self.caches = bool(getattr(function, "cache", True)) if cache is None else cache
        self.disabled = ""
        """Why the rule is not asked any more; empty while it is."""
        self.asked = self.answered = self.declined = self.hits = 0
        self.errors = self.overruns = self.agreed = self.disagreed = 0
        self.last_error = ""
        self._clock = clock
        self._alarm = alarm
        self._budget_ns = round(budget * 1e9)
        self._window = 0
        self._epoch = -1
        self._cache: dict[object, tuple[object, Choice | None]] = {}

    @property
    def state(self) -> str:
        """``enabled``, ``disabled`` or ``off``."""
        return "off" if self.mode is Mode.OFF else "disabled" if self.disabled else "enabled"

    def __call__(self, request: RouteRequest, view: View) -> Decision | None:
        """Answer as a rule; None when the rule declines, fails, is disabled, or none of its servers may be used."""
        choice = self.choose(request, view)
        return None if choice is None else self._route(choice, request, view)

    def choose(self, request: RouteRequest, view: View) -> Choice | None:
        """Return the function's valid answer, from the cache if it is there."""
        if self.disabled or self.mode is Mode.OFF or request.shape is NO_TEXT:
            return None
        self.asked += 1
        if not self.caches:
            return self._call(RuleRequest(request, view), request, view)
        if view.epoch != self._epoch or len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
            self._epoch = view.epoch
        key = cache_key(request, view)
        replicas = None if request.location is None else request.location.replicas
        kept = self._cache.get(key)
        if kept is not None and kept[0] is replicas:  # a renewed location has others
            self.hits += 1
            return self._count(kept[1])
        shown = RuleRequest(request, view)
        errors = self.errors
        choice = self._call(shown, request, view)
        if not shown.read_values and self.errors == errors:
            self._cache[key] = (replicas, choice)
        return choice

    def preview(self, request: RouteRequest, view: View) -> tuple[Choice, Route] | None:
        """Return what the rule would do, and why; None when it would leave the statement to others."""
        choice = self.choose(request, view)
        route = None if choice is None else self._route(choice, request, view)
        return None if choice is None or route is None else (choice, route)

    def _call(self, shown: RuleRequest, request: RouteRequest, view: View) -> Choice | None:
        began = self._clock()
        try:
            choice = self.function(shown, view)
        except (Exception, SystemExit) as exc:
            self._fail(f"{type(exc).__name__}: {exc}")
            self._disable(f"it raised {self.last_error}")
            return None
        self._note_time(self._clock() - began)
        wrong = what_is_wrong(choice, request, view)
        if wrong:
            self._fail(wrong)
            return None
        return self._count(choice)

    def _count(self, choice: Choice | None) -> Choice | None:
        if choice is None:
            self.declined += 1
        else:
            self.answered += 1
        return choice

    def _fail(self, why: str) -> None:
        self.errors += 1
        self.last_error = why

    def _note_time(self, elapsed_ns: int) -> None:
        over = elapsed_ns > self._budget_ns
        self._window = (self._window << 1 | over) & _WINDOW_MASK
        if not over:
            return
        self.overruns += 1
        recent = self._window.bit_count()
        if recent > self.overruns_allowed:
            took = f"{elapsed_ns / 1000:.0f} us the last time, {self.budget * 1e6:.0f} us are allowed"
            self._disable(f"it overran its budget in {recent} of its last {WINDOW} calls: {took}")

    def _disable(self, why: str) -> None:
        self.disabled = why
        self._cache.clear()
        self._alarm(self, why)

    def _route(self, choice: Choice, request: RouteRequest, view: View) -> Route | None:
        policy = letters = ""
        address: Address | None
        if choice.policy is not None:
            picked = view.pick(choice.policy, request.location, request.state.idc, request.refused, request.turn)
            if picked is None:
                return None
            policy, letters, address = picked
        else:
            wanted = choice.servers or (choice.server,)
            usable = (item for item in wanted if item is not None and view.usable(item, request.refused))
            address = next(usable, None)
            if address is None:
                return None
        found = request.location
        return Route(
            address,
            self.name,
            policy,
            letters,
            location_of(request),
            request.weak if choice.weak is None else choice.weak,
            found is not None and address == found.leader,
            _dirty(found),
            None if found is None else found.table.tally(self.name),
        )


def with_own_rules(own: Sequence[OwnRule]) -> tuple[Rule, ...]:
    """Return our rules with the active ones of one's own among them: behind the location, before the leader."""
    active = tuple(rule for rule in own if rule.mode is Mode.ACTIVE)
    return (*RULES[:_PLACE], *active, *RULES[_PLACE:]) if active else RULES


def decider(own: Sequence[OwnRule]) -> Callable[[RouteRequest, View, tuple[Rule, ...]], Decision]:
    """Return ``decide`` itself, or, when there are shadows, a function like it that asks them afterwards."""
    shadows = _shadows(own)
    if not shadows:
        return decide

    def decide_and_compare(request: RouteRequest, view: View, rules: tuple[Rule, ...] = RULES) -> Decision:
        decision = decide(request, view, rules)
        if isinstance(decision, Lookup) or decision.rule in _EARLIER:
            return decision
        server = decision.server if isinstance(decision, Route) else None
        for rule in shadows:
            found = rule.preview(request, view)
            if found is not None:
                agrees = found[1].server == server
                rule.agreed += agrees
                rule.disagreed += not agrees
        return decision

    return decide_and_compare


def explain_with_own_rules(
    request: RouteRequest, view: View, rules: tuple[Rule, ...], own: Sequence[OwnRule]
) -> Explanation | Lookup:
    """Explain as ``explain`` does, with the reason of the own rule that decided and what the shadows think.

    Functions are asked, and that is counted, as for a statement; agreement is not counted.
    """
    found = explain(request, view, rules)
    if isinstance(found, Lookup) or found.rule in _EARLIER:
        return found
    steps = found.steps
    decided = next((rule for rule in own if rule.name == found.rule), None)
    choice = None if decided is None else decided.choose(request, view)
    if choice is not None and choice.reason:
        steps = (*steps[:-1], msgspec.structs.replace(steps[-1], says=f"{steps[-1].says} {choice.reason}"))
    shadows = tuple(_opinion(rule, request, view, found.server) for rule in _shadows(own))
    return msgspec.structs.replace(found, steps=steps, shadows=shadows)


def _opinion(rule: OwnRule, request: RouteRequest, view: View, decided: str | None) -> Opinion:
    found = rule.preview(request, view)
    says = first_line(rule)
    if found is None:
        return Opinion(rule.name, says, None, reason=f"disabled: {rule.disabled}" if rule.disabled else "")
    choice, route = found
    return Opinion(rule.name, says, str(route.server), str(route.server) == decided, choice.reason)


def _shadows(own: Sequence[OwnRule]) -> tuple[OwnRule, ...]:
    return tuple(rule for rule in own if rule.mode is Mode.SHADOW)


def _dirty(found: Location | None) -> Location | None:
    dirty = found is not None and EntryState.DIRTY in (found.state, found.table.state)
    return found if dirty else None


def first_line(rule: OwnRule) -> str:
    """Return what a rule does, in its own words."""
    return (rule.__doc__ or "").strip().split("\n")[0]


class RuleSet(msgspec.Struct, frozen=True):
    """The rules of a proxy: ours, and those of one's own; made by ``rule_set``."""

    rules: tuple[Rule, ...]
    own: tuple[OwnRule, ...]
    decide: Callable[[RouteRequest, View, tuple[Rule, ...]], Decision]

    def explain(self, request: RouteRequest, view: View) -> Explanation | Lookup:
        """Explain a statement as these rules decide it."""
        return explain_with_own_rules(request, view, self.rules, self.own)


def rule_set(own: Sequence[OwnRule] = ()) -> RuleSet:
    """Return the rules of a proxy that has these rules of its own."""
    return RuleSet(with_own_rules(own), tuple(own), decider(own))
