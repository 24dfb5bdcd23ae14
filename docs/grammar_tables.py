"""The tables by which statements are read, made from the grammar by Lark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import lark

GRAMMAR = Path(__file__).parents[1] / "grammar" / "odp_sql.lark"
START = "dml"


class Given(lark.lexer.Lexer):
    """A lexer that is given tokens."""

    def __init__(self, configuration: object) -> None:
        pass

    def lex(self, tokens: Iterable[lark.Token]) -> Iterator[lark.Token]:  # type: ignore[override]  # not text
        """Return the tokens as they are."""
        yield from tokens


def lark_parser() -> lark.Lark:
    """Return Lark's own parser of the grammar, which is given tokens."""
    text = GRAMMAR.read_text(encoding="utf-8")
    return lark.Lark(text, parser="lalr", start=START, lexer=Given, maybe_placeholders=False)


def grammar_tables() -> str:
    """Return the tables as JSON, a state a line, in an order that depends on the grammar only."""
    table: Any = lark_parser().parser.parser._parse_table  # Lark has no public name for it
    first, last = table.start_states[START], table.end_states[START]
    numbers = {first: 0}
    order = [first]
    rules: dict[Any, int] = {}
    rows: list[dict[str, int]] = []
    for state in order:  # grows meanwhile
        row: dict[str, int] = {}
        for symbol, (action, target) in sorted(table.states[state].items()):
            if action.name == "Shift":
                if target not in numbers:
                    numbers[target] = len(order)
                    order.append(target)
                row[symbol] = numbers[target]
            else:
                row[symbol] = ~rules.setdefault(target, len(rules))
        if state == last:
            row["$END"] = 0
        rows.append(row)
    return '{"rules":[\n%s\n],"states":[\n%s\n]}\n' % (  # noqa: UP031  # full of braces
        ",\n".join(_compact(_rule(rule)) for rule in rules),
        ",\n".join(map(_compact, rows)),
    )


def _rule(rule: Any) -> list[object]:
    """Return a rule as ``odp_trio.sql.grammar.Rule`` has it."""
    name = rule.origin.name
    inlined = [at for at, symbol in enumerate(rule.expansion) if not symbol.is_term and symbol.name.startswith("_")]
    single = rule.options.expand1 and not rule.alias
    only = single and len(rule.expansion) == 1 and not inlined
    callback = "" if only or name.startswith("_") else rule.alias or name
    return [name, len(rule.expansion), callback, bool(single), inlined]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
