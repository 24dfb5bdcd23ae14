"""Questions to the config server by name: one at a time however many wait, and none for a while after a failure."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, final

import msgspec
import trio

from odp_trio.errors import ConfigServerError, ConfigServerUnavailable, OdpError, UnknownCluster

log = logging.getLogger("odp_trio.catalog")

REFUSED_SECONDS: Final = 2.0
"""How long a failure of the config server, or its "there is no such cluster", is believed."""
MOST_REFUSED: Final = 1024


class _Flight(msgspec.Struct):
    """A question that is under way, and what came of it."""

    done: trio.Event = msgspec.field(default_factory=trio.Event)
    failure: OdpError | None = None


@final
class Flights:
    """The questions that are under way; ``ask`` is the question."""

    def __init__(self, ask: Callable[[str], Awaitable[None]]) -> None:
        self._ask = ask
        self._flights: dict[str, _Flight] = {}
        self._refused: OrderedDict[str, tuple[float, OdpError]] = OrderedDict()
        self._nursery: trio.Nursery

    def open(self, nursery: trio.Nursery) -> None:
        """Questions run in ``nursery``: one who waits and leaves ends none."""
        self._nursery = nursery

    @property
    def refused(self) -> int:
        """How many failures are remembered."""
        return len(self._refused)

    def is_under_way(self, name: str) -> bool:
        """Whether the question of a name is being asked."""
        return name in self._flights

    def forget_failures(self) -> None:
        """What failed may succeed now."""
        self._refused.clear()

    async def wait(self, name: str) -> None:
        """Wait for the question of a name, asked now unless it is under way.

        Raises ConfigServerError and UnknownCluster: of this question, or of one that failed just now.
        """
        flight = self._flights.get(name)
        if flight is None:
            refused = self._refused.get(name)
            if refused is not None and trio.current_time() < refused[0]:
                raise _again(refused[1])
            flight = self._flights[name] = _Flight()
            self._nursery.start_soon(self._run, name, flight)
        await flight.done.wait()
        if flight.failure is not None:
            raise _again(flight.failure)

    async def _run(self, name: str, flight: _Flight) -> None:
        flight.failure = ConfigServerUnavailable("the proxy is shutting down")
        try:
            await self._ask(name)
            flight.failure = None
            self._refused.pop(name, None)
        except (ConfigServerError, UnknownCluster) as exc:
            flight.failure = exc
            self._refuse(name, exc)
        except Exception as exc:  # a bug: those who wait must not wait for ever
            log.exception("fetching the rslist of cluster %s", name)
            flight.failure = ConfigServerError(f"rslist of cluster {name!r}: {type(exc).__name__}")
            self._refuse(name, flight.failure)
        finally:
            self._flights.pop(name, None)
            flight.done.set()

    def _refuse(self, name: str, failure: OdpError) -> None:
        self._refused[name] = (trio.current_time() + REFUSED_SECONDS, failure)
        self._refused.move_to_end(name)
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)


def _again(failure: OdpError) -> OdpError:
    """Return a failure for one more who waits: every one has a traceback of its own."""
    return type(failure)(str(failure))
