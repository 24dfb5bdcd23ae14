"""Which partitions a statement's key values lie in.

``plan_partition`` works out once, for a shape and a table, what there is to do;
``Plan.locate`` does it for one execution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from odp_trio.routing.compiled import Compiled, CompiledLevel, compiled
from odp_trio.routing.conditions import SetOf, compile_set, conditions_on, is_insert
from odp_trio.routing.generated import generated_set
from odp_trio.routing.located import Locate, Located, NotComputable, Plan
from odp_trio.routing.scalars import CannotCompute, NoRow
from odp_trio.routing.shortcuts import shortcut
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Condition, StatementFacts
from odp_trio.topology.partitioning import Partitioning


def plan_partition(partitioning: Partitioning, facts: StatementFacts) -> Plan | NotComputable:
    """Work out how to find the partitions of a table for a shape of statement."""
    try:
        return Plan(_plan(compiled(partitioning), facts))
    except CannotCompute as exc:
        return NotComputable(str(exc))


def _plan(table: Compiled, facts: StatementFacts) -> Locate:
    if facts.rows_cut:
        raise CannotCompute("the INSERT has more rows than are looked at")
    branches = [_branch(table, alternative, facts) for alternative in facts.alternatives]
    for branch in branches:  # one that says nothing makes every partition possible
        if all(level is None for level in branch):
            raise CannotCompute(f"no condition on partition column {', '.join(table.names)}")
    slow = _Finder(table, branches).locate
    quick = shortcut(table, facts)
    if quick is None:
        return slow
    located = [Located((partition,)) for partition in table.partitioning.partitions]
    return quick(located, slow)


Branch = tuple[Sequence[SetOf] | None, ...]
"""For each level what works out the values of its columns; None when nothing is known of them."""


def _branch(table: Compiled, alternative: Sequence[Condition], facts: StatementFacts) -> Branch:
    return tuple(_level_sets(table, level, alternative, facts) for level in table.levels)


def _level_sets(
    table: Compiled, level: CompiledLevel, alternative: Sequence[Condition], facts: StatementFacts
) -> Sequence[SetOf] | None:
    if level.refusal:
        raise_later = level.refusal
        return [lambda values: _refuse(raise_later)]
    sets: list[SetOf] = []
    known = is_insert(facts) and bool(alternative)
    for column, kind in level.columns:
        conditions = conditions_on(column, alternative, facts)
        known = known or bool(conditions)
        if known and is_insert(facts) and column.generated and not conditions:
            sets.append(generated_set(column, kind, alternative))
        else:
            sets.append(compile_set(column, kind, conditions, insert=is_insert(facts)))
    return sets if known else None


def _refuse(reason: str) -> None:
    raise CannotCompute(reason)


class _Finder:
    """Goes through alternatives and levels."""

    def __init__(self, table: Compiled, branches: Sequence[Branch]) -> None:
        self._table = table
        self._branches = branches

    def locate(self, values: Values) -> Located | NotComputable:
        """Return the partitions of one execution."""
        found: set[tuple[int, ...]] = set()
        reason = ""
        try:
            for branch in self._branches:
                try:
                    found.update(self._paths(branch, values))
                except NoRow as exc:
                    reason = str(exc)
        except CannotCompute as exc:
            return NotComputable(str(exc))
        if not found:
            return NotComputable(reason or "no partition holds the value")
        return Located(tuple([self._table.leaf(path) for path in sorted(found)]))

    def _paths(self, branch: Branch, values: Values) -> Iterable[tuple[int, ...]]:
        table = self._table
        indexes, refusal = _find(table.levels[0], 0, branch[0], values)
        if len(table.levels) == 1:
            if refusal is not None:
                raise refusal
            return {(index,) for index in indexes}
        paths: set[tuple[int, ...]] = set()
        for index in indexes:
            inner, inner_refusal = _find(table.levels[1], index, branch[1], values)
            if refusal is not None and inner_refusal is not None:
                raise refusal
            paths.update((index, one) for one in inner)
        return paths


def _find(
    level: CompiledLevel, parent: int, sets: Sequence[SetOf] | None, values: Values
) -> tuple[Iterable[int], CannotCompute | None]:
    """Return the partitions of a level; when they cannot be told all of them, and why."""
    try:
        if sets is None:
            raise CannotCompute(f"no condition on partition column {', '.join(level.names)}")
        return level.finder(parent).find([one(values) for one in sets], values), None
    except CannotCompute as exc:
        return range(level.count(parent)), exc
