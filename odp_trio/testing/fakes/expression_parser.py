"""Tokens into expressions: precedence as in MySQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import SQLError
from odp_trio.testing.fakes.lexer import LITERALS, Token, Tokens, syntax_error
from odp_trio.testing.fakes.naming import variable, variable_name
from odp_trio.testing.fakes.nodes import (
    Assign,
    Call,
    Case,
    Cast,
    Constant,
    Literal,
    Name,
    Node,
    Star,
    Subquery,
)

if TYPE_CHECKING:
    from odp_trio.testing.fakes.nodes import Select

_COMPARISONS: Final = {"=", "<=>", "<", "<=", ">", ">=", "<>", "!="}
_CONSTANTS: Final = {"null", "true", "false", "default", "current_timestamp", "current_date", "current_time"}
RESERVED: Final = frozenset(
    [
        "select",
        "from",
        "where",
        "group",
        "by",
        "having",
        "order",
        "limit",
        "union",
        "on",
        "join",
        "left",
        "right",
        "inner",
        "cross",
        "and",
        "or",
        "xor",
        "not",
        "in",
        "is",
        "like",
        "between",
        "as",
        "set",
        "values",
        "into",
        "for",
        "case",
        "when",
        "then",
        "else",
        "end",
        "distinct",
        "insert",
        "update",
        "delete",
        "create",
        "drop",
        "table",
        "exists",
        "asc",
        "desc",
        "div",
        "mod",
        "replace",
        "lock",
        "offset",
        "using",
        "div",
    ]
)
_INTERVALS: Final = {"+": "date_add", "-": "date_sub"}
_END: Final = Token("end", "", -1, -1)


class ExpressionParser:
    """Reads one statement's tokens from ``at`` on; every method raises SQLError 1064 where they make no sense."""

    def __init__(self, tokens: Tokens) -> None:
        self.source = tokens
        self.tokens = tokens.tokens
        self.at = 0
        self.fixed = False
        """Whether the tree holds numbers of the text: it does not serve other statements of its shape."""
        self._places: dict[int, int] = {}
        for index, token in enumerate(self.tokens):
            if token.kind in LITERALS:
                self._places[index] = len(self._places)

    # ---- tokens ----------------------------------------------------------------------

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.at] if self.at < len(self.tokens) else _END

    def fail(self) -> SQLError:
        """Return the error for what comes next."""
        start = self.token.start if self.token is not _END else len(self.source.sql)
        return syntax_error(self.source.sql, start)

    def peek(self, *words: str) -> bool:
        """Whether these words come next."""
        for offset, word in enumerate(words):
            place = self.at + offset
            if place >= len(self.tokens):
                return False
            token = self.tokens[place]
            if token.kind in ("string", "name", "variable") or token.text.lower() != word:
                return False
        return True

    def accept(self, *words: str) -> bool:
        """Take these words if they come next."""
        if not self.peek(*words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Take these words."""
        if not self.accept(*words):
            raise self.fail()

    def identifier(self) -> str:
        """Take a name."""
        token = self.token
        if token.kind == "name" or (token.kind == "word" and token.text.lower() not in RESERVED):
            self.at += 1
            return token.text
        raise self.fail()

    def word(self) -> str:
        """Take any word, in lower case."""
        token = self.token
        if token.kind not in ("word", "name"):
            raise self.fail()
        self.at += 1
        return token.text.lower()

    def literal(self) -> Literal:
        """Take a literal."""
        token = self.token
        if token.kind not in LITERALS:
            raise self.fail()
        place = self._places[self.at]
        self.at += 1
        return Literal(place, token.kind)

    def integer(self) -> int:
        """Take a whole number into the tree."""
        self.fixed = True
        if self.token.kind != "int":
            raise self.fail()
        self.at += 1
        return int(self.tokens[self.at - 1].text)

    def listed(self, read: Callable[[], Node]) -> tuple[Node, ...]:
        """Take one or more, with commas between them."""
        found = [read()]
        while self.accept(","):
            found.append(read())
        return tuple(found)

    def select(self) -> Select:
        """Take a SELECT; of the class below."""
        raise NotImplementedError

    def order_by(self) -> tuple[tuple[Node, bool], ...]:
        """Take ORDER BY; of the class below."""
        raise NotImplementedError

    # ---- expressions -----------------------------------------------------------------

    def expression(self) -> Node:
        """Take an expression."""
        if self.token.kind == "variable" and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].text == ":=":
            name = variable_name(self.token.text)
            self.at += 2
            return Assign(name, self.expression())
        left = self._xor()
        while self.peek("or") or self.peek("||"):
            name = self.token.text.lower()
            self.at += 1
            left = Call(name, (left, self._xor()))
        return left

    def _xor(self) -> Node:
        left = self._and()
        while self.accept("xor"):
            left = Call("xor", (left, self._and()))
        return left

    def _and(self) -> Node:
        left = self._not()
        while self.accept("and") or self.accept("&&"):
            left = Call("and", (left, self._not()))
        return left

    def _not(self) -> Node:
        if self.accept("not"):
            return Call("not", (self._not(),))
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        while True:
            token = self.token
            if token.kind in _COMPARISONS:
                self.at += 1
                name = "<>" if token.text == "!=" else token.text
                left = Call(name, (left, self._sum()))
            elif self.accept("is"):
                negated = self.accept("not")
                left = Call("is", (left, Constant(self.word())))
                left = Call("not", (left,)) if negated else left
            else:
                negated = self.peek("not")
                self.at += negated
                if self.accept("in"):
                    left = self._in(left)
                elif self.accept("between"):
                    low = self._sum()
                    self.expect("and")
                    left = Call("between", (left, low, self._sum()))
                elif self.accept("like"):
                    left = Call("like", (left, self._sum()))
                elif negated:
                    raise self.fail()
                else:
                    return left
                left = Call("not", (left,)) if negated else left

    def _in(self, left: Node) -> Node:
        self.expect("(")
        if self.peek("select"):
            found: tuple[Node, ...] = (Subquery(self.select()),)
        else:
            found = self.listed(self.expression)
        self.expect(")")
        return Call("in", (left, *found))

    def _sum(self) -> Node:
        left = self._product()
        while self.token.kind in ("+", "-", "&", "|", "<<", ">>"):
            operator = self.token.kind
            self.at += 1
            if self.peek("interval"):
                left = self._interval(operator, left)
                continue
            left = Call(operator, (left, self._product()))
        return left

    def _interval(self, operator: str, left: Node) -> Node:
        self.expect("interval")
        amount = self.expression()
        return Call(_INTERVALS[operator], (left, amount, Constant(self.word())))

    def _product(self) -> Node:
        left = self._unary()
        while True:
            if self.token.kind in ("*", "/", "%", "^"):
                operator = self.token.kind
                self.at += 1
            elif self.accept("div"):
                operator = "div"
            elif self.accept("mod"):
                operator = "%"
            else:
                return left
            left = Call(operator, (left, self._unary()))

    def _unary(self) -> Node:
        if self.accept("-"):
            return Call("neg", (self._unary(),))
        if self.accept("+"):
            return self._unary()
        if self.accept("!"):
            return Call("not", (self._unary(),))
        if self.accept("binary"):
            return Call("binary", (self._unary(),))
        return self._primary()

    def _primary(self) -> Node:
        token = self.token
        if token.kind in LITERALS:
            return self.literal()
        if token.kind == "variable":
            self.at += 1
            return variable(token.text)
        if self.accept("("):
            if self.peek("select"):
                inner: Node = Subquery(self.select())
            else:
                inner = self.expression()
            self.expect(")")
            return inner
        if self.accept("*"):
            return Star()
        if token.kind not in ("word", "name"):
            raise self.fail()
        return self._named(token)

    def _named(self, token: Token) -> Node:
        following = self.tokens[self.at + 1].text if self.at + 1 < len(self.tokens) else ""
        lowered = token.text.lower()
        if token.kind == "word":
            if lowered == "case":
                return self._case()
            if following == "(":
                return self._call(lowered)
            if lowered in _CONSTANTS:
                self.at += 1
                return Constant(lowered)
            if lowered in RESERVED:
                raise self.fail()
        self.at += 1
        names = [token.text]
        while self.accept("."):
            if self.accept("*"):
                return Star(names[-1])
            following_token = self.token
            if following_token.kind not in ("word", "name"):
                raise self.fail()
            self.at += 1
            names.append(following_token.text)
        return Name(names[-1], names[-2] if len(names) > 1 else "")

    def _call(self, name: str) -> Node:
        self.at += 2
        if name in ("cast", "convert"):
            return self._cast(name)
        if self.accept(")"):
            return Call(name, ())
        distinct = self.accept("distinct")
        arguments = [self._argument()]
        while self.accept(",") or (name in ("substring", "substr", "mid", "trim") and self._separator()):
            arguments.append(self._argument())
        order = self.order_by() if name == "group_concat" else ()
        if name == "group_concat" and self.accept("separator"):
            arguments.append(self.literal())
        self.expect(")")
        return Call(name, tuple(arguments), distinct, order)

    def _separator(self) -> bool:
        return self.accept("from") or self.accept("for")

    def _argument(self) -> Node:
        if self.accept("interval"):
            amount = self.expression()
            return Call("interval", (amount, Constant(self.word())))
        if self.peek("select"):
            return Subquery(self.select())
        return self.expression()

    def _cast(self, name: str) -> Node:
        value = self.expression()
        if name == "convert" and self.accept("using"):
            self.word()
            self.expect(")")
            return value
        self.expect("as") if name == "cast" else self.expect(",")
        kind, length = self.word(), 0
        if self.accept("("):
            length = self.integer()
            if self.accept(","):
                self.integer()
            self.expect(")")
        self.accept("integer")
        self.expect(")")
        return Cast(value, kind, length)

    def _case(self) -> Node:
        self.expect("case")
        subject = None if self.peek("when") else self.expression()
        branches: list[tuple[Node, Node]] = []
        while self.accept("when"):
            condition = self.expression()
            self.expect("then")
            branches.append((condition, self.expression()))
        otherwise = self.expression() if self.accept("else") else None
        self.expect("end")
        return Case(subject, tuple(branches), otherwise)
