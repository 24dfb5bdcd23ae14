"""The tables of docs/embedding.md, out of what the code says of itself."""

from __future__ import annotations

import inspect
import typing

import odp_trio
from odp_trio.app.connection import Connection
from odp_trio.app.subscription import Subscription
from odp_trio.events import Event

OF_PROXY = (
    "connect",
    "open_stream",
    "dial",
    "events",
    "reload",
    "drain",
    "shut_down",
    "wait_shutdown",
    "settings",
    "statistics",
    "status",
    "measurements",
    "tree",
    "explain",
    "snapshot",
    "recent_changes",
    "draining",
    "accepting",
)
"""What is promised of a proxy; the rest of it is of its own parts."""
OF_CONNECTION = ["query", "quit", "send_all", "wait_send_all_might_not_block", "receive_some", "aclose"]
OF_SUBSCRIPTION = ["end", "close"]


def api_table() -> str:
    """Return what may be called, and what it does, in the first words of its docstring."""
    rows = [_row("odp_trio.open_proxy", odp_trio.open_proxy), _row("odp_trio.own_rule", odp_trio.own_rule)]
    rows += [_row(f"proxy.{name}", inspect.getattr_static(odp_trio.Proxy, name)) for name in OF_PROXY]
    rows += [_row(f"connection.{name}", getattr(Connection, name)) for name in OF_CONNECTION]
    rows += [_row(f"subscription.{name}", getattr(Subscription, name)) for name in OF_SUBSCRIPTION]
    return "\n".join(["| call | what it does |", "|---|---|", *rows])


def event_table() -> str:
    """Return every event, its fields, and what it says."""
    rows = []
    for kind in typing.get_args(Event):
        fields = ", ".join(f"`{name}`" for name in kind.__struct_fields__ if name != "at")
        rows.append(f"| `{kind.__name__}` | {_first(kind)} | {fields} |")
    return "\n".join(["| event | what has happened | fields, besides `at` |", "|---|---|---|", *rows])


def _row(name: str, called: object) -> str:
    if isinstance(called, property):
        return f"| `{name}` | {_first(called)} |"
    assert callable(called)
    parameters = [_parameter(each) for each in inspect.signature(called).parameters.values() if each.name != "self"]
    wait = "await " if inspect.iscoroutinefunction(called) else "async with " if name.endswith("open_proxy") else ""
    return f"| `{wait}{name}({', '.join(parameters)})` | {_first(called)} |"


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty or not isinstance(parameter.default, str | int | float | bool):
        return parameter.name if parameter.default is inspect.Parameter.empty else f"{parameter.name}=…"
    return f"{parameter.name}={parameter.default!r}"


def _first(documented: object) -> str:
    """Return the first sentence of a docstring, in one line."""
    text = " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())
    return text.replace("``", "`").replace("|", "\\|")
