"""The cache of prepared texts: shared, bounded in entries and in bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from odp_trio.sql.facts import Shape, StatementFacts
from odp_trio.state.prepared_texts import ENTRY_BYTES, PreparedText, PreparedTexts

SHAPE = Shape(StatementFacts())


def known(text: bytes, dialect: int = 0) -> PreparedText:
    return PreparedText(text, dialect, SHAPE, (), 1)


def test_a_text_is_known_to_those_who_read_quotes_alike() -> None:
    texts = PreparedTexts(10, 1 << 20)
    assert texts.get(b"select 1", 0) is None

    texts.add(known(b"select 1"))

    assert texts.get(b"select 1", 0) is not None
    assert texts.get(b"select 1", 1) is None
    assert (texts.hits, texts.misses) == (1, 2)


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    texts = PreparedTexts(4, 1 << 20)
    for number in range(20):
        texts.add(known(b"other %d" % number))
        if texts.get(b"used", 0) is None:
            texts.add(known(b"used"))

    assert texts.get(b"used", 0) is not None
    assert texts.get(b"other 0", 0) is None
    assert texts.misses == 2  # "used" at first, and "other 0"
    assert texts.evictions


def test_a_text_that_would_fill_it_alone_is_not_kept() -> None:
    texts = PreparedTexts(100, 10_000)

    texts.add(known(b"x" * 5_000))

    assert len(texts) == texts.size == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3000), st.booleans()), max_size=200))
def test_it_never_grows_beyond_its_bounds_and_counts_what_it_has(steps: list[tuple[int, int, bool]]) -> None:
    texts = PreparedTexts(8, 20_000)
    for number, size, asks in steps:
        text = b"%d " % number + b"x" * size
        if asks:
            found = texts.get(text, 0)
            assert found is None or found.text == text
        else:
            texts.add(known(text))
        assert len(texts) <= 8
        assert texts.size <= 20_000
        entries = [*texts._young.values(), *texts._old.values()]
        assert texts.size == sum(entry.size for entry in entries)
        assert len({entry.text for entry in entries}) == len(entries)
        assert all(entry.size >= ENTRY_BYTES for entry in entries)
