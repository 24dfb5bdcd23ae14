"""Names of variables, as statements write them."""

from __future__ import annotations

from odp_trio.testing.fakes.nodes import Node, SystemVariable, UserVariable


def variable(text: str) -> Node:
    """Return a user or system variable by its text."""
    if not text.startswith("@@"):
        return UserVariable(variable_name(text))
    scope, _, name = text[2:].lower().rpartition(".")
    return SystemVariable(name, scope)


def variable_name(text: str) -> str:
    """Return a user variable's name: without quotes, in lower case."""
    name = text[1:]
    return (name[1:-1] if name[:1] in "`'\"" else name).lower()
