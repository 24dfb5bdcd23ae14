"""From the words of a DML statement to the tokens of the grammar.

Routing needs tables and what WHERE says of their columns.  The rest is taken
out here: select lists, assignments of UPDATE, index hints, the tails of
queries; calls with a syntax of their own (CAST, GROUP_CONCAT, window functions),
CASE … END become one opaque token.  What is left fits a small grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from odp_trio.sql.grammar import Token
from odp_trio.sql.lexer import Word
from odp_trio.sql.lists import constants
from odp_trio.sql.vocabulary import (
    AFTER_VERB,
    BEFORE_TABLE,
    BEFORE_VALUE,
    BEHIND_CALLS,
    BEHIND_LIST,
    CALLS_LIKE_KEYWORDS,
    JOIN_WORDS,
    KEYWORDS,
    MARKS,
    ODD_IN_CALLS,
    PREFIXES,
    RENAMED,
    SET_OPERATORS,
    TAILS,
    partners,
)

ROWS_LOOKED_AT: Final = 64


@final
class Skim:
    """One statement on its way to the grammar.  ``tokens()`` gives the result.

    ``dropped`` are ranges of words that were taken out, where tables may be
    named too; ``rows_cut`` says that only the first rows of VALUES are left.
    """

    def __init__(self, words: Sequence[Word]) -> None:
        self.words = words
        self.dropped: list[tuple[int, int]] = []
        self.rows_cut = False
        self._out: list[Token] = []
        self._starts: set[int] = set()  # where rows of VALUES begin
        self._partner = partners(words)
        self._at = 0
        self._verb = words[0].upper if words else ""

    def tokens(self) -> list[Token]:
        """Return the tokens."""
        while self._at < len(self.words):
            word = self.words[self._at]
            if word.kind == "NAME":
                self._name(word)
            else:
                self._other(word)
        return self._out

    # ---- small things --------------------------------------------------------------

    def _emit(self, kind: str, word: Word) -> None:
        self._out.append(Token(kind, word))

    def _peek(self, ahead: int = 1) -> Word | None:
        at = self._at + ahead
        return self.words[at] if at < len(self.words) else None

    def _upper(self, ahead: int = 1) -> str:
        word = self._peek(ahead)
        return word.upper or word.text if word is not None else ""

    def _has(self, kind: str) -> bool:
        return any(token.type == kind for token in self._out)

    def _after(self, kind: str) -> bool:
        return bool(self._out) and self._out[-1].type == kind

    def _other(self, word: Word) -> None:
        kind = word.kind
        if kind == "MARK":
            if word.text == "(" and self._list(word):
                return
            if word.text == ":" and self._peek() is not None:
                self._emit("CALLED", word)  # :1 and :name are bound by the client, as ? is not
                self._at += 1
            else:
                self._emit(MARKS.get(word.text, "BANG_"), word)
        elif kind == "QUOTED":
            self._emit("NAME", word)
        elif kind == "VARIABLE" and self._after("NAME"):
            self._emit("AT", word)
            self._emit("NAME", Word("NAME", word.text[1:]))
        elif kind in ("SLOT", "VARIABLE"):
            self._emit(kind, word)
        self._at += 1

    # ---- words ------------------------------------------------------------------------

    def _name(self, word: Word) -> None:
        upper = word.upper
        if self._after("DOT") or self._upper() == ".":
            self._emit("NAME", word)
            self._at += 1
        elif upper == "SELECT":
            self._emit("SELECT", word)
            self._drop_until_from()
        elif upper in SET_OPERATORS and self._at:
            self._set_operator(word)
        elif self._is_tail(upper):
            self._drop_tail()
        elif self._next_is_call(upper):
            self._call(word)
        elif not self._special(word, upper):
            self._plain(word, upper)

    def _special(self, word: Word, upper: str) -> bool:
        """Deal with words that stand for more than themselves; answer whether it was one."""
        if upper in JOIN_WORDS or upper == "JOIN":
            return self._join(word)
        if upper == "CASE":
            self._case(word)
        elif (upper == "ROW" and self._upper() == "(") or (upper == "SOUNDS" and self._upper() == "LIKE"):
            self._at += 1
        elif upper == "MEMBER" and self._upper() == "OF":
            self._emit("LIKE", word)  # as little is said of the column
            self._at += 2
        elif upper in ("USE", "FORCE", "IGNORE") and self._upper() in ("INDEX", "KEY"):
            self._index_hint()
        elif upper == "AS" and self._upper() == "OF":
            self._flashback()
        elif upper == "SET" and (self._verb == "UPDATE" or (self._verb == "WITH" and self._has("UPDATE"))):
            self._drop_assignments()
        elif upper == "FROM" and self._upper() == "DUAL":
            self._at += 2
        elif (
            upper in AFTER_VERB and self._out and self._out[-1].type in ("INSERT", "UPDATE", "DELETE", "WITH", "COMMA")
        ):
            self._at += 1
        elif upper in ("VALUES", "VALUE") and self._begins_branch():
            self._value_table(word)
        elif upper == "TABLE" and (self._begins_branch() or (self._is_insert() and self._after_table())):
            self._emit("SELECT", word)
            self._emit("FROM", word)
            self._at += 1
        else:
            return False
        return True

    def _plain(self, word: Word, upper: str) -> None:
        following = self._peek()
        if following is not None and following.kind == "SLOT" and (upper in PREFIXES or upper.startswith("_")):
            self._emit("PREFIXED", Word("PREFIXED", upper, slot=following.slot))
            self._at += 2
            return
        if upper in ("ANY", "SOME", "ALL") and self._out and self._out[-1].type in ("EQ", "NE", "LT", "LE", "GT", "GE"):
            kind = "QUANTIFIER"
        elif upper == "UNKNOWN" and self._out and self._out[-1].type in ("IS", "NOT"):
            kind = "UNKNOWN"
        elif upper in KEYWORDS:
            kind = upper
        elif upper == "VALUE" and not (self._is_insert() and self._upper() == "(" and self._after_table()):
            kind = "NAME"
        elif upper in ("MOD", "INSERT", "REPLACE") and self._out:
            kind = "MODULO" if upper == "MOD" else "NAME"
        else:
            kind = RENAMED.get(upper, "NAME")
        self._emit(kind, word)
        self._at += 1

    # ---- what is taken out ------------------------------------------------------------------

    def _skip_to(self, end: int) -> None:
        if end > self._at:
            self.dropped.append((self._at, end))
        self._at = end

    def _find(self, stop: frozenset[str]) -> int:
        """Return where one of these words is at this depth, or where the depth ends."""
        at = self._at
        while at < len(self.words):
            word = self.words[at]
            if word.text == "(" and word.kind == "MARK":
                at = self._partner.get(at, len(self.words))
            elif (word.text == ")" and word.kind == "MARK") or (word.upper in stop and not self._is_qualified(at)):
                return at
            at += 1
        return len(self.words)

    def _is_qualified(self, at: int) -> bool:
        before = at > 0 and self.words[at - 1].text == "."
        return before or (at + 1 < len(self.words) and self.words[at + 1].text == ".")

    def _drop_until_from(self) -> None:
        self._at += 1
        self._skip_to(self._find(BEHIND_LIST))

    def _is_tail(self, upper: str) -> bool:
        following = self._upper()
        match upper:
            case "FOR":
                return following in ("UPDATE", "SHARE", "READ", "KEY")
            case "LOCK":
                return following == "IN"
            case "INTO":
                return self._verb not in ("INSERT", "REPLACE", "MERGE") or following in ("OUTFILE", "DUMPFILE")
            case "AS":  # the row's name, for ON DUPLICATE KEY UPDATE
                return self._is_insert() and not self._has("SELECT") and (self._has("VALUES") or self._has("SET"))
            case "ON":
                return following == "DUPLICATE"
            case "WHEN":
                return self._verb == "MERGE"
            case "START":
                return following == "WITH"
            case "GROUP" | "ORDER":
                return following == "BY"
            case _:
                return upper in TAILS and bool(self._out) and self._out[-1].type not in BEFORE_VALUE

    def _drop_tail(self) -> None:
        start = self._at
        self._at += 1
        end = self._find(SET_OPERATORS)
        if self.words[start].upper == "FOR":  # that the next word is no UPDATE of a table shows with it only
            self._at = start
        self._skip_to(end)

    def _drop_assignments(self) -> None:
        self._at += 1
        self._skip_to(self._find(frozenset({"WHERE", "ORDER", "LIMIT", "RETURNING"})))

    def _set_operator(self, word: Word) -> None:
        self._emit("SETOP", word)
        self._at += 2 if self._upper() in ("ALL", "DISTINCT", "UNIQUE") else 1

    def _is_insert(self) -> bool:
        return self._verb in ("INSERT", "REPLACE")

    def _after_table(self) -> bool:
        return bool(self._out) and self._out[-1].type in BEFORE_TABLE

    def _begins_branch(self) -> bool:
        if not self._out:
            return True
        return self._out[-1].type in ("SETOP", "LPAR") and self._verb not in ("INSERT", "REPLACE")

    def _value_table(self, word: Word) -> None:
        self._emit("VALUE_TABLE", word)
        self._at += 1
        self._skip_to(self._find(SET_OPERATORS))

    def _rows(self) -> None:
        """Keep the first rows of VALUES; what comes behind them is not looked at."""
        start = at = self._at
        count = 0
        while at < len(self.words) and self.words[at].text == "(":
            self._starts.add(at)
            end = self._partner.get(at)
            if end is None or count == ROWS_LOOKED_AT:
                self.rows_cut = True
                break
            count += 1
            at = end + 1
            if at < len(self.words) and self.words[at].text == ",":
                at += 1
            if at < len(self.words) and self.words[at].upper == "ROW":
                at += 1
        if self.rows_cut and count:
            self.words = self.words[: self._partner[start] + 1]

    def _list(self, word: Word) -> bool:
        """Deal with the parenthesis of a row or an IN list; answer whether it is done with."""
        if self._after("VALUES"):
            self._rows()
        if self._at not in self._starts and not self._after("IN"):
            return False
        end = self._partner.get(self._at, -1)
        found = constants(self.words, self._at + 1, end)
        if found is None:
            return False
        self._out.append(Token("LIST", found))
        self._at = end + 1
        return True

    def _index_hint(self) -> None:
        at = self._at
        while at < len(self.words) and self.words[at].text != "(":
            at += 1
        self._at = self._partner.get(at, len(self.words) - 1) + 1

    def _flashback(self) -> None:
        """AS OF SNAPSHOT|SCN|TIMESTAMP value."""
        self._at += 3
        if self._upper(1) == "(":
            self._at += 1
        following = self._peek(0)
        if following is not None and following.text == "(":
            self._at = self._partner.get(self._at, len(self.words) - 1)
        self._at += 1

    # ---- what becomes one token ------------------------------------------------------------------

    def _join(self, word: Word) -> bool:
        at, outer = self._at, word
        while at < len(self.words) and self.words[at].upper in JOIN_WORDS:
            if self.words[at].upper in ("LEFT", "RIGHT", "FULL"):
                outer = self.words[at]
            at += 1
        if at >= len(self.words) or self.words[at].upper != "JOIN":
            return False
        self._emit("OUTER" if outer.upper in ("LEFT", "RIGHT", "FULL") else "JOIN", outer)
        self._at = at + 1
        return True

    def _case(self, word: Word) -> None:
        depth = 0
        at = self._at
        while at < len(self.words):
            upper = self.words[at].upper
            if upper == "CASE":
                depth += 1
            elif upper == "END":
                depth -= 1
                if not depth:
                    break
            at += 1
        self._emit("CALLED", word)
        self._skip_to(min(at + 1, len(self.words)))

    def _next_is_call(self, upper: str) -> bool:
        if self._upper() != "(" or not self._out:
            return False
        if upper in CALLS_LIKE_KEYWORDS or (upper == "INTERVAL" and self._compares_intervals()):
            return True
        if (
            upper in KEYWORDS
            or upper in RENAMED
            or upper in JOIN_WORDS
            or upper in ("ANY", "SOME", "ALL", "JOIN", "ROW")
        ):
            return False
        return not self._names_a_table()

    def _compares_intervals(self) -> bool:
        """Whether INTERVAL is the function, which has no unit behind its parentheses."""
        end = self._partner.get(self._at + 1, len(self.words)) + 1
        return end >= len(self.words) or self.words[end].kind != "NAME" or self.words[end].upper in KEYWORDS

    def _names_a_table(self) -> bool:
        """Whether a name before a parenthesis is a table: INSERT INTO t (a), or a CTE: WITH c (a) AS."""
        last = self._out[-1].type
        return last in ("INSERT", "INTO", "WITH") or (last == "COMMA" and self._out[0].type == "WITH") or last == "AS"

    def _call(self, word: Word) -> None:
        opening = self._at + 1
        end = self._partner.get(opening, len(self.words) - 1)
        after = self.words[end + 1].upper if end + 1 < len(self.words) else ""
        if word.upper == "MATCH" or after in BEHIND_CALLS or self._is_odd(opening, end) or self._is_table():
            self._emit("CALLED", word)
            self._skip_to(end + 1)
            while self._at < len(self.words) and self._upper(0) in {*BEHIND_CALLS, "GROUP"}:
                following = self._at + 1
                if following < len(self.words) and self.words[following].text == "(":
                    following = self._partner.get(following, len(self.words) - 1)
                self._at = following + 1 if self._upper(0) != "WITHIN" else self._at + 1
            return
        self._emit("NAME", word)
        self._at += 1

    def _is_table(self) -> bool:
        return self._out[-1].type in ("FROM", "JOIN", "OUTER") or self._upper(0) == "JSON_TABLE"

    def _is_odd(self, opening: int, end: int) -> bool:
        """Whether a call has a syntax of its own inside its parentheses."""
        at = opening + 1
        while at < end:
            word = self.words[at]
            if word.text == "(" and word.kind == "MARK":
                at = self._partner.get(at, end)
            elif word.upper in ODD_IN_CALLS or (word.text == "*" and at == opening + 1):
                return True
            at += 1
        return False
