"""A routing rule of one's own: weak reads of report tables go to the followers of one zone.

Put it into a proxy with the option ``own_rules = "own_rule:reports_to_followers?mode=shadow"`` (this folder must be
on PYTHONPATH).  ``python examples/own_rule.py`` asks it about a made-up cluster, as a test of your own could do.
"""

from __future__ import annotations

import time

from odp_trio.model import Address, TenantKey
from odp_trio.routing.decide import Explanation
from odp_trio.routing.own_rules import Choice, OwnRule, RuleRequest, explain_with_own_rules, with_own_rules
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import RouteSettings, View
from odp_trio.sql.facts import Consistency, Kind, Shape, StatementFacts, TableRef
from odp_trio.state.client import ClientState
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations

REPORT_ZONE = "zone3"


def reports_to_followers(request: RuleRequest, view: View) -> Choice | None:
    """Weak reads of report_* tables go to the followers in zone3."""
    if not request.weak or not request.tables:
        return None
    if not all(name.startswith("report_") for _, name in request.tables):
        return None
    followers = tuple(
        replica.address
        for replica in request.replicas
        if replica.readable and not replica.leader and is_in_report_zone(view, replica.address)
    )
    return Choice(servers=followers, reason=f"A report, and {REPORT_ZONE} follows.") if followers else None


def is_in_report_zone(view: View, address: Address) -> bool:
    """Whether a server is in the zone for reports."""
    zone = view.zone_of(address)
    return zone is not None and zone.name == REPORT_ZONE


# ---- asking it, without a cluster -------------------------------------------------------


def made_up_view(*tables: str) -> View:
    """Return a view of three servers in three zones; the first leads every table."""
    key = TenantKey("demo", "shop")
    addresses = [Address("10.0.0.1", 2881), Address("10.0.0.2", 2881), Address("10.0.0.3", 2881)]
    zones = {f"zone{n}": Zone(f"zone{n}", "ACTIVE", "region", "idc", "ReadWrite") for n in (1, 2, 3)}
    servers = {
        address: Server(address, zone, ServerState.ACTIVE) for address, zone in zip(addresses, zones, strict=True)
    }
    locations = Locations()
    for table in tables:
        entry = TableEntry(TableKey(key.cluster, key.tenant, "shop", table), fetched_at=0.0)
        replicas = tuple(Replica(address, leader=address == addresses[0]) for address in addresses)
        entry.location = Location(entry, 0, replicas, fetched_at=0.0)
        locations.store(entry)
    return View(key, 1, servers, zones, tuple(addresses), locations, RouteSettings())


def weak_select(table: str) -> RouteRequest:
    """Return the request of ``select /*+ read_consistency(weak) */ * from TABLE``."""
    request = RouteRequest(ClientState(database=b"shop"), Values())
    request.begin(Shape(StatementFacts(kind=Kind.SELECT, tables=(TableRef(table),), consistency=Consistency.WEAK)))
    return request


def main() -> None:
    """Explain where a report and another statement go."""
    rule = OwnRule(
        "reports",
        reports_to_followers,
        clock=time.perf_counter_ns,
        alarm=lambda rule, why: print(rule.name, "is disabled:", why),
    )
    view = made_up_view("report_sales", "orders")
    for table in ("report_sales", "orders"):
        explanation = explain_with_own_rules(weak_select(table), view, with_own_rules([rule]), [rule])
        assert isinstance(explanation, Explanation)  # not a Lookup: the locations are there
        print(table, "->", explanation.server, "by rule", explanation.rule)
        print("   ", explanation.steps[-1].says)


if __name__ == "__main__":
    main()
