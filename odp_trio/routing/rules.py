"""The rules of routing, in the order in which they are asked; the first answer wins.

A rule is a function of a statement and the view of its tenant.  It answers a
route, a look-up (then it is asked again once that is done), a refusal, or None
to leave the statement to the rules behind it.  The first line of its docstring
is what ``explain`` prints.
"""

# The order is ODP's: what binds a statement to a server session comes first, then
# fixed targets, then the location, then what is done without one.

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from odp_trio.errors import BadAddress, NoReplica, NotRoutable
from odp_trio.model import Address
from odp_trio.routing.consistency import ONLY_ZONES, choose_policy, is_weak, may_read_only
from odp_trio.routing.locate import locate, location_of
from odp_trio.routing.request import Decision, Refuse, Route, RouteRequest
from odp_trio.routing.view import View
from odp_trio.sql.facts import Kind, StatementFacts
from odp_trio.state.client import WEAK
from odp_trio.topology.location import LEADER, Location
from odp_trio.topology.tenant import EntryState

Rule = Callable[[RouteRequest, View], Decision | None]

PARTICIPATES: Final = frozenset({Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.REPLACE, Kind.MERGE})
"""Statements that may run on another server than the one on which their transaction began."""


_ANYWHERE: Final = frozenset({"connection_id", "ping"})
"""What asks the last server if there is one, and gets no wrong answer from another."""


# ---- bound to a server session ------------------------------------------------------


def open_transaction(request: RouteRequest, view: View) -> Decision | None:
    """A transaction stays on the server where it began, unless that lets its DML go to participants."""
    state = request.state
    if not state.in_transaction or state.last is None or request.owner is not None:
        return None
    if state.coordinator is None:
        return Route(state.last, "open_transaction")
    facts = request.shape.facts
    if facts.binds_last:
        return Route(state.last, "open_transaction")
    return None if state.roams and _may_participate(facts) else Route(state.coordinator, "open_transaction")


def bound_session(request: RouteRequest, view: View) -> Decision | None:
    """A session with a temporary table, table locks or a pending SET TRANSACTION stays where it is."""
    state = request.state
    if state.bound and state.last is not None and request.owner is None:
        return Route(state.last, "bound_session")
    return None


def statement_owner(request: RouteRequest, view: View) -> Decision | None:
    """Cursors and long data are on one server."""
    return None if request.owner is None else Route(request.owner, "statement_owner")


def last_server(request: RouteRequest, view: View) -> Decision | None:
    """What asks about the statement before it (found_rows(), SHOW WARNINGS ...) goes where that one ran."""
    binds, state = request.shape.facts.binds_last, request.state
    if not binds:
        return None
    if binds == ("found_rows",) and state.rows_server is not None:
        return Route(state.rows_server, "last_server")
    if state.last is not None:
        return Route(state.last, "last_server")
    if state.last_lost and not _ANYWHERE.issuperset(binds):
        return Refuse(NotRoutable(f"the server session that {binds[0]} asks about is gone"), "last_server")
    return None


def lock_holder(request: RouteRequest, view: View) -> Decision | None:
    """GET_LOCK and its like go to the server session that holds the session's locks."""
    if request.shape.facts.table_locks and request.state.lock_server is not None:
        return Route(request.state.lock_server, "lock_holder")
    return None


# ---- fixed targets --------------------------------------------------------------------


def route_address(request: RouteRequest, view: View) -> Decision | None:
    """@obproxy_route_addr names the server, for one statement."""
    address = request.state.route_address
    return None if address is None else Route(address, "route_address")


def target_server(request: RouteRequest, view: View) -> Decision | None:
    """target_db_server, in a comment or in the configuration, names the servers; others are not used."""
    annotation = request.annotation
    groups = view.settings.target_servers
    if annotation is not None and annotation.target_servers:
        try:
            groups = _addresses(annotation.target_servers)
        except BadAddress as exc:
            return Refuse(NotRoutable(f"target_db_server: {exc}"), "target_server")
    if not groups:
        return None
    strangers = [address for group in groups for address in group if address not in view.tenant_servers]
    if strangers:
        error = NotRoutable("Not allow to route to target db server in the hint or configure: " + str(strangers[0]))
        return Refuse(error, "target_server")
    return _from_list(groups, request, view, "target_server", "TARGET_DB_SERVER_ONLY", force=True)


def _addresses(groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[Address, ...], ...]:
    return tuple(tuple(Address.parse(text) for text in group) for group in groups)


# ---- by location ------------------------------------------------------------------------


def location(request: RouteRequest, view: View) -> Decision | None:
    """The first table's entry, its partition and the location of that are looked up."""
    if view.settings.random:
        request.location = request.located = request.entry = None
        request.reason = "server_routing_mode is random"
        request.weak = False
        return None
    lookup = locate(request, view)
    request.weak = is_weak(request, view)
    return lookup


def leader(request: RouteRequest, view: View) -> Decision | None:
    """Writes and strong reads go to the leader."""
    found = request.location
    if found is None or request.weak or found.leader is None:
        return None
    if found.epoch == view.epoch and not (request.reason or request.refused or view.settings.primary_zone_name):
        return found.route  # type: ignore[return-value]  # of this rule: see below
    address = found.leader
    if address in view.out and not view.trusts_leader(found):
        return None
    if address in request.refused or view.settings.primary_zone_name:
        return None
    renew = _dirty(found)
    if view.lost(address):
        return None
    entry = found.table
    duplicate = entry.duplicate
    if duplicate and request.shape.facts.is_read:
        return None
    if request.reason:  # several partitions
        return Route(address, "leader", renew=renew, to_leader=True, tally=entry.tally(LEADER))
    same = renew is None and not duplicate and not entry.gone  # for every statement
    tally = None if same and found is entry.location else entry.tally(LEADER)
    route = Route(address, "leader", location=found, to_leader=True, renew=renew, tally=tally)
    if same:
        found.route, found.epoch = route, view.epoch
    return route


def replica(request: RouteRequest, view: View) -> Decision | None:
    """Weak reads go to a replica by the route policy; so does the rest when the leader cannot be used."""
    found = request.location
    if found is None:
        return None
    policy = choose_policy(request, view)
    if policy == ONLY_ZONES:
        groups = view.in_zones(view.settings.primary_zone_name, _readable(found))
        return _from_list(groups, request, view, "replica", policy, found)
    picked = view.pick(policy, found, request.state.idc, request.refused, request.turn, weak=request.weak)
    if picked is None:
        return None
    used, letters, address = picked
    is_leader = address == found.leader
    kept = location_of(request)
    tally = found.table.tally(used)
    renew = _dirty(found)
    if renew is None and not request.weak and view.leader_is_dead(found):
        renew = found  # another one leads by now
    return Route(address, "replica", used, letters, kept, request.weak, is_leader, renew, tally)


def coordinator(request: RouteRequest, view: View) -> Decision | None:
    """A statement that no participant can be found for goes where its transaction began."""
    state = request.state
    if not state.in_transaction or state.coordinator is None:
        return None
    return Route(state.coordinator, "coordinator", location=location_of(request))


# ---- without a location ---------------------------------------------------------------------


def insert_id_server(request: RouteRequest, view: View) -> Decision | None:
    """last_insert_id() without a table goes to the server that made the id."""
    address = request.state.insert_id_server
    if address is None or request.location is not None or not request.shape.facts.uses_last_insert_id:
        return None
    if view.settings.random or view.settings.primary_zone_name:
        return None
    return Route(address, "insert_id_server") if view.usable(address, request.refused) else None


def cached_session(request: RouteRequest, view: View) -> Decision | None:
    """What has no location goes where the session was last, if that server is near and fits."""
    last = request.state.last
    settings = view.settings
    if request.location is not None or last is None:
        return None
    if not settings.enable_cached_server or settings.random or settings.primary_zone_name:
        return None
    if last in view.out or last in request.refused or not _fits(last, request, view):
        return None
    return Route(last, "cached_session", weak=request.weak)


def primary_zone(request: RouteRequest, view: View) -> Decision | None:
    """Without a location, strong statements go to the tenant's primary zone."""
    settings = view.settings
    if settings.random or request.location is not None:
        return None
    if settings.primary_zone_name:
        groups = view.in_zones(settings.primary_zone_name, view.tenant_servers)
        return _from_list(groups, request, view, "primary_zone", ONLY_ZONES)
    if request.weak or not settings.enable_primary_zone or not view.primary_zone or view.has_readonly_zone:
        return None
    groups = view.in_zones(view.primary_zone, view.tenant_servers)
    return _from_list(groups, request, view, "primary_zone", "PRIMARY_ZONE_FIRST")


def tenant_server(request: RouteRequest, view: View) -> Decision | None:
    """Without a location, one of the tenant's servers is taken by the route policy."""
    if view.settings.random:
        return _from_list((view.tenant_servers,), request, view, "tenant_server", "RANDOM")
    policy = choose_policy(request, view)
    if policy == ONLY_ZONES or request.location is not None:
        return None
    picked = view.pick(policy, None, request.state.idc, request.refused, request.turn)
    if picked is None:
        return None
    used, letters, address = picked
    return Route(address, "tenant_server", used, letters, weak=request.weak)


def forced_use(request: RouteRequest, view: View) -> Decision | None:
    """When every server is refused, the least bad one is used all the same: forced."""
    found = request.location
    policy = choose_policy(request, view)
    if policy == ONLY_ZONES:
        where = _readable(found) if found is not None else view.tenant_servers
        groups = view.in_zones(view.settings.primary_zone_name, where)
        return _from_list(groups, request, view, "forced_use", policy, found, force=True)
    tiers = view.tiers(policy, found, request.state.idc)
    leader = None if found is None or request.weak else found.leader
    named = [] if leader is None else [leader]
    left = view.least_bad([*named, *(one for tier in tiers for one in tier.servers)], request.refused)
    if found is not None and leader in left:
        return Route(leader, "forced_use", location=location_of(request), to_leader=True)
    for tier in tiers:
        servers = [address for address in tier.servers if address in left]
        if servers:
            address = servers[request.turn % len(servers)]
            return Route(address, "forced_use", policy, tier.letters, weak=request.weak)
    return None


def nowhere(request: RouteRequest, view: View) -> Decision | None:
    """No server is left: the client gets an error."""
    tried = f"; tried {', '.join(map(str, request.refused))}" if request.refused else ""
    policy = choose_policy(request, view)
    return Refuse(NoReplica(f"no server of tenant {view.key.tenant!r} may serve this statement ({policy}){tried}"))


RULES: Final[tuple[Rule, ...]] = (
    statement_owner,
    open_transaction,
    bound_session,
    last_server,
    lock_holder,
    route_address,
    target_server,
    location,
    leader,
    replica,
    coordinator,
    insert_id_server,
    cached_session,
    primary_zone,
    tenant_server,
    forced_use,
    nowhere,
)


# ---- what several rules ask -------------------------------------------------------------------


def _may_participate(facts: StatementFacts) -> bool:
    """Whether a statement of a transaction may run on another server than the transaction began on."""
    if facts.kind not in PARTICIPATES or facts.statements != 1 or facts.explain or facts.table_locks:
        return False
    tables = facts.tables
    return bool(tables) and not any(table.dblink or table.name.lower() == "dual" for table in tables)


def _fits(address: Address, request: RouteRequest, view: View) -> bool:
    """Whether the last server will do for a statement that any server could run."""
    near = view.near(request.state.idc)
    if near.matched and near.of(address) == "C":
        return False
    zone = view.zone_of(address)
    if zone is None or not view.has_readonly_zone:
        return zone is None or not zone.merging
    readonly = zone.kind.lower() == "readonly"
    if zone.merging:
        return False
    if request.weak:
        return readonly
    if not may_read_only(request):
        return not readonly
    if not request.state.consistency_set:
        return True
    return readonly == (request.state.read_consistency == WEAK)


def _from_list(
    groups: tuple[tuple[Address, ...], ...],
    request: RouteRequest,
    view: View,
    rule: str,
    policy: str,
    found: Location | None = None,
    *,
    force: bool = False,
) -> Decision | None:
    """Take the first usable address of a list of groups, one by turn within a group."""
    members = [address for group in groups for address in group]
    passes = ([address for address in members if view.usable(address, request.refused)],)
    for allowed in (*passes, view.least_bad(members, request.refused)) if force else passes:
        for group in groups:
            servers = [address for address in group if address in allowed]
            if servers:
                address = servers[request.turn % len(servers)]
                is_leader = found is not None and address == found.leader
                return Route(address, rule, policy, weak=request.weak, to_leader=is_leader)
    return None


def _readable(found: Location) -> list[Address]:
    return [item.address for item in found.replicas if item.readable or item.leader]


def _dirty(found: Location) -> Location | None:
    if found.state is EntryState.DIRTY or found.table.state is EntryState.DIRTY:
        return found
    return None
