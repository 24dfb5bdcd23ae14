"""Rows of __all_virtual_proxy_schema: what cannot be used is skipped, the rest counts."""

from __future__ import annotations

from typing import Any

import pytest

from odp_trio.catalog.location_queries import read_replicas
from odp_trio.model import Address

GOOD = {"tablet_id": 200001, "svr_ip": "10.0.0.1", "sql_port": 2881, "role": 1, "replica_type": 0}


@pytest.mark.parametrize("tablet", ["<0000\x00", "x", b"\xff", [1], 1.5e400])
def test_a_tablet_id_that_is_no_number_costs_its_row_only(tablet: Any) -> None:
    found = read_replicas([GOOD | {"tablet_id": tablet}, GOOD])

    assert [replica.address for replica in found[200001]] == [Address("10.0.0.1", 2881)]
    assert list(found) == [200001]


@pytest.mark.parametrize("column", ["role", "replica_type", "dup_replica_type", "svr_ip", "sql_port"])
def test_a_column_that_cannot_be_read_costs_its_row_only(column: str) -> None:
    other = GOOD | {"svr_ip": "10.0.0.2", "role": 2}

    assert [r.address.ip for r in read_replicas([GOOD | {column: "none"}, other])[200001]] == ["10.0.0.2"]
