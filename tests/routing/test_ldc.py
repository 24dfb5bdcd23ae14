"""Nearness: how the proxy's IDC is found, and what follows for each server."""

from __future__ import annotations

import pytest

from odp_trio.routing.ldc import BY_IDC, BY_URL, BY_ZONE_PREFIX, OFF, measure
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
