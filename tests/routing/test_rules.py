"""The rules: ODP's walk-throughs, and each rule in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import NoReplica, NotRoutable
from odp_trio.model import Address
from odp_trio.routing.decide import Explanation, decide, explain, order
from odp_trio.routing.request import Lookup, Refuse, Route
from odp_trio.routing.view import RouteSettings
from odp_trio.sql.literals import read_annotation
from odp_trio.state.client import STRONG, WEAK
from tests.routing.world import THREE_IDCS, World, address

HERE = RouteSettings(idc="hz1")
STRONG_READ = "select v from t where id = 1"
WEAK_READ = "select /*+read_consistency(weak)*/ v from t where id = 1"


def route(world: World, sql: str, **changes: object) -> Route:
    request = world.request(sql)
    for name, value in changes.items():
        setattr(request, name, value)
    answer = decide(request, world.view)
    assert isinstance(answer, Route)
    return answer


def in_turn(world: World, sql: str) -> list[int]:
    """Servers in the order in which they are tried, one refused after the other."""
    return [int(found.ip[-1]) for found in order(world.request(sql), world.view)]


@pytest.mark.parametrize(
    ("sql", "settings", "expected"),
    [
        ("insert into t values (1, 2)", HERE, [2, 1, 3]),
        ("update t set v = 1 where id = 1", HERE, [2, 1, 3]),
        (STRONG_READ, HERE, [2, 1, 3]),
        (WEAK_READ, HERE, [1, 2, 3]),
        (WEAK_READ + " for update", HERE, [2, 1, 3]),
        (WEAK_READ, RouteSettings(idc="hz1", policy="FOLLOWER_FIRST"), [1, 2, 3]),
        (WEAK_READ, RouteSettings(idc="hz2", policy="FOLLOWER_FIRST"), [1, 2, 3]),
        (WEAK_READ, RouteSettings(idc="hz1", policy="FOLLOWER_ONLY"), [1, 3]),
        (WEAK_READ, RouteSettings(idc="sh1"), [3, 1, 2]),
        ("select 1", HERE, [1, 2, 3]),
        (STRONG_READ, RouteSettings(primary_zone_name="z3;z1"), [3, 1]),
        (WEAK_READ, RouteSettings(primary_zone_name="z1,z3"), [1, 3]),
        (STRONG_READ, RouteSettings(read_write_split=True, policy="FOLLOWER_ONLY", idc="hz1"), [1, 3]),
    ],
)
def test_three_idcs(sql: str, settings: RouteSettings, expected: list[int]) -> None:
    found = in_turn(World(THREE_IDCS, settings=settings), sql)

    assert found == expected or sorted(found[:2]) == sorted(expected[:2])
    assert found[0] == expected[0] or settings.idc in ("", "sh1")


def test_a_merging_zone_comes_behind() -> None:
    follower_first = RouteSettings(idc="hz1", policy="FOLLOWER_FIRST")
    unmerged = RouteSettings(idc="hz1", policy="UNMERGE_FOLLOWER_FIRST")

    assert in_turn(World(THREE_IDCS, merging=(1,), settings=HERE), WEAK_READ) == [2, 1, 3]
    assert in_turn(World(THREE_IDCS, merging=(1,), settings=follower_first), WEAK_READ) == [1, 2, 3]
    assert in_turn(World(THREE_IDCS, merging=(1,), settings=unmerged), WEAK_READ) == [2, 1, 3]


def test_a_remote_replica_beats_a_near_server_without_data() -> None:
    world = World(THREE_IDCS, leader=3, replicas=(3,), settings=HERE)

    found = route(world, WEAK_READ)

    assert (found.server, found.policy, found.letters) == (address(3), "MERGE_IDC_ORDER_OPTIMIZED", "CNP")


READONLY = {1: ("HZ", "hz1"), 2: ("HZ", "hz2"), 4: ("HZ", "hz1")}


@pytest.mark.parametrize(
    ("policy", "merging", "expected"),
    [(1, (), [4, 1, 2]), (2, (), [4]), (1, (4,), [4, 1, 2]), (3, (4,), [1, 2, 4])],
)
def test_weak_reads_beside_a_read_only_zone(policy: int, merging: tuple[int, ...], expected: list[int]) -> None:
    world = World(READONLY, leader=1, readonly=(4,), merging=merging, settings=HERE)
    world.state.route_policy = policy

    assert in_turn(world, WEAK_READ)[: len(expected)] == expected


def test_a_strong_statement_never_goes_to_a_read_only_zone() -> None:
    world = World(READONLY, leader=1, readonly=(4,), settings=HERE)

    assert in_turn(world, "update t set v = 1")[:2] == [1, 2]


def test_a_statement_without_a_table_beside_a_read_only_zone_goes_by_what_the_client_set() -> None:
    world = World(READONLY, leader=1, readonly=(4,), settings=HERE)
    assert in_turn(world, "select 1")[0] in (1, 4)

    world.state.consistency_set, world.state.read_consistency = True, WEAK
    assert in_turn(world, "show tables")[0] == 4
    world.state.read_consistency = STRONG
    assert in_turn(world, "show tables")[0] == 1


# ---- what binds a statement to a server -----------------------------------------------


def test_an_open_transaction_beats_every_rule_behind_it() -> None:
    world = World(THREE_IDCS, settings=RouteSettings(target_servers=((address(1),),)))
    world.state.in_transaction, world.state.last = True, address(3)

    assert route(world, STRONG_READ).rule == "open_transaction"
    assert route(world, STRONG_READ).server == address(3)


@pytest.mark.parametrize(
    ("sql", "prepare", "rule"),
    [
        (STRONG_READ, {"bound": "it has a temporary table"}, "bound_session"),
        ("select found_rows()", {}, "last_server"),
        ("show warnings", {}, "last_server"),
        ("select get_lock('a', 1)", {"lock_server": Address("10.0.0.3", 2881)}, "lock_holder"),
        (STRONG_READ, {"route_address": Address("10.0.0.3", 2881)}, "route_address"),
        ("select last_insert_id()", {"insert_id_server": Address("10.0.0.3", 2881)}, "insert_id_server"),
        ("select 1", {}, "cached_session"),
        ("create table x (a int)", {}, "cached_session"),
        (STRONG_READ, {}, "leader"),
        (WEAK_READ, {}, "replica"),
    ],
)
def test_each_rule_has_its_statements(sql: str, prepare: dict[str, object], rule: str) -> None:
    world = World(THREE_IDCS)
    world.state.last = address(3)
    for name, value in prepare.items():
        setattr(world.state, name, value)

    found = route(world, sql)

    assert found.rule == rule
    assert found.server == address(3) or rule in ("leader", "replica")


def test_a_cursor_is_fetched_where_it_is_even_inside_a_transaction_elsewhere() -> None:
    world = World(THREE_IDCS)
    world.state.in_transaction, world.state.last = True, address(3)

    assert route(world, "select 1", owner=address(1)).server == address(1)


def test_a_target_in_a_comment_beats_the_configured_one() -> None:
    world = World(THREE_IDCS, settings=RouteSettings(target_servers=((address(1),),)))
    annotation = read_annotation(b"/* target_db_server='10.0.0.3:2881' */")

    assert route(world, STRONG_READ).server == address(1)
    assert route(world, STRONG_READ, annotation=annotation).server == address(3)


def test_a_target_that_is_not_the_tenants_is_refused() -> None:
    world = World(THREE_IDCS)
    request = world.request(STRONG_READ)
    request.annotation = read_annotation(b"/* target_db_server='10.9.9.9:2881' */")

    answer = decide(request, world.view)

    assert isinstance(answer, Refuse)
    assert isinstance(answer.error, NotRoutable)


def test_the_last_server_is_left_when_it_is_far_down_or_not_wanted() -> None:
    for world in (
        World(THREE_IDCS, settings=HERE),
        World(THREE_IDCS, down=(3,)),
        World(THREE_IDCS, settings=RouteSettings(enable_cached_server=False)),
    ):
        world.state.last = address(3)

        assert route(world, "select 1").rule == "tenant_server"


def test_without_a_location_strong_statements_go_to_the_primary_zone() -> None:
    world = World(THREE_IDCS, primary_zone="z3;z1,z2")

    assert route(world, "insert into information_schema.x values (1)").rule == "primary_zone"
    assert route(world, "select 1").server == address(3)


def test_a_duplicate_tables_strong_reads_go_to_any_replica_and_writes_to_the_leader() -> None:
    world = World(THREE_IDCS, duplicate=True, settings=HERE)

    assert route(world, STRONG_READ).server == address(1)
    assert route(world, STRONG_READ).policy == "DUP_REPLICA_FIRST"
    assert route(world, "update t set v = 1").server == address(2)


def test_a_missing_table_is_looked_up_and_a_missing_location_is_no_error() -> None:
    world = World(THREE_IDCS)
    request = world.request("select * from other where a = 1")

    answer = decide(request, world.view)
    assert isinstance(answer, Lookup)
    assert answer.key.table == "other"

    request.lookup_failure = "nobody answers"
    assert isinstance(decide(request, world.view), Route)


def test_random_routing_takes_every_server() -> None:
    world = World(THREE_IDCS, settings=RouteSettings(random=True))
    request = world.request(STRONG_READ)

    seen = set()
    for turn in range(9):
        request.turn = turn
        answer = decide(request, world.view)
        assert isinstance(answer, Route)
        seen.add(answer.server)

    assert seen == {address(1), address(2), address(3)}


def test_servers_out_of_service_are_forced_when_there_are_no_others() -> None:
    world = World(THREE_IDCS, down=(1, 2, 3))

    assert route(world, STRONG_READ).rule == "forced_use"
    assert route(world, STRONG_READ).server == address(2)


def test_when_all_have_been_tried_the_client_gets_an_error() -> None:
    world = World(THREE_IDCS)
    request = world.request(STRONG_READ)
    request.refused = tuple(map(address, (1, 2, 3)))

    answer = decide(request, world.view)

    assert isinstance(answer, Refuse)
    assert isinstance(answer.error, NoReplica)


STATEMENTS = (
    STRONG_READ,
    WEAK_READ,
    "select 1",
    "update t set v = 1",
    "show warnings",
    "begin",
    "select * from t for update",
)


@given(
    st.sampled_from(STATEMENTS),
    st.sets(st.sampled_from([1, 2, 3])),
    st.sets(st.sampled_from([1, 2, 3])),
    st.sampled_from(["", "hz1", "hz2", "sh1", "z"]),
    st.sampled_from(["", "FOLLOWER_FIRST", "UNMERGE_FOLLOWER_FIRST", "FOLLOWER_ONLY"]),
    st.sampled_from([None, 1, 2, 3]),
    st.booleans(),
    st.integers(0, 50),
)
def test_explain_agrees_with_decide_and_a_dead_server_is_not_chosen_while_another_will_do(
    sql: str, down: set[int], refused: set[int], idc: str, policy: str, last: int | None, inside: bool, turn: int
) -> None:
    world = World(THREE_IDCS, down=tuple(down), settings=RouteSettings(idc=idc, policy=policy))
    world.state.last = address(last) if last else None
    world.state.in_transaction = inside
    request = world.request(sql)
    request.turn = turn
    request.refused = tuple(map(address, refused))

    explanation = explain(request, world.view)
    answer = decide(request, world.view)

    assert isinstance(explanation, Explanation)
    if isinstance(answer, Route):
        assert explanation.server == str(answer.server)
        assert explanation.rule == answer.rule
        if answer.rule not in ("open_transaction", "last_server", "forced_use"):
            assert answer.server not in world.view.out
            assert answer.server not in request.refused
    else:
        assert explanation.server is None
