"""Expressions compiled into functions of a row."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from odp_trio.testing.fakes.answers import BINARY, NOT_NULL, UNSIGNED, UTF8MB4, Column, Kind, SQLError, Value
from odp_trio.testing.fakes.functions import AGGREGATES, DECIMALS, SESSION, SIMPLE, unknown
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
    SystemVariable,
    UserVariable,
)
from odp_trio.testing.fakes.operators import SPECIAL, equal
from odp_trio.testing.fakes.scope import Aggregate, Compiled, Context, Evaluate, Scope
from odp_trio.testing.fakes.types import (
    BOOLEAN,
    DOUBLE,
    INTEGER,
    NULL,
    UNKNOWN,
    Type,
    text_type,
)
from odp_trio.testing.fakes.values import number, reckon, truth, written

_CONSTANTS: Final[dict[str, tuple[Value, Type]]] = {
    "null": (None, NULL),
    "true": (1, Type(Kind.TINY, 1, BINARY | NOT_NULL)),
    "false": (0, Type(Kind.TINY, 1, BINARY | NOT_NULL)),
}
_UNSIGNED: Final = Type(Kind.LONGLONG, 20, BINARY | UNSIGNED)
_SHORT: Final = 50
_LARGE: Final = 1 << 63


def compile_node(node: Node, scope: Scope) -> Compiled:
    """Return an expression compiled; raise SQLError for names that mean nothing."""
    compiled: Compiled = _BY_NODE[type(node)](node, scope)
    return compiled


def evaluator(node: Node, scope: Scope) -> Evaluate:
    """Return only how an expression is computed."""
    return compile_node(node, scope).evaluate


def value_type(value: Value) -> Type:
    """Return the type of a literal with that value."""
    match value:
        case None:
            return NULL
        case int():
            return Type(Kind.LONGLONG, 20, BINARY | NOT_NULL | (UNSIGNED if value >= _LARGE else 0))
        case float():
            return Type(Kind.DOUBLE, 23, BINARY | NOT_NULL, 31)
        case Decimal():
            _, digits, exponent = value.as_tuple()
            scale = -exponent if isinstance(exponent, int) else 0
            return Type(Kind.DECIMAL, max(len(digits), scale + 1) + 2, BINARY | NOT_NULL, scale)
        case bytes():
            return Type(Kind.VAR_STRING, len(value), BINARY | NOT_NULL)
        case _:
            return text_type(4 * len(value), NOT_NULL)


def _literal(node: Literal, scope: Scope) -> Compiled:
    place = node.place
    found = value_type(scope.values[place]) if place < len(scope.values) else UNKNOWN
    if node.kind == "?":
        found = Type(found.kind, found.length, found.flags & ~NOT_NULL, found.decimals, found.charset)
    return Compiled(lambda context: context.values[place], found)


def _constant(node: Constant, scope: Scope) -> Compiled:
    del scope
    if node.word in _CONSTANTS:
        value, found = _CONSTANTS[node.word]
        return Compiled(lambda context: value, found)
    if node.word in SESSION:
        function, typed = SESSION[node.word]
        return Compiled(lambda context: function(context), typed(()))
    if node.word.startswith("text "):
        text = node.word[5:]
        return Compiled(lambda context: text, text_type(4 * len(text)))
    return Compiled(lambda context: node.word, UNKNOWN)


def _name(node: Name, scope: Scope) -> Compiled:
    place, table, alias, at = scope.resolve(node)
    column = table.columns[at]
    kind = column.type
    shown = Column(
        node.name, kind.kind, kind.length, kind.flags, kind.decimals, kind.charset, table.database, alias, table.name,
        column.name,
    )  # fmt: skip
    return Compiled(lambda context: context.row[place], kind, shown)


def _star(node: Star, scope: Scope) -> Compiled:
    del node, scope
    raise SQLError(1064, "42000", "You have an error in your SQL syntax; '*' is no expression")


def _user_variable(node: UserVariable, scope: Scope) -> Compiled:
    name = node.name
    value = scope.session.user_variables.get(name) if scope.session else None
    found = UNKNOWN
    if isinstance(value, int):
        found = INTEGER
    elif isinstance(value, float):
        found = DOUBLE
    elif isinstance(value, Decimal):
        found = Type(Kind.DECIMAL, 67, BINARY, value_type(value).decimals)
    elif isinstance(value, str):
        found = Type(Kind.VAR_STRING, 1048576, 0, 0, UTF8MB4)
    return Compiled(lambda context: context.session.user_variables.get(name), found)


def _system_variable(node: SystemVariable, scope: Scope) -> Compiled:
    value = scope.session.system_variable(node.name, node.scope) if scope.session else ""
    found = text_type(16384)
    if isinstance(value, int):
        found = _UNSIGNED if node.name in ("last_insert_id", "identity") else INTEGER
    return Compiled(lambda context: context.session.system_variable(node.name, node.scope), found)


def _assign(node: Assign, scope: Scope) -> Compiled:
    inner = compile_node(node.value, scope)

    def evaluate(context: Context) -> Value:
        value = inner.evaluate(context)
        context.session.set_user_variable(node.name, value)
        return value

    return Compiled(evaluate, Type(inner.type.kind, inner.type.length, BINARY, inner.type.decimals, inner.type.charset))


def _subquery(node: Subquery, scope: Scope) -> Compiled:

    def evaluate(context: Context) -> Value:
        rows = context.session.subquery(node.select, context.values)
        if len(rows) > 1:
            raise SQLError(1242, "21000", "Subquery returns more than 1 row")
        return rows[0][0] if rows else None

    return Compiled(evaluate, INTEGER)


def _case(node: Case, scope: Scope) -> Compiled:
    subject = None if node.subject is None else evaluator(node.subject, scope)
    branches = [(evaluator(test, scope), compile_node(value, scope)) for test, value in node.branches]
    otherwise = None if node.otherwise is None else compile_node(node.otherwise, scope)

    def evaluate(context: Context) -> Value:
        wanted = None if subject is None else subject(context)
        for test, value in branches:
            found = test(context)
            if truth(found) if subject is None else equal(wanted, found):
                return value.evaluate(context)
        return None if otherwise is None else otherwise.evaluate(context)

    found = branches[0][1].type
    flags = found.flags if otherwise is not None else found.flags & ~NOT_NULL
    return Compiled(evaluate, Type(found.kind, found.length, flags, found.decimals, found.charset))


def _to_integer(evaluate: Evaluate) -> Evaluate:
    def convert(context: Context) -> Value:
        value = evaluate(context)
        if value is None:
            return None
        if isinstance(value, str) and not value.strip().lstrip("+-").isdigit():
            context.session.warn(1292, f"Truncated incorrect INTEGER value: '{value}'")
        return int(number(value))

    return convert


def _cast(node: Cast, scope: Scope) -> Compiled:
    inner = compile_node(node.value, scope)
    evaluate = inner.evaluate
    if node.type in ("signed", "unsigned"):
        return Compiled(
            _to_integer(evaluate),
            Type(Kind.LONGLONG, max(1, inner.type.length // 4 if inner.type.is_text else 20), BINARY | NOT_NULL),
        )
    if node.type in ("char", "nchar", "varchar", "binary"):
        length = node.length or inner.type.length
        return Compiled(
            lambda context: None if (value := evaluate(context)) is None else written(value)[: node.length or None],
            text_type(length * 4 if not inner.type.is_text else length, inner.type.flags & NOT_NULL),
        )
    return Compiled(evaluate, inner.type)


# ---- calls ---------------------------------------------------------------------------


def _call(node: Call, scope: Scope) -> Compiled:
    name = node.name
    if name in AGGREGATES:
        return _aggregate(node, scope)
    if name == "in" and isinstance(node.arguments[1], Subquery):
        return _in_subquery(node, scope)
    if name == "values":
        place, _, _, at = scope.resolve(_as_name(node.arguments[0]))
        del place
        return Compiled(lambda context: context.given[at], UNKNOWN)
    if name == "+" and (chain := _chain(node)) is not None:
        return _long_sum(chain, scope)
    arguments = [compile_node(argument, scope) for argument in node.arguments]
    special = SPECIAL.get(name)
    if special is not None:
        return special(name, arguments)
    if name in SIMPLE:
        function, typed = SIMPLE[name]
        return Compiled(_null_safe(function, [each.evaluate for each in arguments]), typed([a.type for a in arguments]))
    if name in SESSION:
        function, typed = SESSION[name]
        inner = [each.evaluate for each in arguments]
        found = typed([each.type for each in arguments])
        if arguments and name in DECIMALS:
            first = node.arguments[0]
            digits = int(number(scope.values[first.place])) if isinstance(first, Literal) else 0
            found = Type(found.kind, found.length + (digits + 1 if digits else 0), found.flags, digits)
        return Compiled(lambda context: function(context, *[each(context) for each in inner]), found)
    raise unknown(name)


def _chain(node: Call) -> list[Node] | None:
    """Return the terms of a sum that is too long for one function to call another for each; None for others."""
    terms: list[Node] = []
    at: Node = node
    while isinstance(at, Call) and at.name == "+" and len(at.arguments) == 2:
        terms.append(at.arguments[1])
        at = at.arguments[0]
    return [at, *reversed(terms)] if len(terms) > _SHORT else None


def _long_sum(terms: list[Node], scope: Scope) -> Compiled:
    compiled = [compile_node(term, scope) for term in terms]

    def evaluate(context: Context) -> Value:
        total = compiled[0].evaluate(context)
        for term in compiled[1:]:
            total = reckon("+", total, term.evaluate(context))
        return total

    return Compiled(evaluate, INTEGER)


def _as_name(node: Node) -> Name:
    if not isinstance(node, Name):
        raise SQLError(1064, "42000", "You have an error in your SQL syntax; VALUES() takes a column")
    return node


def _null_safe(function: Callable[..., Value], inner: list[Evaluate]) -> Evaluate:
    def evaluate(context: Context) -> Value:
        values = [each(context) for each in inner]
        if None in values:
            return None
        try:
            return function(*values)
        except TypeError:
            raise SQLError(1582, "42000", "Incorrect parameter count in the call to native function") from None

    return evaluate


def _aggregate(node: Call, scope: Scope) -> Compiled:
    argument = None
    found = INTEGER
    if not isinstance(node.arguments[0] if node.arguments else Star(), Star):
        inner = compile_node(node.arguments[0], scope)
        argument = inner.evaluate
        if node.name in ("min", "max"):
            kind = inner.type
            flags = kind.flags & ~NOT_NULL | (0 if kind.is_text else BINARY)
            found = Type(kind.kind, kind.length, flags & ~0x1, kind.decimals, kind.charset)
        elif node.name in ("sum", "avg"):
            found = _sum_type(node.name, inner.type)
        elif node.name == "group_concat":
            found = text_type(262144)
    place = len(scope.aggregates)
    order = tuple((evaluator(by, scope), descending) for by, descending in node.order)
    separator = evaluator(node.arguments[1], scope) if node.name == "group_concat" and node.arguments[1:] else None
    scope.aggregates.append(Aggregate(node.name, argument, node.distinct, order, separator))
    return Compiled(lambda context: context.aggregates[place], found)


def _sum_type(name: str, kind: Type) -> Type:
    if kind.kind in (Kind.DOUBLE, Kind.FLOAT) or kind.is_text:
        return DOUBLE
    not_null = kind.flags & NOT_NULL
    if name == "sum":
        return Type(Kind.DECIMAL, 43 if kind.is_integer else kind.length + 22, BINARY | not_null, kind.decimals)
    return Type(Kind.DECIMAL, 26 if kind.is_integer else kind.length + 4, BINARY | not_null, kind.decimals + 4)


def _in_subquery(node: Call, scope: Scope) -> Compiled:
    left, inner = evaluator(node.arguments[0], scope), node.arguments[1]
    assert isinstance(inner, Subquery)

    def evaluate(context: Context) -> Value:
        value = left(context)
        rows = context.session.subquery(inner.select, context.values)
        return None if value is None else int(any(equal(value, row[0]) for row in rows))

    return Compiled(evaluate, BOOLEAN)


_BY_NODE: Final[dict[type, Callable[..., Compiled]]] = {
    Literal: _literal,
    Constant: _constant,
    Name: _name,
    Star: _star,
    UserVariable: _user_variable,
    SystemVariable: _system_variable,
    Assign: _assign,
    Subquery: _subquery,
    Case: _case,
    Cast: _cast,
    Call: _call,
}
