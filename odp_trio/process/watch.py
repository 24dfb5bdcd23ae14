"""One supervised parent that keeps a proxy running: one process, or several workers that are one proxy.

It opens the listening sockets and keeps them open: while a worker is away,
clients wait in the kernel's queue and are not refused.  One that dies is
started again at once, from a spare that has its imports behind it; one that
dies again and again is started later and later, then given up, and the sockets
are closed, so that a load balancer looks elsewhere.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final, final

import trio

from odp_trio.net.listener import socket_address
from odp_trio.process.child import Child, describe_end, wait_serving
from odp_trio.process.greeting import reachable
from odp_trio.process.inherited import Inherited
from odp_trio.process.link import HandOver, Serve
from odp_trio.process.lives import Lives
from odp_trio.process.place import Listeners, Place
from odp_trio.process.probes import Probing, probe_for_ever
from odp_trio.process.replacing import Pair, listen_all, prepare_all
from odp_trio.process.sd_notify import Notifier
from odp_trio.process.starting import Starter
from odp_trio.process.watch_files import remove_own, write_record
from odp_trio.process.watch_options import WatchOptions
from odp_trio.workers.hub import Hub, Orders

log = logging.getLogger("odp_trio.watch")

CLEAN: Final = 0
CONFIGURATION: Final = 2
GAVE_UP: Final = 3
_SIGNALLED: Final = 128
"""Added to the number of the signal that ended the proxy, as a shell does."""
DRAIN_MARGIN: Final = 10.0
"""Seconds beyond its own limit after which a proxy that does not end is killed."""
_SECOND_SIGNAL_GRACE: Final = 3.0


@final
class Watch:
    """Keeps one proxy running.  ``run()`` is its whole life.

    ``sockets`` are those of the proxy, and ``listeners`` those of each of its workers.
    """

    def __init__(
        self,
        command: Sequence[str],
        sockets: Inherited,
        options: WatchOptions,
        notifier: Notifier,
        listeners: Sequence[Listeners] = ({},),
    ) -> None:
        assert sockets.mysql is not None
        self._sockets = sockets
        self._options = options
        self._notifier = notifier
        self._mysql = sockets.mysql
        self._nursery: trio.Nursery
        self._places = [
            Place(number, Lives(options.settle, options.give_up_after), own) for number, own in enumerate(listeners)
        ]
        self._hub: Hub | None = None
        if len(listeners) > 1:
            orders = Orders(
                drain=lambda by: self._stop(f"drained by {by}"),
                end=self._end_process,
                renew=self.upgrade_soon,
                note=options.note,
            )
            self._hub = Hub(len(listeners), orders)
        self._starter = Starter(
            command,
            sockets,
            self._hub,
            Serve(workers=len(listeners), proxy_id=options.proxy_id),
            asked=self.upgrade_soon,
            changed=lambda: self._say(self._state),
            spare=options.spare,
        )
        self._candidates: list[Pair] = []
        self._retired: set[Child] = set()
        self._stopping = False
        self._status: int | None = None
        """With which the watch ends, once that is known."""
        self._restarts = 0
        self._upgrades = 0
        self._last_end = ""
        self._state = "starting"

    async def run(self) -> int:
        """Watch until the proxy ends cleanly, is given up, or a signal ends both; return the exit status."""
        http = self._sockets.http
        where = "" if http is None else f", HTTP on {socket_address(http)}"
        many = f", {len(self._places)} workers" if self._hub is not None else ""
        log.info("listening on %s%s%s", socket_address(self._mysql), where, many)
        options = self._options
        address = reachable(self._mysql) if self._hub is None else None
        probing = Probing(options.probe_interval, options.probe_timeout, options.probe_failures, address)
        try:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2) as signals:
                async with trio.open_nursery() as nursery:
                    self._nursery = self._starter.nursery = nursery
                    nursery.start_soon(self._obey, signals)
                    nursery.start_soon(self._notifier.keep_watchdog, lambda: True)
                    for place in self._places:
                        nursery.start_soon(probe_for_ever, place, probing, lambda: self._stopping)
                    status = await self._keep()
                    self._say("gave_up" if status == GAVE_UP else "stopped")
                    nursery.cancel_scope.cancel()
        finally:  # a proxy that still serves drains when it sees that we are gone
            self._kill_idle()
            self._close_sockets()
            if options.ready_file is not None:
                remove_own(options.ready_file)
        return status

    # ---- the lives of workers ---------------------------------------------------------

    async def _keep(self) -> int:
        for place in self._places:
            self._begin(place)
        while self._status is None or any(place.current or place.backing_off for place in self._places):
            child = await self._starter.ends.receive()
            if child is None:
                continue
            log.info("proxy %d %s", child.pid, describe_end(child.status))
            if child in self._retired:
                self._retired.discard(child)
                self._say(self._state)
            if not self._stopping:
                self._starter.spare_ended(child, self._all_serve)
            for place in self._places:
                if place.current is child:
                    self._has_ended(place, child)
        self._close_sockets()
        while self._retired:  # older versions may drain to their end
            if (gone := await self._starter.ends.receive()) is not None:
                self._retired.discard(gone)
        return self._status

    def _has_ended(self, place: Place, child: Child) -> None:
        place.current = None
        self._last_end = describe_end(child.status)
        if self._stopping:
            self._status = max(self._status or CLEAN, _exit_status(child))
        elif child.status == CLEAN:
            self._wind_down(CLEAN, f"proxy {child.pid} has ended")
        elif child.status == CONFIGURATION:
            log.error("the proxy cannot run with these settings: not tried again")
            self._wind_down(CONFIGURATION, "wrong settings")
        else:
            place.backing_off = True
            self._nursery.start_soon(self._bear_again, place, trio.current_time() - child.started_at)

    def _wind_down(self, status: int, why: str) -> None:
        """End for a reason of our own: a proxy of which one worker is gone for good is no proxy."""
        self._status = status
        if not self._stopping and any(place.current for place in self._places):
            self._stop(why)
        self._stopping = True

    async def _bear_again(self, place: Place, lived: float) -> None:
        """Start the next life, after a pause if it has to be."""
        while (pause := place.lives.ended(lived)) is not None:
            if not self._stopping:
                await self._wait(place, pause)
            if self._stopping:
                break
            self._restarts += 1
            try:
                self._begin(place)
            except OSError as exc:
                self._last_end, lived = f"could not be started: {exc.strerror}", 0.0
            else:
                return
        if not self._stopping:
            short = place.lives.short
            log.critical("giving up after %d short lives in a row; the last one %s", short, self._last_end)
            self._wind_down(GAVE_UP, "given up")
        elif self._status is None:
            self._status = CLEAN
        place.backing_off = False
        self._starter.look_again()

    async def _wait(self, place: Place, delay: float) -> None:
        log.warning("the proxy %s; starting it again in %.2g s", self._last_end, delay)
        self._say("backing_off")
        place.pause = trio.CancelScope()
        with place.pause:
            await trio.sleep(delay)

    def _begin(self, place: Place) -> None:
        """Let a process serve: the spare if there is one, else a new one."""
        child = self._starter.spare_or_new()
        child.started_at = trio.current_time()
        place.version += 1
        self._starter.order(place, child, place.version)
        place.current, place.backing_off = child, False
        self._starter.take_seat(child)
        self._say("starting")
        self._nursery.start_soon(self._await_serving, place, child)

    async def _await_serving(self, place: Place, child: Child) -> None:
        if not await wait_serving(child, self._options.start_limit):
            if not child.gone.is_set() and child is place.current:
                log.error("proxy %d does not serve after %g s: killed", child.pid, self._options.start_limit)
                child.signal(signal.SIGKILL)
            return
        if child is place.current and not self._stopping:
            log.info("proxy %d serves", child.pid)
            if self._all_serve():
                self._notifier.ready(f"proxy {child.pid} serves; {self._restarts} restarts")
                self._starter.make_spare()
                self._write_ready_file()
            self._say("serving")

    # ---- hot upgrade ----------------------------------------------------------------------

    def upgrade_soon(self) -> None:
        """Begin a hot upgrade, unless one is under way or the end is."""
        if self._stopping or self._candidates or not all(place.current for place in self._places):
            log.warning("hot upgrade: not now: the proxy is %s", "being upgraded" if self._candidates else self._state)
            return
        try:
            for place in self._places:
                self._candidates.append((place, self._starter.start()))
        except OSError as exc:
            log.error("hot upgrade failed, nothing has changed: the new version cannot be started: %s", exc.strerror)
            self._give_up_candidates()
            return
        self._nursery.start_soon(self._upgrade, {place.number: place.current for place in self._places})

    async def _upgrade(self, before: dict[int, Child | None]) -> None:
        candidates = tuple(self._candidates)
        for place, new in candidates:
            old = before[place.number]
            assert old is not None
            log.info("hot upgrade: proxy %d is starting, proxy %d serves", new.pid, old.pid)
        self._notifier.reloading("hot upgrade")
        if self._hub is not None:
            self._hub.closed = "a hot upgrade is under way"
        for place, new in candidates:
            self._starter.order(place, new, place.version + 1, when_ready=True)
        problem = await prepare_all(candidates, self._options.start_limit)
        if self._stopping:
            self._give_up_candidates()
            return
        if not problem and any(place.current is not before[place.number] for place in self._places):
            problem = "the proxy died meanwhile"
        if problem:
            log.error("hot upgrade failed, nothing has changed: %s", problem)
            self._give_up_candidates()
        else:
            await self._replace(candidates)
        if self._hub is not None:
            self._hub.closed = ""
        if self._all_serve():
            self._say("serving")
        self._notifier.ready("a proxy serves")

    async def _replace(self, candidates: Sequence[Pair]) -> None:
        """Leave every place to the new process there: from here on there is no way back."""
        olds = {place.number: place.current for place in self._places}
        for place, new in candidates:
            if place.current is not None:
                self._retired.add(place.current)
            place.current = new
            place.version += 1
            self._starter.take_seat(new)
        self._candidates = []
        self._upgrades += 1

        def served(place: Place, new: Child) -> None:
            old = olds[place.number]
            assert old is not None
            self._retire(old)
            log.info("hot upgrade: proxy %d serves, proxy %d drains", new.pid, old.pid)
            if not new.serving.is_set():
                new.signal(signal.SIGKILL)

        await listen_all(candidates, self._options.start_limit, served)
        self._starter.renew_spare()

    def _give_up_candidates(self) -> None:
        for _, child in self._candidates:
            child.signal(signal.SIGKILL)
        self._candidates = []

    def _retire(self, old: Child) -> None:
        if old.gone.is_set():
            return
        old.tell(HandOver())
        self._nursery.start_soon(self._kill_after, old, self._drain_limit(old))

    def _drain_limit(self, child: Child) -> float:
        """Return how long a child may drain: as its settings are by now, at least as they were at the start."""
        return max(self._options.drain_limit, child.beat.drain + DRAIN_MARGIN)

    async def _kill_after(self, child: Child, limit: float) -> None:
        with trio.move_on_after(limit):
            await child.gone.wait()
        if not child.gone.is_set():
            log.error("proxy %d has not drained within %g s: killed", child.pid, limit)
            child.signal(signal.SIGKILL)

    def _end_process(self, pid: int) -> None:
        """End a worker that is not as the others are."""
        for place in self._places:
            if place.current is not None and place.current.pid == pid:
                place.current.signal(signal.SIGKILL)

    # ---- signals ----------------------------------------------------------------------------

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGUSR2:
                self.upgrade_soon()
            else:
                self._stop(signal.Signals(number).name)

    def _stop(self, name: str) -> None:
        """The first time: drain, taking no more clients; the second time: end at once."""
        again, self._stopping = self._stopping, True
        log.info("%s: %s", name, "ending at once" if again else "the proxy is told to drain")
        self._notifier.stopping("ending at once" if again else "draining")
        self._say("stopping")
        self._kill_idle()
        for place in self._places:
            place.pause.cancel()
        for child in self._retired | {place.current for place in self._places if place.current is not None}:
            child.signal(signal.SIGTERM)
            limit = _SECOND_SIGNAL_GRACE if again else self._drain_limit(child)
            self._nursery.start_soon(self._kill_after, child, limit)
        self._close_sockets()

    def _kill_idle(self) -> None:
        self._starter.kill_spare()
        self._give_up_candidates()

    def _all_serve(self) -> bool:
        return all(place.serves for place in self._places)

    def _close_sockets(self) -> None:
        self._sockets.close()
        for place in self._places:
            for sock in place.listeners.values():
                sock.close()

    # ---- what is told -------------------------------------------------------------------------

    def _say(self, state: str) -> None:
        """Write the status file, in one step.  Of several workers the worst says how the proxy is."""
        if state in ("starting", "backing_off", "serving") and len(self._places) > 1:
            backing_off = any(place.backing_off for place in self._places)
            serves = self._all_serve()
            state = "backing_off" if backing_off else "serving" if serves else "starting"
        self._state = state
        if self._options.status_file is None:
            return
        workers = [place.current.pid if place.current else None for place in self._places]
        record = {
            "pid": os.getpid(),
            "state": state,
            "proxy": workers[0],
            "workers": workers,
            "spare": spare.pid if (spare := self._starter.warm_spare) is not None else None,
            "draining": sorted(child.pid for child in self._retired),
            "restarts": self._restarts,
            "upgrades": self._upgrades,
            "last_end": self._last_end,
        }
        write_record(self._options.status_file, record)

    def _write_ready_file(self) -> None:
        if self._options.ready_file is None:
            return
        http = self._sockets.http
        record = {
            "pid": os.getpid(),
            "mysql": socket_address(self._mysql),
            "http": None if http is None else socket_address(http),
            "clusters": self._options.clusters,
            "workers": [place.current.pid for place in self._places if place.current is not None],
        }
        write_record(self._options.ready_file, record)


def _exit_status(child: Child) -> int:
    return child.status if child.status >= 0 else _SIGNALLED - child.status
