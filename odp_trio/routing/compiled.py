"""A table's partitions made ready for finding: once for each table, whatever the statements."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, final

from odp_trio.routing.columns import ColumnType
from odp_trio.routing.expressions import Expression
from odp_trio.routing.levels import LevelFinder, compile_level
from odp_trio.routing.scalars import CannotCompute
from odp_trio.routing.types import column_type
from odp_trio.topology.partitioning import (
    KeyColumn,
    Level,
    Method,
    Partition,
    Partitioning,
    column_names,
)

_TABLES_KEPT: Final = 512


@final
class CompiledLevel:
    """One level: its columns, and a finder for each group of partitions."""

    def __init__(self, level: Level, columns: tuple[KeyColumn, ...], groups: tuple[tuple[Partition, ...], ...]) -> None:
        self._level = level
        self._groups = groups
        self._finders: dict[int, LevelFinder] = {}
        self.method = level.method
        self.names: tuple[str, ...] = ()
        self.columns: tuple[tuple[KeyColumn, ColumnType], ...] = ()
        self.refusal = ""
        """Why nothing can be found on this level, whatever the statement."""
        self.expression: Expression | None = None
        try:
            self._read(level, {column.name: column for column in columns})
            self.finder(0)
        except CannotCompute as exc:
            self.refusal = str(exc)
        except ArithmeticError as exc:
            self.refusal = f"no column is as the metadata say: {type(exc).__name__}"

    def _read(self, level: Level, columns: dict[str, KeyColumn]) -> None:
        names = column_names(level.expression)
        if level.by_columns or (len(names) == 1 and "(" not in level.expression):
            self.names = names or tuple(columns)
        else:
            self.expression = Expression(level.expression)
            self.names = tuple(self.expression.columns)
        for name in self.names:
            if name not in columns:
                raise CannotCompute(f"the metadata say nothing of partition column {name}")
        self.columns = tuple((columns[name], column_type(columns[name])) for name in self.names)

    def count(self, parent: int) -> int:
        """Return how many partitions a group has."""
        return len(self._groups[parent])

    def finder(self, parent: int) -> LevelFinder:
        """Return what finds partitions of a group."""
        group = 0 if self.method in (Method.HASH, Method.KEY) and len(self._groups) == 1 else parent
        found = self._finders.get(group)
        if found is None:
            types = tuple(kind for _, kind in self.columns)
            arguments = (self.names, types, self.expression)
            try:
                found = compile_level(self._level.method, self._level.old, arguments, self._groups[parent])
            except (TypeError, ValueError, ArithmeticError) as exc:  # what servers say of a table need not fit together
                raise CannotCompute(f"the bounds of the partitions do not go with the columns: {exc}") from exc
            self._finders[group] = found
        return found


@final
class Compiled:
    """A table made ready."""

    def __init__(self, partitioning: Partitioning) -> None:
        self.partitioning = partitioning
        first = partitioning.partitions
        groups = ((first,), tuple(partition.subpartitions for partition in first))
        self.levels = tuple(
            CompiledLevel(level, _columns_of(partitioning, number), groups[number - 1])
            for number, level in enumerate(partitioning.levels, 1)
        )
        if all(level.refusal for level in self.levels):
            raise CannotCompute(self.levels[0].refusal)
        self.names = tuple(dict.fromkeys(name for level in self.levels for name in level.names))

    def leaf(self, path: tuple[int, ...]) -> Partition:
        """Return the partition that indexes lead to."""
        partition = self.partitioning.partitions[path[0]]
        return partition if len(path) == 1 else partition.subpartitions[path[1]]


def _columns_of(partitioning: Partitioning, number: int) -> tuple[KeyColumn, ...]:
    columns = [column for column in partitioning.columns if column.level & number]
    return tuple(sorted(columns, key=lambda column: column.position))


@lru_cache(_TABLES_KEPT)
def compiled(partitioning: Partitioning) -> Compiled:
    """Return a table made ready; raise CannotCompute if nothing can be found in it."""
    return Compiled(partitioning)
