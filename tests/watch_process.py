"""``odp-trio watch`` as a child process, for tests that kill what it watches."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odp_trio.model import Address


@dataclass
class WatchProcess:
    """A running watch."""

    process: subprocess.Popen[bytes]
    status_file: Path
    log: Path

    def status(self) -> dict[str, Any]:
        """What its status file says; empty while there is none."""
        with suppress(FileNotFoundError):
            record: dict[str, Any] = json.loads(self.status_file.read_text())
            return record
        return {}

    def wait(self, condition: Callable[[dict[str, Any]], bool], what: str, seconds: float = 40) -> dict[str, Any]:
        """Wait until the status is as wanted, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition(status := self.status()):
                return status
            threading.Event().wait(0.005)
        raise AssertionError(f"not within {seconds:g} s: {what}: {self.status()}\n{self.log.read_text()}")

    def wait_serving(self, *, spare: bool = True) -> dict[str, Any]:
        """Wait until a proxy serves, and the spare is warm."""
        return self.wait(lambda s: s.get("state") == "serving" and bool(s["spare"] or not spare), "a proxy serves")

    @property
    def address(self) -> Address:
        """Where clients connect."""
        return self._address("listening on")

    @property
    def http(self) -> Address:
        """Where /ready is."""
        return self._address("HTTP on")

    def _address(self, words: str) -> Address:
        """Where the log says that; the thread that writes it may come later than what has happened."""
        deadline = time.monotonic() + 10
        while (found := re.search(rf"{words} \('([\d.]+)', (\d+)\)", self.log.read_text())) is None:
            assert time.monotonic() < deadline, self.log.read_text()
            threading.Event().wait(0.005)
        return Address(found[1], int(found[2]))


@contextmanager
def watch_process(options: Sequence[str], run_options: Sequence[str], **environment: str) -> Iterator[WatchProcess]:
    """Run a watch for the length of the block; it is killed at the end with all that it started."""
    with tempfile.TemporaryDirectory(prefix="odp-trio-watch-") as place:
        status, log = Path(place) / "status", Path(place) / "log"
        command = [
            sys.executable,
            "-m",
            "odp_trio",
            "watch",
            "--status-file",
            str(status),
            *options,
            "--",
            *run_options,
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stderr=output, stdout=output, env={**os.environ, **environment})
        watch = WatchProcess(process, status, log)
        try:
            yield watch
        finally:
            last = watch.status()
            pids = [process.pid, last.get("proxy"), last.get("spare"), *last.get("draining", ())]
            for pid in pids if process.poll() is None else ():
                with suppress(ProcessLookupError):
                    if pid:
                        os.kill(pid, signal.SIGKILL)
            process.wait()
