"""Facts for partition tests, made by hand: the real reader of SQL has its own tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from odp_trio.routing.located import Located, NotComputable, Plan
from odp_trio.routing.partition import plan_partition
from odp_trio.routing.values import Values
from odp_trio.sql.facts import (
    Condition,
    Default,
    Kind,
    Literal,
    Null,
    Operand,
    Operator,
    StatementFacts,
    TableRef,
)
from odp_trio.topology.partitioning import Partitioning, read_partitioning


def hexadecimal_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``x_hex`` into ``x`` with bytes."""
    return {
        name.removesuffix("_hex"): bytes.fromhex(value) if name.endswith("_hex") and value is not None else value
        for name, value in row.items()
    }


def partitioning_of(table: Mapping[str, Any]) -> Partitioning:
    rows = [
        [hexadecimal_columns(row) for row in table[name]]
        for name in ("proxy_partition_info", "proxy_partition", "proxy_sub_partition")
    ]
    return read_partitioning(1, *rows)


class Texts:
    """Operands from SQL text, and the literals that go with them."""

    def __init__(self) -> None:
        self.literals: list[bytes] = []

    def operand(self, text: str) -> Operand:
        stripped = text.strip()
        match stripped.lower():
            case "null":
                return Null()
            case "default":
                return Default()
        negative = stripped.startswith("-")
        prefix = ""
        found = re.match(r"(date|timestamp|time|_binary)\s*(?=')", stripped, re.IGNORECASE)
        if found is not None:
            prefix = found[1].upper()
            stripped = stripped[found.end() :]
        self.literals.append(stripped.removeprefix("-").strip().encode())
        return Literal(len(self.literals) - 1, negative, prefix)


def insert(columns: Sequence[str], texts: Sequence[str]) -> tuple[StatementFacts, list[bytes]]:
    read = Texts()
    row = tuple(
        Condition(column, Operator.EQ, (read.operand(text),)) for column, text in zip(columns, texts, strict=True)
    )
    facts = StatementFacts(
        kind=Kind.INSERT, tables=(TableRef("t"),), alternatives=(row,), insert_columns=tuple(columns)
    )
    return facts, read.literals


def locate(partitioning: Partitioning, facts: StatementFacts, values: Values) -> Located | NotComputable:
    plan = plan_partition(partitioning, facts)
    return plan.locate(values) if isinstance(plan, Plan) else plan
