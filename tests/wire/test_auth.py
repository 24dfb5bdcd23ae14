"""Native-password tokens."""

from __future__ import annotations

import hashlib

import pymysql._auth
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.wire.auth import is_stage_one, native_token, stage_one, token_from_stage_one, token_matches, xor
from odp_trio.wire.handshake import parse_auth_switch, parse_greeting, parse_login
from tests.wire.captured import payload

SCRAMBLE = bytes(range(1, 21))
PASSWORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda word: not is_stage_one(word))


def test_a_captured_token_is_the_one_of_its_scramble_and_password() -> None:
    greeting = parse_greeting(payload("login_plain", 0))
    login = parse_login(payload("login_plain", 1))

    assert login.auth == native_token("secret", greeting.scramble)
    assert not token_matches(login.auth, "Secret", greeting.scramble)


def test_the_answer_to_an_auth_switch_is_made_of_its_own_scramble() -> None:
    switch = parse_auth_switch(payload("change_user", 1))

    assert payload("change_user", 2) == native_token("secret", switch.scramble)


@given(PASSWORDS, st.binary(min_size=20, max_size=20))
def test_the_token_is_what_another_implementation_says(password: str, scramble: bytes) -> None:
    assert native_token(password, scramble) == pymysql._auth.scramble_native_password(password.encode(), scramble)


@given(PASSWORDS, st.binary(min_size=20, max_size=20))
def test_a_stage_one_hash_stands_for_its_password(password: str, scramble: bytes) -> None:
    digits = hashlib.sha1(password.encode()).hexdigest()
    token = native_token(password, scramble)

    assert native_token(digits, scramble) == token == token_from_stage_one(bytes.fromhex(digits), scramble)
    assert token_matches(token, password, scramble)
    assert token_matches(token, digits.upper(), scramble)


@given(st.binary(max_size=25), PASSWORDS)
def test_no_other_token_matches(token: bytes, password: str) -> None:
    assert token_matches(token, password, SCRAMBLE) == (token == native_token(password, SCRAMBLE))


def test_an_empty_password_needs_an_empty_token() -> None:
    assert native_token("", SCRAMBLE) == b""
    assert token_matches(b"", "", SCRAMBLE)
    assert not token_matches(bytes(20), "", SCRAMBLE)
    assert not token_matches(b"", "secret", SCRAMBLE)


def test_only_the_first_20_bytes_of_a_scramble_count() -> None:
    assert native_token("secret", SCRAMBLE + b"\0") == native_token("secret", SCRAMBLE)


@pytest.mark.parametrize(
    ("text", "expected"), [("a" * 40, True), ("A0" * 20, True), ("a" * 39, False), ("g" * 40, False), ("٣" * 40, False)]
)
def test_a_stage_one_hash_is_40_hexadecimal_digits(text: str, *, expected: bool) -> None:
    assert is_stage_one(text) is expected


def test_a_clear_password_of_other_length_is_hashed() -> None:
    assert stage_one("a" * 39) == hashlib.sha1(b"a" * 39).digest()


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=20, max_size=20))
def test_two_joined_scrambles_come_apart_again(client: bytes, server: bytes) -> None:
    assert xor(xor(client, server), server) == client


def test_scrambles_of_different_length_are_not_joined() -> None:
    with pytest.raises(ValueError, match="20 bytes against 21"):
        xor(bytes(20), bytes(21))
