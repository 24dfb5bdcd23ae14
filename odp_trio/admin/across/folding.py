"""How the values that workers give of one thing become one.

A *fold* takes the values, in the order of the workers and at least one, and returns what is shown.  A record is folded
field by field: a table says how each field is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
Fold = Callable[[Sequence[Any]], Any]
Folds = Mapping[str, Fold]


def first(values: Sequence[T]) -> T:
    """Return the first one: all workers say the same, or any will do."""
    return values[0]


def said(values: Sequence[T]) -> T:
    """Return the first one that is not empty, if there is one."""
    return next(filter(None, values), values[0])


def largest(values: Sequence[Any]) -> Any:
    """Return the largest; None is less than everything."""
    return max((value for value in values if value is not None), default=None)


def least(values: Sequence[Any]) -> Any:
    """Return the least; None, if there is nothing else."""
    return min((value for value in values if value is not None), default=None)


def added(values: Sequence[Any]) -> Any:
    """Add numbers up; what is not known is left out, and is None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def counted(values: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Add counts up by key; counts may be such mappings again."""
    sums: dict[Any, Any] = {}
    for counts in values:
        for key, count in counts.items():
            if isinstance(count, Mapping):
                sums[key] = counted((sums.get(key, {}), count))
            else:
                sums[key] = sums.get(key, 0) + count
    return sums


def digits(values: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Add the buckets of histograms up; one may have fewer than another."""
    longest = max(map(len, values))
    return tuple(sum(counts[at] for counts in values if at < len(counts)) for at in range(longest))


def joined(values: Sequence[str]) -> str:
    """Return what they say, each once, with commas between."""
    return ", ".join(dict.fromkeys(text for value in values for text in value.split(", ") if text))


def every(values: Sequence[Iterable[T]]) -> tuple[T, ...]:
    """Return everything that they have, one worker after the other."""
    return tuple(chain.from_iterable(values))


def distinct(values: Sequence[Iterable[T]]) -> tuple[T, ...]:
    """Return everything that they have, once."""
    return tuple(dict.fromkeys(chain.from_iterable(values)))


def record(folds: Folds) -> Fold:
    """Return how records are folded whose fields are folded like this; raise KeyError for a field that is forgotten."""
    changing = [(name, one, attrgetter(name)) for name, one in folds.items() if one is not first]

    def fold(values: Sequence[R]) -> R:
        if len(values) == 1:
            return values[0]
        fields = values[0].__struct_fields__
        if len(folds) != len(fields):
            raise KeyError(f"{type(values[0]).__name__}: {', '.join({*fields} ^ {*folds})}")
        return msgspec.structs.replace(values[0], **{name: one(list(map(get, values))) for name, one, get in changing})

    return fold


def known(fold: Fold) -> Fold:
    """Return how records are folded that some workers may not have: None only if nobody has it."""

    def of_those(values: Sequence[Any]) -> Any:
        there = [value for value in values if value is not None]
        return fold(there) if there else None

    return of_those


def by(fold: Fold, *names: str) -> Fold:
    """Return how lists of records are folded: those that agree in some fields become one."""

    key: Callable[[Any], Hashable] = attrgetter(*names)

    def of_lists(values: Sequence[Iterable[Any]]) -> tuple[Any, ...]:
        groups: dict[Hashable, list[Any]] = {}
        for one in chain.from_iterable(values):
            groups.setdefault(key(one), []).append(one)
        return tuple(fold(group) if len(group) > 1 else group[0] for group in groups.values())

    return of_lists


def of_worst(worse: Callable[[Any], Any], folds: Folds) -> Fold:
    """Return how records are folded: fields with a fold by it, all others are those of the one that is worst."""

    def fold(values: Sequence[R]) -> R:
        changed = {name: one([getattr(value, name) for value in values]) for name, one in folds.items()}
        return msgspec.structs.replace(max(values, key=worse), **changed)

    return fold
