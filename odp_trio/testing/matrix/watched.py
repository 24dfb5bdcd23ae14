"""A proxy as a process of its own, under ``odp-trio watch``."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, final

import msgspec
import trio

from odp_trio.errors import ConnectFailed, ProtocolError, ServerProtocolError
from odp_trio.model import Address
from odp_trio.net.channel import PacketChannel
from odp_trio.net.connect import SocketOptions, connect
from odp_trio.testing.bed import Testbed
from odp_trio.testing.live import free_port

_START_LIMIT: Final = 30.0
_PROBE_EVERY: Final = 0.02
_PATIENCE: Final = 5.0


class Knocks(msgspec.Struct):
    """Connections that were made again and again, and what came of them."""

    refused: int = 0
    served: int = 0
    """Those that got a greeting."""
    unserved: int = 0
    """Those that were accepted and got none."""
    slowest: float = 0.0
    """Longest time from the attempt to the greeting, in seconds."""


@final
class Watched:
    """A watch and its proxy."""

    def __init__(self, process: subprocess.Popen[bytes], status_file: Path, address: Address) -> None:
        self._process = process
        self._status_file = status_file
        self.address = address

    def status(self) -> Mapping[str, Any]:
        """Return what the watch says; nothing while it has not said anything."""
        try:
            status: Mapping[str, Any] = msgspec.json.decode(self._status_file.read_bytes())
        except FileNotFoundError:
            return {}
        return status

    async def wait_serving(self, but: int = 0) -> int:
        """Wait until a proxy serves whose process id is not ``but``; return its id."""
        with trio.fail_after(_START_LIMIT):
            while True:
                status = self.status()
                if status.get("state") == "serving" and status["proxy"] != but:
                    return int(status["proxy"])
                if self._process.poll() is not None:
                    raise RuntimeError(f"the watch ended with status {self._process.returncode}")
                await trio.sleep(0.01)

    async def knock(self, seconds: float) -> Knocks:
        """Connect every 20 ms, for so long."""
        knocks = Knocks()
        async with trio.open_nursery() as nursery:
            until = trio.current_time() + seconds
            while trio.current_time() < until:
                nursery.start_soon(self._knock_once, knocks)
                await trio.sleep(_PROBE_EVERY)
        return knocks

    async def _knock_once(self, knocks: Knocks) -> None:
        begun = trio.current_time()
        try:
            sock = await connect(self.address, _PATIENCE, SocketOptions())
        except ConnectFailed:
            knocks.refused += 1
            return
        with contextlib.closing(sock):
            try:
                with trio.fail_after(_PATIENCE):
                    await PacketChannel(sock, ServerProtocolError).receive()
            except (ProtocolError, trio.TooSlowError):
                knocks.unserved += 1
                return
        knocks.served += 1
        knocks.slowest = max(knocks.slowest, trio.current_time() - begun)


def optstr(settings: Mapping[str, Any]) -> str:
    """Write settings as ``-o`` takes them: numbers with a point are seconds."""
    return ",".join(f"{name}={f'{value}s' if isinstance(value, float) else value}" for name, value in settings.items())


@asynccontextmanager
async def open_watched(bed: Testbed, settings: Mapping[str, Any], place: Path) -> AsyncIterator[Watched]:
    """Run a watch and its proxy for the length of the block; it must end on SIGTERM."""
    address = Address("127.0.0.1", free_port())
    options = {**settings, "observer_sys_password": bed.proxyro_password, "local_bound_ip": address.ip}
    watch = ["watch", "--status-file", str(place / "watch.json"), "--probe-interval", "0.3", "--probe-timeout", "0.5"]
    run = ["-p", str(address.port), "-r", bed.rslist, "-c", bed.cluster, "-o", optstr(options)]
    process = _spawn([sys.executable, "-m", "odp_trio", *watch, "--", *run], place / "watch.log")
    try:
        watched = Watched(process, place / "watch.json", address)
        await watched.wait_serving()
        yield watched
        process.terminate()
        with trio.move_on_after(_START_LIMIT):
            await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    finally:
        _end(process)


def _spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left."""
    if process.poll() is None:
        process.kill()
    process.wait()
