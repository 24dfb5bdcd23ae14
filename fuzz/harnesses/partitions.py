"""Partitions: expressions, bounds and metadata as servers tell them, values and conditions as clients write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from fuzz.cutting import Choices, outcome
from odp_trio.errors import ClientProtocolError, MalformedMetadata
from odp_trio.routing.located import Located, NotComputable, Plan
from odp_trio.routing.partition import plan_partition
from odp_trio.routing.values import Values
from odp_trio.sql.cache import Statements
from odp_trio.topology.objects import read_list_bound, read_range_bound, read_value
from odp_trio.topology.partitioning import Partitioning, read_partitioning
from odp_trio.topology.partitioning_record import PartitioningRecord, restore_partitioning, write_partitioning
from odp_trio.wire.parameters import parse_execute, read_values
from tests.paths import DATA
from tests.routing.partition_statements import hexadecimal_columns

_ZONES = ("+08:00", "-12:30", "Asia/Shanghai", "nonsense", "+99:99", "SYSTEM")
_COLLATIONS = (45, 46, 63, 28, 87, 8, 47, 0, 255, 99999)
_ENCODINGS = ("utf-8", "gb18030", "latin-1", "ascii")


@cache
def tables() -> list[dict[str, Any]]:
    """Read the tables that a live kernel made."""
    found: list[dict[str, Any]] = json.loads((DATA / "partition" / "vectors.json").read_text())["tables"]
    return found


@cache
def table(number: int) -> Partitioning:
    """Return how one of them is partitioned."""
    return _read(tables()[number], {})


def _read(one: dict[str, Any], changes: dict[str, Any]) -> Partitioning:
    info = [hexadecimal_columns(row) | changes for row in one["proxy_partition_info"]]
    rows = [[hexadecimal_columns(row) for row in one[name]] for name in ("proxy_partition", "proxy_sub_partition")]
    return read_partitioning(1, info, *rows)


def one_input(data: bytes) -> None:
    """Read bytes as a statement on a table, as a table's metadata, as serialised objects."""
    choices = Choices(data)
    mode, number = choices.byte(), choices.byte() % len(tables())
    if mode % 4 == 0:
        _objects(choices.rest)
    elif mode % 4 == 1:
        _metadata(tables()[number], choices)
    else:
        _locate(table(number), choices, by_parameters=mode % 4 == 3)


def _objects(data: bytes) -> None:
    for read in (read_range_bound, read_list_bound, read_value):
        outcome(lambda read=read: read(data), ValueError)  # type: ignore[misc]


def _metadata(one: dict[str, Any], choices: Choices) -> None:
    column = (
        "part_expr", "sub_part_expr", "part_key_extra", "part_key_default_value", "part_type", "part_level",
        "part_key_type", "part_key_collation_type", "part_key_length", "part_key_precision", "part_key_scale",
    )[choices.byte() % 11]  # fmt: skip
    raw = choices.piece()
    value: object = raw if column == "part_key_default_value" else raw.decode("utf-8", "replace")
    if column in ("part_type", "part_level", "part_key_type") or (raw and choices.flag()):
        value = int.from_bytes(raw[:9], "little", signed=True)
    if raw and choices.flag():
        row = one["proxy_partition"][0]
        one = one | {"proxy_partition": [row | {"high_bound_val_bin_hex": choices.piece().hex()}]}
    found = outcome(lambda: _read(one, {column: value}), MalformedMetadata)
    if isinstance(found, type):
        return
    written = msgspec.json.encode(write_partitioning(found))
    restored = restore_partitioning(msgspec.json.decode(written, type=PartitioningRecord))
    assert repr(restored) == repr(found)
    found.find_name(choices.piece().decode("utf-8", "replace"))
    _locate(found, choices, by_parameters=False)


def _locate(partitioning: Partitioning, choices: Choices, *, by_parameters: bool) -> None:
    values = Values()
    values.time_zone = _ZONES[choices.byte() % len(_ZONES)]
    values.collation = _COLLATIONS[choices.byte() % len(_COLLATIONS)]
    values.encoding = _ENCODINGS[choices.byte() % len(_ENCODINGS)]
    values.now = float(choices.number(4)) if choices.flag() else None
    if by_parameters:
        sql = choices.piece()
        payload, count = choices.rest, sql.count(b"?")
        execute = outcome(lambda: parse_execute(payload, count), ClientProtocolError)
        if isinstance(execute, type) or execute.types is None:
            return
        types, at = execute.types, execute.values_at
        found = outcome(lambda: read_values(payload, count, types, at, values.encoding), ClientProtocolError)
        if isinstance(found, type):
            return
        values.parameters = found
    else:
        sql = choices.rest
    shape, literals = Statements(16).shape(sql)
    values.literals = literals
    values.user_variables = {"a": sql[-20:], "b": 7, "c": "x"}
    plan = plan_partition(partitioning, shape.facts)
    if isinstance(plan, NotComputable):
        assert plan.reason
        return
    assert isinstance(plan, Plan)
    for _ in range(2):
        place = plan.locate(values)
        if isinstance(place, Located):
            leaves = set(partitioning.tablets())
            assert place.partitions
            assert leaves.issuperset(place.partitions)
        else:
            assert place.reason


def seeds() -> Iterator[bytes]:
    """Give a statement for each table, parameters, bounds, expressions."""
    head = b"\0\0\0\0"
    for number, one in enumerate(tables()):
        columns = ", ".join(one["columns"])
        for vector in one["vectors"][:2]:
            values = ", ".join(vector["sql_values"])
            yield bytes((2, number)) + head + f"insert into t ({columns}) values ({values})".encode()
        where = " and ".join(map(" = ".join, zip(one["columns"], one["vectors"][0]["sql_values"], strict=False)))
        yield bytes((2, number)) + head + f"select * from t where {where}".encode()
        if number % 4 == 0:
            yield bytes((1, number, 0)) + b"\x07year(a)" + b"\0\0" + head + f"select * from t where {where}".encode()
        for row in one["proxy_partition"][:1]:
            if row.get("high_bound_val_bin_hex"):
                yield bytes((0, 0)) + bytes.fromhex(row["high_bound_val_bin_hex"])
    column = tables()[0]["columns"][0].encode()
    sql = b"select * from t where " + column + b" = ?"
    execute = b"\x17\1\0\0\0\0\1\0\0\0\0\1"
    for kind, value in ((8, b"\5" + bytes(7)), (0xFD, b"\x0212"), (0xF6, b"\x0512.50"), (5, b"\0\0\0\0\0\0\xf0\x3f")):
        yield b"\3\0" + head + bytes((len(sql),)) + sql + execute + bytes((kind, 0)) + value
    for expression in (b"substr(a, 1, 2)", b"to_days(a)", b"a + 1", b"unix_timestamp(a)", b"a,b", b"floor(a / 10) % 5"):
        yield b"\1\0\0" + bytes((len(expression),)) + expression + b"\0\0" + head + b"select * from t where a = 1"
    for text in (b"a in (1,2,3) or a between 5 and 9", b"a = -5 + 2", b"a = cast('12' as signed)", b"a > 1 and a < 5"):
        yield b"\2\0" + head + b"select * from t where " + text
    for text in (b"a = concat('x', 'y')", b"a = now()", b"a = date '2024-02-29'", b"a = @b", b"a = 0x41", b"a = 1e9"):
        yield b"\2\5" + head + b"select * from t where " + text
