"""Route policies: the letters of every tier, walked by taking the best server away."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.routing.policy import BY_NUMBER, FOLLOWER_POLICIES, POLICIES, Candidate, admits, best, in_order
from odp_trio.routing.view import RouteSettings, View
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations
from tests.routing.world import KEY

# As ODP's documentation prints them, group by group.
DOCUMENTED = {
    "MERGE_IDC_ORDER": "ANP BNP AMP BMP ANT BNT AMT BMT CNP CMP CNT CMT",
    "READONLY_ZONE_FIRST": "ANRP BNRP AMRP BMRP ANWP BNWP AMWP BMWP ANRT BNRT AMRT BMRT ANWT BNWT AMWT BMWT "
    "CNRP CMRP CNWP CMWP CNRT CMRT CNWT CMWT",
    "ONLY_READONLY_ZONE": "ANRP BNRP AMRP BMRP ANRT BNRT AMRT BMRT CNRP CMRP CNRT CMRT",
    "UNMERGE_ZONE_FIRST": "ANRP BNRP ANWP BNWP AMRP BMRP AMWP BMWP ANRT BNRT ANWT BNWT AMRT BMRT AMWT BMWT "
    "CNRP CNWP CMRP CMWP CNRT CNWT CMRT CMWT",
    "ONLY_READWRITE_ZONE": "ANWP BNWP AMWP BMWP ANWT BNWT AMWT BMWT CNWP CMWP CNWT CMWT",
    "FOLLOWER_FIRST": "ANPF BNPF AMPF BMPF ANPL BNPL AMPL BMPL ANT BNT AMT BMT CNPF CMPF CNPL CMPL CNT CMT",
    "UNMERGE_FOLLOWER_FIRST": "ANPF BNPF ANPL BNPL AMPF BMPF AMPL BMPL ANT BNT AMT BMT CNPF CNPL CMPF CMPL CNT CMT",
    "FOLLOWER_ONLY": "ANPF BNPF AMPF BMPF ANT BNT AMT BMT CNPF CMPF CNT CMT",
    "DUP_REPLICA_FIRST": "ANPD BNPD AMPD BMPD CNPD CMPD ANP BNP AMP BMP CNP CMP ANT BNT AMT BMT CNT CMT",
}
EVERY_KIND = [
    distance + merging + zone + role
    for distance, merging, zone, role in product("ABC", "NM", "RW", ("PL", "PF", "PLD", "PFD", "T"))
]
CANDIDATES = [Candidate(Address("10.0.0.1", 1000 + at), letters) for at, letters in enumerate(EVERY_KIND)]


@pytest.mark.parametrize("policy", DOCUMENTED)
def test_the_tiers_are_the_documented_ones(policy: str) -> None:
    assert list(POLICIES[policy]) == DOCUMENTED[policy].split()


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_policy_is_walked_tier_by_tier(policy: str) -> None:
    """Take the best server away, again and again: the tiers come in their order, each until it is empty."""
    letters = {candidate.address: candidate.letters for candidate in CANDIDATES}
    refused: set[Address] = set()
    walked: list[str] = []
    while (found := best(in_order(policy, CANDIDATES), refused, turn=len(refused))) is not None:
        tier, server = found
        assert admits(tier, letters[server])
        if not walked or walked[-1] != tier:
            walked.append(tier)
        refused.add(server)

    order = list(POLICIES[policy])
    assert walked == [tier for tier in order if tier in walked]
    reachable = {a for a, text in letters.items() if any(admits(tier, text) for tier in order)}
    assert refused == reachable


@pytest.mark.parametrize("policy", sorted(DOCUMENTED))
def test_every_server_has_a_place_unless_the_policy_excludes_it(policy: str) -> None:
    outside = {
        candidate.letters
        for candidate in CANDIDATES
        if not any(admits(tier, candidate.letters) for tier in POLICIES[policy])
    }

    excluded = {"ONLY_READONLY_ZONE": "W", "ONLY_READWRITE_ZONE": "R", "FOLLOWER_ONLY": "L"}.get(policy)
    assert all(excluded is not None and excluded in letters for letters in outside)
    if excluded is not None:
        assert outside


@pytest.mark.parametrize("policy", sorted(set(DOCUMENTED) - {"DUP_REPLICA_FIRST"}))
def test_the_optimized_form_puts_remote_replicas_before_near_servers_without_data(policy: str) -> None:
    tiers = POLICIES[f"{policy}_OPTIMIZED"]

    assert sorted(tiers) == sorted(POLICIES[policy])
    first_without = next(at for at, tier in enumerate(tiers) if "T" in tier)
    assert all("P" in tier for tier in tiers[:first_without])
    assert all("T" in tier for tier in tiers[first_without:])


REGIONS = {"A": ("HZ", "hz1"), "B": ("HZ", "hz2"), "C": ("SH", "sh1")}


def cluster(out: Collection[Address]) -> tuple[View, Location]:
    """Every kind of server, each in a zone of its own; those of ``out`` are not in service."""
    entry = TableEntry(TableKey("demo", "t1", "test", "t"), 0.0)
    servers, zones, replicas = {}, {}, []
    for candidate in CANDIDATES:
        address, letters = candidate.address, candidate.letters
        name, (region, idc) = f"z{address.port}", REGIONS[letters[0]]
        kind = "ReadOnly" if letters[2] == "R" else "ReadWrite"
        servers[address] = Server(address, name, ServerState.ACTIVE)
        zones[name] = Zone(name, "ACTIVE", region, idc, kind, letters[1] == "M")
        if "P" in letters:
            replicas.append(Replica(address, "L" in letters, duplicate="D" in letters))
    settings = RouteSettings(idc="hz1")
    view = View(KEY, 1, servers, zones, tuple(servers), Locations(), settings, excluded=out)
    return view, Location(entry, 0, tuple(replicas), 0.0)


@given(
    st.sampled_from(sorted(POLICIES)),
    st.sets(st.sampled_from(CANDIDATES), max_size=4),
    st.sets(st.sampled_from(CANDIDATES), max_size=3),
    st.lists(st.tuples(st.booleans(), st.sampled_from((0, 5, 16)), st.booleans()), min_size=4, max_size=4),
    st.sampled_from(("hz1", "sh1", "", "nowhere")),
)
def test_tiers_with_shared_servers_are_those_of_all_candidates(
    policy: str, held: set[Candidate], homeless: set[Candidate], kinds: list[tuple[bool, int, bool]], idc: str
) -> None:
    view, location = cluster(())
    away = {candidate.address for candidate in homeless}
    homes = tuple(address for address in view.tenant_servers if address not in away)
    view = View(KEY, 1, view.servers, view.zones, homes, view.locations, RouteSettings(idc=idc))
    replicas = [
        Replica(candidate.address, leader, kind, duplicate)
        for candidate, (leader, kind, duplicate) in zip(sorted(held, key=str), kinds, strict=False)
    ]
    location = Location(location.table, 0, (*replicas, Replica(Address("10.9.9.9", 1))), 0.0)

    tiers = view.tiers(policy, location, "")

    expected = in_order(policy, view.candidates(location, ""))
    assert [(tier.letters, tier.servers) for tier in tiers] == [(tier.letters, tier.servers) for tier in expected]
    for tier in tiers:
        assert tuple(tier.by_turn(turn) for turn in range(len(tier.servers))) == tier.servers


def walk(policy: str, *, dying: bool) -> list[str]:
    """Tiers in the order in which a weak read comes to them; a server that was taken dies, or is tried in vain."""
    taken: set[Address] = set()
    tiers: list[str] = []
    view, location = cluster(())
    while (picked := view.pick(policy, location, "", () if dying else taken, turn=len(taken))) is not None:
        _, tier, address = picked
        if not tiers or tiers[-1] != tier:
            tiers.append(tier)
        taken.add(address)
        if dying:
            view.out = frozenset(taken)
    return tiers


@pytest.mark.parametrize("policy", sorted(DOCUMENTED))
def test_servers_that_are_tried_in_vain_are_walked_in_the_documented_order(policy: str) -> None:
    walked = walk(policy, dying=False)

    assert walked == [tier for tier in DOCUMENTED[policy].split() if tier in walked]
    assert {tier[0] for tier in walked} == set("ABC")
    assert any("T" in tier for tier in walked)


@pytest.mark.parametrize("policy", sorted(set(DOCUMENTED) - {"DUP_REPLICA_FIRST"}))
def test_servers_that_die_are_walked_in_the_order_of_the_optimized_form(policy: str) -> None:
    walked = walk(policy, dying=True)

    replicas = [tier for tier in DOCUMENTED[policy].split() if "P" in tier]
    empty = [tier for tier in DOCUMENTED[policy].split() if "T" in tier]
    assert walked == [*replicas, *empty]


def test_the_letters_of_a_server_are_read_off_its_zone_and_its_replica() -> None:
    view, location = cluster(())

    found = {candidate.address: set(candidate.letters) for candidate in view.candidates(location, "")}

    wanted = {each.address: set(each.letters) | ({"D"} if "L" in each.letters else set()) for each in CANDIDATES}
    assert found == wanted


@given(st.lists(st.sampled_from(CANDIDATES), unique=True), st.sets(st.sampled_from(CANDIDATES)), st.integers(0, 99))
def test_follower_only_never_answers_a_leader(servers: list[Candidate], out: set[Candidate], turn: int) -> None:
    found = best(in_order("FOLLOWER_ONLY", servers), {candidate.address for candidate in out}, turn)

    leaders = {candidate.address for candidate in servers if "L" in candidate.letters}
    assert found is None or found[1] not in leaders


@given(st.sampled_from(sorted(POLICIES)), st.lists(st.sampled_from(CANDIDATES), min_size=1, unique=True))
def test_equals_take_turns(policy: str, servers: list[Candidate]) -> None:
    tiers = in_order(policy, servers)
    if not tiers:
        return

    chosen = [best(tiers, (), turn) for turn in range(len(tiers[0].servers))]

    assert {found[1] for found in chosen if found is not None} == set(tiers[0].servers)


def test_the_policies_that_the_option_names_exist() -> None:
    assert set(FOLLOWER_POLICIES) <= set(POLICIES)


def test_the_policies_that_the_session_variable_numbers_are_in_odps_order() -> None:
    assert BY_NUMBER == ("MERGE_IDC_ORDER", "READONLY_ZONE_FIRST", "ONLY_READONLY_ZONE", "UNMERGE_ZONE_FIRST")
