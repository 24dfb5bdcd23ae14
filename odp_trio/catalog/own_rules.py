"""Own rules out of the option ``own_rules``: found by entry point or by module and function, and imported."""

# Here and not in routing, because importing somebody's code is I/O.

from __future__ import annotations

import inspect
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from odp_trio.config.values import read_bool, read_duration
from odp_trio.errors import ConfigError
from odp_trio.routing.own_rules import DEFAULT_BUDGET, Function, Mode, OwnRule

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "odp_trio.rules"
"""Group of the entry points that name rules."""
HIGHEST_BUDGET: Final = 0.1

_KEYS: Final = ("mode", "budget", "cache")
_MODES: Final = tuple(mode.value for mode in Mode)
_IMPORTABLE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

T = TypeVar("T")
D = TypeVar("D")

log = logging.getLogger("odp_trio.routing")


class _Settings(msgspec.Struct, frozen=True):
    mode: Mode = Mode.ACTIVE
    budget: float = DEFAULT_BUDGET
    cache: bool | None = None


def log_disabled(rule: OwnRule, why: str) -> None:
    """Raise the alarm about a rule that is disabled: one line of the log."""
    log.error("own rule %s is disabled: %s", rule.name, why)


def load_own_rules(
    specs: Sequence[str],
    *,
    alarm: Callable[[OwnRule, str], None] = log_disabled,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> list[OwnRule]:
    """Return the rules that specs name, in their order; raise ConfigError naming the spec that cannot be used.

    A spec is the name of an entry point or ``package.module:function``, and may
    end in ``?mode=shadow&budget=500us&cache=no``.  A rule that is ``off`` is not imported.
    """
    rules: dict[str, OwnRule] = {}
    for spec in specs:
        target, _, suffix = spec.partition("?")
        settings = _read_suffix(spec, suffix)
        if settings.mode is Mode.OFF:
            continue
        rule = _load(spec, _find(spec, target), settings, alarm, clock)
        if rule.name in rules:
            raise _error(spec, f"a rule named {rule.name!r} is there already; an entry point can give it another name")
        rules[rule.name] = rule
    return list(rules.values())


def _load(
    spec: str,
    found: EntryPoint,
    settings: _Settings,
    alarm: Callable[[OwnRule, str], None],
    clock: Callable[[], int],
) -> OwnRule:
    try:
        function = found.load()
    except (Exception, SystemExit) as exc:
        raise _error(spec, f"{found.value} cannot be imported: {type(exc).__name__}: {exc}") from exc
    if problem := _why_unusable(function):
        raise _error(spec, f"{found.value} {problem}")
    name = found.name or getattr(function, "__name__", type(function).__name__)
    try:
        return OwnRule(
            name,
            function,
            clock=clock,
            alarm=alarm,
            mode=settings.mode,
            budget=settings.budget,
            cache=settings.cache,
        )
    except ValueError as exc:
        raise _error(spec, str(exc)) from exc


def _why_unusable(function: object) -> str:
    """Say why something cannot be a rule; empty if it can."""
    if not callable(function):
        return f"is {type(function).__name__}, not a function"
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        return "must be a plain function: a rule cannot wait"
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as exc:
        return f"must take a request and a view: {exc}"
    except ValueError:
        pass  # written in C: its first call will tell
    return ""


def own_rule(
    function: Function,
    *,
    name: str = "",
    mode: Mode | str = Mode.ACTIVE,
    budget: float = DEFAULT_BUDGET,
    cache: bool | None = None,
) -> OwnRule:
    """Return a function as a rule, for ``open_proxy(rules=...)``; of one proxy, since it counts.

    ``name`` is the function's own if it is not given; ``mode`` is ``active``, ``shadow`` or ``off``; ``budget`` is
    seconds for one call.  Raises ConfigError for what cannot be a rule.
    """
    called = name or getattr(function, "__name__", type(function).__name__)
    if problem := _why_unusable(function):
        raise ConfigError(f"own rule {called!r} {problem}")
    if not 1e-6 <= budget <= HIGHEST_BUDGET:
        raise ConfigError(f"own rule {called!r}: a budget of {budget:g} s; it is 0.000001 to {HIGHEST_BUDGET:g}")
    try:
        return OwnRule(
            called,
            function,
            clock=time.perf_counter_ns,
            alarm=log_disabled,
            mode=Mode(mode),
            budget=budget,
            cache=cache,
        )
    except ValueError as exc:
        raise ConfigError(f"own rule {called!r}: {exc}") from exc


def all_own_rules(specs: Sequence[str], given: Iterable[OwnRule | Function]) -> list[OwnRule]:
    """Return the rules that are given and, behind them, those that specs name; raise ConfigError."""
    rules = [rule if isinstance(rule, OwnRule) else own_rule(rule) for rule in given]
    rules += load_own_rules(specs)
    names = [rule.name for rule in rules]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ConfigError(f"several own rules are named {', '.join(map(repr, twice))}")
    return rules


def _find(spec: str, target: str) -> EntryPoint:
    """Find what a spec names; one that is no entry point's has no name yet."""
    from importlib.metadata import EntryPoint, entry_points  # a dozen modules; few proxies have own rules

    if ":" in target:
        if not _IMPORTABLE.fullmatch(target):
            raise _error(spec, "write the name of an entry point, or package.module:function")
        return EntryPoint("", target, GROUP)
    known = entry_points(group=GROUP)
    values = {found.value: found for found in known if found.name == target}
    if not values:
        raise _error(spec, _unknown("entry point of the group " + GROUP, target, {found.name for found in known}))
    if len(values) > 1:
        raise _error(spec, f"several packages have a rule of this name; write one of {', '.join(sorted(values))}")
    return next(iter(values.values()))


def _read_suffix(spec: str, suffix: str) -> _Settings:
    given: dict[str, str] = {}
    for part in filter(None, suffix.split("&")):
        key, equals, value = part.partition("=")
        if key not in _KEYS:
            raise _error(spec, _unknown("setting of a rule", key, _KEYS))
        if not equals or key in given:
            raise _error(spec, f"{key} must be given once, as {key}=VALUE")
        given[key] = value
    mode = given.get("mode", Mode.ACTIVE.value)
    if mode not in _MODES:
        raise _error(spec, _unknown("mode", mode, _MODES))
    budget = _read(spec, "budget", given, read_duration, DEFAULT_BUDGET)
    cache = _read(spec, "cache", given, read_bool, None)
    if not 1e-6 <= budget <= HIGHEST_BUDGET:
        raise _error(spec, f"budget={given['budget']}: a budget is 1us to {HIGHEST_BUDGET * 1000:.0f}ms")
    return _Settings(Mode(mode), budget, cache)


def _read(spec: str, key: str, given: Mapping[str, str], reader: Callable[[object], T], default: D) -> T | D:
    if key not in given:
        return default
    try:
        return reader(given[key])
    except ConfigError as exc:
        raise _error(spec, f"{key}={given[key]} {exc}") from exc


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!r} is no {what}{guess} (known: {', '.join(names) or 'none'})"


def _error(spec: str, why: str) -> ConfigError:
    return ConfigError(f"own_rules: {spec!r}: {why}")
