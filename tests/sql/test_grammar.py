"""The tables that are shipped read what Lark reads by the grammar, and stop where it stops."""

from __future__ import annotations

from collections.abc import Sequence

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.grammar_tables import lark_parser
from odp_trio.sql import kinds
from odp_trio.sql.dml import parse_dml
from odp_trio.sql.facts import DML
from odp_trio.sql.grammar import NotInGrammar, Parser, Token, read_tables
from odp_trio.sql.lexer import split, words
from odp_trio.sql.skim import Skim
from tests.sql.corpus import read_corpus


class Nothing:
    """A callback for every rule."""

    def __getattr__(self, name: str) -> object:
        return tuple


def _types(sql: bytes, dialect: int) -> list[str]:
    every = [word for word in words(split(sql, dialect), dialect=dialect) if word.kind not in ("EXECUTABLE", "HINT")]
    kind, start, _ = kinds.kind_of(every)
    return [token.type for token in Skim(every[start:]).tokens()] if kind in DML else []


CORPUS = [types for case in read_corpus() if (types := _types(case.sql, case.dialect))]
TYPES = sorted({name for row in read_tables().states for name in row if name.isupper()})
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(("drop", "add", "change")), st.sampled_from(TYPES)), max_size=3
)


def _edited(types: Sequence[str], edits: Sequence[tuple[float, str, str]]) -> list[str]:
    found = list(types)
    for where, how, name in edits:
        at = int(where * len(found))
        found[at : at + (how != "add")] = [] if how == "drop" else [name]
    return found


@pytest.fixture(scope="module")
def by_lark() -> lark.Lark:
    return lark_parser()


def _stop(parser: lark.Lark, types: Sequence[str]) -> int | None:
    try:
        parser.parse([lark.Token(name, "", start_pos=at) for at, name in enumerate(types)])  # type: ignore[arg-type]
    except lark.UnexpectedToken as exc:
        return len(types) if exc.token.type == "$END" else exc.token.start_pos
    return None


def _our_stop(types: Sequence[str]) -> int | None:
    tokens = [Token(name, at) for at, name in enumerate(types)]
    try:
        Parser(read_tables(), Nothing()).parse(tokens)
    except NotInGrammar as exc:
        return len(types) if exc.token is None else int(exc.token.value)
    return None


@settings(max_examples=max(300, settings().max_examples))
@given(types=st.sampled_from(CORPUS), edits=EDITS)
def test_what_lark_reads_by_the_grammar_is_read_by_its_tables(
    by_lark: lark.Lark, types: list[str], edits: list[tuple[float, str, str]]
) -> None:
    changed = _edited(types, edits)
    assert _our_stop(changed) == _stop(by_lark, changed)


def test_most_of_the_corpus_is_in_the_grammar() -> None:
    assert sum(_our_stop(types) is None for types in CORPUS) > 0.7 * len(CORPUS)


def test_the_end_of_the_tokens_may_be_what_the_grammar_does_not_have() -> None:
    with pytest.raises(NotInGrammar) as caught:
        parse_dml([Token("SELECT", None), Token("FROM", None)])
    assert caught.value.token is None
