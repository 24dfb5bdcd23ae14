"""Rows of workers as one answer: whom a command asks, and how the rows become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from odp_trio.admin.across.rows import Asks, ByWorker, merged, ordered
from odp_trio.admin.commands.command import Command
from odp_trio.admin.commands.table import COMMANDS

NAMES = ("name", "many", "last")


def test_rows_that_agree_in_the_key_become_one() -> None:
    fold = merged("name", added="many", largest="last")

    assert fold(NAMES, {0: [("a", 1, None), ("b", 2, "x")], 1: [("b", 3, "y"), ("c", None, None)]}) == [
        ("a", 1, None),
        ["b", 5, "y"],
        ("c", None, None),
    ]


def test_the_newest_row_is_taken_whole() -> None:
    fold = merged("name", newest="last")

    assert fold(NAMES, {0: [("a", 1, None)], 1: [("a", 2, "2026-01-01")], 2: [("a", 3, "2025-01-01")]}) == [
        ["a", 2, "2026-01-01"]
    ]


def test_rows_by_time() -> None:
    fold = ordered(lambda row: row["many"], reverse=True)

    assert fold(NAMES, {0: [("a", 1, ""), ("b", 9, "")], 1: [("c", 5, "")]}) == [
        ("b", 9, ""),
        ("c", 5, ""),
        ("a", 1, ""),
    ]


def command(head: str) -> Command:
    return next(one for one in COMMANDS if one.syntax.notation.startswith(head))


def folded(head: str, rows: ByWorker) -> Sequence[Sequence[Any]]:
    one = command(head)
    assert one.across.fold is not None
    return one.across.fold([column.name for column in one.columns], rows)


@pytest.mark.parametrize("one", [one for one in COMMANDS if one.across.fold], ids=lambda one: " ".join(one.syntax.head))
def test_every_fold_knows_its_columns(one: Command) -> None:
    assert one.across.asks is Asks.ALL
    assert one.across.fold is not None
    assert list(one.across.fold([column.name for column in one.columns], {0: [], 1: []})) == []


def test_statistics_add_up_but_for_the_few_that_are_no_counts() -> None:
    one = [("statements", 5, "NULL"), ("uptime", 100, "NULL"), ("draining", 0, "NULL")]
    two = [("statements", 7, "NULL"), ("uptime", 3, "NULL"), ("draining", 1, "NULL"), ("ends.killed", 1, "NULL")]

    assert dict(row[:2] for row in folded("SHOW PROXYSTAT", {0: one, 1: two})) == {
        "statements": 12,
        "uptime": 100,
        "draining": 1,
        "ends.killed": 1,
    }


def test_memory_adds_up_and_its_average_is_made_again() -> None:
    one = [("client sessions", "kept", 1000, 1000, 10, 100, ""), ("locations", "table", None, None, 3, None, "")]
    two = [("client sessions", "kept", 500, 500, 5, 100, ""), ("locations", "table", None, None, 4, None, "")]

    assert folded("SHOW PROXYMEMORY", {0: one, 1: two}) == [
        ("client sessions", "kept", 1500, 1500, 15, 100, ""),
        ("locations", "table", None, None, 7, None, ""),
    ]


def test_each_tree_is_named_after_its_worker() -> None:
    tree = [("proxy", "running", "1.0", 0, ""), ("└─ http", "running", "1.0", 0, "")]

    assert [row[0] for row in folded("SHOW PROXYTREE", {0: tree, 3: tree})] == [
        "worker:0",
        "└─ http",
        "worker:3",
        "└─ http",
    ]
    assert [row[0] for row in folded("SHOW PROXYTASKS", {3: [("catalog/prober", "running")]})] == [
        "worker:3/catalog/prober"
    ]


def test_the_last_end_comes_first() -> None:
    def row(number: int, began: str, seconds: str) -> tuple[object, ...]:
        return (number, "", "", "", "", "", began, seconds, 0, 0, 0, "", "")

    one = [row(1, "2026-01-01T00:00:09.000+00:00", "1.000"), row(2, "2026-01-01T00:00:00.000+00:00", "3.000")]
    two = [row(3, "2026-01-01T00:00:00.000+00:00", "8.000")]

    assert [found[0] for found in folded("SHOW PROXYENDS", {0: one, 1: two})] == [1, 3, 2]


def test_a_server_is_refused_if_one_worker_refuses_it() -> None:
    names = [column.name for column in command("SHOW PROXYCONGESTION").columns]

    def server(**values: Any) -> list[Any]:
        named = dict.fromkeys(names, None) | {"cluster_name": "demo", "server_ip": "10.0.0.1:2881"} | values
        return list(named.values())

    one = server(alive_congested=False, stat_alive_failures=2, last_alive_congested=None)
    two = server(alive_congested=True, stat_alive_failures=3, last_alive_congested="2026-01-01")
    ((row),) = folded("SHOW PROXYCONGESTION ALL", {0: [one], 1: [two]})

    found = dict(zip(names, row, strict=True))
    assert (found["alive_congested"], found["stat_alive_failures"]) == (True, 5)
    assert found["last_alive_congested"] == "2026-01-01"
