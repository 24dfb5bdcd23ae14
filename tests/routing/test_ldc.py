"""Nearness: how the proxy's IDC is found, and what follows for each server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.routing.ldc import BY_IDC, BY_URL, BY_ZONE_PREFIX, OFF, measure
from odp_trio.routing.view import RouteSettings, View
from odp_trio.topology.cluster import Server, ServerState, Zone
from tests.routing.world import THREE_IDCS, World, address


@pytest.mark.parametrize(
    ("idc", "matched", "letters"),
    [
        ("hz1", BY_IDC, "ABC"),
        ("HZ2", BY_IDC, "BAC"),
        ("sh1", BY_IDC, "CCA"),
        ("z3", BY_ZONE_PREFIX, "CCA"),
        ("Z", BY_ZONE_PREFIX, "AAA"),
        ("nosuch", OFF, "AAA"),
        ("", OFF, "AAA"),
    ],
)
def test_three_idcs_seen_from_one(idc: str, matched: str, letters: str) -> None:
    view = World(THREE_IDCS).view

    near = measure(idc, view.servers, view.zones)

    assert near.matched == matched
    assert "".join(near.of(address(number)) for number in (1, 2, 3)) == letters


def test_the_config_servers_list_is_the_last_resort() -> None:
    view = World(THREE_IDCS).view

    near = measure("far", view.servers, view.zones, {"Far": "SH"})

    assert (near.matched, near.of(address(1)), near.of(address(3))) == (BY_URL, "C", "B")


def test_regions_are_compared_with_their_case() -> None:
    view = World({1: ("HZ", "hz1"), 2: ("hz", "hz2")}).view

    assert measure("hz1", view.servers, view.zones).of(address(2)) == "C"


def test_a_server_that_the_list_does_not_have_is_far_unless_nearness_is_off() -> None:
    view = World(THREE_IDCS).view

    assert measure("hz1", view.servers, view.zones).of(address(9)) == "C"
    assert measure("", view.servers, view.zones).of(address(9)) == "A"


def test_an_idc_beats_a_zone_that_begins_with_its_name() -> None:
    view = World({1: ("HZ", "z2"), 2: ("SH", "sh1")}).view

    near = measure("z2", view.servers, view.zones)

    assert (near.matched, near.of(address(1)), near.of(address(2))) == (BY_IDC, "A", "C")


def test_a_zone_that_begins_with_the_name_beats_the_config_servers_list() -> None:
    view = World(THREE_IDCS).view

    assert measure("z1", view.servers, view.zones, {"z1": "SH"}).matched == BY_ZONE_PREFIX


def test_a_zone_prefix_makes_its_zones_near_and_its_regions_other_zones_so_so() -> None:
    view = World({1: ("HZ", "a"), 10: ("HZ", "b"), 2: ("HZ", "c"), 3: ("SH", "d")}).view

    near = measure("z1", view.servers, view.zones)

    assert [near.of(address(number)) for number in (1, 10, 2, 3)] == ["A", "A", "B", "C"]


def test_an_idc_that_is_in_two_regions_makes_both_near() -> None:
    view = World({1: ("HZ", "x"), 2: ("SH", "x"), 3: ("SH", "y"), 4: ("BJ", "y")}).view

    near = measure("x", view.servers, view.zones)

    assert [near.of(address(number)) for number in (1, 2, 3, 4)] == ["A", "A", "B", "C"]


def test_a_server_whose_zone_is_not_known_is_far() -> None:
    lost = Server(address(4), "nozone", ServerState.ACTIVE)
    view = World(THREE_IDCS).view

    assert measure("hz1", {**view.servers, address(4): lost}, view.zones).of(address(4)) == "C"


@pytest.mark.parametrize(("session", "expected"), [("", "hz1"), ("sh1", "sh1"), ("nosuch", "nosuch")])
def test_the_sessions_idc_beats_the_configured_one(session: str, expected: str) -> None:
    view = World(THREE_IDCS, settings=RouteSettings(idc="hz1")).view

    assert view.near(session) == measure(expected, view.servers, view.zones)


def test_of_many_idcs_that_sessions_name_only_some_are_kept() -> None:
    view = World(THREE_IDCS).view

    assert all(view.near(f"idc{number}").matched == OFF for number in range(100))
    assert view.near("hz2").of(address(2)) == "A"


NAMES = st.sampled_from(["HZ", "hz", "hz1", "HZ1", "sh", "z1", ""])


@given(st.dictionaries(st.integers(1, 9), st.tuples(NAMES, NAMES, NAMES)), NAMES, st.dictionaries(NAMES, NAMES))
def test_near_is_never_another_region_and_without_a_match_all_are_near(
    places: dict[int, tuple[str, str, str]], idc: str, listed: dict[str, str]
) -> None:
    zones = {f"{name}{n}": Zone(f"{name}{n}", "ACTIVE", region, own, "") for n, (name, region, own) in places.items()}
    servers: dict[Address, Server] = {
        address(n): Server(address(n), f"{name}{n}", ServerState.ACTIVE) for n, (name, _, _) in places.items()
    }
    near = measure(idc, servers, zones, listed)

    letters = {server: near.of(server) for server in servers}
    regions = {zones[servers[server].zone].region for server, letter in letters.items() if letter in "AB"}
    if not near.matched:
        assert set(letters.values()) <= {"A"}
    assert all(zones[servers[server].zone].region not in regions for server in letters if letters[server] == "C")


def test_an_idc_without_a_zone_has_its_region_from_the_config_server() -> None:
    view = World({1: ("hangzhou", "hz1"), 2: ("shanghai", "sh1")}).view
    plain = View(view.key, 1, view.servers, view.zones, view.tenant_servers, view.locations, view.settings)
    told = View(
        view.key,
        2,
        view.servers,
        view.zones,
        view.tenant_servers,
        view.locations,
        view.settings,
        idcs={"sh9": "shanghai", "hz1": "elsewhere"},
    )

    assert not plain.near("sh9").matched
    assert told.near("SH9").matched == BY_URL
    assert (told.near("sh9").of(address(1)), told.near("sh9").of(address(2))) == ("C", "B")
    assert told.near("hz1").of(address(1)) == "A"  # what a zone says wins
