"""What workers had counted that do not answer any more.

Counters must not fall: Prometheus takes that for a restart, and the rest of the sum for new counts.  So whoever writes
metrics keeps what each worker had counted when it was seen last, and asks the others for what they have kept when it
sees other workers than before.  A worker that dies between two looks takes only what it has counted since.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, final

import msgspec

from odp_trio.admin.across import records
from odp_trio.admin.across.folding import Fold, by, counted, first, record
from odp_trio.admin.clients import ClientsStatus
from odp_trio.admin.congestion import ClusterCongestion
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.metrics import COUNTERS, PREPARED_COUNTERS, MetricRecords
from odp_trio.admin.status import (
    ClusterStatus,
    ConfigServerStatus,
    OwnRuleStatus,
    PreparedTextsStatus,
    ProxyStatus,
    RslistFileStatus,
    TaskStatus,
)

_MOST: Final = 32
"""Lives that are remembered; beyond, the eldest are forgotten."""
_PROCESS_COUNTERS: Final = ("process_cpu_seconds",)

Life = tuple[int, int]
"""Number of a worker, and of its process."""


class Remembered(msgspec.Struct, frozen=True):
    """What a worker had counted when it was seen last."""

    worker: int
    pid: int
    records: MetricRecords

    @property
    def life(self) -> Life:
        """Which life of which worker it was."""
        return self.worker, self.pid

    @property
    def progress(self) -> int:
        """Grows with time."""
        return self.records.measured.loop_events + self.records.status.loop_turns


def life_of(worker: int, found: MetricRecords) -> Life:
    """Return whose records these are."""
    return worker, found.measured.workers[0].pid


@final
class Memory:
    """What one worker remembers of all."""

    def __init__(self) -> None:
        self._lives: dict[Life, Remembered] = {}
        self._seen: frozenset[Life] = frozenset()

    def see(self, now: Mapping[Life, MetricRecords]) -> bool:
        """Keep what is counted now; answer whether other workers are there than at the last look."""
        for life, found in now.items():
            self._lives.pop(life, None)
            self._lives[life] = Remembered(*life, found)
        self._forget()
        changed = self._seen != now.keys()
        self._seen = frozenset(now)
        return changed

    def learn(self, told: Iterable[Remembered]) -> None:
        """Keep what others remember, if it is of a later moment than what is known here."""
        for one in told:
            known = self._lives.get(one.life)
            if known is None or one.progress > known.progress:
                self._lives[one.life] = one
        self._forget()

    def without(self, lives: Collection[Life]) -> list[Remembered]:
        """Return what is remembered of all other lives."""
        return [one for life, one in self._lives.items() if life not in lives]

    def _forget(self) -> None:
        for life in tuple(self._lives)[: max(0, len(self._lives) - _MOST)]:
            del self._lives[life]


# ---- adding ------------------------------------------------------------------------------


def _counts_of(kind: type[msgspec.Struct], folds: Mapping[str, Fold]) -> Fold:
    """Return how a record is folded with those of workers that are gone: what does not count is as it is now."""
    return record({**dict.fromkeys(kind.__struct_fields__, first), **folds})


def _those_of_now(fold: Fold, *names: str) -> Fold:
    """Return how lists are folded: of what is there now."""
    joined = by(fold, *names)

    def key(one: Any) -> Hashable:
        return tuple(getattr(one, name) for name in names)

    def of_lists(values: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
        there = {key(one) for one in values[0]}
        return tuple(joined([[one for one in value if key(one) in there] for value in values]))

    return of_lists


def _if_now(fold: Fold) -> Fold:
    def of_those(values: Sequence[Any]) -> Any:
        return None if values[0] is None else fold([value for value in values if value is not None])

    return of_those


_FILE: Final = _counts_of(RslistFileStatus, {"writes": sum, "failures": sum})
_STATUS: Final = _counts_of(
    ProxyStatus,
    {
        **dict.fromkeys(COUNTERS.values(), sum),
        **dict.fromkeys(
            ("refused_logins", "ends", "server_ends", "server_failures", "failed_statements", "probes"), counted
        ),
        "clusters": _those_of_now(_counts_of(ClusterStatus, {"refreshes": sum}), "name"),
        "tasks": _those_of_now(_counts_of(TaskStatus, {"restarts": sum}), "path"),
        "own_rules": _those_of_now(_counts_of(OwnRuleStatus, {"outcomes": counted}), "name", "mode"),
        "congestion": _those_of_now(
            _counts_of(ClusterCongestion, {"network_losses": sum, "changes": counted}), "cluster"
        ),
        "config_server": _if_now(_counts_of(ConfigServerStatus, {"polls": sum, "file": _FILE})),
        "clients": _counts_of(ClientsStatus, {"refused": counted, "displaced": sum}),
        "prepared_texts": _counts_of(PreparedTextsStatus, dict.fromkeys(PREPARED_COUNTERS.values(), sum)),
    },
)
_GAUGES: Final = ("server_sessions", "refresh_interval", "workers")
_MEASUREMENTS: Final = _counts_of(
    Measurements, {name: fold for name, fold in records.MEASUREMENTS.items() if name not in _GAUGES}
)


def with_counts_of(now: MetricRecords, departed: Sequence[Remembered]) -> MetricRecords:
    """Add what workers have counted that are gone."""
    if not departed:
        return now
    found = [now, *(one.records for one in departed)]
    process = counted([{name: one.process.get(name, 0.0) for name in _PROCESS_COUNTERS} for one in found])
    return MetricRecords(
        _STATUS([one.status for one in found]),
        _MEASUREMENTS([one.measured for one in found]),
        records.routes([one.routes for one in found]),
        now.process | {name: value for name, value in process.items() if name in now.process},
    )
