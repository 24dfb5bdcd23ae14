"""``odp-trio run`` as a child process, for tests whose clients block."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from odp_trio.model import Address


@dataclass
class ProxyProcess:
    """A running proxy."""

    process: subprocess.Popen[bytes]
    address: Address
    http: Address | None
    log: Path
    ready: Path

    @property
    def rss_bytes(self) -> int:
        """Resident memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024


@contextmanager
def proxy_process(
    rslist: str,
    cluster: str,
    password: str,
    *,
    options: str = "",
    http: bool = False,
    may_die: bool = False,
    **environment: str,
) -> Iterator[ProxyProcess]:
    """Run a proxy for the length of the block; it must end cleanly on SIGTERM, unless it may be dead by then."""
    with tempfile.TemporaryDirectory(prefix="odp-trio-proxy-") as place:
        ready, log = Path(place) / "ready", Path(place) / "log"
        extra = f"observer_sys_password={password},local_bound_ip=127.0.0.1,enable_http={http}" + (
            f",{options}" if options else ""
        )
        command = [
            sys.executable,
            "-m",
            "odp_trio",
            "run",
            "-p",
            "0",
            "-l",
            "0",
            "-r",
            rslist,
            "-c",
            cluster,
            "-o",
            extra,
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--ready-file", str(ready)], stdout=output, stderr=output, env={**os.environ, **environment}
            )
        try:
            record = _wait_ready(process, ready, log)
            address = Address(record["mysql"][0], record["mysql"][1])
            yield ProxyProcess(process, address, Address(*record["http"]) if record["http"] else None, log, ready)
            process.terminate()
            assert process.wait(40) == 0 or may_die, log.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _wait_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, list[object]]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if ready.exists():
            record: dict[str, list[object]] = json.loads(ready.read_text())
            return record
        assert process.poll() is None, log.read_text()
        threading.Event().wait(0.01)
    raise AssertionError(f"the proxy was not ready within 60 s: {log.read_text()}")
