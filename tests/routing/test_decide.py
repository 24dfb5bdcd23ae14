"""Three IDCs, a read-only zone, and what makes a read weak: each request with every server it is tried on, in order.

A step of the expected order is a text of digits: servers that are equal and come in any order.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import NoReplica
from odp_trio.model import Address
from odp_trio.routing.consistency import ONLY_ZONES, choose_policy, why_consistency
from odp_trio.routing.decide import Explanation, decide, explain, order
from odp_trio.routing.policy import FOLLOWER_POLICIES
from odp_trio.routing.request import Refuse, Route, RouteRequest
from odp_trio.routing.view import RouteSettings
from odp_trio.state.client import ServerState
from odp_trio.topology.location import mark_dirty
from odp_trio.wire.state import SessionState
from tests.routing.world import THREE_IDCS, World, address

HZ1 = RouteSettings(idc="hz1")
READ = "select v from t where id = 1"
WEAK = "select /*+ read_consistency(weak) */ v from t where id = 1"
STRONG = "select /*+ read_consistency(strong) */ v from t where id = 1"
FROZEN = "select /*+ read_consistency(frozen) */ v from t where id = 1"
WRITE = "update t set v = 1 where id = 1"
SPLIT = RouteSettings(idc="hz1", read_write_split=True)
SPLIT_TOO = RouteSettings(idc="hz1", read_write_split=True, transaction_split=True)
PLACES_OF = [address(number) for number in (1, 2, 3, 4)]
# z1 and z2 are read-write, z4 is read-only; the leader is in z1.
READ_ONLY_ZONE = {1: ("HZ", "hz1"), 2: ("HZ", "hz2"), 4: ("HZ", "hz1")}


def policy(name: str, idc: str = "hz1") -> RouteSettings:
    return RouteSettings(idc=idc, policy=name)


def says(world: World, **variables: str) -> None:
    """The client has set session variables."""
    told = {name.encode(): value.encode() for name, value in variables.items()}
    world.state.learn(SessionState(told), ServerState())


def assert_order(world: World, sql: str, expected: tuple[str, ...]) -> None:
    """Whatever the turn, servers are tried in the order of the steps, and no other one is."""
    for turn in range(6):
        request = world.request(sql)
        request.turn = turn
        walked = [found.ip[-1] for found in order(request, world.view)]
        at = 0
        for step in expected:
            assert sorted(walked[at : at + len(step)]) == sorted(step), f"turn {turn}: {walked}"
            at += len(step)
        assert len(walked) == at, f"turn {turn}: {walked}"


@pytest.mark.parametrize(
    ("sql", "settings", "expected"),
    [
        ("insert into t values (1, 2)", HZ1, ("2", "1", "3")),
        (WRITE, HZ1, ("2", "1", "3")),
        (READ, HZ1, ("2", "1", "3")),
        (STRONG, HZ1, ("2", "1", "3")),
        (FROZEN, HZ1, ("2", "1", "3")),
        (WEAK, HZ1, ("1", "2", "3")),
        (f"{WEAK} for update", HZ1, ("2", "1", "3")),
        (WEAK, policy("FOLLOWER_FIRST"), ("1", "2", "3")),
        (WEAK, policy("follower_first"), ("1", "2", "3")),
        (WEAK, policy("FOLLOWER_FIRST", "hz2"), ("1", "2", "3")),
        (WEAK, policy("FOLLOWER_ONLY"), ("1", "3")),
        (WEAK, policy("FOLLOWER_ONLY", "hz2"), ("1", "3")),
        (WEAK, policy("MERGE_IDC_ORDER"), ("1", "2", "3")),
        (WEAK, policy("NO_SUCH_POLICY"), ("1", "2", "3")),
        (READ, policy("FOLLOWER_ONLY"), ("2", "1", "3")),
        ("select 1", HZ1, ("1", "2", "3")),
        ("show tables", HZ1, ("1", "2", "3")),
        (WEAK, RouteSettings(idc="HZ1"), ("1", "2", "3")),
        (WEAK, RouteSettings(idc="sh1"), ("3", "12")),
        (WEAK, RouteSettings(idc="z"), ("123",)),
        (WEAK, RouteSettings(idc="nosuch"), ("123",)),
        (WEAK, RouteSettings(), ("123",)),
        (READ, RouteSettings(), ("2", "13")),
        (READ, RouteSettings(primary_zone_name="z3;z1"), ("3", "1")),
        (WEAK, RouteSettings(primary_zone_name="Z1, z3"), ("13",)),
    ],
)
def test_three_idcs(sql: str, settings: RouteSettings, expected: tuple[str, ...]) -> None:
    assert_order(World(THREE_IDCS, settings=settings), sql, expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (HZ1, ("2", "1", "3")),
        (policy("FOLLOWER_FIRST"), ("1", "2", "3")),
        (policy("UNMERGE_FOLLOWER_FIRST"), ("2", "1", "3")),
        (policy("FOLLOWER_ONLY"), ("1", "3")),
    ],
)
def test_three_idcs_while_zone_1_merges(settings: RouteSettings, expected: tuple[str, ...]) -> None:
    assert_order(World(THREE_IDCS, merging=(1,), settings=settings), WEAK, expected)


@pytest.mark.parametrize("name", ["", "FOLLOWER_FIRST", "UNMERGE_FOLLOWER_FIRST", "FOLLOWER_ONLY"])
def test_with_both_near_servers_dead_a_weak_read_crosses_regions(name: str) -> None:
    world = World(THREE_IDCS, down=(1, 2), settings=policy(name))

    answer = decide(world.request(WEAK), world.view)

    assert isinstance(answer, Route)
    assert (answer.server, answer.letters[0]) == (address(3), "C")


@pytest.mark.parametrize("name", ["FOLLOWER_FIRST", "UNMERGE_FOLLOWER_FIRST", "FOLLOWER_ONLY"])
def test_the_sessions_policy_beats_the_configured_one(name: str) -> None:
    world = World(THREE_IDCS, merging=(1,), settings=policy("FOLLOWER_FIRST"))
    world.state.user_policy = name

    answer = decide(world.request(WEAK), world.view)

    assert isinstance(answer, Route)
    assert answer.policy == name


@pytest.mark.parametrize(
    ("sql", "ob_route_policy", "merging", "expected"),
    [
        (WRITE, 1, False, ("1", "2", "4")),
        (READ, 2, False, ("1", "2", "4")),
        (WEAK, 1, False, ("4", "1", "2")),
        (WEAK, 0, False, ("14", "2")),
        (WEAK, 2, False, ("4",)),
        (WEAK, 3, False, ("4", "1", "2")),
        (WEAK, 7, False, ("4", "1", "2")),
        (WEAK, 1, True, ("4", "1", "2")),
        (WEAK, 3, True, ("1", "2", "4")),
        ("select 1", 1, False, ("14", "2")),
        ("set @a = 1", 1, False, ("14", "2")),
        ("show tables", 1, False, ("14", "2")),
    ],
)
def test_beside_a_read_only_zone(sql: str, ob_route_policy: int, merging: bool, expected: tuple[str, ...]) -> None:
    world = World(READ_ONLY_ZONE, leader=1, readonly=(4,), merging=(4,) if merging else (), settings=HZ1)
    says(world, ob_route_policy=str(ob_route_policy))

    if sql in (WRITE, READ):
        expected = expected[:2]  # the read-only zone is never a strong statement's
    assert_order(world, sql, expected)


@pytest.mark.parametrize(
    ("sql", "consistency", "expected"),
    [
        ("select 1", "WEAK", ("4", "1", "2")),
        ("show tables", "WEAK", ("4", "1", "2")),
        ("set @a = 1", "STRONG", ("1", "2")),
        ("show tables", "STRONG", ("1", "2")),
        ("show tables", "FROZEN", ("14", "2")),
        ("create table x (a int)", "WEAK", ("1", "2")),
        ("do sleep(0)", "WEAK", ("1", "2")),
        ("begin", "WEAK", ("1", "2")),
        ("no statement at all", "WEAK", ("1", "2")),
    ],
)
def test_without_a_table_beside_a_read_only_zone(sql: str, consistency: str, expected: tuple[str, ...]) -> None:
    world = World(READ_ONLY_ZONE, leader=1, readonly=(4,), settings=HZ1)
    says(world, ob_read_consistency=consistency)

    assert_order(world, sql, expected)


MEANS: Mapping[str, tuple[RouteSettings, dict[str, str]]] = {
    "nothing": (HZ1, {}),
    "session": (HZ1, {"ob_read_consistency": "WEAK"}),
    "number": (HZ1, {"ob_read_consistency": "2"}),
    "split": (SPLIT, {}),
    "split, session strong": (SPLIT, {"ob_read_consistency": "STRONG"}),
    "split, no autocommit": (SPLIT, {"autocommit": "OFF"}),
    "split too, no autocommit": (SPLIT_TOO, {"autocommit": "OFF"}),
}


@pytest.mark.parametrize(
    ("means", "sql", "reason"),
    [
        ("nothing", READ, ""),
        ("nothing", FROZEN, ""),
        ("nothing", WEAK, "hint READ_CONSISTENCY(WEAK)"),
        ("nothing", f"{WEAK} for update", ""),
        ("nothing", f"{WEAK} for update nowait", ""),
        ("nothing", f"{WEAK} lock in share mode", ""),
        ("nothing", "update /*+ read_consistency(weak) */ t set v = 1", ""),
        ("session", READ, "ob_read_consistency is WEAK"),
        ("session", FROZEN, "ob_read_consistency is WEAK"),
        ("session", STRONG, ""),
        ("session", WRITE, ""),
        ("number", READ, "ob_read_consistency is WEAK"),
        ("split", READ, "enable_read_write_split"),
        ("split", FROZEN, "enable_read_write_split"),
        ("split", STRONG, ""),
        ("split", WRITE, ""),
        ("split", f"{READ} for update", ""),
        ("split, session strong", READ, "enable_read_write_split"),
        ("split, no autocommit", READ, ""),
        ("split too, no autocommit", READ, "enable_read_write_split"),
    ],
)
def test_what_makes_a_read_weak(means: str, sql: str, reason: str) -> None:
    settings, variables = MEANS[means]
    world = World(THREE_IDCS, settings=settings)
    says(world, **variables)
    request = world.request(sql)

    decide(request, world.view)

    assert request.weak == bool(reason)
    assert not reason or why_consistency(request, world.view) == reason


def test_read_write_split_ends_where_a_transaction_begins() -> None:
    world = World(THREE_IDCS, settings=SPLIT_TOO)
    world.state.in_transaction = True
    request = world.request(READ)

    decide(request, world.view)

    assert not request.weak


@pytest.mark.parametrize("part", ["nothing", "location", "table"])
def test_explain_calls_dirty_what_will_be_renewed(part: str) -> None:
    world = World(THREE_IDCS)
    if part != "nothing":
        found = world.entry if part == "table" else world.entry.location
        assert found is not None
        mark_dirty(found)

    explained = explain(world.request(READ), world.view)
    answer = decide(world.request(READ), world.view)

    assert isinstance(explained, Explanation)
    assert isinstance(answer, Route)
    assert explained.dirty == (answer.renew is not None) == (part != "nothing")


# ---- what holds in every world ------------------------------------------------------------

PINNED = ("statement_owner", "open_transaction", "bound_session", "last_server", "lock_holder", "route_address")
STATEMENTS = (
    READ, WEAK, STRONG, FROZEN, WRITE, f"{READ} for update", "select 1", "show warnings", "show tables", "begin",
    "select last_insert_id()", "create table x (a int)", "select get_lock('a', 1)", "select 1 from information_schema.t",
)  # fmt: skip
SOME = st.sets(st.sampled_from([1, 2, 3, 4]))
PLACES = {**THREE_IDCS, 4: ("HZ", "hz1")}
SETTINGS = st.builds(
    RouteSettings,
    idc=st.sampled_from(["", "hz1", "hz2", "sh1", "z", "nosuch"]),
    policy=st.sampled_from(["", *FOLLOWER_POLICIES]),
    primary_zone_name=st.sampled_from(["", "", "z1", "z3;z2,z1"]),
    enable_cached_server=st.booleans(),
    enable_primary_zone=st.booleans(),
    target_servers=st.sampled_from([(), (), ((address(1),), (address(2), address(3)))]),
    random=st.booleans(),
    read_write_split=st.booleans(),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster in any state, and a session that may have been anywhere."""
    replicas = tuple(draw(SOME))
    world = World(
        PLACES,
        leader=draw(st.sampled_from([None, *replicas])),
        replicas=replicas,
        readonly=tuple(draw(st.sampled_from([(), (), (4,), (1, 3)]))),
        merging=tuple(draw(SOME)),
        down=tuple(draw(SOME)),
        duplicate=draw(st.booleans()),
        primary_zone=draw(st.sampled_from(["", "RANDOM", "z2", "z3,z1;z2"])),
        settings=draw(SETTINGS),
    )
    state, anywhere = world.state, st.sampled_from([None, *map(address, PLACES)])
    state.last, state.lock_server, state.insert_id_server = draw(anywhere), draw(anywhere), draw(anywhere)
    state.in_transaction, state.bound = draw(st.booleans()), draw(st.sampled_from(["", "", "it holds table locks"]))
    state.read_consistency, state.consistency_set = draw(st.sampled_from([1, 2, 3])), draw(st.booleans())
    state.route_policy = draw(st.integers(0, 3))
    return world


def ask(world: World, sql: str, refused: set[int], turn: int) -> RouteRequest:
    request = world.request(sql)
    request.turn, request.refused = turn, tuple(map(address, refused))
    return request


@given(worlds(), st.sampled_from(STATEMENTS), SOME, st.integers(0, 50))
def test_explain_says_what_decide_does(world: World, sql: str, refused: set[int], turn: int) -> None:
    explained = explain(ask(world, sql, refused, turn), world.view)
    answer = decide(ask(world, sql, refused, turn), world.view)

    assert isinstance(explained, Explanation)
    if isinstance(answer, Route):
        assert (explained.server, explained.rule) == (str(answer.server), answer.rule)
        assert explained.tier == answer.letters
        assert not answer.policy or explained.policy == answer.policy
    else:
        assert isinstance(answer, Refuse)
        assert (explained.server, explained.error) == (None, str(answer.error))


@given(worlds(), st.sampled_from(STATEMENTS), SOME, st.integers(0, 50))
def test_a_server_that_is_out_is_not_chosen_while_another_one_is_admitted(
    world: World, sql: str, refused: set[int], turn: int
) -> None:
    request = ask(world, sql, refused, turn)
    answer = decide(request, world.view)
    if not isinstance(answer, Route) or answer.rule in PINNED:
        return

    assert answer.server not in request.refused
    if not world.view.usable(answer.server, request.refused):
        assert not any(world.view.usable(server, request.refused) for server in admitted(request, world, answer))


def admitted(request: RouteRequest, world: World, answer: Route) -> set[Address]:
    """Return the servers that the policy of a forced answer has a place for."""
    view = world.view
    if answer.rule == "target_server":
        return {server for group in view.settings.target_servers for server in group}
    if answer.policy == ONLY_ZONES:
        return {server for group in view.in_zones(view.settings.primary_zone_name, PLACES_OF) for server in group}
    policy = choose_policy(request, view)
    return {server for tier in view.tiers(policy, request.location, "") for server in tier.servers}


@given(worlds(), st.sampled_from(STATEMENTS), SOME, st.integers(0, 50))
def test_follower_only_never_answers_the_leader_of_a_weak_read(
    world: World, sql: str, refused: set[int], turn: int
) -> None:
    request = ask(world, sql, refused, turn)
    answer = decide(request, world.view)

    if isinstance(answer, Route) and request.weak and answer.policy.startswith("FOLLOWER_ONLY"):
        assert request.location is None or answer.server != request.location.leader


@given(worlds(), st.sampled_from([WRITE, f"{READ} for update", READ]), st.integers(0, 50))
def test_what_is_strong_goes_to_a_leader_in_service_unless_the_session_or_a_setting_says_otherwise(
    world: World, sql: str, turn: int
) -> None:
    request = ask(world, sql, set(), turn)
    answer = decide(request, world.view)
    location = world.entry.location
    assert location is not None

    if isinstance(answer, Route) and answer.rule not in (*PINNED, "target_server") and not request.weak:
        settings = world.view.settings
        free = location.leader not in (None, *world.view.out) and not settings.primary_zone_name and not settings.random
        if free and not (world.entry.duplicate and sql == READ):
            assert (answer.server, answer.rule, answer.to_leader) == (location.leader, "leader", True)


@given(worlds(), st.sampled_from(STATEMENTS), st.integers(0, 50))
def test_every_server_is_tried_at_most_once_and_the_walk_ends(world: World, sql: str, turn: int) -> None:
    world.state.in_transaction, world.state.bound, world.state.last, world.state.lock_server = False, "", None, None
    try:
        walked = tuple(order(ask(world, sql, set(), turn), world.view))
    except NoReplica:  # no server is in the zones that the configuration names
        return

    assert len(set(walked)) == len(walked)
    assert set(walked) <= set(world.view.tenant_servers)
