"""Rules and policies as tables for docs/routing.md."""

from __future__ import annotations

from odp_trio.routing.decide import rule_name
from odp_trio.routing.policy import POLICIES
from odp_trio.routing.rules import RULES


def render_rules() -> str:
    """Return the rules in their order, each with what it does."""
    lines = ["| | rule | what it does |", "|---|---|---|"]
    for at, rule in enumerate(RULES, 1):
        lines.append(f"| {at} | `{rule_name(rule)}` | {(rule.__doc__ or '').strip().splitlines()[0]} |")
    return "\n".join(lines)


def render_policies() -> str:
    """Return the tiers of every policy."""
    lines = ["| policy | tiers, best first |", "|---|---|"]
    lines += [f"| {name} | {' '.join(tiers)} |" for name, tiers in POLICIES.items() if not name.endswith("_OPTIMIZED")]
    return "\n".join(lines)
