"""Expressions in PARTITION BY: read once, evaluated for the values of a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from odp_trio.routing.columns import ColumnType, Stored
from odp_trio.routing.date_functions import DATE_FUNCTIONS
from odp_trio.routing.functions import call
from odp_trio.routing.scalars import CannotCompute
from odp_trio.routing.values import Values

_TOKEN: Final = re.compile(r"\s*(?:(\d+)|(`(?:[^`]|``)+`|[A-Za-z_$][\w$]*)|([-+*/%(),]))")
_PRODUCTS: Final = frozenset({"*", "%", "MOD", "DIV"})

Evaluator = Callable[[Sequence[Stored], Sequence[ColumnType], Values], Any]


class Expression:
    """An expression over ``columns``, in the order in which it names them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: list[str] = []
        self._tokens = _tokens(text)
        self._at = 0
        self._evaluate = self._sum()
        if self._at < len(self._tokens):
            raise self._unknown()

    def evaluate(self, row: Sequence[Stored], types: Sequence[ColumnType], values: Values) -> int | None:
        """Return the expression's value for a row; raise CannotCompute if it is no integer."""
        result = self._evaluate(row, types, values)
        if result is None or isinstance(result, int):
            return result
        raise CannotCompute(f"the partition expression {self.text} gives no integer")

    def _unknown(self) -> CannotCompute:
        return CannotCompute(f"the partition expression {self.text} is not computed")

    def _peek(self) -> str:
        return self._tokens[self._at].upper() if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise self._unknown()
        self._at += 1
        return self._tokens[self._at - 1]

    def _sum(self) -> Evaluator:
        left = self._product()
        while self._peek() in ("+", "-"):
            left = _binary(self._take(), left, self._product())
        return left

    def _product(self) -> Evaluator:
        left = self._unary()
        while self._peek() in _PRODUCTS:
            left = _binary(self._take().upper(), left, self._unary())
        return left

    def _unary(self) -> Evaluator:
        if self._peek() == "-":
            self._take()
            inner = self._unary()
            return lambda row, types, values: call("NEG", (inner(row, types, values),), values)
        token = self._take()
        if token == "(":
            inner = self._sum()
            self._expect(")")
            return inner
        if token.isdigit():
            number = int(token)
            return lambda row, types, values: number
        if not (token[0] == "`" or token[0].isalpha() or token[0] in "_$"):
            raise self._unknown()
        if self._peek() == "(" and token[0] != "`":
            return self._function(token.upper())
        return self._column(token)

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise self._unknown()

    def _column(self, token: str) -> Evaluator:
        index = self._index(token)

        def read(row: Sequence[Stored], types: Sequence[ColumnType], values: Values) -> Any:
            value = row[index]
            if value is not None and not types[index].is_integer:
                raise self._unknown()
            return value

        return read

    def _index(self, token: str) -> int:
        name = token.strip("`").replace("``", "`").lower()
        if name not in self.columns:
            self.columns.append(name)
        return self.columns.index(name)

    def _function(self, name: str) -> Evaluator:
        self._expect("(")
        if name in DATE_FUNCTIONS:
            return self._date_function(name)
        arguments = [self._sum()]
        while self._peek() == ",":
            self._take()
            arguments.append(self._sum())
        self._expect(")")
        return lambda row, types, values: call(name, [one(row, types, values) for one in arguments], values)

    def _date_function(self, name: str) -> Evaluator:
        """A date function over a bare column: its argument is the column's own value, not a number."""
        token = self._take()
        if not (token[0] == "`" or token[0].isalpha() or token[0] in "_$"):
            raise self._unknown()
        index = self._index(token)
        self._expect(")")
        function = DATE_FUNCTIONS[name]

        def evaluate(row: Sequence[Stored], types: Sequence[ColumnType], values: Values) -> Any:
            return None if row[index] is None else function(row[index], types[index], values)

        return evaluate


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if found is None:
            raise CannotCompute(f"the partition expression {text} is not computed")
        tokens.append(found[1] or found[2] or found[3])
        at = found.end()
    return tokens


def _binary(operator: str, left: Evaluator, right: Evaluator) -> Evaluator:
    name = "%" if operator == "MOD" else operator
    return lambda row, types, values: call(name, (left(row, types, values), right(row, types, values)), values)
