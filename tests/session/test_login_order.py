"""Where a login goes: it is routed like a statement without a table."""

from __future__ import annotations

from collections import Counter

from odp_trio.model import Address, TenantKey
from odp_trio.routing.view import RouteSettings, View
from odp_trio.session.first_server import login_order
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.location_table import Locations

ADDRESSES = [Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3)]


def view(*, down: int = 0, settings: RouteSettings | None = None, primary_zone: str = "") -> View:
    """Three servers, a zone and an IDC each; the first ``down`` of them are out of service."""
    servers = {
        address: Server(address, f"z{at}", ServerState.INACTIVE if at < down else ServerState.ACTIVE)
        for at, address in enumerate(ADDRESSES)
    }
    zones = {f"z{at}": Zone(f"z{at}", "ACTIVE", "r", f"idc{at}", "ReadWrite") for at in range(3)}
    key = TenantKey("demo", "t1")
    chosen = settings or RouteSettings()
    return View(key, 1, servers, zones, tuple(ADDRESSES), Locations(), chosen, primary_zone)


def test_logins_are_spread_over_the_servers() -> None:
    first = Counter(next(login_order(view(), turn)) for turn in range(30))

    assert set(first.values()) == {10}


def test_servers_that_are_down_come_last() -> None:
    order = tuple(login_order(view(down=1), 0))

    assert order[-1] == ADDRESSES[0]
    assert sorted(order) == ADDRESSES


def test_servers_that_are_down_are_tried_when_there_are_no_others() -> None:
    assert sorted(login_order(view(down=3), 0)) == ADDRESSES


def test_the_nearest_server_comes_first() -> None:
    order = tuple(login_order(view(settings=RouteSettings(idc="idc2")), 5))

    assert order[0] == ADDRESSES[2]


def test_the_primary_zone_comes_first_unless_that_is_switched_off() -> None:
    assert tuple(login_order(view(primary_zone="z1;z0"), 7))[:2] == (ADDRESSES[1], ADDRESSES[0])
    indifferent = RouteSettings(enable_primary_zone=False)
    first = {next(login_order(view(primary_zone="z1", settings=indifferent), turn)) for turn in range(9)}
    assert first == set(ADDRESSES)
