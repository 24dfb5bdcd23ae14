"""target_db_server: whose servers it may name, and in which order they are tried."""

from __future__ import annotations

import pytest

from odp_trio.errors import NotRoutable
from odp_trio.routing.decide import decide
from odp_trio.routing.request import Refuse, Route
from odp_trio.routing.view import RouteSettings, View
from odp_trio.sql.literals import read_annotation
from tests.routing.world import KEY, THREE_IDCS, World, address

STRONG_READ = "select v from t where id = 1"


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
