"""Expressions that have the value and the type of a user variable."""

from __future__ import annotations

import pytest

from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.sync import SetVariables, sync_plan
from odp_trio.state.user_variables import Described, expression, is_clear, question
from odp_trio.wire.state import SessionState

DOUBLE, FLOAT, DECIMAL, LONGLONG, LONG, TINY, STRING, JSON = 5, 4, 0xF6, 8, 3, 1, 0xFD, 0xF5


@pytest.mark.parametrize(
    ("literal", "kind", "flags", "expected"),
    [
        (b"6", DOUBLE, 128, b"6e0"),
        (b"-0", DOUBLE, 128, b"-0e0"),
        (b"2.5", FLOAT, 128, b"CAST(2.5 AS FLOAT)"),
        (b"5", DECIMAL, 128, b"CAST(5 AS DECIMAL(65, 0))"),
        (b"1.50", DECIMAL, 128, b"1.50"),
        (b"7", LONGLONG, 160, b"CAST(7 AS UNSIGNED)"),
        (b"7", LONGLONG, 128, b"7"),
        (b"1", TINY, 128, b"TRUE"),
        (b"0", LONG, 128, b"(1 = 0)"),
        (b"5", LONG, 128, b"5"),
    ],
)
def test_numbers(literal: bytes, kind: int, flags: int, expected: bytes) -> None:
    assert expression(literal, Described(kind, flags, b"", b"binary", b"5"), b"utf8mb4_general_ci") == expected


@pytest.mark.parametrize(
    ("collation", "strength", "escapes", "expected"),
    [
        (b"utf8mb4_general_ci", b"4", True, b"'a\\\\b'"),
        (b"utf8mb4_general_ci", b"4", False, b"_utf8mb4 X'615C62'"),
        (b"utf8mb4_general_ci", b"2", True, b"CONVERT(_utf8mb4 X'615C62' USING utf8mb4)"),
        (b"latin1_swedish_ci", b"4", True, b"_latin1 X'615C62'"),
        (b"utf8mb4_bin", b"0", True, b"_utf8mb4 X'615C62' COLLATE utf8mb4_bin"),
        (b"x; drop", b"0", True, b"'a\\\\b'"),
        (None, b"2", True, b"'a\\\\b'"),
    ],
)
def test_strings(collation: bytes | None, strength: bytes, escapes: bool, expected: bytes) -> None:
    described = Described(STRING, 0, b"615C62", collation, strength)
    assert expression(b"'a\\\\b'", described, b"utf8mb4_general_ci", escapes=escapes) == expected


def test_json_and_bytes() -> None:
    assert expression(b"'[1]'", Described(JSON, 0, b"", b"utf8mb4_bin", b"2"), b"") == b"CAST('[1]' AS JSON)"
    assert expression(b"X'00'", Described(STRING, 0, b"00", b"binary", b"2"), b"") == b"CAST(X'00' AS BINARY)"
    assert expression(b"X'00'", Described(STRING, 0, b"00", b"binary", b"4"), b"") == b"X'00'"


def test_what_has_one_type_only_is_not_asked_for() -> None:
    assert [is_clear(text) for text in (b"NULL", b"-1e300", b"1e10", b"'" + b"x" * 70_000 + b"'")] == [True] * 4
    assert not any(is_clear(text) for text in (b"1", b"1.5", b"'x'", b"X'00'"))


def test_names_are_quoted_in_the_question() -> None:
    assert question([b"a", b"odd `name"]).count(b"@`odd ``name`") == 4


def test_a_variable_that_changes_is_asked_for_again() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.learn(SessionState(user={b"a": b"6"}), here)
    client.expressions[b"a"] = b"6e0"
    (step,) = sync_plan(client, there)
    assert isinstance(step, SetVariables)
    assert step.sql == b"SET @a = 6e0"

    client.learn(SessionState(user={b"a": b"7"}), here)

    assert client.expressions == {}
    assert client.origins == {b"a": here}
    (step,) = sync_plan(client, there)
    assert isinstance(step, SetVariables)
    assert step.sql == b"SET @a = 7"


def test_what_says_how_literals_are_read_is_set_before_them() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.learn(SessionState({b"sql_mode": b"ANSI"}, {b"a": b"'x'"}), here)

    assert [step.sql for step in sync_plan(client, there) if isinstance(step, SetVariables)] == [
        b"SET @@sql_mode = 'ANSI'",
        b"SET @a = 'x'",
    ]
