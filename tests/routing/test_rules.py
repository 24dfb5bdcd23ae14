"""The rules: each has its statements, and its place among the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from odp_trio.errors import NoReplica, NotRoutable
from odp_trio.model import Address
from odp_trio.routing.decide import decide, rule_name
from odp_trio.routing.request import Lookup, Refuse, Route, RouteRequest
from odp_trio.routing.rules import RULES
from odp_trio.routing.view import RouteSettings, View
from odp_trio.sql.literals import read_annotation
from odp_trio.topology.location import Location, Replica, mark_dirty
from tests.routing.world import KEY, THREE_IDCS, World, address

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


# ---- every rule in its place ------------------------------------------------------------

ALL_AT_ONCE = "select found_rows(), get_lock('a', 1), last_insert_id() from t where id = 1"
WITHOUT_FOUND_ROWS = "select get_lock('a', 1), last_insert_id() from t where id = 1"
NO_LOCATION = "select last_insert_id() from information_schema.t"


class Ladder:
    """A statement that every rule has a reason to answer; each step takes the first reason away."""

    def __init__(self) -> None:
        self.world = World(THREE_IDCS, primary_zone="z3", settings=RouteSettings(target_servers=((address(1),),)))
        self.location = self.world.entry.location
        self.world.locations.drop(self.world.entry.key)
        state = self.world.state
        state.in_transaction, state.bound, state.last = True, "it has a temporary table", address(3)
        state.lock_server = state.route_address = state.insert_id_server = address(1)
        self.request = self.world.request(ALL_AT_ONCE)
        self.request.owner, self.request.owner_why = address(2), "its cursor is there"

    def ask(self) -> str:
        answer = decide(self.request, self.world.view)
        return answer.rule or "nowhere" if isinstance(answer, Route | Refuse) else "location"

    def say(self, sql: str) -> None:
        self.request = self.world.request(sql)

    def see(self, settings: RouteSettings, primary_zone: str = "", down: tuple[int, ...] = ()) -> None:
        old, out = self.world.view, [address(number) for number in down]
        self.world.view = View(
            KEY, 2, old.servers, old.zones, old.tenant_servers, old.locations, settings, primary_zone, out
        )

    def find(self) -> None:
        self.world.entry.gone, self.world.entry.location = False, self.location
        self.world.locations.store(self.world.entry)

    def begin(self) -> None:
        state = self.world.state
        state.in_transaction, state.coordinator, state.roams = True, address(1), True
        self.say(NO_LOCATION)

    def lose_leader(self) -> None:
        found = self.world.entry.location
        assert found is not None
        self.world.entry.location = Location(self.world.entry, 0, found.replicas[::2], 0.0)


STEPS: tuple[tuple[str, Callable[[Ladder], object]], ...] = (
    ("statement_owner", lambda at: setattr(at.request, "owner", None)),
    ("open_transaction", lambda at: setattr(at.world.state, "in_transaction", False)),
    ("bound_session", lambda at: setattr(at.world.state, "bound", "")),
    ("last_server", lambda at: at.say(WITHOUT_FOUND_ROWS)),
    ("lock_holder", lambda at: setattr(at.world.state, "lock_server", None)),
    ("route_address", lambda at: setattr(at.world.state, "route_address", None)),
    ("target_server", lambda at: at.see(RouteSettings(), "z3")),
    ("location", Ladder.find),
    ("leader", Ladder.lose_leader),
    ("replica", Ladder.begin),
    ("coordinator", lambda at: setattr(at.world.state, "in_transaction", False)),
    ("insert_id_server", lambda at: setattr(at.world.state, "insert_id_server", None)),
    ("cached_session", lambda at: setattr(at.world.state, "last", None)),
    ("primary_zone", lambda at: at.see(RouteSettings(), "")),
    ("tenant_server", lambda at: at.see(RouteSettings(), "", (1, 2, 3))),
    ("forced_use", lambda at: setattr(at.request, "refused", tuple(map(address, (1, 2, 3))))),
    ("nowhere", lambda at: None),
)


def test_a_rule_answers_when_every_rule_before_it_has_lost_its_reason() -> None:
    ladder, answered = Ladder(), []

    for _, take_away in STEPS:
        answered.append(ladder.ask())
        take_away(ladder)

    assert answered == [name for name, _ in STEPS]
    assert answered == [rule_name(rule) for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_a_rule_says_in_one_line_what_it_does(rule: Callable[[RouteRequest, View], object]) -> None:
    assert (rule.__doc__ or "").splitlines()[0].endswith(".")


# ---- by location ------------------------------------------------------------------------


def test_a_remote_replica_beats_a_near_server_without_data() -> None:
    world = World(THREE_IDCS, leader=3, replicas=(3,), settings=HERE)

    found = route(world, WEAK_READ)

    assert (found.server, found.policy, found.letters) == (address(3), "MERGE_IDC_ORDER_OPTIMIZED", "CNP")


def test_a_strong_statement_whose_leader_is_in_service_stays_near() -> None:
    world = World(THREE_IDCS, leader=3, replicas=(3,), settings=HERE)
    request = world.request(STRONG_READ)
    request.refused = (address(3),)

    found = decide(request, world.view)

    assert isinstance(found, Route)
    assert (found.server, found.policy, found.letters) == (address(1), "MERGE_IDC_ORDER", "ANT")


@pytest.mark.parametrize(
    ("refused", "down", "tried"),
    [((1,), (), "2"), ((), (1,), "3"), ((3,), (1,), "2"), ((1, 2), (), "3")],
)
def test_a_near_replica_that_was_tried_in_vain_is_followed_by_near_servers_but_one_that_is_down_by_remote_replicas(
    refused: tuple[int, ...], down: tuple[int, ...], tried: str
) -> None:
    world = World(THREE_IDCS, leader=3, replicas=(1, 3), down=down, settings=HERE)

    found = route(world, WEAK_READ, refused=tuple(map(address, refused)))

    assert found.server.ip[-1] == tried


def test_a_dirty_location_is_used_and_to_be_renewed() -> None:
    world = World(THREE_IDCS)
    assert world.entry.location is not None
    mark_dirty(world.entry.location)

    assert route(world, STRONG_READ).renew is world.entry.location
    assert route(world, WEAK_READ).renew is world.entry.location


@pytest.mark.parametrize("kind", [5, 11, 26])
@pytest.mark.parametrize("zones", ["", "z1,z2,z3"])
def test_a_weak_read_never_goes_to_a_replica_without_readable_data(kind: int, zones: str) -> None:
    world = World(THREE_IDCS, settings=RouteSettings(primary_zone_name=zones))
    found = world.entry.location
    assert found is not None
    found.renew((Replica(address(1), kind=kind), Replica(address(2), leader=True), Replica(address(3))), 1.0)

    tried = {route(world, WEAK_READ, turn=turn).server for turn in range(6)}

    assert tried == {address(2), address(3)}


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


def tenant_of_two() -> World:
    """The cluster has three servers, the tenant the first two."""
    world = World(THREE_IDCS)
    view = world.view
    world.view = View(KEY, 2, view.servers, view.zones, (address(1), address(2)), world.locations, RouteSettings())
    return world


@pytest.mark.parametrize("target", ["10.9.9.9:2881", "10.0.0.3:2881", "10.0.0.1:2881,10.0.0.3:2881"])
def test_a_server_that_is_not_the_tenants_is_refused(target: str) -> None:
    world = tenant_of_two()
    request = world.request(STRONG_READ)
    request.annotation = read_annotation(f"/* target_db_server='{target}' */".encode())

    answer = decide(request, world.view)

    assert isinstance(answer, Refuse)
    assert isinstance(answer.error, NotRoutable)
    assert answer.rule == "target_server"


@pytest.mark.parametrize("target", ["999.0.0.1:2881", "10.0.0.1:99999"])
def test_an_address_that_is_none_is_refused_and_named(target: str) -> None:
    world = World(THREE_IDCS)
    request = world.request(STRONG_READ)
    request.annotation = read_annotation(f"/* target_db_server='{target}' */".encode())

    answer = decide(request, world.view)

    assert isinstance(answer, Refuse)
    assert target in str(answer.error)


def test_groups_are_tried_in_their_order_and_members_of_a_group_take_turns() -> None:
    groups = ((address(2), address(3)), (address(1),))
    world = World(THREE_IDCS, settings=RouteSettings(target_servers=groups))
    request = world.request(STRONG_READ)

    first = []
    for request.turn in (0, 1):
        answer = decide(request, world.view)
        assert isinstance(answer, Route)
        first.append(answer.server)
    request.refused = (address(2), address(3))
    last = decide(request, world.view)

    assert set(first) == {address(2), address(3)}
    assert isinstance(last, Route)
    assert last.server == address(1)


def test_a_target_out_of_service_is_tried_before_a_server_that_was_not_named() -> None:
    world = World(THREE_IDCS, down=(3,), settings=RouteSettings(target_servers=((address(3),),)))

    answer = decide(world.request(STRONG_READ), world.view)

    assert isinstance(answer, Route)
    assert (answer.server, answer.policy) == (address(3), "TARGET_DB_SERVER_ONLY")


def test_the_last_server_is_left_when_it_is_far_down_or_not_wanted() -> None:
    for world in (
        World(THREE_IDCS, settings=HERE),
        World(THREE_IDCS, down=(3,)),
        World(THREE_IDCS, settings=RouteSettings(enable_cached_server=False)),
    ):
        world.state.last = address(3)

        assert route(world, "select 1").rule == "tenant_server"


def test_the_server_of_an_insert_id_is_left_when_zones_are_named_or_routing_is_random() -> None:
    for settings in (RouteSettings(primary_zone_name="z2"), RouteSettings(random=True)):
        world = World(THREE_IDCS, settings=settings)
        world.state.insert_id_server = address(3)

        assert route(world, "select last_insert_id()").rule != "insert_id_server"


def test_the_last_server_is_left_when_its_zone_is_merging_or_of_the_wrong_kind() -> None:
    places = {1: ("HZ", "hz1"), 3: ("HZ", "hz1")}
    for world, sql in (
        (World(places, merging=(3,)), "select 1"),
        (World(places, readonly=(3,)), "create table x (a int)"),
        (World(places, readonly=(1,)), "select /*+ read_consistency(weak) */ 1"),
    ):
        world.state.last = address(3)

        assert route(world, sql).server == address(1)


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


# ---- transactions that may be routed freely ---------------------------------------------


def in_transaction(*, roams: bool = True) -> World:
    """A transaction that began on server 3 and ran its last statement on server 1; the leader of t is server 2."""
    world = World(THREE_IDCS)
    state = world.state
    state.in_transaction, state.coordinator, state.roams, state.last = True, address(3), roams, address(1)
    return world


@pytest.mark.parametrize(
    ("sql", "rule", "server"),
    [
        (STRONG_READ, "leader", 2),
        ("select v from t where id = 1 for update", "leader", 2),
        ("insert into t values (1, 1)", "leader", 2),
        ("update t set v = 1 where id = 1", "leader", 2),
        ("delete from t where id = 1", "leader", 2),
        ("replace into t values (1, 1)", "leader", 2),
        # what is not DML with a table, or more than one statement, stays with the coordinator
        ("commit", "open_transaction", 3),
        ("rollback", "open_transaction", 3),
        ("savepoint a", "open_transaction", 3),
        ("set @a = 1", "open_transaction", 3),
        ("call p()", "open_transaction", 3),
        ("create table x (a int)", "open_transaction", 3),
        ("select 1", "open_transaction", 3),
        ("select 1 from dual", "open_transaction", 3),
        ("update t set v = 1 where id = 1; select 1", "open_transaction", 3),
        ("select get_lock('a', 1) from t where id = 1", "open_transaction", 3),
        ("explain select v from t where id = 1", "open_transaction", 3),
        ("execute s", "open_transaction", 3),
        # what asks about the statement before it
        ("select found_rows()", "open_transaction", 1),
        ("select row_count() from t", "open_transaction", 1),
        # what may participate, but has no location
        ("select * from information_schema.tables", "coordinator", 3),
    ],
)
def test_dml_of_a_transaction_goes_to_the_leader_of_its_table_where_the_server_allows_it(
    sql: str, rule: str, server: int
) -> None:
    found = route(in_transaction(), sql)

    assert (found.rule, found.server) == (rule, address(server))


def test_nothing_leaves_the_coordinator_when_it_forbids_that() -> None:
    assert route(in_transaction(roams=False), STRONG_READ).server == address(3)


def test_a_participant_that_cannot_be_had_is_followed_by_others_and_then_by_the_coordinator() -> None:
    world = in_transaction()

    tried = [route(world, STRONG_READ, refused=refused).server for refused in ((), (address(2),))]

    assert tried[0] == address(2)
    assert tried[1] in (address(1), address(3))
    assert route(world, STRONG_READ, refused=(address(1), address(2), address(3))) == Route(
        address(3), "coordinator", location=world.entry.location
    )


def test_found_rows_is_asked_where_there_were_rows_last_and_is_refused_when_that_is_gone() -> None:
    world = World(THREE_IDCS)
    state = world.state
    state.last, state.rows_server = address(1), address(3)

    assert route(world, "select found_rows()").server == address(3)
    assert route(world, "select row_count()").server == address(1)
    assert route(world, "select found_rows(), row_count()").server == address(1)

    state.lose(address(3))
    assert route(world, "select found_rows()").server == address(1)
    state.lose(address(1))
    for sql in ("select row_count()", "show warnings"):
        refused = decide(world.request(sql), world.view)
        assert isinstance(refused, Refuse)
        assert "is gone" in str(refused.error)
    assert route(world, "select connection_id()").server in {address(1), address(2), address(3)}
