"""Server lists: states, merging, the sys tenant's route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.topology.cluster import ClusterResource, Server, ServerState, Zone, interleave, server_state


def server(number: int, zone: str = "z1", state: ServerState = ServerState.ACTIVE) -> Server:
    return Server(Address(f"10.0.0.{number}", 2881), zone, state)


ZONES = [Zone("z1", "ACTIVE", "r", "idc1", "ReadWrite")]
servers = st.builds(server, st.integers(1, 9), st.sampled_from(["z1", "z2", "z3"]), st.sampled_from(ServerState))


@pytest.mark.parametrize(
    ("status", "started", "stopped", "state"),
    [
        ("ACTIVE", True, False, ServerState.ACTIVE),
        ("active", True, False, ServerState.ACTIVE),
        ("INACTIVE", True, False, ServerState.INACTIVE),
        ("DELETING", True, False, ServerState.DELETING),
        ("ACTIVE", False, False, ServerState.REPLAY),
        ("DELETING", False, False, ServerState.INACTIVE),
        ("ACTIVE", True, True, ServerState.UPGRADE),
        ("INACTIVE", False, True, ServerState.UPGRADE),
    ],
)
def test_a_row_becomes_a_state_as_in_odp(status: str, started: bool, stopped: bool, state: ServerState) -> None:
    assert server_state(status, started=started, stopped=stopped) is state


def test_an_unknown_status_is_an_error() -> None:
    with pytest.raises(KeyError):
        server_state("DANCING", started=True, stopped=False)


def test_merging_says_what_changed() -> None:
    cluster = ClusterResource("demo", ())
    cluster.merge([server(1), server(2)], ZONES, 1.0)

    changes = cluster.merge([server(2, state=ServerState.INACTIVE), server(3)], ZONES, 2.0)

    assert (changes.added, changes.removed, changes.moved) == (
        (server(3).address,),
        (server(1).address,),
        (server(2).address,),
    )
    assert not cluster.merge(cluster.servers.values(), ZONES, 3.0)
    assert (cluster.refreshed_at, cluster.refreshes) == (3.0, 3)


def test_before_the_first_list_the_route_is_the_rslist() -> None:
    cluster = ClusterResource("demo", (server(1).address,))

    assert cluster.sys_route() == (server(1).address,)
    assert not cluster.available


def test_servers_are_interleaved_over_zones() -> None:
    order = interleave([server(1, "a"), server(2, "a"), server(3, "b"), server(4, "c"), server(5, "c")])

    assert [address.ip[-1] for address in order] == ["1", "3", "4", "2", "5"]


@given(st.lists(servers, min_size=1, unique_by=lambda s: s.address))
def test_a_route_never_names_a_server_that_is_down_while_another_is_up(listed: list[Server]) -> None:
    cluster = ClusterResource("demo", ())
    cluster.merge(listed, ZONES, 0.0)
    up = {one.address for one in listed if one.takes_logins}

    assert set(cluster.sys_route()) == (up or {one.address for one in listed})
    assert len(cluster.sys_route()) == len(set(cluster.sys_route()))


@given(
    st.lists(servers, max_size=6, unique_by=lambda s: s.address), st.lists(st.integers(1, 9), min_size=1, unique=True)
)
def test_a_tenants_route_is_never_emptied(listed: list[Server], numbers: list[int]) -> None:
    cluster = ClusterResource("demo", ())
    cluster.merge(listed, ZONES, 0.0)
    route = tuple(server(number).address for number in numbers)

    assert cluster.usable(route)
    assert set(cluster.usable(route)) <= set(route)
