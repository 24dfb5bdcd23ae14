"""Headers of the PROXY protocol: both versions, whole and byte by byte, and what is none."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError
from odp_trio.wire.proxy_protocol import (
    LONGEST_2,
    SIGNATURE_2,
    ProxyHeader,
    begins_header,
    parse_proxy_header,
)


def version_2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return SIGNATURE_2 + struct.pack(">BBH", command, family, len(body) if length is None else length) + body


IPV4 = socket.inet_aton("10.1.2.3") + socket.inet_aton("10.9.9.9") + struct.pack(">HH", 40000, 2883)
IPV6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "::1")
    + struct.pack(">HH", 1, 65535)
)
TLV = b"\x04\0\2\0\0"
GOOD = [
    (b"PROXY TCP4 10.1.2.3 10.9.9.9 40000 2883\r\n", ("10.1.2.3", 40000)),
    (b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", ("2001:db8::1", 1)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (version_2(0x21, 0x11, IPV4), ("10.1.2.3", 40000)),
    (version_2(0x21, 0x11, IPV4 + TLV), ("10.1.2.3", 40000)),
    (version_2(0x21, 0x21, IPV6), ("2001:db8::1", 1)),
    (version_2(0x20, 0x00, b""), None),
    (version_2(0x20, 0x11, IPV4), None),
    (version_2(0x21, 0x31, b"\0" * 216), None),
    (version_2(0x21, 0x00, b""), None),
]
BAD = [
    b"PROXY TCP4 10.1.2.3 10.9.9.9 40000\r\n",
    b"PROXY TCP4 10.1.2.256 10.9.9.9 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP4 10.1.2.3 10.9.9.9 65536 1\r\n",
    b"PROXY TCP4 10.1.2.3 10.9.9.9 01 1\r\n",
    b"PROXY TCP4 10.1.2.3 10.9.9.9 -1 1\r\n",
    b"PROXY UDP4 10.1.2.3 10.9.9.9 1 1\r\n",
    b"PROXY " + b"x" * 200,
    version_2(0x11, 0x11, IPV4),
    version_2(0x22, 0x11, IPV4),
    version_2(0x21, 0x11, IPV4[:-1]),
    version_2(0x21, 0x41, IPV4),
    version_2(0x21, 0x11, b"", LONGEST_2),
]


@pytest.mark.parametrize(("data", "source"), GOOD)
def test_a_header_is_read_whole_and_byte_by_byte(data: bytes, source: tuple[str, int] | None) -> None:
    for end in range(1, len(data)):
        assert begins_header(data[:end])
        assert parse_proxy_header(data[:end]) is None
    header = parse_proxy_header(data + b"\x01\0\0\1the login")
    assert header is not None
    assert (header.source, header.size) == (source, len(data))


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ClientProtocolError, match="PROXY header"):
        parse_proxy_header(data)


def test_a_login_packet_begins_none() -> None:
    assert not begins_header(b"\x55\0\0\x01\x85\xa6")
    assert not begins_header(b"PROXZ ")
    assert not begins_header(b"")


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE_2, SIGNATURE_2 + b"\x21\x11"])
)
def test_any_bytes_give_a_header_or_an_error_or_ask_for_more(rest: bytes, start: bytes) -> None:
    data = start + rest
    try:
        header = parse_proxy_header(data)
    except ClientProtocolError:
        return
    assert header is None or (isinstance(header, ProxyHeader) and header.size <= len(data))
