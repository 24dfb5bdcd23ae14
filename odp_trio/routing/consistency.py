"""How fresh a statement's data must be, and which route policy follows from that."""

from __future__ import annotations

from typing import Final

from odp_trio.routing.policy import BY_NUMBER, FOLLOWER_POLICIES
from odp_trio.routing.request import NO_TEXT, RouteRequest
from odp_trio.routing.view import View
from odp_trio.sql.facts import Consistency, Kind
from odp_trio.state.client import STRONG, WEAK

ONLY_ZONES: Final = "PROXY_PRIMARY_ZONE_NAME_ONLY"
"""The policy of ``proxy_primary_zone_name``: no tiers, but its zones in their order, and no other."""

_READONLY_KINDS: Final = frozenset({Kind.SELECT, Kind.SET, Kind.USE, Kind.HELP, Kind.SHOW})


def is_weak(request: RouteRequest, view: View) -> bool:
    """Whether a replica that may lag is good enough.  First match: see the table in docs/routing.md."""
    facts = request.shape.facts
    state = request.state
    if facts.kind is not Kind.SELECT or facts.locking or state.held_begin:
        return False
    if facts.consistency is not None and facts.consistency is not Consistency.FROZEN:
        return facts.consistency is Consistency.WEAK
    if state.read_consistency == WEAK:
        return True
    settings = view.settings
    return settings.read_write_split and not state.in_transaction and (state.autocommit or settings.transaction_split)


def why_consistency(request: RouteRequest, view: View) -> str:
    """Say what made a statement weak or strong."""
    facts = request.shape.facts
    if facts.kind is not Kind.SELECT:
        return "not a SELECT"
    if facts.locking:
        return "it takes locks"
    if request.state.held_begin:
        return "it is the first statement of a transaction"
    if facts.consistency is not None and facts.consistency is not Consistency.FROZEN:
        return f"hint READ_CONSISTENCY({facts.consistency.name})"
    if request.state.read_consistency == WEAK:
        return "ob_read_consistency is WEAK"
    return "enable_read_write_split" if is_weak(request, view) else "the default"


def choose_policy(request: RouteRequest, view: View) -> str:
    """Return the name of the route policy that applies."""
    state, facts, settings = request.state, request.shape.facts, view.settings
    entry = request.entry
    if entry is not None and entry.duplicate and facts.is_read and not request.weak:
        return "DUP_REPLICA_FIRST"
    if view.has_readonly_zone:
        return _policy_beside_readonly_zones(request)
    if request.weak:
        for name in (state.user_policy, settings.policy.upper()):
            if name in FOLLOWER_POLICIES:
                return name
    if settings.primary_zone_name:
        return ONLY_ZONES
    return "MERGE_IDC_ORDER"


def _policy_beside_readonly_zones(request: RouteRequest) -> str:
    state = request.state
    if request.weak:
        return BY_NUMBER[state.route_policy]
    if not may_read_only(request):
        return "ONLY_READWRITE_ZONE"
    if not state.consistency_set:
        return "MERGE_IDC_ORDER"
    return "ONLY_READWRITE_ZONE" if state.read_consistency == STRONG else BY_NUMBER[state.route_policy]


def may_read_only(request: RouteRequest) -> bool:
    """Whether a server of a read-only zone could run it: what changes nothing and has no table."""
    facts = request.shape.facts
    if facts.kind is Kind.SELECT and request.weak:
        return True
    return request.shape is NO_TEXT or (facts.kind in _READONLY_KINDS and not facts.tables)
