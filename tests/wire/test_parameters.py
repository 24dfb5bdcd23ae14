"""Parameters of COM_STMT_EXECUTE: read as written, cut anywhere."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError
from odp_trio.wire.fields import lenenc_str
from odp_trio.wire.parameters import Parameter, head_bytes, parse_execute, read_values, with_types

HEAD = b"\x17" + (7).to_bytes(4, "little") + b"\0\1\0\0\0"


def execute(types: bytes, values: bytes, *, nulls: int = 0, send_types: bool = True) -> bytes:
    count = len(types) // 2
    bitmap = nulls.to_bytes((count + 7) // 8, "little")
    return HEAD + bitmap + (b"\1" + types if send_types else b"\0") + values


CASES: list[tuple[bytes, bytes, Parameter]] = [
    (b"\x01\0", b"\xff", -1),
    (b"\x01\x80", b"\xff", 255),
    (b"\x02\0", b"\0\x80", -32768),
    (b"\x03\0", struct.pack("<i", -5), -5),
    (b"\x08\0", struct.pack("<q", -(1 << 63)), -(1 << 63)),
    (b"\x08\x80", struct.pack("<Q", (1 << 64) - 1), (1 << 64) - 1),
    (b"\x04\0", struct.pack("<f", 1.5), 1.5),
    (b"\x05\0", struct.pack("<d", -2.25), -2.25),
    (b"\xfd\0", lenenc_str("é中".encode()), "é中"),
    (b"\xfc\0", lenenc_str(b"\xff\xfe"), b"\xff\xfe"),
    (b"\xf6\0", lenenc_str(b"-12.50"), Decimal("-12.50")),
    (b"\x0a\0", b"\x04\xe8\x07\x05\x06", dt.date(2024, 5, 6)),
    (b"\x0c\0", b"\x07\xe8\x07\x05\x06\x07\x08\x09", dt.datetime(2024, 5, 6, 7, 8, 9)),
    (b"\x07\0", b"\x0b\xe8\x07\x05\x06\x07\x08\x09\x01\0\0\0", dt.datetime(2024, 5, 6, 7, 8, 9, 1)),
    (b"\x0b\0", b"\x08\x01\x01\0\0\0\x02\x03\x04", -dt.timedelta(days=1, hours=2, minutes=3, seconds=4)),
    (b"\x0b\0", b"\0", dt.timedelta(0)),
    (b"\x06\0", b"", None),
]


@pytest.mark.parametrize(("types", "values", "expected"), CASES)
def test_every_type_is_read(types: bytes, values: bytes, expected: Parameter) -> None:
    payload = execute(types, values)

    found = parse_execute(payload, 1)

    assert found.types == types
    assert read_values(payload, 1, types, found.values_at, "utf-8") == [expected]


def test_nulls_and_long_data_have_no_value() -> None:
    types = b"\x03\0\x03\0\xfd\0"
    payload = execute(types, struct.pack("<i", 8), nulls=0b001)

    assert read_values(payload, 3, types, parse_execute(payload, 3).values_at, "utf-8", {2: b"sent"}) == [
        None,
        8,
        "sent",
    ]


def test_an_execution_without_types_gets_those_of_the_one_before() -> None:
    types, values = b"\x03\0", struct.pack("<i", 8)
    bare = execute(types, values, send_types=False)
    assert parse_execute(bare, 1).types is None

    assert with_types(bare, 1, types) == execute(types, values)
    assert with_types(execute(types, values), 1, b"\x08\0") == execute(types, values)


@given(st.binary(max_size=60), st.integers(0, 20))
def test_any_bytes_give_values_or_a_protocol_error(rest: bytes, count: int) -> None:
    payload = HEAD + rest
    try:
        found = parse_execute(payload, count)
        if found.types is not None:
            assert len(read_values(payload, count, found.types, found.values_at, "utf-8")) == count
    except ClientProtocolError:
        pass


VALUES = st.lists(
    st.one_of(
        st.sampled_from(CASES).map(lambda case: (case[0], case[1])),
        st.binary(max_size=40).map(lambda raw: (b"\xfc\0", lenenc_str(raw))),
        st.none(),
    ),
    min_size=1,
    max_size=40,
)


def written(values: list[tuple[bytes, bytes] | None], *, send_types: bool) -> tuple[bytes, bytes]:
    """An execution with these values, NULL for None; and the types."""
    types = b"".join(b"\x06\0" if value is None else value[0] for value in values)
    nulls = sum(1 << at for at, value in enumerate(values) if value is None)
    body = b"".join(value[1] for value in values if value is not None)
    return execute(types, body, nulls=nulls, send_types=send_types), types


@given(VALUES)
def test_types_that_are_inserted_give_what_the_client_would_have_written(
    values: list[tuple[bytes, bytes] | None],
) -> None:
    bare, types = written(values, send_types=False)
    whole, _ = written(values, send_types=True)

    inserted = with_types(bare, len(values), types)

    assert inserted == whole
    assert with_types(inserted, len(values), b"\0" * len(types)) == whole  # it brings its own
    found = parse_execute(inserted, len(values))
    assert found.types == types
    assert len(read_values(inserted, len(values), types, found.values_at, "utf-8")) == len(values)


@given(VALUES, st.integers(0, 2000))
def test_a_cut_execution_gets_its_types_as_soon_as_the_flag_is_there(
    values: list[tuple[bytes, bytes] | None], cut: int
) -> None:
    bare, types = written(values, send_types=False)
    whole, _ = written(values, send_types=True)
    head, rest = bare[:cut], bare[cut:]

    inserted = with_types(head, len(values), types)

    if cut >= head_bytes(len(values)) - 2 * len(values):
        assert inserted + rest == whole
    else:
        assert inserted == head


@given(VALUES)
def test_the_head_is_long_enough_for_the_types(values: list[tuple[bytes, bytes] | None]) -> None:
    whole, types = written(values, send_types=True)

    assert parse_execute(whole[: head_bytes(len(values))], len(values)).types == types


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (b"\x0c\0", b"\xe8\x07\x05\x06\x07\x08\x09\xff\xff\xff\xff"),  # 4294 seconds in microseconds
        (b"\x07\0", b"\xe8\x07\x05\x06\x07\x08\x09\0\0\0\x80"),
        (b"\x0b\0", b"\0\xff\xff\xff\xff\x17\x3b\x3b"),  # 4294967295 days
        (b"\x0b\0", b"\1\xff\xff\xff\xff\x17\x3b\x3b\0\0\0\0"),
    ],
)
def test_a_date_or_time_beyond_what_python_holds_is_given_as_bytes(kind: bytes, raw: bytes) -> None:
    payload = execute(kind, bytes((len(raw),)) + raw)
    found = parse_execute(payload, 1)

    assert list(read_values(payload, 1, kind, found.values_at, "utf-8")) == [raw]
