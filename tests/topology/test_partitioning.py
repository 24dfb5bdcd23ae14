"""Bounds, defaults and rows of the metadata tables."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import MalformedMetadata
from odp_trio.topology.objects import (
    Extreme,
    date_of,
    days_of,
    pack_datetime,
    read_list_bound,
    read_range_bound,
    read_value,
    unpack_datetime,
)
from odp_trio.topology.partitioning import Partitioning, column_names, read_partitioning

INFO: dict[str, Any] = {
    "part_level": 1,
    "part_type": 3,
    "part_expr": "a",
    "part_key_name": "A",
    "part_key_type": 4,
    "part_key_idx": 1,
    "part_key_level": 1,
    "part_key_extra": "",
    "part_key_collation_type": 63,
    "part_key_length": -1,
    "part_key_precision": 11,
    "part_key_scale": 0,
    "part_key_default_value": None,
}


def partition(name: str, bound: object, tablet: int | None = 7) -> dict[str, Any]:
    return {"part_id": 1, "part_name": name, "tablet_id": tablet, "high_bound_val_bin": bound}


def read(**changes: object) -> Partitioning:
    return read_partitioning(5, [{**INFO, **changes}], [partition("p0", bytes.fromhex("0105053F000A"))], [])


@pytest.mark.parametrize(
    ("digits", "row"),
    [
        ("0105053F000A", (10,)),
        ("0119070000FEFFFFFFFFFFFFFFFF01", (Extreme.MAX,)),
        ("0216042DFF036162630005053F000A", (b"abc", 10)),
        ("0113053FFFCD55", ((2000, 1, 1, 0),)),
        ("0111053FFF80C0DFD993A0D701", ((2000, 1, 1, 0),)),
        ("0129053FFFDDC03E", ((2000, 2, 29, 0),)),
    ],
)
def test_range_bounds(digits: str, row: tuple[object, ...]) -> None:
    assert read_range_bound(bytes.fromhex(digits)) == (row,)


def test_list_bounds() -> None:
    assert read_list_bound(bytes.fromhex("0100063FFF000105053F0001000105053F000200")) == ((None,), (1,), (2,))
    assert read_list_bound(bytes.fromhex("0119070000FEFFFFFFFFFFFFFFFF0100")) == ((Extreme.MAX,),)


def test_a_default() -> None:
    assert read_value(bytes.fromhex("27053F0208025E01000000000000")) == Decimal("3.50")
    assert read_value(bytes.fromhex("2A053F008080808080C0D0D219")) == (2020, 1, 1, 0)


@pytest.mark.parametrize("last", ["02", "7F"])
def test_a_number_of_more_than_64_bits_is_none(last: str) -> None:
    assert read_value(bytes.fromhex("0C003F00" + "FF" * 9 + "01")) is not None
    with pytest.raises(ValueError, match="more than 64 bits"):
        read_value(bytes.fromhex("0C003F00" + "FF" * 9 + last))


@pytest.mark.parametrize("bound", [bytes.fromhex("0105053F000A"), "0105053F000A", "\x01\x05\x05?\x00\n"])
def test_bounds_come_as_bytes_or_text(bound: object) -> None:
    read = read_partitioning(5, [INFO], [partition("p0", bound)], [])

    assert read.partitions[0].bound == ((10,),)


def test_a_default_that_the_server_computes_is_no_error() -> None:
    column = read(part_key_default_value=b"\x19\x07\x00\x00\x14").columns[0]

    assert column.has_default
    assert column.default_refusal == "its default is a special value 20, which is not known"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part_type": 99}, "part_type is 99"),
        ({"part_level": 3}, "part_level is 3"),
        ({"part_key_type": None}, "int"),
        ({"part_key_default_value": b"\x04\x05"}, "part_key_default_value: it ends in the middle"),
        ({"part_key_default_value": 10**18}, "part_key_default_value: it is of type int"),
        ({"part_key_default_value": b"\x32\0\0\0\4" + b"\xff" * 8 + b"\x7f\1\2\3\4"}, "digits behind the point"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedMetadata, match=message):
        read(**changes)


def test_missing_rows_and_columns_are_named() -> None:
    with pytest.raises(MalformedMetadata, match="no row says how"):
        read_partitioning(5, [], [], [])
    with pytest.raises(MalformedMetadata, match="no partitions"):
        read_partitioning(5, [INFO], [], [])
    with pytest.raises(MalformedMetadata, match="there is no column part_type"):
        read_partitioning(5, [{k: v for k, v in INFO.items() if k != "part_type"}], [partition("p", b"")], [])
    with pytest.raises(MalformedMetadata, match="p0 has no bound"):
        read_partitioning(5, [INFO], [partition("p0", None)], [])
    with pytest.raises(MalformedMetadata, match="p0 has no sub-partitions"):
        read_partitioning(
            5,
            [{**INFO, "part_level": 2, "part_type": 0, "sub_part_type": 0, "sub_part_expr": "a"}],
            [partition("p0", None)],
            [],
        )


def test_kernels_before_version_4() -> None:
    old = {
        name: value for name, value in INFO.items() if not name.startswith(("part_key_co", "part_key_l", "part_key_p"))
    }
    old |= {
        "part_level": 2,
        "part_type": 8,
        "sub_part_type": 0,
        "sub_part_expr": "a",
        "spare1": 63,
        "spare5": "-1,11,0",
        "part_key_level": 1,
        "spare2": -1,
    }
    first = [{"part_id": 0, "part_name": "p0"}]
    second = [{"part_id": -1, "sub_part_id": number, "part_name": f"s{number}"} for number in range(2)]

    read = read_partitioning(5, [old], first, second)

    assert [leaf.tablet_id for leaf in read.tablets()] == [1 << 60 | 1 << 28, 1 << 60 | 1 << 28 | 1]
    assert read.find_name("S1") == (read.tablets()[1],)
    assert read.find_name("P0") == read.tablets()
    assert read.find_name("nothing") == ()


def test_columns_of_an_expression() -> None:
    assert column_names("`a b`, C,`d``e`") == ("a b", "c", "d`e")


@given(st.integers(-1_000_000, 3_000_000))
def test_days_and_dates(days: int) -> None:
    assert days_of(*date_of(days)) == days


@given(st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31), st.integers(0, 86_399_999_999))
def test_packed_datetimes(year: int, month: int, day: int, of_day: int) -> None:
    assert unpack_datetime(pack_datetime((year, month, day, of_day))) == (year, month, day, of_day)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read_bound in (read_range_bound, read_list_bound):
        with contextlib.suppress(ValueError):
            read_bound(data)
