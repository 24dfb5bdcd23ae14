"""One level of partitions: which of them hold the rows with certain values of the key columns."""

# ruff: noqa: D102  # methods are described where they are declared first

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, Final

import msgspec

from odp_trio.routing.columns import ColumnType, IntegerType, Stored
from odp_trio.routing.expressions import Expression
from odp_trio.routing.murmur import bucket
from odp_trio.routing.scalars import CannotCompute, NoRow
from odp_trio.routing.values import Values
from odp_trio.topology.objects import Extreme
from odp_trio.topology.partitioning import Method, Partition

MOST_ENUMERATED: Final = 64
"""So many values of a range are looked at one by one."""
MOST_POINTS: Final = 1000
"""So many combinations of values are looked at."""

Key = tuple[Any, ...]
_BELOW: Final[Key] = (-1,)
_ABOVE: Final[Key] = (1.5,)
"""Above every value, but below MAXVALUE."""
_NULL_KEY: Final[Key] = (0,)
_MAX_KEY: Final[Key] = (2,)


class Points(msgspec.Struct, frozen=True):
    """The column has one of these values."""

    stored: tuple[Stored, ...]


class Interval(msgspec.Struct, frozen=True):
    """The column lies between two keys, and is not NULL.  None is an open end."""

    low: Any = None
    low_included: bool = True
    high: Any = None
    high_included: bool = True

    def holds(self, key: Any) -> bool:
        """Whether a value with this key lies inside."""
        if self.low is not None and (key < self.low or (key == self.low and not self.low_included)):
            return False
        return self.high is None or key < self.high or (key == self.high and self.high_included)


ValueSet = Points | Interval | None
"""What a condition leaves of a column's values; None is everything."""


def enumerate_integers(interval: Interval) -> Points | None:
    """Return the whole numbers of an interval, if they are few."""
    if interval.low is None or interval.high is None:
        return None
    low, high = _ceiling(interval.low), -_ceiling(-interval.high)
    if low == interval.low and not interval.low_included:
        low += 1
    if high == interval.high and not interval.high_included:
        high -= 1
    if high < low:
        raise NoRow("no row can match")
    return Points(tuple(range(low, high + 1))) if high - low < MOST_ENUMERATED else None


def _ceiling(number: Any) -> int:
    whole = int(number)
    return whole + 1 if whole < number else whole


class LevelFinder:
    """Finds partitions of one level.  ``find`` returns indexes; CannotCompute says why all are possible."""

    def __init__(self, names: tuple[str, ...], types: tuple[ColumnType, ...], expression: Expression | None) -> None:
        self.names = names
        self.types = types
        self.expression = expression

    def find(self, sets: Sequence[ValueSet], values: Values) -> Iterable[int]:
        """Return the partitions that can hold rows with these values of the columns."""
        if all(one is None for one in sets):
            raise CannotCompute(f"no condition on partition column {', '.join(self.names)}")
        rows = self._rows(sets)
        if rows is not None:
            return {index for row in rows for index in self._locate(row, values)}
        return self._find_span(sets)

    def _locate(self, row: tuple[Stored, ...], values: Values) -> tuple[int, ...]:
        if self.expression is not None:
            row = (self.expression.evaluate(row, self.types, values),)
        return self.one(row)

    def one(self, row: tuple[Stored, ...]) -> tuple[int, ...]:
        """Return the partition of one row, or none."""
        raise NotImplementedError

    def _find_span(self, sets: Sequence[ValueSet]) -> Iterable[int]:
        """Return the partitions when not all columns have known values."""
        raise CannotCompute(f"no single value is known for partition column {', '.join(self.names)}")

    def _rows(self, sets: Sequence[ValueSet]) -> Iterator[tuple[Stored, ...]] | None:
        known = []
        count = 1
        for one, kind in zip(sets, self.types, strict=True):
            points = self._points(one, kind)
            if points is None:
                return None
            known.append(points.stored)
            count *= len(points.stored)
        if count > MOST_POINTS:
            raise CannotCompute(f"{count} combinations of values are too many")
        return product(*known)

    @staticmethod
    def _points(one: ValueSet, kind: ColumnType) -> Points | None:
        if isinstance(one, Interval) and kind.is_integer:
            return enumerate_integers(one)
        return one if isinstance(one, Points) else None

    def _key(self, row: Sequence[Stored]) -> tuple[Key, ...]:
        return tuple(
            [
                _NULL_KEY if value is None else (1, value if self.expression is not None else kind.key(value))
                for value, kind in zip(row, self._kinds, strict=True)
            ]
        )

    @property
    def _kinds(self) -> tuple[ColumnType, ...]:
        return self.types[:1] if self.expression is not None else self.types


class HashLevel(LevelFinder):
    """HASH: the number itself."""

    def __init__(self, *args: Any, count: int) -> None:
        super().__init__(*args)
        self.count = count
        if len(self.types) != 1 and self.expression is None:
            raise CannotCompute("HASH over several columns is of Oracle mode, which is not computed")
        if self.expression is None and not isinstance(self.types[0], IntegerType):
            raise CannotCompute("HASH over a column that is no integer is of Oracle mode, which is not computed")

    def one(self, row: tuple[Stored, ...]) -> tuple[int, ...]:
        number = row[0]
        if number is None:
            return (0,)
        if self.expression is None:
            number = self.types[0].number(number)
        return (bucket(number & 0xFFFFFFFFFFFFFFFF, self.count),)


class KeyLevel(LevelFinder):
    """KEY: a hash over all columns."""

    def __init__(self, *args: Any, count: int) -> None:
        super().__init__(*args)
        self.count = count

    def one(self, row: tuple[Stored, ...]) -> tuple[int, ...]:
        h = 0
        for value, kind in zip(row, self.types, strict=True):
            h = kind.hash_null(h) if value is None else kind.hash(value, h)
        return (bucket(h, self.count),)


class RangeLevel(LevelFinder):
    """RANGE: the first partition whose bound is larger."""

    def __init__(self, *args: Any, partitions: Sequence[Partition]) -> None:
        super().__init__(*args)
        keys = [self._bound(partition) for partition in partitions]
        self.order = sorted(range(len(keys)), key=keys.__getitem__)
        self.bounds = [keys[index] for index in self.order]

    def _bound(self, partition: Partition) -> tuple[Key, ...]:
        if partition.bound is None:
            raise CannotCompute(f"the bound of {partition.name} is of a type that is not known")
        row = partition.bound[0]
        if len(row) != len(self._kinds):
            if set(row) == {Extreme.MAX}:
                return (_MAX_KEY,) * len(self._kinds)
            raise CannotCompute(f"the bound of {partition.name} has {len(row)} values")
        return tuple(
            [
                _MAX_KEY if value is Extreme.MAX else self._key_of(value, kind)
                for value, kind in zip(row, self._kinds, strict=True)
            ]
        )

    def _key_of(self, value: Stored, kind: ColumnType) -> Key:
        if value is None or value is Extreme.MIN:
            return _NULL_KEY
        return (1, value if self.expression is not None else kind.key(value))

    def one(self, row: tuple[Stored, ...]) -> tuple[int, ...]:
        at = bisect_right(self.bounds, self._key(row))
        return (self.order[at],) if at < len(self.bounds) else ()

    def _find_span(self, sets: Sequence[ValueSet]) -> Iterable[int]:
        if self.expression is not None:
            raise CannotCompute("a range of values is not carried through the partition expression")
        choices = [one.stored if isinstance(one, Points) else (one,) for one in sets]
        if prod(map(len, choices)) > MOST_POINTS:
            raise CannotCompute("there are too many combinations of values")
        return {index for chosen in product(*choices) for index in self._between(chosen, sets)}

    def _between(self, chosen: Sequence[Any], sets: Sequence[ValueSet]) -> Iterable[int]:
        """Return the partitions between the smallest and the largest row that each column allows."""
        low: list[Key] = []
        high: list[Key] = []
        low_open = high_open = excluded = False
        for value, one, kind in zip(chosen, sets, self.types, strict=True):
            first, last = _ends(value, one, kind)
            if not low_open:
                low += first
                low_open = len(first) > 1
            if not high_open:
                high += last[:1]
                high_open = excluded = len(last) > 1
        if excluded and len(high) < len(self.types):
            high.append(_BELOW)
            excluded = False
        start = bisect_right(self.bounds, tuple(low))
        stop = bisect_left(self.bounds, tuple(high)) if excluded else bisect_right(self.bounds, tuple(high))
        return self.order[start : stop + 1]


def _ends(value: Any, one: ValueSet, kind: ColumnType) -> tuple[list[Key], list[Key]]:
    """Return keys of the smallest and the largest value; a second key means that the end itself is excluded."""
    if isinstance(one, Points):
        key = _NULL_KEY if value is None else (1, kind.key(value))
        return [key], [key]
    if one is None:
        return [_BELOW], [_ABOVE]
    low: list[Key] = [_NULL_KEY, _ABOVE]
    if one.low is not None:
        low = [(1, one.low)] if one.low_included else [(1, one.low), _ABOVE]
        if len(low) > 1 and kind.is_integer and int(one.low) == one.low:
            low = [(1, one.low + 1)]
    if one.high is None:
        return low, [_ABOVE]
    return low, [(1, one.high)] if one.high_included else [(1, one.high), _BELOW]


class ListLevel(LevelFinder):
    """LIST: the partition that has the row in its list, else the default one."""

    def __init__(self, *args: Any, partitions: Sequence[Partition]) -> None:
        super().__init__(*args)
        self._of: dict[tuple[Key, ...], int] = {}
        self._default: tuple[int, ...] = ()
        for index, partition in enumerate(partitions):
            if partition.bound is None:
                raise CannotCompute(f"the bound of {partition.name} is of a type that is not known")
            for row in partition.bound:
                if Extreme.MAX in row:
                    self._default = (index,)
                else:
                    self._of.setdefault(self._key(row), index)

    def one(self, row: tuple[Stored, ...]) -> tuple[int, ...]:
        index = self._of.get(self._key(row))
        return self._default if index is None else (index,)

    def _find_span(self, sets: Sequence[ValueSet]) -> Iterable[int]:
        if self.expression is not None:
            raise CannotCompute("a range of values is not carried through the partition expression")
        if all(isinstance(one, Interval) and one.low == one.high is not None for one in sets):
            index = self._of.get(tuple([(1, one.low) for one in sets if isinstance(one, Interval)]))
            return self._default if index is None else (index,)
        tests = [self._test(one, kind) for one, kind in zip(sets, self.types, strict=True)]
        found = {index for key, index in self._of.items() if all(t(k) for t, k in zip(tests, key, strict=True))}
        return found | set(self._default)

    @staticmethod
    def _test(one: ValueSet, kind: ColumnType) -> Any:
        if one is None:
            return lambda key: True
        if isinstance(one, Points):
            keys = {_NULL_KEY if value is None else (1, kind.key(value)) for value in one.stored}
            return keys.__contains__
        return lambda key: key != _NULL_KEY and one.holds(key[1])


def compile_level(
    method: Method, old: bool, arguments: tuple[Any, ...], partitions: Sequence[Partition]
) -> LevelFinder:
    """Return what finds partitions of a level; raise CannotCompute if its method is not known."""
    match method:
        case Method.HASH:
            return HashLevel(*arguments, count=len(partitions))
        case Method.KEY:
            if old:
                raise CannotCompute("how kernels before version 4 hash KEY columns is not known")
            return KeyLevel(*arguments, count=len(partitions))
        case Method.RANGE:
            return RangeLevel(*arguments, partitions=partitions)
        case Method.LIST:
            return ListLevel(*arguments, partitions=partitions)
