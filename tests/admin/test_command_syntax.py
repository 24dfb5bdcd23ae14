"""How commands are written: notation and parser are one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.admin.commands.answer import find, refusal
from odp_trio.admin.commands.command import Command
from odp_trio.admin.commands.syntax import MOST_TOKENS, Syntax, take_apart
from odp_trio.admin.commands.table import COMMANDS
from odp_trio.config.like import is_like
from odp_trio.errors import SyntaxRefused

WORDS = sorted({word for command in COMMANDS for word in command.syntax.words})


def read(notation: str, sql: str) -> list[tuple[str, str]] | None:
    found = Syntax(notation).read(take_apart(sql))
    return None if found is None else list(found)


@pytest.mark.parametrize(
    ("notation", "sql", "arguments"),
    [
        ("SHOW X [LIKE 'pattern']", "show x", []),
        ("SHOW X [LIKE 'pattern']", "ShOw x LIKE 'a%';", [("pattern", "a%")]),
        ("SHOW X [LIKE 'pattern']", "/* hint */ show x # to the end\n like a_b -- more", [("pattern", "a_b")]),
        ("SHOW X [LIKE 'pattern']", "show x like", None),
        ("SHOW X [LIKE 'pattern']", "show x y", None),
        ("SHOW X [LIKE 'pattern']", "show 'x'", None),
        ("SHOW X ['name']", 'show x "its \\"a\\" b"', [("name", 'its "a" b')]),
        ("SHOW X ['name']", "show x 'it''s'", [("name", "it's")]),
        ("SHOW X [id]", "show x 15", [("id", "15")]),
        ("SHOW X [id]", "show x '15'", None),
        ("SHOW X [id]", "show x -1", None),
        ("SHOW X [id]", "show x \u0661\u0665", None),
        ("SHOW X [id [, count]]", "show x 1, 2", [("id", "1"), ("count", "2")]),
        ("SHOW X [id [, count]]", "show x 1,", None),
        ("SET name = value [, ...] [DRY RUN]", "set a=1", [("name", "a"), ("value", "1")]),
        ("SET name = value [, ...] [DRY RUN]", "set a = dry run", [("name", "a"), ("value", "")]),
        ("SET name = value [, ...] [DRY RUN]", "set a = dry", [("name", "a"), ("value", "dry")]),
        (
            "SET name = value [, ...] [DRY RUN]",
            "set a = '', b = 10.0.0.1:2881 , c = 64% dry run",
            [("name", "a"), ("value", ""), ("name", "b"), ("value", "10.0.0.1:2881"), ("name", "c"), ("value", "64%")],
        ),
        ("SET name = value [, ...] [DRY RUN]", "set a = 1 b = 2", None),
        ("EXPLAIN statement", "explain  select 'a' ; select 2", [("statement", "select 'a' ; select 2")]),
        ("EXPLAIN statement", "explain", None),
    ],
)
def test_a_notation_reads(notation: str, sql: str, arguments: list[tuple[str, str]] | None) -> None:
    assert read(notation, sql) == arguments


def test_the_rest_of_a_text_may_be_long_and_nothing_else() -> None:
    long = ", ".join(["1"] * MOST_TOKENS)

    assert read("EXPLAIN statement", f"explain select {long}") == [("statement", f"select {long}")]
    assert read("SET name = value [, ...]", "set " + ", ".join(["a = 1"] * MOST_TOKENS)) is None
    pairs = read("SET name = value [, ...]", "set " + ", ".join(["a = 1"] * (MOST_TOKENS // 4 - 1)))
    assert pairs is not None
    assert len(pairs) == 2 * (MOST_TOKENS // 4 - 1)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.syntax.notation)
def test_a_key_word_is_not_taken_for_an_argument(command: Command) -> None:
    found = find(take_apart(" ".join(command.syntax.head).lower()))
    assert found is None or found[0].syntax.takes_rest or found[0].syntax.head == command.syntax.head


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.syntax.notation)
def test_every_command_can_be_given_as_its_notation_says(command: Command) -> None:
    written = command.syntax.notation
    for left_out in ("[, ...]",):
        written = written.replace(left_out, "")
    for mark in "[]":
        written = written.replace(mark, " ")
    for name in ("ss_id", "thread_id", "log_id", "id", "count", "offset"):
        written = " ".join("7" if word.strip(",") == name else word for word in written.split())
    text = written.replace(" = value", " = 1").replace("7 7 'time'", "7, 7, 'time'")
    if "WARNLOG" in text:
        text = "SHOW WARNLOG 7, 7, 'time'"
    if "offset, count" in command.syntax.notation:
        text = "SHOW PROXYNET CONNECTION 7 LIMIT 7, 7"

    found = find(take_apart(text))

    assert found is not None, text
    assert found[0] is command, (text, found[0].syntax.notation)


@given(st.lists(st.sampled_from([*WORDS, "like", "'a'", "7", ",", "=", "x", ";", "for", "(", "`", "'"]), max_size=12))
def test_whatever_is_said_is_a_command_or_is_told_the_nearest(words: list[str]) -> None:
    text = take_apart(" ".join(words))
    found = find(text)

    if found is None:
        error = refusal(text)
        assert isinstance(error, SyntaxRefused)
        assert "SHOW PROXYHELP" in str(error) or "it is written" in str(error)
    else:
        assert found[0].syntax.read(text) == found[1]


@given(st.text(max_size=200))
def test_any_text_is_taken_apart(sql: str) -> None:
    text = take_apart(sql)

    assert all(sql[token.start :].startswith(token.text) for token in text.tokens)
    assert find(text) is not None or str(refusal(text))


# ---- LIKE -----------------------------------------------------------------------------------


def by_definition(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(by_definition(text[at:], pattern[1:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and by_definition(text[1:], pattern[1:])


@given(st.text("ab", max_size=8), st.text("ab_%", min_size=1, max_size=6))
def test_like_is_what_it_says(text: str, pattern: str) -> None:
    assert is_like(text, pattern) == by_definition(text, pattern)


def test_like_is_odps() -> None:
    assert is_like("anything", "")
    assert is_like("anything", None)
    assert not is_like("Anything", "any%")
    assert not is_like("any%", "any\\%")
    assert is_like("%%", "%%%")


def test_like_takes_no_time_whatever_the_pattern() -> None:
    """As a regular expression the first of these takes minutes."""
    name = "enable_client_connection_lru_disconnect"
    for _ in range(100):
        assert not is_like(name, "%_" * 15 + "%X")
        assert not is_like(name, "%" * 1_000_000 + "X")
        assert not is_like(name, "_" * 1_000_000)
    assert not is_like("a" * 2000, "%a" * 200 + "b")
