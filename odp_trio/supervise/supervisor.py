"""A supervisor: runs async functions, and runs them again when they fail.

Rules, each of which has a test:

* Children stop youngest first, whatever happens: a running child is shielded
  from cancellation from outside, and only its supervisor stops it.
* The shield goes up after ``started()``, not before: a child that hangs while
  it starts can still be reached.
* Only ``Exception`` is caught: ``Cancelled`` and ``KeyboardInterrupt`` pass.
* A task cannot be killed: stopping waits for the child's own cleanup, which
  must be short, and shielded only with a deadline.
* ``started()`` reaches the starter once; later lives only become RUNNING.
* A supervisor that gives up stops its children and raises ``ChildGaveUp`` in
  the task that opened it.

Strategies are nesting: siblings in one supervisor are one-for-one; a child that
opens a supervisor of its own and lets ``ChildGaveUp`` through is one-for-all;
a block opened inside another depends on it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, final

import msgspec
import trio

from odp_trio.errors import ChildGaveUp
from odp_trio.supervise.restart import Backoff, Escalate, Finish, Intensity, Restart, RestartIn, RestartLedger
from odp_trio.supervise.statistics import ChildState, ChildStatistics, SupervisorStatistics

log = logging.getLogger("odp_trio.supervise")


Restarted = Callable[[str, str, int, float], None]
"""Told of a child that is started again: its path, the error, how often so far, the pause before it in seconds."""


class ChildSpec(msgspec.Struct, frozen=True):
    """A service: ``run(*args, task_status=...)`` sets up, calls ``started()``, and works until it is cancelled.

    ``intensity=None`` never gives up, it only slows down: for pollers of remote services.
    """

    name: str
    run: Callable[..., Awaitable[Any]]
    restart: Restart = Restart.PERMANENT
    backoff: Backoff = Backoff()
    intensity: Intensity | None = Intensity()


class _TaskStatus:
    """What one life of a child is given to report that it runs."""

    def __init__(self, child: _Child, life: trio.CancelScope) -> None:
        self._child = child
        self._life = life

    def started(self, value: object = None) -> None:
        """Report RUNNING; the first life's value goes to whoever called ``start()``."""
        self._child.now_running(self._life, value)


class _Child:
    """One child over all its lives."""

    def __init__(
        self, spec: ChildSpec, args: tuple[object, ...], rng: Random, *, awaited: bool, restarts: Restarted
    ) -> None:
        self.spec = spec
        self.state = ChildState.STARTING
        self.since = trio.current_time()
        self.restarts = 0
        self.last_error = ""
        self.next_attempt: float | None = None
        self.begun = trio.Event()
        """Set when the first life runs, or when there will be none that does."""
        self.first_value: object = None
        self.start_error: Exception | None = None
        self.gone = trio.Event()
        self._args = args
        self._ledger = RestartLedger(spec.restart, spec.backoff, spec.intensity, rng)
        self._awaited = awaited
        self._restarts = restarts
        self._stopping = False
        self._restart_asked = False
        self._life = trio.CancelScope()
        self._pause = trio.CancelScope()
        self._crash: Exception | None = None

    def now_running(self, life: trio.CancelScope, value: object) -> None:
        if life is not self._life:
            return  # of a life that is over
        life.shield = True
        self._become(ChildState.RUNNING)
        if not self.begun.is_set():
            self.first_value = value
            self.begun.set()

    def _become(self, state: ChildState) -> None:
        self.state = state
        self.since = trio.current_time()

    async def live(self, give_up: Callable[[_Child, Exception | None], None]) -> None:
        """Be born, die and be born again until told to stop."""
        try:
            while not self._stopping:
                begun = trio.current_time()
                error = await self._live_once()
                pause = self._rule(trio.current_time() - begun, error, give_up)
                if pause is None:
                    return
                self.restarts += 1
                if not self._restart_asked:
                    await self._wait(pause, error)
        finally:
            self.next_attempt = None
            self._become(ChildState.STOPPED)
            if not self.begun.is_set():
                self.start_error = self.start_error or RuntimeError(f"{self.spec.name} was stopped while it started")
                self.begun.set()
            self.gone.set()

    def _rule(
        self, lived: float, error: Exception | None, give_up: Callable[[_Child, Exception | None], None]
    ) -> float | None:
        """Return how long to wait before the next life, or None if there is none."""
        name = self.spec.name
        if self._stopping or self._restart_asked:
            if error is not None:
                log.error("%s failed while it was stopped: %s", name, self.last_error, exc_info=error)
            return None if self._stopping else 0.0
        if self._awaited and not self.begun.is_set():  # a first start that fails is the starter's affair
            self.start_error = error or RuntimeError(f"{name} ended before it reported started()")
            return None
        match self._ledger.exited(trio.current_time(), lived, error):
            case RestartIn(delay):
                return delay
            case Finish():
                if error is not None:
                    log.error("%s crashed: %s; it is not started again", name, self.last_error, exc_info=error)
            case Escalate():
                log.critical("%s failed too often, last by: %s", name, self.last_error or "returning", exc_info=error)
                give_up(self, error)
        return None

    async def _live_once(self) -> Exception | None:
        self._become(ChildState.STARTING)
        self._life = life = trio.CancelScope()
        self._crash = None
        self._restart_asked = False
        try:
            with life:
                await self.spec.run(*self._args, task_status=_TaskStatus(self, life))
            if self._crash is not None:
                raise self._crash
        except Exception as exc:
            self.last_error = f"{type(exc).__name__}: {exc}"
            return exc
        return None

    async def _wait(self, delay: float, error: Exception | None) -> None:
        self._become(ChildState.BACKING_OFF)
        self.next_attempt = trio.current_time() + delay
        log.error(
            "%s %s; starting it again in %.3g s (restart %d)",
            self.spec.name,
            f"crashed: {self.last_error}" if error else "ended although it should not",
            delay,
            self.restarts,
            exc_info=error,
        )
        self._restarts(self.spec.name, self.last_error, self.restarts, delay)
        self._pause = trio.CancelScope()
        with self._pause:
            await trio.sleep(delay)
        self.next_attempt = None

    def stop(self) -> None:
        """End this life, or the waiting for the next one, for good."""
        self._stopping = True
        self._life.cancel()
        self._pause.cancel()

    def restart(self) -> None:
        """End this life, or the waiting for the next one, and begin the next one."""
        self._restart_asked = True
        self._life.cancel()
        self._pause.cancel()

    def crash(self, error: Exception) -> None:
        """Make this life end as if it had raised ``error``."""
        self._crash = error
        self._life.cancel()


@final
class Supervisor:
    """Children of one block.  Made by ``open_supervisor``."""

    def __init__(self, name: str, nursery: trio.Nursery, rng: Random, restarted: Restarted) -> None:
        self.name = name
        self._restarted = restarted
        self._nursery = nursery
        self._rng = rng
        self._opened = trio.current_time()
        self._closing = False
        self._children: dict[str, _Child] = {}
        self._subordinates: dict[str, Supervisor] = {}
        self._gave_up: tuple[str, Exception | None] | None = None

    async def start(self, spec: ChildSpec, *args: object) -> Any:
        """Start a child and wait until it runs; return what it passed to ``started()``.

        If it fails before that, the failure is raised here and the child is
        forgotten; so is a child whose starter is cancelled meanwhile.
        """
        # Not nursery.start(): when the starter is cancelled, Trio leaves the child to die of that
        # same cancellation, and a child that calls started() just then is shielded from it for ever.
        child = self._add(spec, args, awaited=True)
        try:
            await child.begun.wait()
        except BaseException:
            with trio.CancelScope(shield=True):  # ends with the child's own cleanup, as any stop does
                await self._stop(child)
            raise
        if child.start_error is not None:
            self._forget(child)
            raise child.start_error
        return child.first_value

    def start_soon(self, spec: ChildSpec, *args: object) -> None:
        """Start a child whose first success may take long; its failures lead to restarts from the first on."""
        self._add(spec, args, awaited=False)

    async def stop(self, name: str) -> None:
        """Stop one child and wait for its end; raise KeyError if there is none of that name."""
        await self._stop(self._children[name])

    def restart(self, name: str) -> None:
        """End the present life or pause of a child and begin its next life; no failure, so never too often.

        Raises KeyError if there is none of that name, or it is done.
        """
        self._living(name).restart()

    def crash(self, name: str, error: Exception) -> None:
        """Make the present life of a child end by ``error`` at its next checkpoint, as a bug in it would.

        A child that backs off has no life to end.  Raises KeyError if there is
        none of that name, or it is done.
        """
        self._living(name).crash(error)

    def statistics(self) -> SupervisorStatistics:
        """Return the state of every child, and of supervisors opened below this one.

        A supervisor that has the name of a child is the child's own.
        """
        below = {name: supervisor.statistics().children for name, supervisor in self._subordinates.items()}
        own = [
            ChildStatistics(
                child.spec.name,
                child.state,
                child.since,
                child.restarts,
                child.last_error,
                child.next_attempt,
                below.pop(child.spec.name, ()),
            )
            for child in self._children.values()
        ]
        blocks = [
            ChildStatistics(name, ChildState.RUNNING, self._subordinates[name]._opened, 0, "", None, children)
            for name, children in below.items()
        ]
        return SupervisorStatistics(self.name, (*own, *blocks))

    def find(self, path: str) -> tuple[Supervisor, str]:
        """Resolve ``catalog/cluster:demo`` to a supervisor and a child's name; raise KeyError."""
        head, slash, rest = path.partition("/")
        if slash and head in self._subordinates:
            return self._subordinates[head].find(rest)
        if path not in self._children:
            raise KeyError(path)
        return self, path

    def _add(self, spec: ChildSpec, args: tuple[object, ...], *, awaited: bool) -> _Child:
        if self._closing:
            raise RuntimeError(f"{self.name} is closing and takes no child {spec.name!r}")
        known = self._children.get(spec.name)
        if known is not None and not known.gone.is_set():
            raise ValueError(f"{self.name} has a child {spec.name!r} already")
        self._children.pop(spec.name, None)  # the new one is the youngest
        child = self._children[spec.name] = _Child(spec, args, self._rng, awaited=awaited, restarts=self._restarted)
        self._nursery.start_soon(child.live, self._give_up, name=f"{self.name}/{spec.name}")
        return child

    def _living(self, name: str) -> _Child:
        child = self._children[name]
        if child.gone.is_set():
            raise KeyError(f"{name} is done")
        return child

    def _forget(self, child: _Child) -> None:
        if self._children.get(child.spec.name) is child:
            del self._children[child.spec.name]

    def _give_up(self, child: _Child, error: Exception | None) -> None:
        self._gave_up = (child.spec.name, error)
        self._nursery.cancel_scope.cancel()

    async def _stop(self, child: _Child) -> None:
        child.stop()
        await child.gone.wait()
        self._forget(child)

    async def _stop_all(self) -> None:
        self._closing = True
        for child in reversed(tuple(self._children.values())):
            await self._stop(child)

    def _raise_if_given_up(self) -> None:
        if self._gave_up is not None:
            name, error = self._gave_up
            raise ChildGaveUp(f"{self.name}: child {name!r} failed too often") from error


def _told_by(name: str, parent: Supervisor | None, restarted: Restarted | None) -> Restarted:
    """Return what is told of the children of a new supervisor."""
    above = None if parent is None else parent._restarted

    def tell(path: str, error: str, restarts: int, pause: float) -> None:
        if restarted is not None:
            restarted(path, error, restarts, pause)
        if above is not None:
            above(f"{name}/{path}", error, restarts, pause)

    return tell


def sole_exception(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the one exception that a nursery wrapped; None if there are several."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        if len(inner.exceptions) != 1:
            return None
        inner = inner.exceptions[0]
    return inner


@asynccontextmanager
async def open_supervisor(
    name: str, *, rng: Random, parent: Supervisor | None = None, restarted: Restarted | None = None
) -> AsyncIterator[Supervisor]:
    """Open a block whose children live as long as it; they stop youngest first when it is left.

    Raises ChildGaveUp when a child failed more often than its intensity allows.
    Named below ``parent`` in its statistics.  ``restarted`` is told of children that crash and are started again, by
    their names below this supervisor; those of supervisors below it too.
    """
    supervisor: Supervisor | None = None
    try:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(name, nursery, rng, _told_by(name, parent, restarted))
            if parent is not None:
                parent._subordinates[name] = supervisor
            try:
                yield supervisor
            finally:
                with trio.CancelScope(shield=True):  # children end when told to: see their cancel scopes
                    await supervisor._stop_all()
    except BaseExceptionGroup as group:
        only = sole_exception(group)
        if only is None:
            raise
        raise only from only.__cause__
    finally:
        if parent is not None and parent._subordinates.get(name) is supervisor:
            del parent._subordinates[name]
    supervisor._raise_if_given_up()
