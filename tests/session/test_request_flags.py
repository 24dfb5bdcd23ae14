"""What a server is told about a request: the flags of its frames."""

from __future__ import annotations

import itertools

import pytest

from odp_trio.routing.request import Route
from odp_trio.routing.view import RouteSettings
from odp_trio.session.request_flags import request_flags
from odp_trio.wire.ob20 import Flag
from tests.routing.world import THREE_IDCS, World, address

EVERYTHING = RouteSettings(reroute=True, weak_reroute=True)


def flags(world: World, route: Route, *, kept: bool = True, last: int | None = None) -> Flag:
    where = None if last is None else address(last)
    return Flag(request_flags(world.request("select * from t"), route, world.view, last=where, kept=kept))


def located(world: World, *, weak: bool = False) -> Route:
    return Route(address(2), "leader", location=world.entry.location, weak=weak)


def test_a_server_is_told_that_the_last_statement_ran_elsewhere() -> None:
    world = World(THREE_IDCS)

    assert not flags(world, located(world))
    assert not flags(world, located(world), last=2)
    assert flags(world, located(world), last=1) == Flag.SWITCH_ROUTE


@pytest.mark.parametrize(("weak", "strong_may", "weak_may"), list(itertools.product((False, True), repeat=3)))
def test_who_may_be_rerouted(weak: bool, strong_may: bool, weak_may: bool) -> None:
    world = World(THREE_IDCS, settings=RouteSettings(reroute=strong_may, weak_reroute=weak_may))

    found = flags(world, located(world, weak=weak))

    assert bool(found & Flag.WEAK_READ) is weak
    assert bool(found & Flag.REROUTE) is (weak_may if weak else strong_may)


def test_only_a_located_first_statement_that_is_kept_may_be_rerouted() -> None:
    world = World(THREE_IDCS, settings=EVERYTHING)

    assert flags(world, located(world)) == Flag.REROUTE
    assert not flags(world, located(world), kept=False)
    assert not flags(world, Route(address(2), "cached_session"))
    world.state.in_transaction = True
    assert not flags(world, located(world))


def test_nor_one_that_was_refused_before_or_has_zones_of_its_own() -> None:
    world = World(THREE_IDCS, settings=RouteSettings(reroute=True, primary_zone_name="z1"))
    assert not flags(world, located(world))

    world = World(THREE_IDCS, settings=EVERYTHING)
    request = world.request("select * from t")
    request.refused = (address(1),)
    assert not request_flags(request, located(world), world.view, last=None, kept=True)
