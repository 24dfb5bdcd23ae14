"""One process of the proxy, started with listening sockets and a link."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import final

import trio

from odp_trio.process.inherited import LINK_FD, Inherited
from odp_trio.process.link import Beat, Link, Message, Prepared, Serving, Upgrade, Warm, link_pair


def own_command(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs this program with other arguments: same interpreter, same way of starting it."""
    front = len(sys.orig_argv) - len(sys.argv[1:])
    return [sys.executable, *sys.orig_argv[1:front], *arguments]


@final
class Child:
    """A process that was started, and what is known of it."""

    def __init__(self, process: subprocess.Popen[bytes], link: Link) -> None:
        self._process = process
        self._link = link
        self.started_at = trio.current_time()
        self.warm = trio.Event()
        self.prepared = trio.Event()
        """Set when it could take clients, or does."""
        self.serving = trio.Event()
        self.gone = trio.Event()
        """Set when it has ended; then ``status`` is its exit status, negative for a signal."""
        self.status = 0
        self.beat = Beat(accepting=False)
        self.beat_at = trio.current_time()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send it a message, with copies of descriptors."""
        self._link.send(message, descriptors)

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self.gone.is_set():
            self._process.send_signal(number)

    async def attend(self, asked: Callable[[], None] = lambda: None) -> None:
        """Follow it to its end; ``asked()`` is called when it asks for a hot upgrade.  Cancelling leaves it running."""
        descriptor = os.pidfd_open(self.pid)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, asked)
                await trio.lowlevel.wait_readable(descriptor)
                nursery.cancel_scope.cancel()
        finally:
            os.close(descriptor)
        self._read_rest()
        self.status = self._process.wait()
        self._link.close()
        self.gone.set()

    async def _listen(self, asked: Callable[[], None]) -> None:
        while (message := await self._link.receive()) is not None:
            self._take(message)
            if isinstance(message, Upgrade):
                asked()

    def _read_rest(self) -> None:
        """What it said last may be the reason of its end."""
        with contextlib.suppress(BlockingIOError):
            while (message := self._link.receive_nowait()) is not None:
                self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Warm():
                self.warm.set()
            case Beat():
                self.beat, self.beat_at = message, trio.current_time()
            case Prepared():
                self.prepared.set()
            case Serving():
                self.prepared.set()
                self.serving.set()
            case _:
                pass


def start_child(command: Sequence[str], inherited: Inherited, extra: Mapping[str, str] | None = None) -> Child:
    """Start a process that waits for ``Serve``; raise OSError when that cannot be done.  ``extra`` is environment.

    It is in a process group of its own: Ctrl-C at a terminal reaches the parent only, which passes it on once.
    """
    link, its = link_pair()
    handed = dict(inherited.sockets())
    environment = dict(os.environ) | {name: str(sock.fileno()) for name, sock in handed.items()} | dict(extra or {})
    environment[LINK_FD] = str(its.fileno())
    descriptors = (its.fileno(), *(sock.fileno() for sock in handed.values()))
    try:
        with its:
            process = subprocess.Popen(command, env=environment, pass_fds=descriptors, process_group=0)
    except OSError:
        link.close()
        raise
    return Child(process, link)


async def wait_serving(child: Child, limit: float) -> bool:
    """Wait until a child serves; False when it ends before, or ``limit`` seconds are over."""
    return await _wait(child, child.serving, limit)


async def wait_prepared(child: Child, limit: float) -> bool:
    """Wait until a child could serve; False when it ends before, or ``limit`` seconds are over."""
    return await _wait(child, child.prepared, limit)


async def _wait(child: Child, event: trio.Event, limit: float) -> bool:
    with trio.move_on_after(limit):
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await child.gone.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            await event.wait()
            nursery.cancel_scope.cancel()
    return event.is_set() and not child.gone.is_set()


def why_not(child: Child, limit: float) -> str:
    """Say why a new version does not serve."""
    if child.gone.is_set():
        return f"the new version {describe_end(child.status)}"
    reasons = "; ".join(child.beat.not_ready) or "it has not said why"
    return f"the new version does not serve after {limit:g} s: {reasons}"


def describe_end(status: int) -> str:
    """Say an exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
