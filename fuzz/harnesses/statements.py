"""SQL: lexer, skim, grammar, hints, annotations and literals, in every dialect, whole and cut."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from fuzz.cutting import Choices, outcome
from odp_trio.sql.cache import Statements
from odp_trio.sql.facts import StatementFacts
from odp_trio.sql.lexer import is_comment, key_of, number_frame, split, split_easily
from odp_trio.sql.literals import read_annotation, read_literal
from odp_trio.state.user_variables import is_clear, quoted_name
from tests.paths import DATA

_LIMITS = (4096, 64, 1 << 20)
_ENCODINGS = ("utf-8", "gb18030", "latin-1", "gbk", "big5")


def one_input(data: bytes) -> None:
    """Read bytes as a statement."""
    choices = Choices(data)
    dialect, form = choices.byte() % 16, choices.byte()
    sql = choices.rest
    pieces = split(sql, dialect)
    assert b"".join(pieces) == sql, "the pieces are not the text"
    assert len(pieces) % 2
    easily = split_easily(sql, dialect)
    assert easily is None or easily == pieces
    frame = number_frame(sql, dialect)
    if frame:
        assert split(frame[0] + b"7" + frame[1], dialect) == [frame[0], b"7", frame[1]]
    limit = _LIMITS[form % len(_LIMITS)]
    statements = Statements(64, text_limit=limit)
    shape, literals = statements.shape(sql, dialect)
    again, same = statements.shape(sql, dialect)
    assert again is shape
    assert list(same) == list(literals)
    facts = shape.facts
    assert isinstance(facts, StatementFacts)
    assert facts == Statements(64, text_limit=limit).shape(sql, dialect)[0].facts
    msgspec.json.encode(facts)  # everything in it has a plain form
    if len(sql) <= limit:
        assert list(literals) == pieces[1::2]
        key_of(pieces)
    for slot in literals:
        if is_comment(slot):
            read_annotation(slot)
        else:
            encoding = _ENCODINGS[form // 8 % len(_ENCODINGS)]
            for backslashes in (True, False):
                read = partial(read_literal, slot, encoding=encoding, backslashes=backslashes)
                outcome(read, ValueError)
    is_clear(sql)
    quoted_name(sql)


def seeds() -> Iterator[bytes]:
    """Give the corpus of statements of tests/data/sql, each in its dialect, and the statements of a running day."""
    from tests.sql.corpus import read_corpus

    for case in read_corpus():
        if len(case.sql) <= 200:
            yield bytes((case.dialect, 0)) + case.sql
    for path in sorted((DATA / "statements").glob("*.sql")):
        for line in path.read_bytes().splitlines():
            if 5 < len(line) <= 120:
                yield b"\0\1" + line
    yield b"\0\0select /*+ query_timeout(\xc2\xb2) read_consistency(weak) */ 1"
    yield b"\0\0/* target_db_server = '1.1.1.1:2881;[::1]:2' trace_id=x */ select 1"
    yield b"\0\0/* table t1 part_key 5 */ update t set a=1"
