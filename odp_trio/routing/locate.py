"""From a statement's first table to the location that its statement needs."""

from __future__ import annotations

from typing import Final

from odp_trio.routing.located import Located, NotComputable, Plan
from odp_trio.routing.request import Lookup, RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import View
from odp_trio.sql.facts import DML, Condition, Kind, Literal, Operator, Parameter, Shape, StatementFacts, TableRef
from odp_trio.topology.location import Location, TableEntry, TableKey
from odp_trio.topology.partitioning import Partitioning

_PLANS_KEPT: Final = 8
_LOCATED_KINDS: Final = DML | {Kind.SHOW, Kind.DESCRIBE, Kind.MULTI}
_SYSTEM_DATABASES: Final = frozenset({"information_schema", "mysql", "performance_schema"})


def locate(request: RouteRequest, view: View) -> Lookup | None:
    """Find the table's entry, its partition and the location of that; None when there is nothing left to fetch.

    Afterwards ``request.location`` is set, or ``request.reason`` says why there is none.
    """
    request.location = request.located = request.entry = None
    entry = request.recalled(view.tables)
    if entry is None:
        found = _find(request, view)
        if not isinstance(found, TableEntry):
            return found
        entry = found
        request.remember(entry, view.tables)
    if not entry.used:
        entry.used = True
    request.entry = entry
    if entry.location is not None:
        request.location = entry.location
        request.reason = ""
        return None
    if entry.partitioning is None:
        request.reason = "the table does not exist" if entry.missing else "a virtual table has no location"
        return None
    return _locate_partition(request, entry, entry.partitioning)


def _find(request: RouteRequest, view: View) -> TableEntry | Lookup | None:
    """Find the table's entry among all; None when there is no table to look for, and ``request.reason`` says why."""
    facts = request.shape.facts
    if not facts.tables or facts.kind not in _LOCATED_KINDS:
        request.reason = "no table in the text"
        return None
    table = facts.tables[0]
    if table.dblink is not None:
        request.reason = f"{table.name}@{table.dblink} is in another database"
        return None
    database, name = names(table, request)
    if database in _SYSTEM_DATABASES:
        request.reason = f"{database} has no location"
        return None
    entry = view.tables.find(database, name)
    if entry is None:
        request.reason = request.lookup_failure
        key = TableKey(view.key.cluster, view.key.tenant, database, name)
        return None if request.lookup_failure else Lookup(key)
    return entry


def names(table: TableRef, request: RouteRequest) -> tuple[str, str]:
    """Return database and table as the server knows them."""
    state = request.state
    database = table.database or state.database.decode("utf-8", "replace") or "oceanbase"
    if state.lower_case_names:
        return database.lower(), table.name.lower()
    return database, table.name


def _locate_partition(request: RouteRequest, entry: TableEntry, partitioning: Partitioning) -> Lookup | None:
    if entry.decoded:
        request.located = NotComputable("a view or synonym of a partitioned table")
    else:
        try:
            request.located = find_partition(request, partitioning)
        except Exception as exc:  # a bug of ours in the arithmetic may cost a misroute, never a session
            request.located = NotComputable(f"computing the partition failed: {type(exc).__name__}: {exc}")
    if isinstance(request.located, NotComputable):
        request.reason = request.located.reason
        return None
    partitions = request.located.partitions
    request.reason = "" if len(partitions) == 1 else several(request.located)
    tablet_id = partitions[0].tablet_id
    request.location = entry.tablets.get(tablet_id)
    if request.location is not None:
        return None
    request.reason = request.lookup_failure or request.reason
    return None if request.lookup_failure else Lookup(entry.key, entry, tablet_id)


def several(located: Located) -> str:
    """Say which partitions a statement may touch."""
    shown = ", ".join(partition.name for partition in located.partitions[:8])
    more = f" and {len(located.partitions) - 8} more" if len(located.partitions) > 8 else ""
    return f"several partitions: {shown}{more}; the first decides"


def find_partition(request: RouteRequest, partitioning: Partitioning) -> Located | NotComputable:
    """Compute the partition: by name in the text, by annotation, by key values."""
    table = request.shape.facts.tables[0]
    if table.partition is not None:
        named = partitioning.find_name(table.partition)
        return Located(named) if named else NotComputable(f"there is no partition {table.partition}")
    annotation = request.annotation
    if annotation is not None and (annotation.table or "").lower() == table.name.lower():
        return _by_annotation(request, annotation.key or "", partitioning)
    plan = plan_for(request.shape, partitioning)
    return plan.locate(request.values) if isinstance(plan, Plan) else plan


def _by_annotation(request: RouteRequest, key: str, partitioning: Partitioning) -> Located | NotComputable:
    """Use ``/* table t part_key v */`` in the place of WHERE: a text, for tables of one level and one key column."""
    if len(partitioning.levels) != 1 or len(partitioning.columns) != 1:
        return NotComputable("a part_key annotation is for tables of one level and one key column")
    condition = Condition(partitioning.columns[0].name, Operator.EQ, (Literal(0),))
    plan = _plan_partition(partitioning, StatementFacts(kind=Kind.SELECT, alternatives=((condition,),)))
    if not isinstance(plan, Plan):
        return plan
    quoted = "'" + key.replace("\\", "\\\\").replace("'", "''") + "'"
    return plan.locate(Values((quoted.encode(),), time_zone=request.values.time_zone))


def plan_for(shape: Shape, partitioning: Partitioning) -> Plan | NotComputable:
    """Return the plan for a shape and a table, worked out once."""
    plans: dict[int, tuple[Partitioning, Plan | NotComputable]] | None = shape.plan  # type: ignore[assignment]
    if plans is None:
        plans = {}
        shape.plan = plans
    known = plans.get(id(partitioning))
    if known is not None:  # the entry keeps its partitioning alive, so that its id is its own
        return known[1]
    plan = _plan_partition(partitioning, shape.facts)
    if len(plans) >= _PLANS_KEPT:
        plans.clear()
    plans[id(partitioning)] = (partitioning, plan)
    return plan


def _plan_partition(partitioning: Partitioning, facts: StatementFacts) -> Plan | NotComputable:
    from odp_trio.routing.partition import plan_partition  # a dozen modules, which a start need not wait for

    return plan_partition(partitioning, facts)


def key_operands(shape: Shape) -> tuple[Literal | Parameter, ...]:
    """Return the operands whose values decide about the partition, for people to see."""
    return tuple(
        operand
        for alternative in shape.facts.alternatives
        for condition in alternative
        for operand in condition.operands
        if isinstance(operand, Literal | Parameter)
    )


def location_of(request: RouteRequest) -> Location | None:
    """Return the location, but not when it stands for several partitions: its feedback would mislead."""
    located = request.located
    if isinstance(located, Located) and len(located.partitions) > 1:
        return None
    return request.location
