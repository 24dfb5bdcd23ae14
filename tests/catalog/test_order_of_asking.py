"""Whom a cluster's metadata is asked of: those that take logins in turn, then the rest, then the rslist."""

from __future__ import annotations

from random import Random

import trio
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.catalog.keeper import Keeper
from odp_trio.catalog.origin import Surroundings
from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.topology.cluster import ClusterResource, Server, ServerState, Zone

ADDRESSES = tuple(Address(f"10.0.0.{number}", 2881) for number in range(8))
ZONES = [Zone(f"z{number}", "ACTIVE", "r", "i", "ReadWrite") for number in range(3)]


def asked(cluster: ClusterResource, keeper: Keeper | None, seed: int) -> tuple[tuple[Address, ...], Keeper]:
    async def main() -> tuple[tuple[Address, ...], Keeper]:
        around = Surroundings(Settings, Random(seed), lambda: None, lambda name, tenants: None, lambda one: None)
        found = keeper or Keeper(cluster, None, None, around)  # type: ignore[arg-type]  # nobody is asked here
        found.around = around
        return found._servers_to_ask(), found

    return trio.run(main)


@given(
    st.lists(st.tuples(st.sampled_from(ADDRESSES), st.integers(0, 2), st.booleans()), unique_by=lambda one: one[0]),
    st.lists(st.sampled_from(ADDRESSES), unique=True),
    st.lists(st.sampled_from(ADDRESSES), unique=True),
    st.integers(0, 9),
    st.booleans(),
)
def test_everybody_is_asked_once_and_who_serves_is_first(
    servers: list[tuple[Address, int, bool]],
    rslist: list[Address],
    other: list[Address],
    seed: int,
    failing: bool,
) -> None:
    states = {True: ServerState.ACTIVE, False: ServerState.INACTIVE}
    cluster = ClusterResource("demo", tuple(rslist))
    keeper = None
    for now, listed in ((0.0, servers), (1.0, servers[1:]), (2.0, servers)):
        if listed:
            cluster.merge([Server(address, f"z{zone}", states[up]) for address, zone, up in listed], ZONES, now)
        if now:
            cluster.rslist = tuple(other)
        cluster.failures = 100 if failing else 0

        found, keeper = asked(cluster, keeper, seed)

        assert len(set(found)) == len(found)
        assert set(found) == {*cluster.servers, *cluster.rslist}
        front = len(cluster.rslist) if failing and cluster.servers else 0
        assert found[:front] == (cluster.rslist if front else ())
        left = [address for address in found if not front or address not in cluster.rslist]
        ranks = [rank(cluster, address) for address in left]
        assert ranks == sorted(ranks)


def rank(cluster: ClusterResource, address: Address) -> int:
    """Those that take logins (all, if none does), other servers, the rslist."""
    server = cluster.servers.get(address)
    if server is None:
        return 2
    return int(not server.takes_logins and any(one.takes_logins for one in cluster.servers.values()))
