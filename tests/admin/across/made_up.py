"""Records with any values, made by their types."""

from __future__ import annotations

import types
import typing
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from odp_trio.admin.tree import TreeNode

_FEW = 1
_NAMES = st.sampled_from(["", "a", "b", "c"])
_LEAF = TreeNode("task", "task", "running", 1.0, 0, "", None, ())


def values(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type; floats are whole, so that sums do not depend on their order."""
    if kind is TreeNode:
        return st.just(_LEAF)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return records(kind)
    if name == "health":
        return st.sampled_from(["ok", "off", "grey", "black"])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(one) for one in arguments))
    if origin in (tuple, list):
        return st.lists(values(arguments[0]), max_size=_FEW).map(origin)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=_FEW)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    return {
        bool: st.booleans(),
        int: st.integers(0, 100),
        float: st.integers(0, 100).map(float),
        str: _NAMES,
        type(None): st.none(),
    }[kind]


def records(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return a strategy for records of a type."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name], name) for name in kind.__struct_fields__})
