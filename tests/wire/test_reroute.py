import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.wire.fields import lenenc_int
from odp_trio.wire.reroute import parse_reroute, write_reroute


@pytest.mark.parametrize("text", ["10.0.0.1:2881", "255.255.255.255:65535", "[::1]:1", "[2001:db8::ff]:2881"])
def test_an_address_is_read_as_it_was_written(text: str) -> None:
    assert parse_reroute(write_reroute(Address.parse(text))) == Address.parse(text)


def test_what_follows_the_port_is_not_read() -> None:
    body = b"".join(map(lenenc_int, (4, 0x7F000001, 2881, 1, 0))) + b"\x01t" + lenenc_int(1 << 40)
    assert parse_reroute(lenenc_int(len(body)) + body + b"more") == Address("127.0.0.1", 2881)


@pytest.mark.parametrize("numbers", [(5, 1, 1), (4, 1 << 32, 1), (4, 1, 0), (4, 1, 65536), (4, 1), (6, 1, 2)])
def test_what_is_no_address_is_refused(numbers: tuple[int, ...]) -> None:
    body = b"".join(map(lenenc_int, numbers))
    with pytest.raises(ServerProtocolError):
        parse_reroute(lenenc_int(len(body)) + body)


@given(st.binary(max_size=40))
def test_any_bytes_give_an_address_or_an_error(value: bytes) -> None:
    with contextlib.suppress(ServerProtocolError):
        parse_reroute(value)
