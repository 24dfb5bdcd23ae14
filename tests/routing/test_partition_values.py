"""Murmur, collations, functions and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from odp_trio.routing.collation import collation
from odp_trio.routing.functions import call
from odp_trio.routing.murmur import bucket, murmur, murmur_int
from odp_trio.routing.scalars import CannotCompute, Instant
from odp_trio.routing.temporal import read_duration, read_instant
from odp_trio.routing.values import Values


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, 0x7208F7FA198A2D81), (1, 0x8FBB8D815C9E092E), (-1, 0x3A8E59C4E2C576DD), (42, 0xD2DF4D44EBB8B210)],
)
def test_numbers_hash_as_eight_bytes(number: int, expected: int) -> None:
    assert murmur_int(number, 0) == expected
    assert murmur(number.to_bytes(8, "little", signed=True), 0) == expected


def test_nothing_hashes_to_the_seed_mixed() -> None:
    assert murmur(b"", 0) == 0
    assert murmur(b"\0\0\0\0", 0) == 0x6097D7CEF65AA5E7


@pytest.mark.parametrize(("h", "expected"), [(0, 0), (9, 2), ((1 << 64) - 9, 2), (1 << 63, ((1 << 63) - 1) % 7)])
def test_a_hash_is_read_as_signed(h: int, expected: int) -> None:
    assert bucket(h, 7) == expected


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (45, "a", 0x4CDC42C9B1907DEC),
        (45, "ABC ", 0xF3299FF240083BBB),
        (45, "中文", 0x8537038D5F5E35C9),
        (46, "abc", 0x9CC9C33498A95EFB),
        (45, "", 0),
    ],
)
def test_strings_hash_by_collation(number: int, text: str, expected: int) -> None:
    assert collation(number).hash(text.encode(), 0) == expected


def test_a_weight_that_is_not_known_is_refused() -> None:
    with pytest.raises(CannotCompute, match=r"the weight of U\+0E01 is not known"):
        collation(255).hash("ก".encode(), 0)
    with pytest.raises(CannotCompute, match="collation 83 is not known"):
        collation(83)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("CONCAT", ("a", 1, Decimal("1.50")), "a11.50"),
        ("SUBSTR", ("abc", 2), "bc"),
        ("SUBSTRING", ("abc", -2, 1), "b"),
        ("SUBSTR", ("abc", 0), ""),
        ("FLOOR", (Decimal("-2.5"),), -3),
        ("CEIL", (Decimal("2.5"),), 3),
        ("ROUND", (Decimal("-2.5"),), -3),
        ("ROUND", (Decimal("2.45"), 1), Decimal("2.5")),
        ("ROUND", (25, -1), 30),
        ("TRUNCATE", (Decimal("2.99"), 1), Decimal("2.9")),
        ("TRUNCATE", (-199, -2), -100),
        ("MOD", (-7, 3), -1),
        ("DIV", (-7, 2), -3),
        ("DIV", (Decimal("7.5"), 2), 3),
        ("/", (7, 2), Decimal("3.5000")),
        ("/", (1, 3), Decimal("0.3333")),
        ("/", (Decimal("2.50"), 3), Decimal("0.833333")),
        ("MOD", (7, 0), None),
        ("TRIM", ("  a ",), "a"),
        ("REPLACE", ("abc", "b", "x"), "axc"),
        ("LENGTH", ("abc",), 3),
        ("LEFT", ("abc", 2), "ab"),
        ("RIGHT", ("abc", 2), "bc"),
        ("ISNULL", (None,), 1),
        ("IFNULL", (None, 3), 3),
        ("CONCAT", (None, "a"), None),
    ],
)
def test_functions(name: str, arguments: tuple[Any, ...], expected: Any) -> None:
    """Expected values are a live kernel's."""
    assert call(name, arguments, None) == expected


@pytest.mark.parametrize("name", ["RAND", "UUID", "NOW", "DATE_ADD"])
def test_functions_that_are_not_known_are_refused(name: str) -> None:
    with pytest.raises(CannotCompute, match=rf"{name}\(\) is not computed"):
        call(name, (), Values())


def test_now_is_in_the_session_time_zone() -> None:
    values = Values(time_zone="+08:00")
    values.now = 86_400.0 * 31 - 3600
    assert call("CURDATE", (), values) == Instant((1970, 2, 1, 0), True)


@pytest.mark.parametrize("text", ["2024-02-30", "24-1", "abc", "2024-13-01", "", "2024-01-01 25:00:00"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(CannotCompute):
        read_instant(text)


def test_times() -> None:
    assert read_duration("-1 02:03:04.5").microseconds == -(26 * 3600 + 3 * 60 + 4) * 1_000_000 - 500_000
    assert read_duration("10").microseconds == 10_000_000
