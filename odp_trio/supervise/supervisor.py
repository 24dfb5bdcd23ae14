"""A supervisor: runs async functions, and runs them again when they fail.

Rules, each of which has a test:

* Children stop youngest first, whatever happens: a running child is shielded
  from cancellation from outside, and only its supervisor stops it.
* The shield goes up after ``started()``, not before: a child that hangs while
  it starts can still be reached.
* Only ``Exception`` is caught: ``Cancelled`` and ``KeyboardInterrupt`` pass.
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
from enum import Enum
from random import Random
from typing import Any, final

import msgspec
import trio

from odp_trio.errors import ChildGaveUp
from odp_trio.supervise.restart import Backoff, Escalate, Finish, Intensity, Restart, RestartLedger

log = logging.getLogger("odp_trio.supervise")


class ChildState(Enum):
    """What a child is doing."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


class ChildSpec(msgspec.Struct, frozen=True):
    """A service: ``run(*args, task_status=...)`` sets up, calls ``started()``, and works until it is cancelled.

    ``intensity=None`` never gives up, it only slows down: for pollers of remote services.
    """

    name: str
    run: Callable[..., Awaitable[Any]]
    restart: Restart = Restart.PERMANENT
    backoff: Backoff = Backoff()
    intensity: Intensity | None = Intensity()


class ChildStatistics(msgspec.Struct, frozen=True):
    """One child at one moment.  ``since`` and ``next_attempt`` are Trio times."""

    name: str
    state: ChildState
    since: float
    restarts: int
    last_error: str
    next_attempt: float | None
    children: tuple[ChildStatistics, ...]


class SupervisorStatistics(msgspec.Struct, frozen=True):
    """A supervisor's children, eldest first."""

    name: str
    children: tuple[ChildStatistics, ...]


class _TaskStatus:
    """What a child is given to report that it runs."""

    def __init__(self, child: _Child) -> None:
        self._child = child

    def started(self, value: object = None) -> None:
        """Report RUNNING; the first life's value goes to whoever called ``start()``."""
        self._child.now_running(value)


class _Child:
    """One child over all its lives."""

    def __init__(self, spec: ChildSpec, args: tuple[object, ...], rng: Random) -> None:
        self.spec = spec
        self.state = ChildState.STARTING
        self.since = trio.current_time()
        self.restarts = 0
        self.last_error = ""
        self.next_attempt: float | None = None
        self.stopping = False
        self.gone = trio.Event()
        self._args = args
        self._ledger = RestartLedger(spec.restart, spec.backoff, spec.intensity, rng)
        self._life = trio.CancelScope()
        self._pause = trio.CancelScope()
        self._crash: Exception | None = None
        self._starter: trio.TaskStatus[object] | None = None
        self._first_value: object = None

    def now_running(self, value: object) -> None:
        self._life.shield = True
        self._become(ChildState.RUNNING)
        self._tell_starter(value)

    def _tell_starter(self, value: object) -> None:
        starter, self._starter = self._starter, None
        if starter is not None:
            starter.started(value)

    def _become(self, state: ChildState) -> None:
        self.state = state
        self.since = trio.current_time()

    async def live(
        self, starter: trio.TaskStatus[object] | None, give_up: Callable[[_Child, Exception | None], None]
    ) -> None:
        """Be born, die and be born again until told to stop."""
        self._starter = starter
        try:
            while not self._told_to_stop():
                begun = trio.current_time()
                error = await self._live_once()
                if self._told_to_stop():
                    return
                if self._starter is not None and error is not None:
                    raise error  # a first start that fails is the starter's affair
                match self._ledger.exited(trio.current_time(), trio.current_time() - begun, error):
                    case Finish():
                        return
                    case Escalate():
                        give_up(self, error)
                        return
                    case again:
                        self.restarts += 1
                        await self._wait(again.delay, error)
        finally:
            self.next_attempt = None
            self._become(ChildState.STOPPED)
            self.gone.set()

    def _told_to_stop(self) -> bool:
        return self.stopping

    async def _live_once(self) -> Exception | None:
        self._become(ChildState.STARTING)
        self._life = trio.CancelScope()
        self._crash = None
        try:
            with self._life:
                await self.spec.run(*self._args, task_status=_TaskStatus(self))
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
        self._pause = trio.CancelScope()
        with self._pause:
            await trio.sleep(delay)
        self.next_attempt = None

    def cancel(self) -> None:
        """End this life and the waiting for the next one."""
        self._life.cancel()
        self._pause.cancel()

    def crash(self, error: Exception) -> None:
        """Make this life end as if it had raised ``error``."""
        self._crash = error
        self._life.cancel()


@final
class Supervisor:
    """Children of one block.  Made by ``open_supervisor``."""

    def __init__(self, name: str, nursery: trio.Nursery, rng: Random) -> None:
        self.name = name
        self._nursery = nursery
        self._rng = rng
        self._children: dict[str, _Child] = {}
        self._subordinates: dict[str, Supervisor] = {}
        self._gave_up: tuple[str, Exception | None] | None = None

    async def start(self, spec: ChildSpec, *args: object) -> Any:
        """Start a child and wait until it runs; return what it passed to ``started()``.

        If it fails before that, the failure is raised here and the child is forgotten.
        """
        child = self._add(spec, args)
        try:
            return await self._nursery.start(self._begin, child)
        except BaseException:
            self._children.pop(spec.name, None)
            raise

    def start_soon(self, spec: ChildSpec, *args: object) -> None:
        """Start a child whose first success may take long; its failures lead to restarts from the first on."""
        self._nursery.start_soon(self._add(spec, args).live, None, self._give_up)

    async def stop(self, name: str) -> None:
        """Stop one child and wait for its end; raise KeyError if there is none of that name."""
        child = self._children[name]
        await self._stop(child)
        del self._children[name]

    def restart(self, name: str) -> None:
        """End the present life of a child, as a crash would; raise KeyError if there is none of that name."""
        self.crash(name, RuntimeError("restarted on request"))

    def crash(self, name: str, error: Exception) -> None:
        """Make the present life of a child end by ``error``, as a bug in it would; raise KeyError."""
        self._children[name].crash(error)

    def statistics(self) -> SupervisorStatistics:
        """Return the state of every child, and of supervisors opened below this one."""
        own = tuple(
            ChildStatistics(
                child.spec.name, child.state, child.since, child.restarts, child.last_error, child.next_attempt, ()
            )
            for child in self._children.values()
        )
        below = tuple(
            ChildStatistics(name, ChildState.RUNNING, 0.0, 0, "", None, supervisor.statistics().children)
            for name, supervisor in self._subordinates.items()
        )
        return SupervisorStatistics(self.name, own + below)

    def find(self, path: str) -> tuple[Supervisor, str]:
        """Resolve ``catalog/cluster:demo`` to a supervisor and a child's name; raise KeyError."""
        head, slash, rest = path.partition("/")
        if slash and head in self._subordinates:
            return self._subordinates[head].find(rest)
        if path not in self._children:
            raise KeyError(path)
        return self, path

    def _add(self, spec: ChildSpec, args: tuple[object, ...]) -> _Child:
        if spec.name in self._children:
            raise ValueError(f"{self.name} has a child {spec.name!r} already")
        child = self._children[spec.name] = _Child(spec, args, self._rng)
        return child

    async def _begin(self, child: _Child, *, task_status: trio.TaskStatus[object]) -> None:
        await child.live(task_status, self._give_up)

    def _give_up(self, child: _Child, error: Exception | None) -> None:
        self._gave_up = (child.spec.name, error)
        self._nursery.cancel_scope.cancel()

    async def _stop(self, child: _Child) -> None:
        child.stopping = True
        child.cancel()
        await child.gone.wait()

    async def _stop_all(self) -> None:
        for child in reversed(tuple(self._children.values())):
            await self._stop(child)

    def _raise_if_given_up(self) -> None:
        if self._gave_up is not None:
            name, error = self._gave_up
            raise ChildGaveUp(f"{self.name}: child {name!r} failed too often") from error


@asynccontextmanager
async def open_supervisor(name: str, *, rng: Random, parent: Supervisor | None = None) -> AsyncIterator[Supervisor]:
    """Open a block whose children live as long as it; they stop youngest first when it is left.

    Raises ChildGaveUp when a child failed more often than its intensity allows.
    Named below ``parent`` in its statistics.
    """
    supervisor: Supervisor | None = None
    try:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(name, nursery, rng)
            if parent is not None:
                parent._subordinates[name] = supervisor
            try:
                yield supervisor
            finally:
                with trio.CancelScope(shield=True):  # children end when told to: see their cancel scopes
                    await supervisor._stop_all()
    except BaseExceptionGroup as group:
        if supervisor is None or len(group.exceptions) != 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__
    finally:
        if parent is not None and parent._subordinates.get(name) is supervisor:
            del parent._subordinates[name]
    supervisor._raise_if_given_up()
