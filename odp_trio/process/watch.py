"""One supervised parent that keeps a proxy running.

It opens the listening sockets and keeps them open: while the proxy is away,
clients wait in the kernel's queue and are not refused.  A proxy that dies is
started again at once, from a spare that has its imports behind it; one that
dies again and again is started later and later, then given up, and the sockets
are closed, so that a load balancer looks elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, final

import msgspec
import trio

from odp_trio.net.listener import socket_address
from odp_trio.process.child import Child, describe_end, start_child, wait_serving, why_not
from odp_trio.process.greeting import greets, reachable
from odp_trio.process.health import Probation, Signs, Verdict, judge
from odp_trio.process.inherited import Inherited
from odp_trio.process.link import HandOver, Serve
from odp_trio.process.lives import Lives
from odp_trio.process.sd_notify import Notifier

log = logging.getLogger("odp_trio.watch")

CLEAN: Final = 0
CONFIGURATION: Final = 2
GAVE_UP: Final = 3
_SIGNALLED: Final = 128
"""Added to the number of the signal that ended the proxy, as a shell does."""
DRAIN_MARGIN: Final = 10.0
"""Seconds beyond its own limit after which a proxy that does not end is killed."""
_SPARE_PAUSE: Final = 10.0
_SECOND_SIGNAL_GRACE: Final = 3.0


class WatchOptions(msgspec.Struct, frozen=True):
    """How a proxy is watched.  Times are in seconds."""

    probe_interval: float = 1.0
    probe_timeout: float = 2.0
    probe_failures: int = 3
    settle: float = 10.0
    """A shorter life is a death at once."""
    give_up_after: int = 5
    """So many of those in a row may be; one more is too many."""
    start_limit: float = 30.0
    drain_limit: float = 60.0
    """How long a proxy that was told to drain may take before it is killed."""
    spare: bool = True
    status_file: Path | None = None


@final
class Watch:
    """Keeps one proxy running.  ``run()`` is its whole life."""

    def __init__(self, command: Sequence[str], sockets: Inherited, options: WatchOptions, notifier: Notifier) -> None:
        assert sockets.mysql is not None
        self._command = command
        self._sockets = sockets
        self._options = options
        self._notifier = notifier
        self._mysql = sockets.mysql
        self._address = reachable(sockets.mysql)
        self._lives = Lives(options.settle, options.give_up_after)
        self._nursery: trio.Nursery
        self._ends_in, self._ends = trio.open_memory_channel[Child](64)
        self._current: Child | None = None
        self._spare: Child | None = None
        self._candidate: Child | None = None
        self._retired: set[Child] = set()
        self._pause = trio.CancelScope()
        self._stopping = False
        self._version = 0
        self._restarts = 0
        self._upgrades = 0
        self._last_end = ""
        self._state = "starting"

    async def run(self) -> int:
        """Watch until the proxy ends cleanly, is given up, or a signal ends both; return the exit status."""
        http = self._sockets.http
        where = "" if http is None else f", HTTP on {socket_address(http)}"
        log.info("listening on %s%s", socket_address(self._mysql), where)
        try:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2) as signals:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._obey, signals)
                    nursery.start_soon(self._notifier.keep_watchdog, lambda: True)
                    nursery.start_soon(self._probe_for_ever)
                    status = await self._keep()
                    self._say("gave_up" if status == GAVE_UP else "stopped")
                    nursery.cancel_scope.cancel()
        finally:  # a proxy that still serves drains when it sees that we are gone
            for idle in (self._spare, self._candidate):
                if idle is not None:
                    idle.signal(signal.SIGKILL)
            self._sockets.close()
        return status

    # ---- the proxy's lives ------------------------------------------------------------

    async def _keep(self) -> int:
        self._begin()
        while True:
            child = await self._ends.receive()
            log.info("proxy %d %s", child.pid, describe_end(child.status))
            if child in self._retired:
                self._retired.discard(child)
                self._say(self._state)
            if child is self._spare:
                self._spare_is_gone(child)
            if child is not self._current:
                continue
            self._current = None
            self._last_end = describe_end(child.status)
            if self._stopping:
                return await self._end(_exit_status(child))
            if child.status == CLEAN:
                return await self._end(CLEAN)
            if child.status == CONFIGURATION:
                log.error("the proxy cannot run with these settings: not tried again")
                return await self._end(CONFIGURATION)
            if not await self._bear_again(child):
                return await self._end(CLEAN if self._stopping else GAVE_UP)

    async def _end(self, status: int) -> int:
        """Take no more clients, and let older versions drain."""
        self._sockets.close()
        while self._retired:
            self._retired.discard(await self._ends.receive())
        return status

    async def _bear_again(self, child: Child) -> bool:
        """Start the next life, after a pause if it has to be; False if there is none."""
        lived = trio.current_time() - child.started_at
        while (pause := self._lives.ended(lived)) is not None:
            await self._wait(pause)
            if self._stopping:
                return False
            self._restarts += 1
            try:
                self._begin()
            except OSError as exc:
                self._last_end, lived = f"could not be started: {exc.strerror}", 0.0
            else:
                return True
        log.critical("giving up after %d short lives in a row; the last one %s", self._lives.short, self._last_end)
        return False

    async def _wait(self, delay: float) -> None:
        log.warning("the proxy %s; starting it again in %.2g s", self._last_end, delay)
        self._say("backing_off")
        self._pause = trio.CancelScope()
        with self._pause:
            await trio.sleep(delay)

    def _begin(self) -> None:
        """Let a process serve: the spare if there is one, else a new one."""
        child, self._spare = self._spare, None
        if child is None or child.gone.is_set():
            child = self._start()
        child.started_at = trio.current_time()
        child.tell(Serve(self._version))
        self._version += 1
        self._current = child
        self._say("starting")
        self._nursery.start_soon(self._await_serving, child)

    def _start(self) -> Child:
        child = start_child(self._command, self._sockets)
        self._nursery.start_soon(self._attend, child)
        return child

    async def _attend(self, child: Child) -> None:
        await child.attend(self.upgrade_soon)
        await self._ends_in.send(child)

    async def _await_serving(self, child: Child) -> None:
        if not await wait_serving(child, self._options.start_limit):
            if not child.gone.is_set() and child is self._current:
                log.error("proxy %d does not serve after %g s: killed", child.pid, self._options.start_limit)
                child.signal(signal.SIGKILL)
            return
        if child is self._current and not self._stopping:
            log.info("proxy %d serves", child.pid)
            self._notifier.ready(f"proxy {child.pid} serves; {self._restarts} restarts")
            self._make_spare()
            self._say("serving")

    def _make_spare(self) -> None:
        if self._options.spare and self._spare is None and not self._stopping:
            try:
                self._spare = self._start()
            except OSError as exc:
                log.error("no spare could be started: %s", exc.strerror)
                return
            self._nursery.start_soon(self._await_warm, self._spare)

    async def _make_spare_later(self) -> None:
        await trio.sleep(_SPARE_PAUSE)
        if self._current is not None and self._current.serving.is_set():
            self._make_spare()

    async def _await_warm(self, child: Child) -> None:
        await child.warm.wait()
        if child is self._spare:
            self._say(self._state)

    def _spare_is_gone(self, child: Child) -> None:
        """The next life would then start from nothing."""
        self._spare = None
        if not self._stopping:
            log.warning("the spare %s: a restart now would take longer, or fail", describe_end(child.status))
            self._nursery.start_soon(self._make_spare_later)

    # ---- probes -------------------------------------------------------------------------

    async def _probe_for_ever(self) -> None:
        options = self._options
        while True:
            child, probation = self._current, Probation(options.probe_failures)
            while child is self._current:
                await trio.sleep(options.probe_interval)
                if child is None or not child.serving.is_set() or self._stopping:
                    continue
                if probation.hung(await self._probe(child)) and child is self._current:
                    log.error("proxy %d is hung: no greeting %d times in a row; killed", child.pid, probation.failed)
                    child.signal(signal.SIGKILL)
                    await child.gone.wait()

    async def _probe(self, child: Child) -> Verdict:
        """Ask for a greeting, unless the child has just said that nobody is accepted.

        Then the probe would only wait in the kernel's queue, and be in the way of clients who do.
        """
        limit = self._options.probe_timeout
        if not child.beat.accepting and trio.current_time() - child.beat_at <= limit:
            return Verdict.EXCUSED
        greeted = await greets(self._address, limit)
        silence = trio.current_time() - child.beat_at
        return judge(Signs(greeted, silence, child.beat.accepting), silence_limit=limit)

    # ---- hot upgrade ----------------------------------------------------------------------

    def upgrade_soon(self) -> None:
        """Begin a hot upgrade, unless one is under way or the end is."""
        if self._stopping or self._candidate is not None or self._current is None:
            log.warning("hot upgrade: not now: the proxy is %s", "being upgraded" if self._candidate else self._state)
            return
        try:
            self._candidate = self._start()
        except OSError as exc:
            log.error("hot upgrade failed, nothing has changed: the new version cannot be started: %s", exc.strerror)
            return
        self._nursery.start_soon(self._upgrade, self._candidate, self._current)

    async def _upgrade(self, new: Child, old: Child) -> None:
        log.info("hot upgrade: proxy %d is starting, proxy %d serves", new.pid, old.pid)
        self._notifier.reloading("hot upgrade")
        new.tell(Serve(self._version, when_ready=True))
        self._version += 1
        served = await wait_serving(new, self._options.start_limit)
        self._candidate = None
        if self._stopping:
            new.signal(signal.SIGKILL)
            return
        if served and self._current is old:
            self._current = new
            self._upgrades += 1
            self._retire(old)
            self._renew_spare()
            log.info("hot upgrade: proxy %d serves, proxy %d drains", new.pid, old.pid)
        else:
            reason = "the proxy died meanwhile" if served else why_not(new, self._options.start_limit)
            log.error("hot upgrade failed, nothing has changed: %s", reason)
            new.signal(signal.SIGKILL)
        if self._current is not None and self._current.serving.is_set():
            self._say("serving")
        self._notifier.ready("a proxy serves")

    def _retire(self, old: Child) -> None:
        self._retired.add(old)
        old.tell(HandOver())
        self._nursery.start_soon(self._kill_after, old, self._drain_limit(old))

    def _renew_spare(self) -> None:
        """A spare of the old version must not come to serve."""
        if self._spare is not None:
            self._spare.signal(signal.SIGKILL)
            self._spare = None
        self._make_spare()

    def _drain_limit(self, child: Child) -> float:
        """Return how long a child may drain: as its settings are by now, at least as they were at the start."""
        return max(self._options.drain_limit, child.beat.drain + DRAIN_MARGIN)

    async def _kill_after(self, child: Child, limit: float) -> None:
        with trio.move_on_after(limit):
            await child.gone.wait()
        if not child.gone.is_set():
            log.error("proxy %d has not drained within %g s: killed", child.pid, limit)
            child.signal(signal.SIGKILL)

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
        self._pause.cancel()
        for idle in (self._spare, self._candidate):
            if idle is not None:
                idle.signal(signal.SIGKILL)
        for child in self._retired | ({self._current} if self._current else set()):
            child.signal(signal.SIGTERM)
            if not again:
                self._nursery.start_soon(self._kill_after, child, self._drain_limit(child))
            else:
                self._nursery.start_soon(self._kill_after, child, _SECOND_SIGNAL_GRACE)
        self._sockets.close()

    # ---- what is told -------------------------------------------------------------------------

    def _say(self, state: str) -> None:
        """Write the status file, in one step."""
        self._state = state
        if (path := self._options.status_file) is None:
            return
        record = {
            "pid": os.getpid(),
            "state": state,
            "proxy": self._current.pid if self._current else None,
            "spare": self._spare.pid if self._spare and self._spare.warm.is_set() else None,
            "draining": sorted(child.pid for child in self._retired),
            "restarts": self._restarts,
            "upgrades": self._upgrades,
            "last_end": self._last_end,
        }
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(record) + "\n")
            temporary.replace(path)
        except OSError as exc:
            log.error("the status file %s cannot be written: %s", path, exc.strerror)


def _exit_status(child: Child) -> int:
    return child.status if child.status >= 0 else _SIGNALLED - child.status
