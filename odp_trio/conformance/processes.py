"""Proxies of ours as processes of their own: started, guarded, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

import trio

from odp_trio.config.environment import PLAIN, PREFIX
from odp_trio.model import Address

_PAUSE: Final = 0.01
_PATIENCE: Final = 40.0


@final
class OwnProcess:
    """``odp-trio run``, or ``watch``, which guards one."""

    def __init__(self, process: trio.Process, place: Path) -> None:
        self.process = process
        self._place = place
        self.address = Address("127.0.0.1", 0)
        """Where clients connect; known when it is ready."""

    async def wait_ready(self) -> None:
        """Wait until clients are served."""
        with trio.fail_after(_PATIENCE):
            while not self._ready_file.exists():
                assert self.process.poll() is None, f"the proxy has ended: {self.log()[-400:]}"
                await trio.sleep(_PAUSE)
        record = json.loads(self._ready_file.read_text())
        self.address = Address(record["mysql"][0], record["mysql"][1])

    @property
    def _ready_file(self) -> Path:
        return self._place / "ready"

    def log(self) -> str:
        """Return what it has written."""
        return (self._place / "log").read_text()

    def status(self) -> Mapping[str, Any]:
        """Return the record of a guard; empty while there is none."""
        with suppress(FileNotFoundError):
            record: dict[str, Any] = json.loads((self._place / "status").read_text())
            return record
        return {}

    def kill_guarded(self) -> None:
        """Kill the proxy that a guard watches, as the kernel does when memory is short."""
        os.kill(int(self.status()["proxy"]), signal.SIGKILL)


@asynccontextmanager
async def own_process(
    run_options: Sequence[str], environment: Mapping[str, str], guard: Sequence[str] | None = None
) -> AsyncIterator[OwnProcess]:
    """Run a proxy for the length of the block, below ``odp-trio watch`` with the options ``guard`` if there are any."""
    with tempfile.TemporaryDirectory(prefix="odp-trio-conformance-") as name:
        place = Path(name)
        ready, command = ["--ready-file", str(place / "ready")], [sys.executable, "-m", "odp_trio"]
        if guard is None:
            command += ["run", *ready, *run_options]
        else:
            command += ["watch", "--status-file", str(place / "status"), *guard, "--", *ready, *run_options]
        with (place / "log").open("wb") as log:
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**_bare(), **environment}
            )
        own = OwnProcess(process, place)
        try:
            yield own
        finally:
            await _end(own)


def _bare() -> dict[str, str]:
    """Return the environment without what it says of options: nobody's settings are to change what is checked."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) and name not in PLAIN}


async def _end(own: OwnProcess) -> None:
    """End the guard and what it started, orderly if they will."""
    with trio.CancelScope(shield=True):
        last = own.status()
        if own.process.poll() is None:
            own.process.terminate()
            with trio.move_on_after(5):
                await own.process.wait()
        if own.process.poll() is None:
            own.process.kill()
            for pid in (last.get("proxy"), last.get("spare")):
                if pid:
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        await own.process.wait()
