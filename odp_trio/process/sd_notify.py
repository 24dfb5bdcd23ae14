"""What systemd is told: datagrams to ``$NOTIFY_SOCKET``, nothing where there is none."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import final

import trio

log = logging.getLogger("odp_trio.process")


@final
class Notifier:
    """Takes the address out of the environment: children have none of their own, and must not speak for us."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        path = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        """The socket's address; one in the abstract namespace is written with an @ in the environment."""
        wanted = bool(path) and microseconds.isdigit() and pid in ("", str(os.getpid()))
        self.watchdog: float | None = int(microseconds) / 1e6 if wanted and int(microseconds) else None
        """Seconds without a ping after which systemd ends us; None: no pings are wanted."""

    def environment(self) -> dict[str, str]:
        """Return what a process that takes our place must find in its environment."""
        if not self._address:
            return {}
        path = self._address.replace("\0", "@", 1)
        pings = {} if self.watchdog is None else {"WATCHDOG_USEC": str(int(self.watchdog * 1e6))}
        return {"NOTIFY_SOCKET": path, **pings}

    def tell(self, *lines: str) -> None:
        """Send one message of lines such as ``READY=1``; a failure is logged at DEBUG and is no error."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as exc:
            log.debug("systemd was not told %s: %s", lines[0], exc)

    def ready(self, status: str = "") -> None:
        """Say that clients are served."""
        self.tell("READY=1", *_status(status))

    def reloading(self, status: str = "") -> None:
        """Say that a new version is being started; ``ready()`` ends it."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", *_status(status))

    def stopping(self, status: str = "") -> None:
        """Say that the end has begun."""
        self.tell("STOPPING=1", *_status(status))

    async def keep_watchdog(self, healthy: Callable[[], bool]) -> None:
        """Ping at a third of the interval that systemd wants, while ``healthy()``; return at once if it wants none."""
        if self.watchdog is None:
            return
        while True:
            if healthy():
                self.tell("WATCHDOG=1")
            await trio.sleep(self.watchdog / 3)


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={text}",) if text else ()
