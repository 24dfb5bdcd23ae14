"""Greeting, login, auth switch, change user."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, ProtocolError, ServerProtocolError
from odp_trio.wire.auth import xor
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import (
    OFFERED,
    AuthSwitch,
    ChangeUser,
    Greeting,
    LoginPacket,
    parse_auth_switch,
    parse_change_user,
    parse_greeting,
    parse_login,
    wants_tls,
)
from odp_trio.wire.state import parse_ok
from tests.wire.captured import payload

LOGINS = ["login_plain", "login_tracking", "login_proxy"]
EVERYTHING = 0xFFFFFFFF
LAYOUT = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH

words = st.binary(max_size=12).map(lambda word: word.replace(b"\0", b"x"))
scrambles = st.binary(min_size=20, max_size=20)
logins = st.builds(
    LoginPacket,
    capabilities=st.integers(0, EVERYTHING).map(lambda flags: (flags | LAYOUT) & ~Capability.PLUGIN_AUTH_LENENC),
    max_packet=st.integers(0, EVERYTHING),
    charset=st.integers(0, 255),
    user=words,
    auth=st.binary(max_size=40),
    database=words.filter(bool),
    plugin=words.filter(bool),
    attributes=st.dictionaries(words, words, max_size=4),
)


@pytest.mark.parametrize("name", LOGINS)
def test_a_captured_greeting_is_written_as_it_was_read(name: str) -> None:
    greeting = parse_greeting(payload(name, 0))

    assert greeting.to_bytes() == payload(name, 0)
    assert greeting.version == b"5.7.25"
    assert len(greeting.scramble) == 20


@pytest.mark.parametrize("name", LOGINS)
def test_a_captured_login_is_written_as_it_was_read(name: str) -> None:
    login = parse_login(payload(name, 1), EVERYTHING)

    assert login.to_bytes() == payload(name, 1)
    assert (login.user, login.database) == (b"packets_user@sys", b"packets")


def test_a_login_as_proxy_carries_the_client_scramble_joined_with_that_of_the_server() -> None:
    greeting, login = parse_greeting(payload("login_proxy", 0)), parse_login(payload("login_proxy", 1), EVERYTHING)

    assert xor(login.attributes[b"__proxy_scramble"], greeting.scramble) == b"abcdefghijklmnopqrst"


def test_the_login_ok_of_a_proxy_connection_lists_the_whole_session() -> None:
    state = parse_ok(payload("login_proxy", 2)).state

    assert state is not None
    assert len(state.system) > 800
    assert state.system[b"autocommit"] == b"ON"
    assert state.schema == b"packets"
    assert state.changed


@pytest.mark.parametrize("number", [0, 1])
def test_captured_packets_of_change_user_are_written_as_they_were_read(number: int) -> None:
    data = payload("change_user", number)
    packet = parse_change_user(data) if number == 0 else parse_auth_switch(data)

    assert packet.to_bytes() == data


@given(st.builds(Greeting, version=words, connection_id=st.integers(0, EVERYTHING), scramble=scrambles, plugin=words))
def test_a_greeting_reads_back(greeting: Greeting) -> None:
    assert parse_greeting(greeting.to_bytes()) == greeting


@given(logins)
def test_a_login_reads_back_with_the_fields_its_flags_say(login: LoginPacket) -> None:
    flags = login.capabilities
    read = parse_login(login.to_bytes(), EVERYTHING)

    assert (read.capabilities, read.max_packet, read.charset) == (flags, login.max_packet, login.charset)
    assert (read.user, read.auth, read.plugin) == (login.user, login.auth, login.plugin)
    assert read.database == (login.database if flags & Capability.CONNECT_WITH_DB else None)
    assert read.attributes == (login.attributes if flags & Capability.CONNECT_ATTRS else {})


@given(st.binary(max_size=300))
def test_a_token_of_any_length_is_read_in_the_length_encoded_form(auth: bytes) -> None:
    flags = LAYOUT | Capability.PLUGIN_AUTH_LENENC

    assert parse_login(LoginPacket(flags, 0, 45, b"u", auth).to_bytes(), EVERYTHING).auth == auth


def test_a_login_without_secure_connection_ends_its_token_with_nul() -> None:
    login = parse_login(LoginPacket(Capability.PROTOCOL_41, 0, 45, b"u", b"token").to_bytes(), EVERYTHING)

    assert login.auth == b"token"


def test_a_client_gets_only_what_was_offered() -> None:
    asked = LAYOUT | Capability.DEPRECATE_EOF | Capability.COMPRESS | Capability.SESSION_TRACK
    login = parse_login(LoginPacket(asked, 0, 45, b"u", b"").to_bytes())

    assert login.capabilities == LAYOUT | Capability.SESSION_TRACK
    assert not OFFERED & (Capability.SSL | Capability.DEPRECATE_EOF | Capability.COMPRESS)


def test_a_surplus_nul_behind_the_database_is_skipped() -> None:
    flags = LAYOUT | Capability.CONNECT_WITH_DB | Capability.CONNECT_ATTRS
    login = LoginPacket(flags, 0, 45, b"u", b"x" * 20, b"db", b"plugin", {b"a": b"b"})
    data = login.to_bytes().replace(b"db\0plugin", b"db\0\0plugin")

    assert parse_login(data, EVERYTHING) == login


def test_a_database_or_plugin_may_end_with_the_packet() -> None:
    flags = LAYOUT | Capability.CONNECT_WITH_DB
    login = LoginPacket(flags, 0, 45, b"u", b"", b"db", b"plugin")
    data = login.to_bytes()

    assert parse_login(data.removesuffix(b"\0"), EVERYTHING) == login
    assert parse_login(data.removesuffix(b"\0plugin\0"), EVERYTHING).database == b"db"


def test_the_protocol_before_4_1_is_refused() -> None:
    with pytest.raises(ClientProtocolError, match=r"before MySQL 4\.1"):
        parse_login(b"\x05\0\0\0" + bytes(40))


def test_attributes_beyond_64_kib_are_refused() -> None:
    flags = LAYOUT | Capability.CONNECT_ATTRS
    data = LoginPacket(flags, 0, 45, b"u", b"", attributes={b"k": b"v" * 66000}).to_bytes()

    with pytest.raises(ClientProtocolError, match="connect attributes of"):
        parse_login(data)


def test_attributes_that_are_counted_in_characters_end_where_they_make_no_sense() -> None:
    flags = LAYOUT | Capability.CONNECT_ATTRS
    login = LoginPacket(flags, 0, 45, b"u", b"", attributes={b"program": b"odp", "größe".encode(): "ü".encode() * 20})
    counted = b"\x05" + "größe".encode() + b"\x14" + "ü".encode() * 20
    data = login.to_bytes().partition(b"\x07program")[0][:-1] + bytes((12 + 27,)) + b"\x07program\x03odp" + counted

    read = parse_login(data)

    assert read.user == b"u"
    assert read.attributes[b"program"] == b"odp"


def test_a_greeting_of_another_protocol_is_refused() -> None:
    with pytest.raises(ServerProtocolError, match="protocol version 9"):
        parse_greeting(b"\x09" + payload("login_plain", 0)[1:])


def test_secrets_are_not_in_a_repr() -> None:
    assert "token" not in repr(LoginPacket(0, 0, 0, b"u", b"token"))
    assert "token" not in repr(ChangeUser(b"u", b"token", b"", b"token"))


def test_a_tls_request_is_seen_by_its_bit() -> None:
    assert wants_tls((LAYOUT | Capability.SSL).to_bytes(4, "little") + bytes(28))
    assert not wants_tls(payload("login_plain", 1))
    assert not wants_tls(b"\xff\xff\xff")


@given(scrambles, words)
def test_an_auth_switch_reads_back(scramble: bytes, plugin: bytes) -> None:
    assume(not scramble.endswith(b"\0"))

    assert parse_auth_switch(AuthSwitch(scramble, plugin).to_bytes()) == AuthSwitch(scramble, plugin)


@given(words, st.binary(max_size=30), words, st.binary(max_size=30))
def test_change_user_reads_back_and_keeps_its_tail(user: bytes, auth: bytes, database: bytes, tail: bytes) -> None:
    packet = ChangeUser(user, auth, database, tail)

    assert parse_change_user(packet.to_bytes()) == packet


PARSERS: list[tuple[Callable[[bytes], object], type[ProtocolError], bytes]] = [
    (parse_greeting, ServerProtocolError, payload("login_plain", 0)),
    (parse_login, ClientProtocolError, payload("login_proxy", 1)),
    (parse_auth_switch, ServerProtocolError, payload("change_user", 1)),
    (parse_change_user, ClientProtocolError, payload("change_user", 0)),
]


@pytest.mark.parametrize(("parse", "error", "sample"), PARSERS, ids=lambda value: getattr(value, "__name__", ""))
@given(st.binary(max_size=90), st.integers(0, 300), st.integers(0, 300))
def test_any_bytes_are_a_value_or_a_protocol_error(
    parse: Callable[[bytes], object], error: type[ProtocolError], sample: bytes, noise: bytes, start: int, end: int
) -> None:
    for data in (noise, sample[:1] + noise, sample[:start] + noise + sample[end:]):
        try:
            parse(data)
        except error:
            continue


@pytest.mark.parametrize(("parse", "error", "sample"), PARSERS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_beginning_of_a_packet_is_a_value_or_a_protocol_error(
    parse: Callable[[bytes], object], error: type[ProtocolError], sample: bytes
) -> None:
    for end in range(len(sample)):
        try:
            parse(sample[:end])
        except error:
            continue
