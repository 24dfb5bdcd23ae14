"""Servers on lists, as the rules see them: refused, forced when nothing else is left, a reason for each."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from odp_trio.model import Address
from odp_trio.routing.decide import decide, explain
from odp_trio.routing.request import Refuse, Route
from odp_trio.routing.view import RouteSettings, View
from odp_trio.session.first_server import login_order
from odp_trio.topology.congestion import Listed, Refusals
from tests.routing.world import THREE_IDCS, World, address

STRONG, WEAK = "select * from t", "select /*+ READ_CONSISTENCY(WEAK) */ * from t"


def congested(
    lists: Mapping[int, Listed],
    *,
    gone: tuple[int, ...] = (),
    down: tuple[int, ...] = (),
    replaying: Mapping[int, float] | None = None,
    settings: RouteSettings | None = None,
) -> World:
    """The world of three servers, with some on lists and some that the server list has no more."""
    world = World(THREE_IDCS, down=down, settings=settings)
    refusals = Refusals(
        {address(number): listed for number, listed in lists.items()},
        lambda one: f"{one} failed" if one in {address(number) for number in lists} else "",
        replaying={address(number): since for number, since in (replaying or {}).items()},
    )
    old = world.view
    servers = {one: server for one, server in old.servers.items() if one not in map(address, gone)}
    world.view = View(
        old.key, 2, servers, old.zones, old.tenant_servers, world.locations, old.settings, refusals=refusals
    )
    return world


def route(world: World, sql: str) -> Route:
    found = decide(world.request(sql), world.view)
    assert isinstance(found, Route), found
    return found


@pytest.mark.parametrize("listed", Listed)
def test_a_listed_server_is_not_used_while_there_are_others(listed: Listed) -> None:
    world = congested({2: listed})
    assert route(world, STRONG).server != address(2)
    assert {route(world, WEAK).server for _ in range(9)} <= {address(1), address(3)}
    assert tuple(login_order(world.view, 0))[-1] == address(2)


def test_a_leader_that_is_known_to_be_dead_makes_its_location_stale_and_a_greylisted_one_does_not() -> None:
    for listed in (Listed.DEAD, Listed.DETECT):
        world = congested({2: listed})
        assert route(world, STRONG).renew is world.entry.location
        assert route(world, WEAK).renew is None
    for listed in (Listed.ALIVE, Listed.FORCED):
        assert route(congested({2: listed}), STRONG).renew is None


def test_a_leader_that_replays_is_used_when_the_location_is_newer_than_its_state() -> None:
    older = congested({2: Listed.DEAD}, replaying={2: 5.0})
    newer = congested({2: Listed.DEAD}, replaying={2: -5.0})  # the location is of second 0
    assert route(older, STRONG).server != address(2)
    assert route(newer, STRONG).server == address(2)
    assert route(newer, STRONG).rule == "leader"


def test_when_all_are_listed_the_least_bad_is_forced() -> None:
    world = congested({1: Listed.DETECT, 2: Listed.DEAD, 3: Listed.ALIVE})
    for sql in (STRONG, WEAK, "select 1"):
        assert route(world, sql).rule == "forced_use"
        assert route(world, sql).server == address(3)
    assert tuple(login_order(world.view, 0)) == (address(3), address(2), address(1))


def test_among_equally_bad_ones_the_leader_is_forced() -> None:
    world = congested(dict.fromkeys((1, 2, 3), Listed.ALIVE))
    assert (route(world, STRONG).rule, route(world, STRONG).server) == ("forced_use", address(2))


def test_a_server_that_is_down_is_worse_than_one_on_the_greylist() -> None:
    world = World(THREE_IDCS, down=(1, 2))
    view = world.view
    world.view = View(
        view.key,
        2,
        view.servers,
        view.zones,
        view.tenant_servers,
        world.locations,
        view.settings,
        refusals=Refusals({address(3): Listed.ALIVE}),
    )
    assert route(world, STRONG).server == address(3)


def test_a_server_that_the_cluster_has_lost_is_never_forced() -> None:
    world = congested({1: Listed.ALIVE, 3: Listed.DETECT}, gone=(2,))
    request = world.request(STRONG)
    request.refused = (address(2),)
    found = decide(request, world.view)
    assert isinstance(found, Route)
    assert found.server == address(1)
    request.refused = (address(1), address(3))
    found = decide(request, world.view)
    assert isinstance(found, Refuse) or found.rule != "forced_use"


def test_a_list_of_targets_is_walked_twice_the_least_bad_first_the_second_time() -> None:
    targets = ((address(1), address(2)), (address(3),))
    world = congested({1: Listed.DEAD, 2: Listed.DETECT}, settings=RouteSettings(target_servers=targets))
    assert route(world, STRONG).server == address(3)
    world = congested(
        {1: Listed.DEAD, 2: Listed.DETECT, 3: Listed.ALIVE}, settings=RouteSettings(target_servers=targets)
    )
    assert route(world, STRONG).server == address(3)


def test_explain_gives_the_reason_for_each_and_says_that_it_was_forced() -> None:
    world = congested({1: Listed.ALIVE, 2: Listed.DETECT, 3: Listed.DEAD})
    found = explain(world.request(STRONG), world.view)
    refused = {one.server: one.refused for one in found.candidates}  # type: ignore[union-attr]
    assert refused == {str(address(number)): f"{address(number)} failed" for number in (1, 2, 3)}
    assert "forced" in found.steps[-1].says  # type: ignore[union-attr]


def test_with_a_server_that_is_down_its_state_is_the_reason() -> None:
    world = World(THREE_IDCS, down=(3,))
    assert world.view.why_out(address(3)) == "its state is INACTIVE"
    assert world.view.why_out(address(1)) == ""
    assert world.view.why_out(Address("10.9.9.9", 1)) == ""


def test_a_leader_that_the_cluster_has_lost_is_not_used_and_its_location_is_stale() -> None:
    world = congested({}, gone=(2,))
    found = route(world, STRONG)
    assert found.renew is world.entry.location
    used = set()
    for turn in range(9):
        request = world.request(WEAK if turn % 2 else STRONG)
        request.turn = turn
        answer = decide(request, world.view)
        assert isinstance(answer, Route)
        used.add(answer.server)
    assert used == {address(1), address(3)}
    assert world.view.why_out(address(2)) == "the cluster does not have it any more"
