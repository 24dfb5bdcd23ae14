"""Length-encoded values and the cursor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, ServerProtocolError
from odp_trio.wire.fields import Capability, Cursor, OBCapability, client_cursor, lenenc_int, lenenc_str, server_cursor

READS: dict[str, Callable[[Cursor], object]] = {
    "take": lambda cursor: cursor.take(3),
    "uint": lambda cursor: cursor.uint(4),
    "nul": Cursor.nul,
    "lenenc": Cursor.lenenc,
    "lestr": Cursor.lestr,
    "rest": Cursor.rest,
}


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "00"),
        (250, "fa"),
        (251, "fcfb00"),
        (0xFFFF, "fcffff"),
        (0x10000, "fd000001"),
        (0xFFFFFF, "fdffffff"),
        (0x1000000, "fe0000000100000000"),
        ((1 << 64) - 1, "feffffffffffffffff"),
    ],
)
def test_a_length_encoded_integer_takes_the_shortest_form(number: int, encoded: str) -> None:
    assert lenenc_int(number).hex() == encoded


@given(st.integers(0, (1 << 64) - 1))
@example(0xFB)
@example(0xFFFFFF)
def test_a_length_encoded_integer_reads_back_as_it_was_written(number: int) -> None:
    cursor = client_cursor(lenenc_int(number))

    assert cursor.lenenc() == number
    assert not cursor.left


@given(st.binary(max_size=400), st.binary(max_size=10))
def test_a_length_encoded_string_reads_back_and_leaves_what_follows(text: bytes, rest: bytes) -> None:
    cursor = server_cursor(lenenc_str(text) + rest)

    assert (cursor.lestr(), cursor.rest()) == (text, rest)


@pytest.mark.parametrize("first", [0xFB, 0xFF])
def test_null_and_the_error_mark_are_no_length(first: int) -> None:
    with pytest.raises(ServerProtocolError, match=f"0x{first:02x} does not begin"):
        server_cursor(bytes((first, 1, 2, 3, 4, 5, 6, 7, 8))).lenenc()


@given(st.binary(max_size=40), st.lists(st.sampled_from(sorted(READS)), max_size=12))
def test_any_reads_of_any_bytes_give_values_or_the_error_of_the_side_that_sent_them(
    data: bytes, reads: list[str]
) -> None:
    for make, error in ((client_cursor, ClientProtocolError), (server_cursor, ServerProtocolError)):
        cursor = make(data)
        try:
            for name in reads:
                READS[name](cursor)
                assert 0 <= cursor.pos <= len(data)
        except error:
            continue


def test_a_failed_read_names_the_place() -> None:
    cursor = client_cursor(b"ab\0cd")
    cursor.nul()

    with pytest.raises(ClientProtocolError, match=r"no NUL found for a string at byte 3 of a 5-byte payload"):
        cursor.nul()


def test_capability_bits_are_where_the_protocol_has_them() -> None:
    assert Capability.PLUGIN_AUTH == 0x80000
    assert Capability.DEPRECATE_EOF == 0x1000000
    assert OBCapability.LOCAL_FILES == 0x100000
    assert OBCapability.FEEDBACK_PROXY == 0x800000
