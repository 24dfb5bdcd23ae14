"""From a split statement to its facts: the kind by its first words, DML by the grammar, the rest by marks.

What the grammar does not have is never an error: then kind, tables and hints
come from the words alone, and nothing is known of the key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from odp_trio.sql import kinds
from odp_trio.sql.dml import parse_dml
from odp_trio.sql.effects import is_repeatable
from odp_trio.sql.facts import DML, EVERYTHING, Kind, StatementFacts, TableRef, TransactionEffect
from odp_trio.sql.grammar import NotInGrammar
from odp_trio.sql.hints import read_hints
from odp_trio.sql.lexer import ORACLE, WORDS_LOOKED_AT, Word, is_comment, unquoted, words
from odp_trio.sql.skim import Skim

_TABLE_WORDS: Final = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "STRAIGHT_JOIN", "USING", "TABLE"})
_NO_NAMES: Final = frozenset(
    {
        "ALL",
        "SELECT",
        "DUAL",
        "OUTFILE",
        "DUMPFILE",
        "LATERAL",
        "WHERE",
        "SET",
        "SKIP",
        "NOWAIT",
        "OF",
        "TABLE",
        "VALUES",
    }
)
_HINTED: Final = frozenset({"SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE", "LOAD", "DATA"})
_OPTIONS: Final = frozenset({"SELECT", "ALL", "DISTINCT", "HIGH_PRIORITY", "SQL_CALC_FOUND_ROWS", "SQL_NO_CACHE"})
_FROM_IN_CALLS: Final = frozenset({"EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "MID", "CONVERT", "OVERLAY", "CAST"})
_BARE_EXPLAIN: Final = re.compile(rb"\s*explain\s+route\s*", re.IGNORECASE)
_MODIFIERS: Final = frozenset({"LOW_PRIORITY", "IGNORE", "INTO", "TABLE", "QUICK", "DELAYED", "HIGH_PRIORITY", "FROM"})


def facts_of(pieces: Sequence[bytes], dialect: int = 0, *, cut: bool = False) -> StatementFacts:
    """Return the facts of a split statement; ``cut`` says that the text went on behind the last piece."""
    every = list(words(pieces, dialect=dialect))
    cut = cut or len(every) >= WORDS_LOOKED_AT
    if cut and not pieces[-1][-1:].isspace():
        every = _whole(every)
    executable = any(word.kind == "EXECUTABLE" for word in every)
    every = [word for word in every if word.kind != "EXECUTABLE"] if executable else every
    statements = _statements(every)
    count = len(statements)
    first = statements[0] if statements else []
    found: dict[str, Any] = {"statements": max(count, 1)}
    if pieces and len(pieces) > 1 and not pieces[0].strip() and is_comment(pieces[1]):
        found["leading_comment"] = 0
    found |= kinds.marks(every)
    kind, start, more = kinds.kind_of(first)
    found |= more
    body = first[start:]
    if more.get("explain_route") and len(pieces) > 1 and is_comment(pieces[1]) and _BARE_EXPLAIN.fullmatch(pieces[0]):
        found["leading_comment"] = 0  # what is explained begins with it
    if kind in DML:
        found |= _dml(kind, body, count, dialect, cut=cut)
        found |= read_hints(body, pieces)
        if executable:
            found |= {"alternatives": EVERYTHING, "why": "the server's version decides about /*! … */"}
    elif kinds.has_a_body(kind, body):
        found["statements"] = 1
    if count > 1 and found["statements"] > 1 and not found.get("tables"):
        found |= _many(statements, kind)
        kind = Kind.MULTI
    if found.get("deferrable"):
        certain = not cut and not executable and not dialect & ORACLE
        found["deferrable"] = certain and not found.get("explain_route") and _is_alone(pieces, every)
    found["parameters"] = sum(1 for word in every if word.kind == "MARK" and word.text == "?")
    certain = not cut and not executable and not dialect & ORACLE  # Oracle calls functions without parentheses
    found["repeatable"] = certain and is_repeatable(found.get("kind", kind), every, found)
    return StatementFacts(kind=found.pop("kind", kind), **found)


def _statements(every: Sequence[Word]) -> list[list[Word]]:
    """Part the words at semicolons; empty statements do not count; a hint that is not behind a verb is a comment."""
    found: list[list[Word]] = [[]]
    for word in every:
        if word.kind == "MARK" and word.text == ";":
            found.append([])
        elif word.kind != "HINT" or (found[-1] and (found[-1][-1].upper in _HINTED or found[-1][-1].kind == "HINT")):
            found[-1].append(word)
    return [statement for statement in found if statement]


def _is_alone(pieces: Sequence[bytes], every: Sequence[Word]) -> bool:
    """Whether a text is one statement without literals; whole comments and a semicolon at the end do no harm."""
    ends = [at for at, word in enumerate(every) if word.text == ";"]
    whole = all(piece.startswith(b"/*") and len(piece) > 3 and piece.endswith(b"*/") for piece in pieces[1::2])
    return whole and ends in ([], [len(every) - 1]) and all(word.kind in ("NAME", "MARK") for word in every)


def _dml(kind: Kind, body: list[Word], count: int, dialect: int, *, cut: bool) -> dict[str, Any]:
    """Return tables and conditions of a DML statement."""
    found: dict[str, Any] = {"by": "lexer"}
    hintless = [word for word in body if word.kind != "HINT"]
    found["tables"] = _tables_by_words(hintless)
    if kind is Kind.LOAD_DATA:
        return found
    skim = Skim(_opened(hintless) if cut and kind in (Kind.INSERT, Kind.REPLACE) else hintless)
    try:
        parsed = parse_dml(skim.tokens())
    except NotInGrammar as exc:
        found["why"] = "the text is longer than what is looked at" if cut else _where_it_stopped(exc)
        return found
    extra = [table for start, end in skim.dropped for table in _tables_by_words(hintless[start:end])]
    found["tables"] = tuple(dict.fromkeys((*parsed.tables, *extra)))
    found["by"] = "grammar"
    cut_rows = skim.rows_cut or (cut and kind in (Kind.INSERT, Kind.REPLACE))
    found["rows_cut"] = cut_rows
    found["insert_columns"] = parsed.insert_columns
    found["alternatives"] = parsed.alternatives[:1] if cut_rows else parsed.alternatives
    if count > 1 or (cut and not cut_rows):
        found["alternatives"] = EVERYTHING
        if cut:
            found["why"] = "the text is longer than what is looked at"
    return found | ({"tables": _upper(found["tables"])} if dialect & ORACLE else {})


def _upper(tables: tuple[TableRef, ...]) -> tuple[TableRef, ...]:
    return tuple(
        table
        if table.quoted
        else msgspec.structs.replace(
            table, name=table.name.upper(), database=table.database.upper() if table.database else None
        )
        for table in tables
    )


def _whole(every: list[Word]) -> list[Word]:
    """Leave out the word in which the text may be cut, and the names that it belongs to."""
    end = len(every)
    if end and every[-1].kind not in ("MARK", "SLOT"):
        end -= 1
    while end > 1 and every[end - 1].text == ".":
        end -= 2
    return every[:end]


def _opened(hintless: list[Word]) -> list[Word]:
    """Cut an INSERT of which the end is missing behind its last whole row, or behind the last whole value of one."""
    depth = last = comma = 0
    behind = ""
    for at, word in enumerate(hintless):
        if word.upper in ("VALUES", "VALUE", "SET"):
            behind = behind or word.upper
        if word.kind != "MARK":
            continue
        depth += (word.text == "(") - (word.text == ")")
        if word.text == ")" and not depth and behind not in ("", "SET"):
            last = at + 1
        elif word.text == "," and behind and depth == (behind != "SET"):
            comma = at
    if last or not comma:
        return hintless[:last] if last else hintless
    return hintless[:comma] + ([] if behind == "SET" else [Word("MARK", ")")])


def _where_it_stopped(error: NotInGrammar) -> str:
    word = None if error.token is None else error.token.value
    if isinstance(word, Word):
        return f"the grammar stops at {word.text[:40]!r}"
    return "the grammar stops at the end"


def _tables_by_words(hintless: Sequence[Word]) -> tuple[TableRef, ...]:
    """Find tables by the words before them: FROM, JOIN, INTO, UPDATE."""
    found: dict[TableRef, None] = {}
    count = len(hintless)
    callers: list[str] = []
    for at, word in enumerate(hintless):
        if word.kind == "MARK":
            if word.text == "(":
                callers.append(hintless[at - 1].upper if at else "")
            elif word.text == ")" and callers:
                callers.pop()
        elif callers and callers[-1] in _FROM_IN_CALLS:
            continue
        verb = at == 0 and word.upper in ("INSERT", "REPLACE", "DELETE")
        after_key = word.upper == "UPDATE" and at > 0 and hintless[at - 1].upper in ("KEY", "FOR")
        convert = word.upper == "USING" and hintless[0].upper not in ("DELETE", "MERGE")
        option = word.upper == "STRAIGHT_JOIN" and (at == 0 or hintless[at - 1].upper in _OPTIONS)
        if (word.upper not in _TABLE_WORDS and not verb) or after_key or convert or option:
            continue
        start = at + 1
        while start < min(count, at + 8) and hintless[start].upper in _MODIFIERS:
            start += 1
        table = _name_at(hintless, start)
        if table is not None:
            found[table] = None
    return tuple(found)


def _name_at(hintless: Sequence[Word], at: int) -> TableRef | None:
    if at >= len(hintless) or hintless[at].kind not in ("NAME", "QUOTED") or hintless[at].upper in _NO_NAMES:
        return None
    parts = [hintless[at]]
    while at + 2 < len(hintless) and hintless[at + 1].text == "." and hintless[at + 2].kind in ("NAME", "QUOTED"):
        at += 2
        parts.append(hintless[at])
    if at + 1 < len(hintless) and hintless[at + 1].text == "(" and len(parts) == 1 and at and _is_call(hintless, at):
        return None
    names = [unquoted(part) for part in parts[-2:]]
    return TableRef(names[-1], names[0] if len(names) > 1 else None, quoted=parts[-1].kind == "QUOTED")


def _is_call(hintless: Sequence[Word], at: int) -> bool:
    return hintless[at - 1].upper not in ("INTO", "INSERT", "REPLACE", "TABLE")


def _many(statements: list[list[Word]], kind: Kind) -> dict[str, Any]:
    """Return the table of the first DML among several statements, and what the first one does to a transaction."""
    for statement in statements:
        inner, start, _ = kinds.kind_of(statement)
        if inner in DML and (tables := _tables_by_words([word for word in statement[start:] if word.kind != "HINT"])):
            return {"tables": tables}
    effects = {Kind.BEGIN: TransactionEffect.BEGIN, Kind.COMMIT: TransactionEffect.END}
    return {"transaction": effects.get(kind, TransactionEffect.NONE)}
