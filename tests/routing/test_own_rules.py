"""Own rules: where they stand, what they are shown, what disables them, and what shadows may do."""

from __future__ import annotations

import importlib.util
import types
from collections.abc import Callable
from typing import Any, cast

import pytest

from odp_trio.errors import NoReplica
from odp_trio.model import Address, TenantKey
from odp_trio.routing.choice import RuleRequest
from odp_trio.routing.decide import Explanation, decide, explain
from odp_trio.routing.own_rules import (
    CACHE_LIMIT,
    WINDOW,
    Choice,
    Mode,
    OwnRule,
    decider,
    explain_with_own_rules,
    with_own_rules,
)
from odp_trio.routing.request import NO_TEXT, Lookup, Refuse, Route, RouteRequest
from odp_trio.routing.rules import RULES
from odp_trio.routing.values import Values
from odp_trio.routing.view import RouteSettings, View
from odp_trio.sql.facts import (
    Condition,
    Consistency,
    Kind,
    Literal,
    Operator,
    Parameter,
    Shape,
    StatementFacts,
    TableRef,
)
from odp_trio.state.client import ClientState
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey, mark_dirty
from odp_trio.topology.location_table import Locations
from tests.paths import ROOT

A, B, C, STRANGER = (Address(f"10.0.0.{n}", 2881) for n in (1, 2, 3, 9))
OTHER_TENANTS = Address("10.0.0.4", 2881)
KEY = TenantKey("demo", "shop")


class Clock:
    """Nanoseconds; every call of a rule takes ``takes``."""

    def __init__(self) -> None:
        self.now = 0
        self.takes = 0

    def __call__(self) -> int:
        self.now += self.takes
        return self.now


class Bed:
    """A rule, its clock and its alarms; a table ``t`` led by A, with followers B and C."""

    def __init__(self, function: Callable[..., object], **arguments: Any) -> None:
        self.clock = Clock()
        self.alarms: list[tuple[str, str]] = []
        self.locations = Locations()
        self.rule = OwnRule(
            "mine",
            cast("Any", function),
            clock=self.clock,
            alarm=lambda rule, why: self.alarms.append((rule.name, why)),
            **arguments,
        )
        entry = TableEntry(TableKey("demo", "shop", "shop", "t"), 0.0)
        entry.location = self.location = Location(entry, 0, (Replica(A, leader=True), Replica(B), Replica(C)), 0.0)
        self.locations.store(entry)
        self.view = self.make_view()

    def make_view(self, epoch: int = 1, excluded: tuple[Address, ...] = ()) -> View:
        zones = {f"z{n}": Zone(f"z{n}", "ACTIVE", "r", "i", "ReadWrite") for n in (1, 2, 3)}
        placed = {A: "z1", B: "z2", C: "z3", OTHER_TENANTS: "z1"}
        servers = {address: Server(address, zone, ServerState.ACTIVE) for address, zone in placed.items()}
        return View(KEY, epoch, servers, zones, (A, B, C), self.locations, RouteSettings(), "", excluded)

    def decide(self, request: RouteRequest) -> Route:
        answer = decider([self.rule])(request, self.view, with_own_rules([self.rule]))
        assert isinstance(answer, Route)
        return answer

    def explain(self, request: RouteRequest) -> Explanation:
        answer = explain_with_own_rules(request, self.view, with_own_rules([self.rule]), [self.rule])
        assert isinstance(answer, Explanation)
        return answer


def select(table: str = "t", **facts: Any) -> Shape:
    return Shape(StatementFacts(kind=Kind.SELECT, tables=(TableRef(table),), **facts))


SELECT = select()


def request(shape: Shape = SELECT, **state: Any) -> RouteRequest:
    made = RouteRequest(ClientState(database=b"shop", **state), Values())
    made.begin(shape)
    return made


def to_b(request: RuleRequest, view: View) -> Choice:
    """To B.

    Because of this and that.
    """
    return Choice(server=B, reason="B likes it.")


# ---- what a choice does ---------------------------------------------------------------


def test_a_rule_that_names_a_server_beats_the_leader() -> None:
    bed = Bed(to_b)

    route = bed.decide(request())

    assert (route.server, route.rule, route.to_leader, route.weak) == (B, "mine", False, False)
    assert route.location is bed.location
    assert (bed.rule.asked, bed.rule.answered, bed.rule.declined) == (1, 1, 0)


def test_the_leader_by_name_is_still_the_leader() -> None:
    assert Bed(lambda request, view: Choice(server=A)).decide(request()).to_leader


def test_a_rule_that_declines_leaves_the_statement_to_ours() -> None:
    bed = Bed(lambda request, view: None)

    assert bed.decide(request()).rule == "leader"
    assert (bed.rule.asked, bed.rule.answered, bed.rule.declined) == (1, 0, 1)


def test_the_first_usable_server_of_several_is_taken() -> None:
    bed = Bed(lambda request, view: Choice(servers=(C, B)))

    refused = request()
    refused.refused = (C,)

    assert bed.decide(request()).server == C
    assert bed.decide(refused).server == B


def test_a_server_out_of_service_is_not_taken_though_a_rule_says_so() -> None:
    bed = Bed(to_b)
    bed.view = bed.make_view(excluded=(B,))

    assert bed.decide(request()).rule == "leader"


def test_a_policy_chooses_among_the_replicas() -> None:
    bed = Bed(lambda request, view: Choice(policy="FOLLOWER_ONLY", weak=True))

    route = bed.decide(request())

    assert (route.server, route.policy, route.letters, route.weak) == (B, "FOLLOWER_ONLY", "ANPF", True)


def test_a_policy_without_a_location_chooses_among_the_tenants_servers() -> None:
    bed = Bed(lambda request, view: Choice(policy="MERGE_IDC_ORDER"))

    route = bed.decide(request(Shape(StatementFacts(kind=Kind.SELECT))))

    assert (route.rule, route.letters, route.location) == ("mine", "ANT", None)


def test_a_policy_that_admits_no_usable_server_leaves_the_statement_to_ours() -> None:
    bed = Bed(lambda request, view: Choice(policy="ONLY_READONLY_ZONE"))

    assert bed.decide(request()).rule == "leader"


def test_a_dirty_location_is_renewed_though_a_rule_chose() -> None:
    bed = Bed(to_b)
    mark_dirty(bed.location)

    assert bed.decide(request()).renew is bed.location


def test_routes_of_a_rule_are_tallied_under_its_name() -> None:
    bed = Bed(to_b)

    assert bed.decide(request()).tally is bed.location.table.counts["mine"]


# ---- its place ------------------------------------------------------------------------


def test_active_rules_stand_between_the_location_and_the_leader() -> None:
    bed = Bed(to_b)
    names = [getattr(rule, "__name__", "") for rule in with_own_rules([bed.rule])]

    assert names[names.index("mine") - 1 : names.index("mine") + 2] == ["location", "mine", "leader"]
    assert len(names) == len(RULES) + 1


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_rules_that_are_not_active_do_not_stand_among_ours(mode: Mode) -> None:
    assert with_own_rules([Bed(to_b, mode=mode).rule]) is RULES


@pytest.mark.parametrize(
    ("state", "rule"),
    [
        ({"in_transaction": True, "last": C}, "open_transaction"),
        ({"bound": "it has a temporary table", "last": C}, "bound_session"),
        ({"route_address": C}, "route_address"),
    ],
)
def test_what_binds_a_statement_beats_every_own_rule(state: dict[str, Any], rule: str) -> None:
    bed = Bed(to_b)

    route = bed.decide(request(**state))

    assert (route.server, route.rule, bed.rule.asked) == (C, rule, 0)


def test_a_statement_whose_owner_is_known_is_not_for_own_rules() -> None:
    bed = Bed(to_b)
    owned = request()
    owned.owner = C

    assert bed.decide(owned).rule == "statement_owner"
    assert bed.rule.asked == 0


def test_a_rule_is_asked_once_the_location_is_known() -> None:
    bed = Bed(to_b)

    answer = decide(request(select("unknown")), bed.view, with_own_rules([bed.rule]))

    assert isinstance(answer, Lookup)
    assert bed.rule.asked == 0


def test_commands_without_text_are_not_for_own_rules() -> None:
    bed = Bed(to_b)

    assert bed.decide(request(NO_TEXT)).rule == "tenant_server"
    assert bed.rule.asked == 0


def test_the_first_of_two_rules_that_answers_wins() -> None:
    first, second = Bed(lambda request, view: None), Bed(to_b)
    second.rule.name = "second"

    answer = decide(request(), first.view, with_own_rules([first.rule, second.rule]))

    assert isinstance(answer, Route)
    assert answer.rule == "second"


@pytest.mark.parametrize("name", ["leader", "open_transaction", ""])
def test_a_rule_may_not_bear_the_name_of_one_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        OwnRule(name, to_b, clock=Clock(), alarm=lambda rule, why: None)


# ---- what it is shown -----------------------------------------------------------------


def test_a_rule_sees_the_statement_the_session_and_the_location() -> None:
    seen: dict[str, object] = {}

    def look(request: RuleRequest, view: View) -> None:
        for name in ("tables", "tenant", "cluster", "database", "in_transaction", "weak", "leader", "key_values"):
            seen[name] = getattr(request, name)
        seen["replicas"] = [replica.address for replica in request.replicas]
        seen["candidates"] = [(found.address, found.letters) for found in request.candidates]
        seen["kind"] = request.facts.kind

    Bed(look).decide(request(select("T", consistency=Consistency.WEAK)))

    assert seen == {
        "tables": (("shop", "t"),),
        "tenant": "shop",
        "cluster": "demo",
        "database": "shop",
        "in_transaction": False,
        "weak": True,
        "leader": A,
        "key_values": (),
        "replicas": [A, B, C],
        "candidates": [(A, "ANWPLD"), (B, "ANWPF"), (C, "ANWPF")],
        "kind": Kind.SELECT,
    }


def test_without_a_location_there_are_no_replicas() -> None:
    bed = Bed(lambda request, view: Choice(server=B) if not request.replicas and request.leader is None else None)

    assert bed.decide(request(Shape(StatementFacts(kind=Kind.SELECT)))).server == B


def test_a_rule_sees_the_user() -> None:
    named = cast("RouteRequest", types.SimpleNamespace(user="report"))

    assert RuleRequest(named, Bed(to_b).view).user == "report"


def test_a_rule_sees_key_values_as_the_text_has_them_and_parameters_as_values() -> None:
    conditions = (
        Condition("a", Operator.EQ, (Literal(0),)),
        Condition("b", Operator.IN, (Literal(1, negative=True), Literal(7), Parameter(0), Parameter(5))),
    )
    made = request(select(alternatives=(conditions,)))
    made.values.literals = (b"'x'", b"5")
    made.values.parameters = (42,)

    assert RuleRequest(made, Bed(to_b).view).key_values == ("'x'", "-5", None, 42, None)


@pytest.mark.parametrize("name", ["weak", "tables", "user", "invented"])
def test_a_rule_cannot_change_what_it_is_shown(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(RuleRequest(request(), Bed(to_b).view), name, True)


# ---- its cache ------------------------------------------------------------------------


def counting(calls: list[RuleRequest], answer: Choice | None = None) -> Callable[[RuleRequest, View], Choice | None]:
    def function(request: RuleRequest, view: View) -> Choice | None:
        calls.append(request)
        return answer

    return function


@pytest.mark.parametrize("answer", [Choice(server=B), None])
def test_an_answer_is_remembered_for_a_shape(answer: Choice | None) -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls, answer))

    routes = [bed.decide(request()) for _ in range(3)]

    assert len(calls) == 1
    assert routes[0] == routes[1] == routes[2]
    assert (bed.rule.asked, bed.rule.hits, bed.rule.answered + bed.rule.declined) == (3, 2, 3)


def test_another_shape_is_another_question() -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls))

    bed.decide(request(select()))
    bed.decide(request(select()))

    assert len(calls) == 2


@pytest.mark.parametrize("state", [{"idc": "i"}, {"in_transaction": True}, {"read_consistency": 2}])
def test_what_a_rule_can_see_of_the_session_is_part_of_the_question(state: dict[str, Any]) -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls))

    bed.decide(request())
    bed.decide(request(**state))

    assert len(calls) == 2


def test_another_database_is_another_question() -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls))
    shape = Shape(StatementFacts(kind=Kind.SELECT))
    elsewhere = request(shape)
    elsewhere.state.database = b"elsewhere"

    bed.decide(request(shape))
    bed.decide(elsewhere)

    assert len(calls) == 2


def test_a_renewed_location_is_another_question() -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls))

    bed.decide(request())
    bed.location.renew((Replica(A), Replica(B, leader=True), Replica(C)), 1.0)
    bed.decide(request())
    bed.decide(request())

    assert (len(calls), bed.rule.hits) == (2, 1)


def test_a_new_view_is_another_question_and_answers_about_the_old_one_are_let_go() -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls, Choice(server=B)))
    bed.decide(request())

    bed.view = bed.make_view(epoch=2)
    bed.decide(request())

    assert len(calls) == 2
    assert len(bed.rule._cache) == 1


def test_the_cache_is_bounded() -> None:
    calls: list[RuleRequest] = []
    bed = Bed(counting(calls))
    first = select()
    made = request(first)
    bed.decide(made)

    for _ in range(CACHE_LIMIT):
        made.begin(select())
        bed.decide(made)
    made.begin(first)
    bed.decide(made)

    assert len(calls) == CACHE_LIMIT + 2


def test_an_answer_that_depends_on_key_values_is_not_remembered() -> None:
    def by_value(request: RuleRequest, view: View) -> Choice:
        return Choice(server=B if request.key_values == ("1",) else C)

    bed = Bed(by_value)
    shape = select(alternatives=((Condition("a", Operator.EQ, (Literal(0),)),),))
    servers = []
    for value in (b"1", b"2", b"1"):
        made = request(shape)
        made.values.literals = (value,)
        servers.append(bed.decide(made).server)

    assert servers == [B, C, B]
    assert bed.rule.hits == 0


def test_a_rule_may_ask_not_to_be_remembered() -> None:
    calls: list[RuleRequest] = []
    function = counting(calls)
    function.cache = False  # type: ignore[attr-defined]  # what a user writes
    by_attribute, by_argument = Bed(function), Bed(counting(calls), cache=False)

    for bed in (by_attribute, by_argument):
        bed.decide(request())
        bed.decide(request())

    assert len(calls) == 4


# ---- what disables it -----------------------------------------------------------------


def test_a_rule_that_raises_is_disabled_at_once_and_the_statement_goes_on() -> None:
    bed = Bed(lambda request, view: 1 // 0)

    assert [bed.decide(request()).rule for _ in range(3)] == ["leader"] * 3
    assert bed.alarms == [("mine", "it raised ZeroDivisionError: integer division or modulo by zero")]
    assert (bed.rule.state, bed.rule.asked, bed.rule.errors) == ("disabled", 1, 1)
    assert bed.rule.last_error.startswith("ZeroDivisionError")


def test_a_rule_that_wants_to_end_the_process_is_disabled_too() -> None:
    def leave(request: RuleRequest, view: View) -> None:
        raise SystemExit(1)

    bed = Bed(leave)

    assert bed.decide(request()).rule == "leader"
    assert bed.rule.disabled == "it raised SystemExit: 1"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("10.0.0.1:2881", "it answered str, not Choice or None"),
        (Choice(), "a Choice names exactly one of server, servers and policy"),
        (Choice(server=B, policy="FOLLOWER_ONLY"), "a Choice names exactly one of server, servers and policy"),
        (Choice(servers=cast("Any", [B])), "servers must be a tuple, and reason text"),
        (Choice(server=cast("Any", "10.0.0.1:2881")), "'10.0.0.1:2881' is no Address"),
        (Choice(server=STRANGER), "10.0.0.9:2881 is not in cluster 'demo'"),
        (Choice(servers=(B, OTHER_TENANTS)), "10.0.0.4:2881 is not one of tenant 'shop'"),
        (Choice(policy="NEAREST"), "there is no policy 'NEAREST'"),
        (Choice(policy=cast("Any", [])), "there is no policy []"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_and_the_statement_goes_on(answer: object, why: str) -> None:
    bed = Bed(lambda request, view: answer)

    assert bed.decide(request()).rule == "leader"
    assert bed.decide(request()).rule == "leader"
    assert (bed.rule.errors, bed.rule.last_error, bed.rule.state, bed.alarms) == (2, why, "enabled", [])
    assert bed.rule.asked == bed.rule.answered + bed.rule.declined + bed.rule.errors


def test_a_replica_on_a_server_that_is_not_the_tenants_may_be_chosen() -> None:
    bed = Bed(lambda request, view: Choice(server=OTHER_TENANTS))
    bed.location.renew((Replica(A, leader=True), Replica(OTHER_TENANTS)), 1.0)

    assert bed.decide(request()).server == OTHER_TENANTS


def test_a_single_overrun_disables_nothing_and_its_answer_counts() -> None:
    bed = Bed(to_b, cache=False)
    bed.clock.takes = 200_001

    assert bed.decide(request()).server == B
    assert (bed.rule.overruns, bed.rule.state) == (1, "enabled")


def test_exactly_the_budget_is_no_overrun() -> None:
    bed = Bed(to_b, budget=500e-6)
    bed.clock.takes = 500_000

    bed.decide(request())

    assert bed.rule.overruns == 0


def test_more_overruns_than_allowed_disable_a_rule() -> None:
    bed = Bed(to_b, cache=False)
    bed.clock.takes = 1_000_000

    rules = [bed.decide(request()).rule for _ in range(6)]

    assert rules == ["mine"] * 4 + ["leader"] * 2
    assert bed.alarms == [
        (
            "mine",
            "it overran its budget in 4 of its last 100 calls: 1000 us the last time, 200 us are allowed",
        )
    ]


def test_old_overruns_are_forgotten() -> None:
    bed = Bed(to_b, cache=False, overruns_allowed=1)

    for _ in range(5):
        bed.clock.takes = 1_000_000
        bed.decide(request())
        bed.clock.takes = 0
        for _ in range(WINDOW - 1):
            bed.decide(request())

    assert (bed.rule.overruns, bed.rule.state) == (5, "enabled")


def test_answers_from_the_cache_take_no_time() -> None:
    bed = Bed(to_b, overruns_allowed=0)
    bed.decide(request())
    bed.clock.takes = 1_000_000

    bed.decide(request())

    assert (bed.rule.hits, bed.rule.overruns) == (1, 0)


def test_a_rule_that_is_off_is_not_asked() -> None:
    bed = Bed(to_b, mode=Mode.OFF)

    assert bed.decide(request()).rule == "leader"
    assert (bed.rule.state, bed.rule.asked) == ("off", 0)


# ---- shadows --------------------------------------------------------------------------


def test_without_shadows_deciding_is_decide_itself() -> None:
    assert decider([]) is decide
    assert decider([Bed(to_b).rule]) is decide


def test_a_shadow_changes_nothing_and_its_opinion_is_counted() -> None:
    bed = Bed(to_b, mode=Mode.SHADOW)
    agreeing = Bed(lambda request, view: Choice(server=A), mode=Mode.SHADOW)

    assert bed.decide(request()).rule == "leader"
    assert agreeing.decide(request()).rule == "leader"
    assert (bed.rule.agreed, bed.rule.disagreed) == (0, 1)
    assert (agreeing.rule.agreed, agreeing.rule.disagreed) == (1, 0)


def test_a_shadow_that_declines_has_no_opinion() -> None:
    bed = Bed(lambda request, view: None, mode=Mode.SHADOW)
    bed.decide(request())

    assert (bed.rule.agreed, bed.rule.disagreed, bed.rule.declined) == (0, 0, 1)


def test_a_shadow_is_not_asked_where_it_would_not_be_asked_when_active() -> None:
    bed = Bed(to_b, mode=Mode.SHADOW)
    bed.decide(request(in_transaction=True, last=C))
    decider([bed.rule])(request(select("unknown")), bed.view, RULES)

    assert bed.rule.asked == 0


def test_a_shadow_that_raises_is_disabled_and_the_decision_stands() -> None:
    bed = Bed(lambda request, view: 1 // 0, mode=Mode.SHADOW)

    assert [bed.decide(request()).rule for _ in range(2)] == ["leader"] * 2
    assert len(bed.alarms) == 1


def test_a_shadow_disagrees_with_a_refusal() -> None:
    bed = Bed(to_b, mode=Mode.SHADOW)
    nowhere = Refuse(NoReplica("none"))

    decided = decider([bed.rule])(request(), bed.view, (*RULES[:8], lambda request, view: nowhere))

    assert decided is nowhere
    assert (bed.rule.agreed, bed.rule.disagreed) == (0, 1)


# ---- explaining -----------------------------------------------------------------------


def test_explain_shows_an_own_rule_by_its_name_its_first_line_and_its_reason() -> None:
    explanation = Bed(to_b).explain(request())

    assert (explanation.rule, explanation.server) == ("mine", str(B))
    assert (explanation.steps[-1].rule, explanation.steps[-1].says) == ("mine", "To B. B likes it.")


def test_explain_shows_a_rule_that_was_asked_in_vain() -> None:
    def nothing(request: RuleRequest, view: View) -> None: ...

    explanation = Bed(nothing).explain(request())

    step = next(step for step in explanation.steps if step.rule == "mine")
    assert (step.says, step.answered, explanation.rule) == ("A rule without a docstring.", False, "leader")


def test_explain_shows_what_shadows_think_and_does_not_count_it() -> None:
    bed = Bed(to_b, mode=Mode.SHADOW)

    explanation = bed.explain(request())

    (opinion,) = explanation.shadows
    assert (opinion.rule, opinion.says, opinion.server, opinion.agrees) == ("mine", "To B.", str(B), False)
    assert opinion.reason == "B likes it."
    assert (explanation.rule, bed.rule.disagreed) == ("leader", 0)


def test_explain_says_why_a_shadow_is_disabled() -> None:
    bed = Bed(lambda request, view: 1 // 0, mode=Mode.SHADOW)
    bed.explain(request())

    (opinion,) = bed.explain(request()).shadows

    assert opinion.server is None
    assert opinion.reason.startswith("disabled: it raised ZeroDivisionError")


def test_explain_without_own_rules_is_explain() -> None:
    bed = Bed(to_b)

    assert explain_with_own_rules(request(), bed.view, RULES, []) == explain(request(), bed.view)


# ---- the example ----------------------------------------------------------------------


def test_the_example_sends_reports_to_its_zone_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("own_rule", ROOT / "examples" / "own_rule.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    module.main()

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "report_sales -> 10.0.0.3:2881 by rule reports"
    assert printed[2].endswith("by rule replica")
