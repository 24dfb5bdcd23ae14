"""Which replicas a statement may go to, and in what order.

A route policy is a list of *tiers*, best first.  A tier is spelled with ODP's
letters, one letter an attribute:

    A same IDC      N not merging   W read-write zone   P holds a replica   L leader
    B same region   M merging       R read-only zone    T holds none        F follower
    C other region                                                          D duplicate or leader

so ``ANPF`` reads "same IDC, not merging, has a replica, follower".  An
attribute that a tier leaves out does not matter to it.
"""

# The policies are data so that the table can be held against ODP's line by line.
# What cannot be said with these letters is no policy but a rule: see rules.py.

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from odp_trio.model import Address


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One OBServer as a policy sees it.  ``letters`` has one letter for each attribute, such as ``ANWPF``."""

    address: Address
    letters: str


class Tier(msgspec.Struct, frozen=True, gc=False):
    """One step of a policy and the servers that it admits, in a fixed order.

    ``listed`` may be shared with other locations: those at the positions ``skipped`` (ascending) are not of this one.
    """

    letters: str
    listed: tuple[Address, ...]
    skipped: tuple[int, ...] = ()

    @property
    def servers(self) -> tuple[Address, ...]:
        """The servers that it admits."""
        if not self.skipped:
            return self.listed
        return tuple(server for at, server in enumerate(self.listed) if at not in self.skipped)

    def by_turn(self, turn: int) -> Address:
        """Return one of the servers, another for another turn."""
        at = turn % (len(self.listed) - len(self.skipped))
        for skipped in self.skipped:
            at += skipped <= at
        return self.listed[at]


class Unlocated(msgspec.Struct, frozen=True):
    """The tiers of a policy for servers that hold no replica, and where in its tier each of them stands."""

    tiers: tuple[Tier, ...]
    places: dict[str, dict[Address, int]]
    """By letters of the tier."""


_TABLE: Final = {
    "MERGE_IDC_ORDER": "ANP BNP AMP BMP | ANT BNT AMT BMT | CNP CMP | CNT CMT",
    "READONLY_ZONE_FIRST": (
        "ANRP BNRP AMRP BMRP ANWP BNWP AMWP BMWP | ANRT BNRT AMRT BMRT ANWT BNWT AMWT BMWT "
        "| CNRP CMRP CNWP CMWP | CNRT CMRT CNWT CMWT"
    ),
    "ONLY_READONLY_ZONE": "ANRP BNRP AMRP BMRP | ANRT BNRT AMRT BMRT | CNRP CMRP | CNRT CMRT",
    "UNMERGE_ZONE_FIRST": (
        "ANRP BNRP ANWP BNWP AMRP BMRP AMWP BMWP | ANRT BNRT ANWT BNWT AMRT BMRT AMWT BMWT "
        "| CNRP CNWP CMRP CMWP | CNRT CNWT CMRT CMWT"
    ),
    "ONLY_READWRITE_ZONE": "ANWP BNWP AMWP BMWP | ANWT BNWT AMWT BMWT | CNWP CMWP | CNWT CMWT",
    "FOLLOWER_FIRST": ("ANPF BNPF AMPF BMPF | ANPL BNPL AMPL BMPL | ANT BNT AMT BMT | CNPF CMPF | CNPL CMPL | CNT CMT"),
    "UNMERGE_FOLLOWER_FIRST": (
        "ANPF BNPF ANPL BNPL | AMPF BMPF AMPL BMPL | ANT BNT AMT BMT | CNPF CNPL | CMPF CMPL | CNT CMT"
    ),
    "FOLLOWER_ONLY": "ANPF BNPF AMPF BMPF | ANT BNT AMT BMT | CNPF CMPF | CNT CMT",
    "DUP_REPLICA_FIRST": ("ANPD BNPD AMPD BMPD CNPD CMPD | ANP BNP AMP BMP | CNP CMP | ANT BNT AMT BMT | CNT CMT"),
}

FOLLOWER_POLICIES: Final = ("FOLLOWER_FIRST", "UNMERGE_FOLLOWER_FIRST", "FOLLOWER_ONLY")
"""Those that ``proxy_route_policy`` may name."""
BY_NUMBER: Final = ("MERGE_IDC_ORDER", "READONLY_ZONE_FIRST", "ONLY_READONLY_ZONE", "UNMERGE_ZONE_FIRST")
"""What the session variable ``ob_route_policy`` numbers; any other number means READONLY_ZONE_FIRST."""


def _optimized(tiers: Sequence[str]) -> tuple[str, ...]:
    """Put remote replicas before near servers that hold none."""
    replicas = [tier for tier in tiers if "P" in tier]
    return (*replicas, *(tier for tier in tiers if "P" not in tier))


def _policies() -> dict[str, tuple[str, ...]]:
    policies = {name: tuple(re.findall("[A-Z]+", text)) for name, text in _TABLE.items()}
    optimized = {f"{name}_OPTIMIZED": _optimized(tiers) for name, tiers in policies.items() if name[:3] != "DUP"}
    return policies | optimized


POLICIES: Final = _policies()
"""Tiers of every policy.  ``…_OPTIMIZED`` is what a policy becomes when no near replica can be used."""


def admits(tier: str, letters: str) -> bool:
    """Whether a tier admits a candidate: every letter of the tier is one of the candidate's."""
    return all(letter in letters for letter in tier)


def in_order(policy: str, candidates: Iterable[Candidate]) -> tuple[Tier, ...]:
    """Sort candidates into the tiers of a policy; empty tiers and candidates that no tier admits are left out."""
    servers = tuple(candidates)
    tiers = (
        Tier(letters, tuple(server.address for server in servers if admits(letters, server.letters)))
        for letters in POLICIES[policy]
    )
    return tuple(tier for tier in tiers if tier.listed)


def unlocated(policy: str, candidates: Iterable[Candidate]) -> Unlocated:
    """Sort servers that hold no replica into the tiers of a policy, to be shared by all locations."""
    tiers = in_order(policy, candidates)
    return Unlocated(tiers, {tier.letters: {one: at for at, one in enumerate(tier.listed)} for tier in tiers})


def in_order_beside(
    policy: str, held: Iterable[Candidate], others: Unlocated, absent: Iterable[Address]
) -> tuple[Tier, ...]:
    """Return the tiers of a policy for one location: its replicas, and the other servers without those ``absent``.

    What it costs, in time and memory, does not depend on how many other servers there are.
    """
    tiers = {tier.letters: tier for tier in in_order(policy, held)}
    for tier in others.tiers:
        places = others.places[tier.letters]
        skipped = tuple(sorted(places[address] for address in absent if address in places))
        if len(skipped) < len(tier.listed):
            tiers[tier.letters] = Tier(tier.letters, tier.listed, skipped) if skipped else tier
    return tuple(tiers[letters] for letters in POLICIES[policy] if letters in tiers)


def best(tiers: Iterable[Tier], refused: Collection[Address], turn: int) -> tuple[str, Address] | None:
    """Return the tier and the server to take: of the first tier that has any, one by ``turn``.

    None when every server of every tier is refused.
    """
    for tier in tiers:
        if not refused:
            return tier.letters, tier.by_turn(turn)
        servers = tuple(server for server in tier.servers if server not in refused)
        if servers:
            return tier.letters, servers[turn % len(servers)]
    return None
