"""Starts the processes of a watch: the one whose turn it is, and a spare that has its imports behind it."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec
import trio

from odp_trio.process.child import Child, describe_end, start_child
from odp_trio.process.inherited import Inherited
from odp_trio.process.link import Serve
from odp_trio.process.place import Place
from odp_trio.workers.hub import Hub, Seat
from odp_trio.workers.tally import Tally, open_tally

log = logging.getLogger("odp_trio.watch")

_SPARE_PAUSE: Final = 10.0


@final
class Starter:
    """Starts processes.  ``hub`` is where workers meet; None for a proxy of one process.

    ``asked`` is called when a process wants a hot upgrade, ``changed`` when the spare is ready or gone.
    """

    def __init__(
        self,
        command: Sequence[str],
        sockets: Inherited,
        hub: Hub | None,
        template: Serve,
        *,
        asked: Callable[[], None],
        changed: Callable[[], None],
        spare: bool,
    ) -> None:
        self._command = command
        self._sockets = sockets if hub is None else msgspec.structs.replace(sockets, mysql=None, mysql_ipv6=None)
        self._hub = hub
        self._template = template
        self._tally: Tally | None = None
        self._counts = -1
        if hub is not None:
            self._counts, rows = open_tally(template.workers)
            self._tally = Tally(self._counts, rows)
            self._template = msgspec.structs.replace(template, rows=rows)
        self._rows: dict[Child, int] = {}
        self._asked = asked
        self._changed = changed
        self._wants_spare = spare
        self._seats: dict[Child, Seat] = {}
        self._spare: Child | None = None
        self._ends_in, self.ends = trio.open_memory_channel[Child | None](256)
        """Those that have ended; None: look again at what else has changed."""
        self.nursery: trio.Nursery

    @property
    def warm_spare(self) -> Child | None:
        """The spare, if all is imported there."""
        return self._spare if self._spare is not None and self._spare.warm.is_set() else None

    def start(self) -> Child:
        """Start a process that waits for its order; raise OSError."""
        child = start_child(self._command, self._sockets)
        self.nursery.start_soon(self._attend, child)
        return child

    def spare_or_new(self) -> Child:
        """Return the spare if there is one, else a new process; raise OSError."""
        child, self._spare = self._spare, None
        return self.start() if child is None or child.gone.is_set() else child

    def order(self, place: Place, child: Child, version: int, *, when_ready: bool = False) -> None:
        """Tell a process to serve in a place; a worker gets the sockets of that place with it."""
        serve = msgspec.structs.replace(self._template, version=version, when_ready=when_ready)
        if self._hub is None:
            child.tell(serve)
            return
        ours, its = socket.socketpair()
        seat = self._seats[child] = Seat(place.number, child.pid, ours)
        self.nursery.start_soon(self._hub.attend, seat)
        descriptors = {name: sock.fileno() for name, sock in place.listeners.items()}
        descriptors["channel"] = its.fileno()
        row = next((row for row in range(serve.rows) if row not in self._rows.values()), None)
        if row is not None:  # else there are more that drain than anybody reckoned with
            self._rows[child] = row
            descriptors["tally"] = self._counts
        serve = msgspec.structs.replace(
            serve, worker=place.number, together=when_ready, descriptors=tuple(descriptors), row=row or 0
        )
        with its:
            child.tell(serve, list(descriptors.values()))

    def take_seat(self, child: Child) -> None:
        """From now on the others ask this one."""
        if self._hub is not None:
            self._hub.seat(self._seats.pop(child))

    async def _attend(self, child: Child) -> None:
        await child.attend(self._asked)
        self._seats.pop(child, None)
        if self._tally is not None and (row := self._rows.pop(child, None)) is not None:
            self._tally.clear(row)
        await self._ends_in.send(child)

    def look_again(self) -> None:
        """Wake who waits for ends."""
        self._ends_in.send_nowait(None)

    # ---- the spare ----------------------------------------------------------------------

    def make_spare(self) -> None:
        """Have a spare, if one is wanted and there is none."""
        if not self._wants_spare or self._spare is not None:
            return
        try:
            self._spare = self.start()
        except OSError as exc:
            log.error("no spare could be started: %s", exc.strerror)
            return
        self.nursery.start_soon(self._await_warm, self._spare)

    def renew_spare(self) -> None:
        """A spare of the old version must not come to serve."""
        self.kill_spare()
        self.make_spare()

    def kill_spare(self) -> None:
        """Have no spare."""
        if self._spare is not None:
            self._spare.signal(signal.SIGKILL)
            self._spare = None

    def spare_ended(self, child: Child, may_have_one: Callable[[], bool]) -> None:
        """The next life would then start from nothing: have another one later, if there may be one then."""
        if child is self._spare:
            self._spare = None
            log.warning("the spare %s: a restart now would take longer, or fail", describe_end(child.status))
            self.nursery.start_soon(self._make_spare_later, may_have_one)

    async def _make_spare_later(self, may_have_one: Callable[[], bool]) -> None:
        await trio.sleep(_SPARE_PAUSE)
        if may_have_one():
            self.make_spare()

    async def _await_warm(self, child: Child) -> None:
        await child.warm.wait()
        if child is self._spare:
            self._changed()
