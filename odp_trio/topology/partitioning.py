"""How a table is partitioned: what the server's metadata tables say, checked and decoded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec

from odp_trio.errors import MalformedMetadata
from odp_trio.topology.objects import Row, UnknownObject, Value, read_list_bound, read_range_bound, read_value

_T = TypeVar("_T")
MetadataRow = Mapping[str, Any]


class Method(Enum):
    """How rows are given to partitions.  INTERVAL is RANGE over the partitions that exist."""

    HASH = "HASH"
    KEY = "KEY"
    RANGE = "RANGE"
    LIST = "LIST"


class Partition(msgspec.Struct, frozen=True, gc=False):
    """A partition of the first level, or one of the second."""

    id: int
    name: str
    tablet_id: int
    """Before kernel 4 the number that stands for the partition in the location tables."""
    bound: tuple[Row, ...] | None = None
    """The upper bound of RANGE, one row; the rows of LIST; None for HASH and KEY, or when its type is not known."""
    subpartitions: tuple[Partition, ...] = ()


class KeyColumn(msgspec.Struct, frozen=True, gc=False):
    """A column that partitions depend on."""

    name: str
    """Lower-case."""
    type_code: int
    collation: int
    position: int
    """In the table, from 0: what INSERT without a column list counts by."""
    level: int
    """1, 2, or 3 for both."""
    length: int = -1
    precision: int = -1
    scale: int = -1
    rowkey: int = -1
    """Position in the primary key; -1 when it is not in it."""
    default: Value = None
    has_default: bool = False
    default_refusal: str = ""
    """Why the default is not known: the server computes it, for example from the clock."""
    generated: str = ""
    """The expression that makes it, as SQL; empty for an ordinary column."""


class Level(msgspec.Struct, frozen=True, gc=False):
    """How one level is partitioned."""

    method: Method
    expression: str
    """An expression over one or more columns; for ``by_columns`` the list of them."""
    by_columns: bool
    old: bool = False
    """A kernel before version 4, whose KEY hashes otherwise."""


class Partitioning(msgspec.Struct, frozen=True, eq=False):
    """How one table is partitioned, as read once: equal to itself only, so that it is a cheap key."""

    table_id: int
    levels: tuple[Level, ...]
    columns: tuple[KeyColumn, ...]
    partitions: tuple[Partition, ...]

    def tablets(self) -> tuple[Partition, ...]:
        """Return the partitions that hold rows, in order: those of the last level."""
        if len(self.levels) == 1:
            return self.partitions
        return tuple(leaf for partition in self.partitions for leaf in partition.subpartitions)

    def find_name(self, name: str) -> tuple[Partition, ...]:
        """Return the leaf partitions that ``PARTITION (name)`` means: none, one, or all of a first-level one."""
        wanted = name.lower()
        if len(self.levels) > 1:
            for leaf in self.tablets():
                if leaf.name.lower() == wanted:
                    return (leaf,)
        for partition in self.partitions:
            if partition.name.lower() == wanted:
                return partition.subpartitions if len(self.levels) > 1 else (partition,)
        return ()


_HASH, _KEY = (Method.HASH, False), (Method.KEY, True)
_METHODS: Final[dict[int, tuple[Method, bool]]] = dict(
    enumerate(
        (
            _HASH,
            _KEY,
            _KEY,
            (Method.RANGE, False),
            (Method.RANGE, True),
            (Method.LIST, False),
            (Method.LIST, True),
            (Method.RANGE, False),
        )
    )
)
_OLD_METHODS: Final[dict[int, tuple[Method, bool]]] = _METHODS | {
    6: _KEY,
    7: (Method.LIST, True),
    8: _HASH,
    9: _KEY,
    10: _KEY,
}
_TWO_LEVELS: Final = 1 << 28
_NAME: Final = re.compile(r"`(?:[^`]|``)+`|[^\s,`()]+")
_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


def read_partitioning(
    table_id: int,
    info: Sequence[MetadataRow],
    partitions: Sequence[MetadataRow],
    subpartitions: Sequence[MetadataRow],
) -> Partitioning:
    """Read the rows of the three metadata tables; raise MalformedMetadata naming what cannot be.

    Column names are lower-case.  The order of ``partitions`` and ``subpartitions``
    is the server's, and counts.
    """
    try:
        return _read(table_id, info, partitions, subpartitions)
    except KeyError as exc:
        raise MalformedMetadata(f"partitions of table {table_id}: there is no column {exc.args[0]}") from exc
    except (TypeError, ValueError) as exc:
        raise MalformedMetadata(f"partitions of table {table_id}: {exc}") from exc


def _read(
    table_id: int, info: Sequence[MetadataRow], first: Sequence[MetadataRow], second: Sequence[MetadataRow]
) -> Partitioning:
    if not info:
        raise ValueError("no row says how it is partitioned")
    if not first:
        raise ValueError("it has no partitions")
    old = "part_key_collation_type" not in info[0]
    head = info[0]
    levels = [_read_level(head, "part", old)]
    if int(head["part_level"]) == 2:
        levels.append(_read_level(head, "sub_part", old))
    elif int(head["part_level"]) != 1:
        raise ValueError(f"part_level is {head['part_level']}")
    columns = _read_columns(info, old)
    if len(levels) == 1:
        read = tuple(_read_partition(row, levels[0], "part_id") for row in first)
    else:
        read = _read_two_levels(levels, first, second)
    return Partitioning(table_id, tuple(levels), columns, read)


def _read_level(row: MetadataRow, prefix: str, old: bool) -> Level:
    code = int(row[f"{prefix}_type"])
    known = (_OLD_METHODS if old else _METHODS).get(code)
    if known is None:
        raise ValueError(f"{prefix}_type is {code}")
    return Level(known[0], _text(row[f"{prefix}_expr"]), known[1], old)


def _read_columns(info: Sequence[MetadataRow], old: bool) -> tuple[KeyColumn, ...]:
    columns: dict[str, KeyColumn] = {}
    for row in info:
        column = _read_column(row, old)
        known = columns.get(column.name)
        if known is not None and known.level != column.level:
            column = msgspec.structs.replace(column, level=3)
        columns[column.name] = column
    return tuple(columns.values())


def _read_column(row: MetadataRow, old: bool) -> KeyColumn:
    default = row.get("part_key_default_value")
    length, precision, scale = _read_accuracy(row, old)
    value, refusal = _read_default(default)
    level = int(row["part_key_level"])
    if not 1 <= level <= 3:
        raise ValueError(f"part_key_level is {level}")
    return KeyColumn(
        name=_text(row["part_key_name"]).lower(),
        type_code=int(row["part_key_type"]),
        collation=int(row["spare1" if old else "part_key_collation_type"]),
        position=int(row["part_key_idx"]),
        level=level,
        length=length,
        precision=precision,
        scale=scale,
        rowkey=int(row.get("spare2" if old else "part_key_rowkey_idx", -1)),
        default=value,
        has_default=default is not None,
        default_refusal=refusal,
        generated=_text(row.get("part_key_extra")),
    )


def _read_default(raw: object) -> tuple[Value, str]:
    if raw is None:
        return None, ""
    try:
        return _decoded("part_key_default_value", raw, read_value), ""
    except UnknownObject as exc:
        return None, f"its default is {exc}"


def _read_accuracy(row: MetadataRow, old: bool) -> tuple[int, int, int]:
    if not old:
        return int(row["part_key_length"]), int(row["part_key_precision"]), int(row["part_key_scale"])
    parts = [int(part) for part in _text(row.get("spare5")).split(",") if part.strip()]
    if len(parts) != 3:
        return -1, -1, -1
    return parts[0], parts[1], parts[2]


def _read_partition(row: MetadataRow, level: Level, id_column: str, parent: int | None = None) -> Partition:
    own_id = int(row[id_column])
    bound = None
    if level.method in (Method.RANGE, Method.LIST):
        raw = row["high_bound_val_bin"]
        if raw is None:
            raise ValueError(f"partition {_text(row['part_name'])} has no bound")
        read = read_range_bound if level.method is Method.RANGE else read_list_bound
        with contextlib.suppress(UnknownObject):
            bound = _decoded(f"bound of {_text(row['part_name'])}", raw, read)
    return Partition(own_id, _text(row["part_name"]), _tablet(row, own_id, parent), bound)


def _tablet(row: MetadataRow, own_id: int, parent: int | None) -> int:
    tablet = row.get("tablet_id")
    if tablet is not None:
        return int(tablet)
    if parent is None:
        return own_id
    return (parent | _TWO_LEVELS) << 32 | (own_id | _TWO_LEVELS)


def _read_two_levels(
    levels: Sequence[Level], first: Sequence[MetadataRow], second: Sequence[MetadataRow]
) -> tuple[Partition, ...]:
    groups: dict[int, list[MetadataRow]] = {}
    for row in second:
        groups.setdefault(int(row["part_id"]), []).append(row)
    read = []
    for row in first:
        parent = _read_partition(row, levels[0], "part_id")
        rows = groups.get(parent.id, groups.get(-1))  # -1: one template for all, before kernel 4
        if not rows:
            raise ValueError(f"partition {parent.name} has no sub-partitions")
        leaves = tuple(_read_partition(one, levels[1], "sub_part_id", parent.id) for one in rows)
        read.append(msgspec.structs.replace(parent, subpartitions=leaves))
    return tuple(read)


def column_names(expression: str) -> tuple[str, ...]:
    """Return the columns of a list such as ``a, `b c```, lower-case."""
    return tuple(name.strip("`").replace("``", "`").lower() for name in _NAME.findall(expression))


def _decoded(what: str, raw: object, read: Callable[[bytes], _T]) -> _T:
    try:
        return read(_bytes(raw))
    except UnknownObject:
        raise
    except ValueError as exc:
        raise ValueError(f"{what}: {exc}") from exc


def _bytes(raw: object) -> bytes:
    """Take bytes, text of the same bytes, or hexadecimal digits; the first byte of an object row tells them apart."""
    if not isinstance(raw, str | bytes):  # of a number, bytes() would make as many zeros
        raise ValueError(f"it is of type {type(raw).__name__}")
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    if data[:1] >= b"0" and _HEX.fullmatch(data):
        return bytes.fromhex(data.decode("ascii"))
    return data


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
