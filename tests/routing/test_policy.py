"""Route policies: the letters of every tier, walked by taking the best server away."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.routing.policy import FOLLOWER_POLICIES, POLICIES, Candidate, admits, best, in_order

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
