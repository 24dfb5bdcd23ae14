"""Date functions that partition expressions use, over a column's value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from odp_trio.routing.columns import ColumnType
from odp_trio.routing.scalars import CannotCompute
from odp_trio.routing.temporal import DAY, microseconds_of, offset_of
from odp_trio.routing.values import Values
from odp_trio.topology.objects import Moment, days_of, moment_of

_DAYS_TO_1970: Final = 719_528
_TIMESTAMP: Final = 18
_TIME: Final = 20

DateFunction = Callable[[Any, ColumnType, Values], int]


def _moment(stored: Any, kind: ColumnType, values: Values) -> Moment:
    if kind.column.type_code == _TIMESTAMP:
        return moment_of(stored + offset_of(values.time_zone))
    if isinstance(stored, tuple):
        if not stored[1] or not stored[2]:
            raise CannotCompute("a date with a zero in it is not computed")
        return stored
    raise CannotCompute(f"a date function over column {kind.column.name} is not computed")


def _part(take: Callable[[Moment], int]) -> DateFunction:
    return lambda stored, kind, values: take(_moment(stored, kind, values))


def _days(moment: Moment) -> int:
    return days_of(*moment[:3])


def _unix_timestamp(stored: Any, kind: ColumnType, values: Values) -> int:
    if kind.column.scale > 0:
        raise CannotCompute("UNIX_TIMESTAMP over fractions of a second is not computed")
    if kind.column.type_code == _TIMESTAMP:
        return int(stored) // 1_000_000
    seconds = (microseconds_of(_moment(stored, kind, values)) - offset_of(values.time_zone)) // 1_000_000
    if not 0 < seconds < 1 << 31:
        raise CannotCompute("UNIX_TIMESTAMP out of its range is not computed")
    return seconds


def _clock(divisor: int, modulus: int) -> DateFunction:
    def take(stored: Any, kind: ColumnType, values: Values) -> int:
        of_day = abs(stored) if kind.column.type_code == _TIME else _moment(stored, kind, values)[3]
        part = int(of_day // divisor)
        return part % modulus if modulus else part

    return take


DATE_FUNCTIONS: Final[dict[str, DateFunction]] = {
    "YEAR": _part(lambda moment: moment[0]),
    "MONTH": _part(lambda moment: moment[1]),
    "DAY": _part(lambda moment: moment[2]),
    "DAYOFMONTH": _part(lambda moment: moment[2]),
    "QUARTER": _part(lambda moment: (moment[1] + 2) // 3),
    "DAYOFYEAR": _part(lambda moment: _days(moment) - days_of(moment[0], 1, 1) + 1),
    "WEEKDAY": _part(lambda moment: (_days(moment) + 3) % 7),
    "DAYOFWEEK": _part(lambda moment: (_days(moment) + 4) % 7 + 1),
    "TO_DAYS": _part(lambda moment: _days(moment) + _DAYS_TO_1970),
    "TO_SECONDS": _part(lambda moment: (_days(moment) + _DAYS_TO_1970) * (DAY // 1_000_000) + moment[3] // 1_000_000),
    "UNIX_TIMESTAMP": _unix_timestamp,
    "HOUR": _clock(3_600_000_000, 0),
    "MINUTE": _clock(60_000_000, 60),
    "SECOND": _clock(1_000_000, 60),
    "MICROSECOND": _clock(1, 1_000_000),
}
