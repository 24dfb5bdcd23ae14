"""Words of DML that mean something apart to ``skim``, by what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from odp_trio.sql.lexer import Word


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


KEYWORDS: Final = words_of(
    """SELECT UPDATE DELETE MERGE FROM WHERE ON USING AS WITH INTO SET AND OR XOR NOT IN IS BETWEEN ESCAPE EXISTS
    NULL TRUE FALSE DEFAULT INTERVAL COLLATE BINARY DIV LIKE"""
)
NILADIC: Final = words_of(
    "CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP UTC_DATE UTC_TIME UTC_TIMESTAMP"
)
"""Functions that need no parentheses."""
RENAMED: Final = {
    "REGEXP": "REGEXP", "RLIKE": "REGEXP", "INSERT": "INSERT", "REPLACE": "INSERT", "VALUES": "VALUES",
    "VALUE": "VALUES", "PARTITION": "PARTITION", "SUBPARTITION": "PARTITION", "MOD": "MODULO",
    "STRAIGHT_JOIN": "JOIN",
}  # fmt: skip
MARKS: Final = {
    "=": "EQ", "<=>": "NULL_SAFE_EQ", "<>": "NE", "!=": "NE", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE",
    ":=": "ASSIGN", "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "TIMES", "%": "MODULO", "|": "BIT", "&": "BIT",
    "^": "BIT", "<<": "BIT", ">>": "BIT", "||": "PIPES", "~": "TILDE", "!": "BANG", "(": "LPAR", ")": "RPAR",
    ",": "COMMA", ".": "DOT", "->": "ARROW", "->>": "ARROW", "&&": "AND", "?": "PARAMETER",
}  # fmt: skip
SET_OPERATORS: Final = frozenset({"UNION", "INTERSECT", "EXCEPT", "MINUS"})
TAILS: Final = frozenset(
    {"GROUP", "HAVING", "ORDER", "LIMIT", "WINDOW", "PROCEDURE", "FETCH", "OFFSET", "RETURNING", "CONNECT", "START"}
)
BEHIND_LIST: Final = SET_OPERATORS | {"FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT"}
BEFORE_VALUE: Final = words_of("WHERE ON AND OR XOR NOT LPAR COMMA EQ NULL_SAFE_EQ NE LT LE GT GE BETWEEN FROM JOIN")
JOIN_WORDS: Final = frozenset({"NATURAL", "LEFT", "RIGHT", "FULL", "OUTER", "INNER", "CROSS"})
ODD_IN_CALLS: Final = words_of("AS FROM FOR USING SEPARATOR ORDER DISTINCT ALL SELECT WITH IN")
CALLS_LIKE_KEYWORDS: Final = frozenset({"LEFT", "RIGHT", "REPLACE", "INSERT", "MOD", "DEFAULT", "IF", "REGEXP"})
AFTER_VERB: Final = frozenset(
    {"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "QUICK", "OVERWRITE", "RECURSIVE", "LATERAL"}
)
PREFIXES: Final = frozenset({"DATE", "TIME", "TIMESTAMP"})
VERBS: Final = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE"})
BEFORE_TABLE: Final = frozenset({"NAME", "RPAR"})
BEHIND_CALLS: Final = frozenset({"OVER", "WITHIN", "FILTER", "AGAINST"})


def partners(words: Sequence[Word]) -> dict[int, int]:
    """Return where the parenthesis ends that begins at a place."""
    partner: dict[int, int] = {}
    opened: list[int] = []
    for at, word in enumerate(words):
        if word.kind == "MARK":
            if word.text == "(":
                opened.append(at)
            elif word.text == ")" and opened:
                partner[opened.pop()] = at
    return partner
