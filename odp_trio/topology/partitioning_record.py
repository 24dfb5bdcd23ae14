"""How a table is partitioned, as JSON: bounds keep the difference between text, numbers and moments."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from odp_trio.topology.objects import Extreme, Row, Value
from odp_trio.topology.partitioning import KeyColumn, Level, Partition, Partitioning


class Special(msgspec.Struct, frozen=True, gc=False):
    """A value that JSON has no form for: ``bytes`` as Base64, ``decimal``, ``float``, ``moment``, ``extreme``."""

    kind: str
    text: str


Written = int | Special | None


class PartitionRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A partition of the first level, or one of the second."""

    id: int
    name: str
    tablet_id: int
    bound: tuple[tuple[Written, ...], ...] | None = None
    subpartitions: tuple[PartitionRecord, ...] = ()


ColumnRecord = dict[str, int | str | bool | Special | None]
"""The fields of a KeyColumn by name."""


class PartitioningRecord(msgspec.Struct, frozen=True, gc=False):
    """The fields of Partitioning."""

    table_id: int
    levels: tuple[Level, ...]
    columns: tuple[ColumnRecord, ...]
    partitions: tuple[PartitionRecord, ...]


def write_partitioning(partitioning: Partitioning) -> PartitioningRecord:
    """Return the record of a table's partitions."""
    columns = tuple(
        msgspec.structs.asdict(column) | {"default": _write(column.default)} for column in partitioning.columns
    )
    partitions = tuple(_write_partition(partition) for partition in partitioning.partitions)
    return PartitioningRecord(partitioning.table_id, partitioning.levels, columns, partitions)


def restore_partitioning(record: PartitioningRecord) -> Partitioning:
    """Return what a record is of; raise ValueError for one that cannot be."""
    if not 1 <= len(record.levels) <= 2 or not record.partitions or not record.columns:
        raise ValueError("a partitioned table has one or two levels, columns and partitions")
    columns = tuple(_restore_column(column) for column in record.columns)
    partitions = tuple(_restore_partition(partition) for partition in record.partitions)
    if len(record.levels) == 2 and not all(partition.subpartitions for partition in partitions):
        raise ValueError("a partition has no sub-partitions")
    return Partitioning(record.table_id, record.levels, columns, partitions)


def _write_partition(partition: Partition) -> PartitionRecord:
    bound = None
    if partition.bound is not None:
        bound = tuple(tuple(_write(value) for value in row) for row in partition.bound)
    inner = tuple(_write_partition(leaf) for leaf in partition.subpartitions)
    return PartitionRecord(partition.id, partition.name, partition.tablet_id, bound, inner)


def _restore_partition(record: PartitionRecord) -> Partition:
    bound: tuple[Row, ...] | None = None
    if record.bound is not None:
        bound = tuple(tuple(_restore(value) for value in row) for row in record.bound)
    inner = tuple(_restore_partition(leaf) for leaf in record.subpartitions)
    return Partition(record.id, record.name, record.tablet_id, bound, inner)


def _restore_column(record: ColumnRecord) -> KeyColumn:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(KeyColumn):
        if field.name not in record:
            raise ValueError(f"a column has no {field.name}")
        value = record[field.name]
        if field.name == "default":
            fields["default"] = _restore(value) if isinstance(value, Special) else value
        elif type(value) is field.type:
            fields[field.name] = value
        else:
            raise ValueError(f"{field.name} of a column is {value!r}")
    unknown = sorted(record.keys() - fields.keys())
    if unknown:
        raise ValueError(f"a column has no {unknown[0]}")
    return KeyColumn(**fields)


def _write(value: Value) -> Written:
    match value:
        case None | int():
            return value
        case bytes():
            return Special("bytes", base64.b64encode(value).decode("ascii"))
        case Decimal():
            return Special("decimal", str(value))
        case float():
            return Special("float", repr(value))
        case Extreme():
            return Special("extreme", value.value)
        case _:
            return Special("moment", " ".join(map(str, value)))


def _restore(value: Written) -> Value:
    if not isinstance(value, Special):
        return value
    read = _READ.get(value.kind)
    if read is None:
        raise ValueError(f"a value of the kind {value.kind!r} is not known")
    try:
        return read(value.text)
    except (ValueError, InvalidOperation, binascii.Error) as exc:
        raise ValueError(f"{value.text[:40]!r} is no {value.kind}") from exc


def _moment(text: str) -> Value:
    year, month, day, microseconds = (int(part) for part in text.split(" "))
    return year, month, day, microseconds


_READ: Final[dict[str, Callable[[str], Value]]] = {
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "decimal": Decimal,
    "float": float,
    "extreme": Extreme,
    "moment": _moment,
}
