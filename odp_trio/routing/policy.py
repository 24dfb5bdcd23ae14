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


class Candidate(msgspec.Struct, frozen=True):
    """One OBServer as a policy sees it.  ``letters`` has one letter for each attribute, such as ``ANWPF``."""

    address: Address
    letters: str


class Tier(msgspec.Struct, frozen=True):
    """One step of a policy and the servers that it admits, in a fixed order."""

    letters: str
    servers: tuple[Address, ...]


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
    return tuple(tier for tier in tiers if tier.servers)


def best(tiers: Iterable[Tier], refused: Collection[Address], turn: int) -> tuple[str, Address] | None:
    """Return the tier and the server to take: of the first tier that has any, one by ``turn``.

    None when every server of every tier is refused.
    """
    for tier in tiers:
        servers = tier.servers
        if refused:
            servers = tuple(server for server in servers if server not in refused)
        if servers:
            return tier.letters, servers[turn % len(servers)]
    return None
