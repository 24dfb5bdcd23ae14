"""What a client sends before it is let in: PROXY header, login packet, login name; and COM_CHANGE_USER."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fuzz.cutting import outcome
from odp_trio.errors import AccessDenied, ClientProtocolError
from odp_trio.wire.auth import NATIVE_PASSWORD
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import OFFERED, LoginPacket, parse_change_user, parse_login, ssl_request, wants_tls
from odp_trio.wire.login_name import parse_login_name
from odp_trio.wire.proxy_protocol import LONGEST_2, begins_header, parse_proxy_header
from tests.wire.captured import conversation, exchanges

_EVERY = 0xFFFFFFFF


def one_input(data: bytes) -> None:
    """Read the same bytes as everything that a stranger may send."""
    _login(data)
    _change_user(data)
    _name(data)
    _proxy_header(data)
    wants_tls(data)


def _login(data: bytes) -> None:
    login = outcome(lambda: parse_login(data), ClientProtocolError)
    if isinstance(login, type):
        return
    assert not login.capabilities & ~OFFERED
    assert login.auth.hex() not in repr(login) or len(login.auth) < 4, "a secret is shown"
    every = parse_login(data, _EVERY)
    again = parse_login(every.to_bytes(), _EVERY) if len(every.auth) < 251 else every
    assert _settled(again) == _settled(every)
    if len(every.auth) < 251:
        assert wants_tls(ssl_request(every))


def _settled(login: LoginPacket) -> LoginPacket:
    """Name the plugin that a login without one means."""
    named = login.capabilities & Capability.PLUGIN_AUTH
    return msgspec.structs.replace(login, plugin=login.plugin or NATIVE_PASSWORD if named else None)


def _change_user(data: bytes) -> None:
    change = outcome(lambda: parse_change_user(data), ClientProtocolError)
    if not isinstance(change, type):
        assert parse_change_user(change.to_bytes()) == change


def _name(data: bytes) -> None:
    for text in (data.decode("utf-8", "replace"), data.decode("latin-1")):
        for separators in (":;-;.", "", ";;", "::;"):
            found = outcome(lambda text=text, by=separators: parse_login_name(text, by), AccessDenied)  # type: ignore[misc]
            if isinstance(found, type):
                continue
            assert found.user
            parts = (found.user, found.tenant, found.cluster)
            assert sum(len(part or "") for part in parts) <= len(text)
            assert all(part is None or part in text for part in parts)
            assert found.tenant != ""
            assert found.cluster != ""


def _proxy_header(data: bytes) -> None:
    if not begins_header(data):
        return
    header = outcome(lambda: parse_proxy_header(data), ClientProtocolError)
    early: object = None
    for end in range(1, min(len(data), LONGEST_2) + 1):
        if not begins_header(data[:end]):
            continue
        early = outcome(lambda end=end: parse_proxy_header(data[:end]), ClientProtocolError)  # type: ignore[misc]
        if early is not None:
            break
    if early is not None or len(data) <= LONGEST_2:
        assert early == header
    if header is not None and not isinstance(header, type):
        assert 0 < header.size <= len(data)


def seeds() -> Iterator[bytes]:
    """Give logins that were captured, names of each form and headers of load balancers."""
    for name in ("login_plain", "login_proxy", "login_tracking", "change_user"):
        for each in conversation(name):
            if each.from_client:
                yield each.payload
    for exchange in exchanges("commands_plain"):
        if exchange.request[4:5] == b"\x11":
            yield exchange.request[4:]
    yield from (b"root@sys#obdemo:7", b"obdemo:sys:root:3", b"a-b-c", b"a.b.c.d", b"root", b"#c", b"@t", b"u@t@x#y#z")
    yield b"PROXY TCP4 10.1.2.3 10.4.5.6 50000 2883\r\n" + b"rest"
    yield b"PROXY TCP6 ::1 2001:db8::1 1 65535\r\n"
    yield b"PROXY UNKNOWN\r\n"
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    yield signature + b"\x21\x11\0\x0c" + bytes(range(12)) + b"rest"
    yield signature + b"\x21\x21\0\x27" + bytes(range(36)) + b"\x04\0\0"
    yield signature + b"\x20\x00\0\0"
    login = LoginPacket(
        Capability.PROTOCOL_41 | Capability.CONNECT_WITH_DB | Capability.PLUGIN_AUTH | Capability.CONNECT_ATTRS,
        1 << 24, 45, b"u@t", b"x" * 20, b"db", b"mysql_native_password", {b"_client": b"x"},
    )  # fmt: skip
    for more in (0, Capability.PLUGIN_AUTH_LENENC, Capability.SECURE_CONNECTION):
        yield msgspec.structs.replace(login, capabilities=login.capabilities | more).to_bytes()
