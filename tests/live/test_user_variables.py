"""User variables keep value, type, character set and collation when the session moves to another server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial

import pytest
import trio

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from tests.live.rotation import WHEEL, rotating_proxy
from tests.raw_client import RawClient

DATABASE = "variables"
COLUMNS = {
    "big": "bigint", "d": "decimal(10, 3)", "f": "float", "db": "double", "dt": "date", "tm": "datetime(3)", "t": "time(2)",
    "s": "varchar(20) collate utf8mb4_bin", "l": "varchar(20) charset latin1", "j": "json", "y": "year", "ub": "bigint unsigned",
}  # fmt: skip
ROW = "(-5, 1.5, 2.5, 6, '2020-01-02', '2020-01-02 03:04:05.678', '01:02:03.45', 'str', 'é', '{\"a\": 1}', 2020, 7)"
EXPRESSIONS = (
    "1", "-1", "9223372036854775807", "18446744073709551615", "100000000000000000000000", "1.50", "1e10", "6e0", "0.1e0",
    "-1e300", "sqrt(2)", "1/3e0", "cast(1.5 as float)", "cast(7 as unsigned)", "true", "false", "1 = 1", "1 is null", "-0e0",
    "floor(5.5)", "1.10", "cast('[1, \"x\"]' as json)", "null", "'text'", "''", "'it''s'", "'a\\\\b'", "'a\\nb'", "'x\\0y'",
    "'🦆é'", "x'00ff27'", "_latin1'abc'", "_latin1 x'e9'", "convert('é' using gbk)", "convert('中' using gbk)",
    "'x' collate utf8mb4_bin", "cast('616263' as binary)", "date'2020-01-01'", "repeat('v', 500)",
    "cast('a' as char charset latin1)", *(f"(select {name} from {DATABASE}.typed)" for name in COLUMNS),
)  # fmt: skip
SESSIONS = ("set @b = 1", "set names latin1", "set names gbk", "set names utf8mb4 collate utf8mb4_bin",
            "set sql_mode = 'NO_BACKSLASH_ESCAPES'")  # fmt: skip
NOT_KEPT = {(f"(select s from {DATABASE}.typed)", "select coercibility(@a)")}
"""A collation that is not the default of its character set has to be an explicit one."""
LOOK = (
    "select @a", "select hex(@a), charset(@a), collation(@a)", "select @a + 1, @a * 3, @a / 4", "select @a = 'X', @a = 'x'",
    "select coercibility(@a)", "select json_type(json_extract(json_array(@a), '$[0]'))",
)  # fmt: skip


@pytest.fixture
async def rotated(kernel: KernelProcess) -> AsyncIterator[Address]:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    await kernel.query(
        f"drop database if exists {DATABASE}",
        f"create database {DATABASE}",
        f"create table {DATABASE}.typed ({columns})",
        f"insert into {DATABASE}.typed values {ROW}",
    )
    async with rotating_proxy(kernel) as address:
        try:
            yield address
        finally:
            WHEEL.place = None


def ask(client: RawClient, expression: str, *, moved: bool) -> list[object]:
    """Set a variable and look at it, on another server if the client is on a proxy."""
    WHEEL.place = 0
    found: list[object] = [client.query(f"set @a = {expression}").errno]
    WHEEL.place = 1 if moved else 0
    return found + [client.query(sql).payloads for sql in LOOK]


@pytest.mark.parametrize("before", SESSIONS)
async def test_a_variable_has_its_type_elsewhere(rotated: Address, kernel_address: Address, before: str) -> None:
    def compare() -> list[str]:
        differences = []
        for expression in EXPRESSIONS:
            with closing(RawClient(kernel_address)) as one, closing(RawClient(rotated, "root@sys")) as other:
                for client in (one, other):
                    client.query(before)
                expected, found = ask(one, expression, moved=False), ask(other, expression, moved=True)
                differences += [
                    f"{expression}: {sql}\n  {a!r}\n  {b!r}"
                    for sql, a, b in zip(("set", *LOOK), expected, found, strict=True)
                    if a != b and (expression, sql) not in NOT_KEPT
                ]
        return differences

    found = await trio.to_thread.run_sync(partial(compare))

    assert not found, "\n".join(found)
