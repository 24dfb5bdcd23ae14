"""PromQL, as far as our dashboard and alert rules use it: a grammar, and what an expression asks of its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from lark import Lark, Token, Tree

GRAMMAR = r"""
start: expr
?expr: expr COMPARE modifier? arith -> binary
     | arith
?arith: arith ADD modifier? term -> binary
      | term
?term: term MUL modifier? unary -> binary
     | unary
?unary: NUMBER -> number
      | "(" expr ")"
      | call
      | aggregation
      | selector
call: FUNCTION "(" expr ("," expr)* ")"
aggregation: AGGREGATE grouping? "(" expr ("," expr)? ")"
grouping: GROUPING labels
modifier: MATCHING labels (SIDE labels?)?
labels: "(" [NAME ("," NAME)*] ")"
selector: METRIC [matchers] [range]
matchers: "{" [matcher ("," matcher)*] "}"
matcher: NAME MATCH STRING
range: "[" DURATION "]"

FUNCTION.3: "rate" | "increase" | "histogram_quantile"
AGGREGATE.3: /(sum|max|min|avg|count|topk)(?=\s*(by|without)?\s*\()/
GROUPING.3: /(by|without)(?=\s*\()/
MATCHING.3: /(on|ignoring)(?=\s*\()/
SIDE.3: /group_(left|right)/
COMPARE: /==|!=|>=|<=|>|</
ADD: "+" | "-"
MUL: "*" | "/"
MATCH: "=~" | "!~" | "!=" | "="
METRIC: /[a-zA-Z_:][a-zA-Z0-9_:]*/
NAME: /[a-zA-Z_][a-zA-Z0-9_]*/
NUMBER.2: /[0-9]+(\.[0-9]+)?/
STRING: /"[^"\\\n]*"/
DURATION: /[0-9]+[smhd]|\$__rate_interval/
%import common.WS
%ignore WS
"""
PARSER = Lark(GRAMMAR, parser="earley", lexer="dynamic_complete", ambiguity="resolve")


@dataclass
class Use:
    """One selector: the samples that it names, what it matches, in which function it stands, and how it is grouped."""

    sample: str
    matched: list[tuple[str, str, str]] = field(default_factory=list)
    ranged: bool = False
    function: str = ""
    grouped: set[str] = field(default_factory=set)


def uses(expression: str) -> list[Use]:
    """Return every selector of an expression; raise lark's error for one that cannot be read."""
    found: list[Use] = []
    _walk(PARSER.parse(expression), "", set(), found)
    return found


def _tokens(tree: Tree[Token], kind: str) -> list[str]:
    return [str(token) for token in tree.scan_values(lambda token: isinstance(token, Token) and token.type == kind)]


def _walk(node: Tree[Token] | Token | None, function: str, grouped: set[str], found: list[Use]) -> None:
    if not isinstance(node, Tree):
        return
    if node.data == "selector":
        use = Use(_tokens(node, "METRIC")[0], function=function, grouped=grouped)
        for matcher in node.find_data("matcher"):
            name, how, value = (str(child) for child in matcher.children)
            use.matched.append((name, how, value.strip('"')))
        use.ranged = any(node.find_data("range"))
        found.append(use)
        return
    if node.data == "call":
        function = _tokens(node, "FUNCTION")[0]
    if node.data == "aggregation":
        groups = [child for child in node.children if isinstance(child, Tree) and child.data == "grouping"]
        grouped = grouped | {name for group in groups for name in _tokens(group, "NAME")}
    for child in node.children:
        _walk(child, function, grouped, found)
