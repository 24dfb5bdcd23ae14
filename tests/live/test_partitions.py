"""The computed partition is the one that a live kernel would look into: its own EXPLAIN is the judge."""

from __future__ import annotations

import os
import re
from collections import Counter
from random import Random
from typing import Any, Final

import pymysql

from odp_trio.routing.located import NotComputable
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Kind, StatementFacts, TableRef
from odp_trio.testing.live import KernelProcess
from odp_trio.topology.partitioning import Partitioning, read_partitioning
from tests.live.partition_tables import (
    INT,
    Question,
    Table,
    binary,
    condition,
    date,
    datetime,
    decimal,
    double,
    floating,
    text,
    time,
    whole,
    year,
)
from tests.routing.partition_statements import insert, locate

SEED: Final = 20261121
STATEMENTS: Final = int(os.environ.get("ODP_TRIO_PARTITIONS", "50"))
INSERTS: Final = max(10, STATEMENTS // 5)
"""For each table.  The count of statements may be asked for."""
_ASCII: Final = "abcXYZ019 -_.zq"
_RANGE: Final = (
    "(partition p0 values less than (-7), partition p1 values less than (0), partition p2 values less than (10), "
    "partition p3 values less than (33), partition p4 values less than (maxvalue))"
)
_LIST: Final = (
    "(partition p0 values in (1,2,3,17), partition p1 values in (4,5,null,-9), partition p2 values in (0,-1), "
    "partition p3 values in (default))"
)
_DATES: Final = (
    "(partition p0 values less than ('1950-01-01'), partition p1 values less than ('2000-02-29'), "
    "partition p2 values less than ('2024-01-01'), partition p3 values less than (maxvalue))"
)
_TEXTS: Final = (
    "(partition p0 values less than ('9'), partition p1 values less than ('b'), partition p2 values less than ('d0'), "
    "partition p3 values less than ('y'), partition p4 values less than (maxvalue))"
)
_INTS: Final = {
    "tinyint": whole(-128, 127),
    "smallint": whole(-(1 << 15), (1 << 15) - 1),
    "mediumint": whole(-(1 << 23), (1 << 23) - 1),
    "int": INT,
    "bigint": whole(-(1 << 63), (1 << 63) - 1),
    "tinyint unsigned": whole(0, 255),
    "int unsigned": whole(0, (1 << 32) - 1),
    "bigint unsigned": whole(0, (1 << 64) - 1),
}
_TABLES: Final = (
    *(Table("hash", (("a", kind, make),), "hash(a) partitions 13") for kind, make in _INTS.items()),
    *(Table("key", (("a", kind, make),), "key(a) partitions 13") for kind, make in _INTS.items()),
    Table("hash", (("a", "year", year),), "hash(a) partitions 13"),
    Table("key", (("a", "year", year),), "key(a) partitions 13"),
    Table("key", (("a", "bit(16)", whole(0, 65535)),), "key(a) partitions 13"),
    Table("key", (("a", "decimal(10,2)", decimal(10, 2)),), "key(a) partitions 13"),
    Table("key", (("a", "decimal(20,0)", decimal(18, 0)),), "key(a) partitions 13"),
    Table("key", (("a", "decimal(40,12)", decimal(38, 12)),), "key(a) partitions 13"),
    Table("key", (("a", "float", floating),), "key(a) partitions 13"),
    Table("key", (("a", "double", double),), "key(a) partitions 13"),
    Table("key", (("a", "date", date),), "key(a) partitions 13"),
    Table("key", (("a", "datetime", datetime()),), "key(a) partitions 13"),
    Table("key", (("a", "datetime(6)", datetime(digits=6)),), "key(a) partitions 13"),
    Table("key", (("a", "timestamp", datetime(1971, 2037)),), "key(a) partitions 13"),
    Table("key", (("a", "timestamp(3)", datetime(1971, 2037, 3)),), "key(a) partitions 13"),
    Table("key", (("a", "time", time),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(30) collate utf8mb4_general_ci", text(30)),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(300) collate utf8mb4_general_ci", text(150)),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(30) collate utf8mb4_bin", text(30)),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(200) collate utf8mb4_unicode_ci", text(100)),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(200) collate utf8mb4_0900_ai_ci", text(100)),), "key(a) partitions 13"),
    Table("key", (("a", "char(30)", text(30)),), "key(a) partitions 13"),
    Table("key", (("a", "varbinary(30)", binary(30)),), "key(a) partitions 13"),
    Table("key", (("a", "binary(8)", binary(8)),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(90) charset latin1", text(90, _ASCII)),), "key(a) partitions 13"),
    Table("key", (("a", "varchar(90) charset gbk", text(90, _ASCII)),), "key(a) partitions 13"),
    Table("key", (("a", "int", INT), ("b", "varchar(20)", text(20))), "key(b, a) partitions 13"),
    Table("key", (("a", "int", INT), ("b", "datetime", datetime())), "key(a, b) partitions 13"),
    Table("key", (("a", "int", INT), ("b", "int", INT), ("c", "int, primary key(b, a)", INT)), "key() partitions 13"),
    Table("range", (("a", "int", INT),), f"range(a) {_RANGE}"),
    Table("range", (("a", "bigint", _INTS["bigint"]),), f"range(a) {_RANGE}"),
    Table("range columns", (("a", "int", INT),), f"range columns(a) {_RANGE}"),
    Table("range columns", (("a", "date", date),), f"range columns(a) {_DATES}"),
    Table("range columns", (("a", "datetime", datetime()),), f"range columns(a) {_DATES}"),
    Table("range columns", (("a", "varchar(30)", text(30)),), f"range columns(a) {_TEXTS}"),
    Table("range columns", (("a", "varchar(30) collate utf8mb4_bin", text(30)),), f"range columns(a) {_TEXTS}"),
    Table("range columns", (("a", "decimal(10,2)", decimal(6, 2)),), f"range columns(a) {_RANGE}"),
    Table(
        "range columns",
        (("a", "int", whole(-20, 20)), ("b", "int", whole(-20, 20))),
        "range columns(a, b) (partition p0 values less than (0, 0), partition p1 values less than (0, 10), "
        "partition p2 values less than (5, maxvalue), partition p3 values less than (maxvalue, maxvalue))",
    ),
    Table("list", (("a", "int", whole(-20, 20)),), f"list(a) {_LIST}"),
    Table("list columns", (("a", "bigint", whole(-20, 20)),), f"list columns(a) {_LIST}"),
    Table(
        "list columns",
        (("a", "varchar(20)", text(3, "abAB ")),),
        "list columns(a) (partition p0 values in ('a','ab'), partition p1 values in ('b','bb',''), "
        "partition p2 values in (default))",
    ),
    Table("hash expression", (("a", "int", whole(-9999, 9999)),), "hash(a + 3) partitions 13"),
    Table("hash expression", (("a", "int", whole(-9999, 9999)),), "hash(abs(a) mod 10) partitions 7"),
    Table("hash expression", (("a", "int", whole(-9999, 9999)),), "hash(a div 10) partitions 7"),
    Table("hash expression", (("a", "int", whole(-9999, 9999)),), "hash(floor(a * 2)) partitions 7"),
    *(
        Table("hash expression", (("a", "datetime", datetime()),), f"hash({name}(a)) partitions 13")
        for name in ("year", "month", "day", "dayofyear", "quarter", "weekday", "to_days", "to_seconds", "dayofweek")
    ),
    *(
        Table("hash expression", (("a", "datetime", datetime()),), f"hash({name}(a)) partitions 13")
        for name in ("hour", "minute", "second")
    ),
    Table("hash expression", (("a", "date", date),), "hash(to_days(a)) partitions 13"),
    Table("hash expression", (("a", "timestamp", datetime(1971, 2037)),), "hash(unix_timestamp(a)) partitions 13"),
    Table(
        "range expression",
        (("a", "date", date),),
        "range(year(a)) (partition p0 values less than (1950), partition p1 values less than (2001), "
        "partition p2 values less than (2024), partition p3 values less than (maxvalue))",
    ),
    Table(
        "list expression",
        (("a", "date", date),),
        "list(month(a)) (partition p0 values in (1,2,3), partition p1 values in (7,8), "
        "partition p2 values in (default))",
    ),
    Table(
        "two levels",
        (("a", "int", INT), ("b", "varchar(20)", text(20))),
        "hash(a) subpartition by key(b) subpartitions 3 partitions 4",
    ),
    Table(
        "two levels",
        (("a", "int", whole(-50, 50)), ("b", "int", whole(-50, 50))),
        f"range(a) subpartition by hash(b) subpartitions 5 {_RANGE}",
    ),
    Table(
        "two levels",
        (("a", "int", whole(-20, 20)), ("b", "varchar(10)", text(4, "abcd"))),
        "list(a) subpartition by range columns(b) subpartition template (subpartition s0 values less than ('b'), "
        "subpartition s1 values less than ('cc'), subpartition s2 values less than (maxvalue)) "
        "(partition p0 values in (1,2,3), partition p1 values in (default))",
    ),
)
_GROUP: Final = re.compile(r"p(?:(\d+)|\[(\d+)-(\d+)\])(?:sp(?:(\d+)|\[(\d+)-(\d+)\]))?")


class Judge:
    """Asks the kernel which partitions it would look into."""

    def __init__(self, kernel: KernelProcess) -> None:
        self._connection = kernel.connect()
        self._connection.use_unicode = (
            False  # EXPLAIN cuts its lines in the middle of characters, and bounds are no text
        )

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: str) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def partitions(self, statement: str) -> set[tuple[int, ...]]:
        return read_explain([next(iter(row.values())).decode("latin-1") for row in self.rows(f"explain {statement}")])


def read_explain(lines: list[str]) -> set[tuple[int, ...]]:
    """Return the positions of the partitions in EXPLAIN's ``partitions(…)``."""
    found = re.search(r"partitions\(([^)]*)\)", "\n".join(lines))
    assert found is not None, lines
    positions: set[tuple[int, ...]] = set()
    for match in _GROUP.finditer(found[1]):
        first = _span(match[1], match[2], match[3])
        if match[4] is None and match[5] is None:
            positions.update((one,) for one in first)
        else:
            positions.update((one, two) for one in first for two in _span(match[4], match[5], match[6]))
    return positions


def _span(one: str | None, low: str, high: str) -> range:
    return range(int(one), int(one) + 1) if one is not None else range(int(low), int(high) + 1)


def positions_of(partitioning: Partitioning, tablets: set[int]) -> set[tuple[int, ...]]:
    if len(partitioning.levels) == 1:
        return {(at,) for at, one in enumerate(partitioning.partitions) if one.tablet_id in tablets}
    return {
        (at, below)
        for at, one in enumerate(partitioning.partitions)
        for below, leaf in enumerate(one.subpartitions)
        if leaf.tablet_id in tablets
    }


def fetch(kernel: Judge, name: str) -> Partitioning:
    row = kernel.rows(
        "select t.table_id from oceanbase.__all_table t join oceanbase.__all_database d using (database_id) "
        f"where d.database_name = 'partitions' and t.table_name = '{name}'"
    )[0]
    where = f"where tenant_name = 'sys' and table_id = {row['table_id']}"
    info = kernel.rows(f"select * from oceanbase.__all_virtual_proxy_partition_info {where} order by part_key_idx")
    columns = "tablet_id, part_id, part_name, high_bound_val_bin"
    first = kernel.rows(f"select {columns}, sub_part_num from oceanbase.__all_virtual_proxy_partition {where}")
    second = kernel.rows(f"select {columns}, sub_part_id from oceanbase.__all_virtual_proxy_sub_partition {where}")
    return read_partitioning(row["table_id"], info, first, second)


class Tally:
    """What came out, by kind of partitioning."""

    def __init__(self) -> None:
        self.same: Counter[str] = Counter()
        self.closer: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.wrong: list[str] = []

    def judge(self, table: Table, test: Question, partitioning: Partitioning, judge: Judge, name: str) -> None:
        facts = StatementFacts(kind=Kind.SELECT, tables=(TableRef(name),), alternatives=test.alternatives)
        located = locate(partitioning, facts, Values(test.literals))
        if isinstance(located, NotComputable):
            self.refused[table.kind] += 1
            self.reasons[re.sub(r"\S*\d\S*|'.*'", "…", located.reason)] += 1
            return
        ours = positions_of(partitioning, {partition.tablet_id for partition in located.partitions})
        theirs = judge.partitions(f"select * from partitions.{name} where {test.where}")
        if ours == theirs:
            self.same[table.kind] += 1
        elif ours < theirs and not (test.points and len(ours) == 1 and " in " not in test.where):
            self.closer[table.kind] += 1
        else:
            self.wrong.append(f"{table.columns[0][1]} {table.by[:60]}: {test.where}: {ours} for {theirs}")


def stored_positions(judge: Judge, partitioning: Partitioning, name: str) -> dict[int, tuple[int, ...]]:
    """Return where each row lies, by id."""
    found = {}
    for leaf in partitioning.tablets():
        (position,) = positions_of(partitioning, {leaf.tablet_id})
        for row in judge.rows(f"select id from partitions.{name} partition ({leaf.name})"):
            found[int(row["id"])] = position
    return found


def insert_rows(
    rng: Random, judge: Judge, table: Table, partitioning: Partitioning, name: str
) -> tuple[dict[int, set[tuple[int, ...]]], dict[int, str]]:
    """Insert rows; return where they should lie and what they say, by id.  What the server refuses is left out."""
    expected, said = {}, {}
    columns = [column for column, *_ in table.columns]
    for number in range(INSERTS):
        texts = [rng.choice(("null", *(make(rng) for _ in range(20)))) for *_, make in table.columns]
        facts, literals = insert(columns, texts)
        located = locate(partitioning, facts, Values(literals))
        if isinstance(located, NotComputable):
            continue
        try:
            listed = f"{number}, {', '.join(texts)}"
            judge.rows(f"insert into partitions.{name} (id, {', '.join(columns)}) values ({listed})")
        except pymysql.err.MySQLError:
            continue
        expected[number] = positions_of(partitioning, {partition.tablet_id for partition in located.partitions})
        said[number] = ", ".join(texts)
    return expected, said


def test_rows_are_stored_where_an_insert_is_sent(kernel: KernelProcess) -> None:
    rng = Random(SEED)
    judge = Judge(kernel)
    kernel.run("drop database if exists partitions", "create database partitions")
    counts: Counter[str] = Counter()
    wrong = []
    try:
        for number, table in enumerate(_TABLES):
            name = f"i{number}"
            kernel.run("use partitions", table.ddl(name))
            partitioning = fetch(judge, name)
            expected, said = insert_rows(rng, judge, table, partitioning, name)
            stored = stored_positions(judge, partitioning, name)
            counts[table.kind] += len(expected)
            wrong += [
                f"{table.columns[0][1]} {table.by[:60]}: {said[row]}: {expected[row]} for {stored[row]}"
                for row in expected
                if expected[row] != {stored[row]}
            ]
            kernel.run(f"drop table partitions.{name}")
    finally:
        judge.close()
        kernel.run("drop database partitions")
    print("\nstored", counts.total(), dict(counts), "of", INSERTS * len(_TABLES))  # noqa: T201  # pytest -s
    assert not wrong, "\n".join([f"{len(wrong)}", *wrong[:40]])
    assert counts.total() >= 0.8 * INSERTS * len(_TABLES)


def test_partitions_are_those_of_the_kernel(kernel: KernelProcess) -> None:
    rng = Random(SEED)
    tally = Tally()
    judge = Judge(kernel)
    kernel.run("drop database if exists partitions", "create database partitions")
    try:
        for number, table in enumerate(_TABLES):
            name = f"t{number}"
            kernel.run("use partitions", table.ddl(name))
            partitioning = fetch(judge, name)
            for _ in range(STATEMENTS):
                tally.judge(table, condition(rng, table), partitioning, judge, name)
            kernel.run(f"drop table partitions.{name}")
    finally:
        judge.close()
        kernel.run("drop database partitions")
    print("\nsame", tally.same.total(), dict(tally.same))  # noqa: T201  # pytest -s
    print("closer", tally.closer.total(), dict(tally.closer))  # noqa: T201
    print("refused", tally.refused.total(), dict(tally.refused), tally.reasons)  # noqa: T201
    assert not tally.wrong, "\n".join([f"{len(tally.wrong)}", *tally.wrong[:40]])
    assert tally.same.total() >= 0.5 * STATEMENTS * len(_TABLES)
    assert tally.refused.total() < 0.15 * STATEMENTS * len(_TABLES)
