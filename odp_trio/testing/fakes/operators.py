"""Operators: how they are computed, and the types of what they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from odp_trio.testing.fakes.answers import BINARY, NOT_NULL, UNSIGNED, Kind, Value
from odp_trio.testing.fakes.scope import Compiled, Context
from odp_trio.testing.fakes.types import BOOLEAN, DOUBLE, INTEGER_LITERAL, NULL, Type, text_type
from odp_trio.testing.fakes.values import bits, compare, like, number, reckon, truth, written

_COMPARE: Final[dict[str, Callable[[int], bool]]] = {
    "=": lambda found: found == 0,
    "<>": lambda found: found != 0,
    "<": lambda found: found < 0,
    "<=": lambda found: found <= 0,
    ">": lambda found: found > 0,
    ">=": lambda found: found >= 0,
}


def equal(left: Value, right: Value) -> bool:
    """Whether two values are equal; NULL is equal to nothing."""
    return left is not None and right is not None and compare(left, right) == 0


def _boolean(arguments: list[Compiled]) -> Type:
    all_set = all(argument.type.flags & NOT_NULL for argument in arguments)
    return Type(BOOLEAN.kind, 1, BINARY | (NOT_NULL if all_set else 0))


def _comparison(name: str, arguments: list[Compiled]) -> Compiled:
    left, right = arguments[0].evaluate, arguments[1].evaluate
    test = _COMPARE[name]

    def evaluate(context: Context) -> Value:
        one, other = left(context), right(context)
        if one is None or other is None:
            return None
        return int(test(compare(one, other)))

    return Compiled(evaluate, _boolean(arguments))


def _same(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    left, right = arguments[0].evaluate, arguments[1].evaluate

    def evaluate(context: Context) -> Value:
        one, other = left(context), right(context)
        return int(one is other if one is None or other is None else compare(one, other) == 0)

    return Compiled(evaluate, Type(BOOLEAN.kind, 1, BINARY | NOT_NULL))


def _logic(name: str, arguments: list[Compiled]) -> Compiled:
    left, right = arguments[0].evaluate, arguments[1].evaluate
    deciding = name == "or"

    def evaluate(context: Context) -> Value:
        one = truth(left(context))
        if one is deciding:
            return int(deciding)
        other = truth(right(context))
        if other is deciding:
            return int(deciding)
        return None if one is None or other is None else int(not deciding)

    return Compiled(evaluate, Type(BOOLEAN.kind, 1, BINARY))


def _pipes(name: str, arguments: list[Compiled]) -> Compiled:
    """Either OR or, with PIPES_AS_CONCAT, what joins texts."""
    del name
    either = _logic("or", arguments)
    left, right = arguments[0].evaluate, arguments[1].evaluate

    def evaluate(context: Context) -> Value:
        if "PIPES_AS_CONCAT" not in written(context.session.system_variable("sql_mode", "")):
            return either.evaluate(context)
        one, other = left(context), right(context)
        return None if one is None or other is None else written(one) + written(other)

    return Compiled(evaluate, text_type(1024) if arguments[0].type.is_text else either.type)


def _not(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    inner = arguments[0].evaluate
    return Compiled(
        lambda context: None if (value := truth(inner(context))) is None else int(not value), _boolean(arguments)
    )


def _is(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    left, right = arguments[0].evaluate, arguments[1].evaluate

    def evaluate(context: Context) -> Value:
        wanted, value = right(context), left(context)
        return int(value is None if wanted is None else truth(value) is bool(wanted))

    return Compiled(evaluate, Type(BOOLEAN.kind, 1, BINARY | NOT_NULL))


def _in(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    left, others = arguments[0].evaluate, [each.evaluate for each in arguments[1:]]

    def evaluate(context: Context) -> Value:
        value = left(context)
        if value is None:
            return None
        found = [each(context) for each in others]
        if any(equal(value, other) for other in found):
            return 1
        return None if None in found else 0

    return Compiled(evaluate, _boolean(arguments))


def _between(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    value, low, high = (each.evaluate for each in arguments)

    def evaluate(context: Context) -> Value:
        found, least, most = value(context), low(context), high(context)
        if found is None or least is None or most is None:
            return None
        return int(compare(found, least) >= 0 and compare(found, most) <= 0)

    return Compiled(evaluate, _boolean(arguments))


def _like(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    left, right = arguments[0].evaluate, arguments[1].evaluate
    found = Type(Kind.LONGLONG, 1, _boolean(arguments).flags)
    return Compiled(lambda context: like(left(context), right(context)), found)


def _arithmetic(name: str, arguments: list[Compiled]) -> Compiled:
    left, right = arguments[0].evaluate, arguments[1].evaluate
    return Compiled(
        lambda context: reckon(name, left(context), right(context)),
        _arithmetic_type(name, arguments[0].type, arguments[1].type),
    )


def _arithmetic_type(name: str, left: Type, right: Type) -> Type:
    not_null = left.flags & right.flags & NOT_NULL
    if DOUBLE.kind in (left.kind, right.kind) or left.is_text or right.is_text:
        return Type(Kind.DOUBLE, 23, BINARY | not_null, 31)
    if name == "div":
        return Type(Kind.LONGLONG, 20, BINARY | not_null)
    if name == "/":
        return Type(Kind.DECIMAL, left.length - (left.kind == Kind.LONGLONG) * 14 + 4, BINARY, left.decimals + 4)
    if Kind.DECIMAL in (left.kind, right.kind):
        scale = left.decimals + right.decimals if name == "*" else max(left.decimals, right.decimals)
        return Type(Kind.DECIMAL, left.length + 4, BINARY | not_null, scale)
    if name == "%":
        return Type(Kind.LONGLONG, 20, BINARY | not_null)
    literals = left == right == INTEGER_LITERAL
    return Type(Kind.LONGLONG, 5 if literals else 21, BINARY | not_null)


def _bits(name: str, arguments: list[Compiled]) -> Compiled:
    left, right = arguments[0].evaluate, arguments[1].evaluate
    return Compiled(
        lambda context: bits(name, left(context), right(context)),
        Type(Kind.LONGLONG, 20, BINARY | UNSIGNED | arguments[0].type.flags & arguments[1].type.flags & NOT_NULL),
    )


def _negative(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    inner = arguments[0].evaluate
    return Compiled(lambda context: None if (value := inner(context)) is None else -number(value), arguments[0].type)


def _if(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    test, yes, no = arguments
    found = yes.type if yes.type.kind != Kind.NULL else no.type
    return Compiled(
        lambda context: yes.evaluate(context) if truth(test.evaluate(context)) else no.evaluate(context), found
    )


def _coalesce(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    inner = [each.evaluate for each in arguments]
    found = next((each.type for each in arguments if each.type.kind != Kind.NULL), NULL)

    def evaluate(context: Context) -> Value:
        return next((value for each in inner if (value := each(context)) is not None), None)

    some_null = any(each.type.kind == Kind.NULL for each in arguments)
    return Compiled(evaluate, Type(found.kind, found.length, found.flags & ~(NOT_NULL if some_null else 0),
                                   found.decimals, found.charset))  # fmt: skip


def _nullable(found: Type) -> Type:
    return Type(found.kind, found.length, found.flags & ~NOT_NULL, found.decimals, found.charset)


def _null_if(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    left, right = arguments[0].evaluate, arguments[1].evaluate
    return Compiled(
        lambda context: None if equal(value := left(context), right(context)) else value, _nullable(arguments[0].type)
    )


def _xor(name: str, arguments: list[Compiled]) -> Compiled:
    del name
    left, right = arguments[0].evaluate, arguments[1].evaluate

    def evaluate(context: Context) -> Value:
        one, other = truth(left(context)), truth(right(context))
        return None if one is None or other is None else int(one is not other)

    return Compiled(evaluate, BOOLEAN)


SPECIAL: Final[dict[str, Callable[[str, list[Compiled]], Compiled]]] = {
    **dict.fromkeys(_COMPARE, _comparison),
    **dict.fromkeys(("+", "-", "*", "/", "%", "div"), _arithmetic),
    **dict.fromkeys(("&", "|", "^", "<<", ">>"), _bits),
    "<=>": _same,
    "and": _logic,
    "or": _logic,
    "||": _pipes,
    "xor": _xor,
    "not": _not,
    "is": _is,
    "in": _in,
    "between": _between,
    "like": _like,
    "neg": _negative,
    "if": _if,
    "ifnull": _coalesce,
    "coalesce": _coalesce,
    "nullif": _null_if,
}
"""Operators by name, and functions that are like them."""
