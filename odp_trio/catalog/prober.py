"""Probes of servers: connect, wait for the greeting, never log in.

One task for all clusters picks the servers every ``server_detect_refresh_interval``
and probes them beside each other.  A server that hangs is probed on while its
probes wait: it is found out within the time of one probe and a few rounds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, final

import msgspec
import trio

from odp_trio.catalog.clusters import Started
from odp_trio.catalog.congestion import Congestion
from odp_trio.config import Settings
from odp_trio.errors import ConnectFailed, NoDescriptor, ServerProtocolError
from odp_trio.model import Address
from odp_trio.net.channel import PacketChannel, PeerGone
from odp_trio.net.connect import SocketOptions
from odp_trio.net.network import KERNEL, Network
from odp_trio.wire.handshake import parse_greeting
from odp_trio.wire.resultset import parse_err

AT_ONCE: Final = 128
"""Probes at a time, of all clusters."""

AT_ONCE_OF_ONE: Final = 8
"""Probes at a time of one server: as many as it takes to take it off the routes, but not more than these."""

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether servers that failed have answered sessions since."""


class Probed(msgspec.Struct, frozen=True):
    """What came of a probe.  ``error`` is empty when the server greeted; ``spoke``: the error is its own."""

    error: str = ""
    spoke: bool = False


Probe = Callable[[Address, float], Awaitable[Probed]]


async def greets(address: Address, timeout: float, network: Network = KERNEL) -> Probed:
    """Connect and wait for the greeting within ``timeout`` seconds; say what was wrong.

    Raises NoDescriptor when this process cannot even try.
    """
    with trio.move_on_after(timeout):
        try:
            return await _greets(address, timeout, network)
        except NoDescriptor:
            raise
        except ConnectFailed as exc:
            return Probed(str(exc).removeprefix(f"{address}: "))
        except (PeerGone, ServerProtocolError) as exc:
            return Probed(f"no greeting: {exc}")
    return Probed(f"no greeting within {timeout:g} s")


async def _greets(address: Address, timeout: float, network: Network) -> Probed:
    sock = await network.connect(address, timeout, SocketOptions())
    try:
        _, payload = await PacketChannel(sock, ServerProtocolError).receive()
    finally:
        sock.close()
    if payload[:1] == b"\xff":
        error = parse_err(payload)
        return Probed(f"error {error.errno} in place of a greeting: {error.message}", spoke=True)
    parse_greeting(payload)
    return Probed()


@final
class Prober:
    """Keeps the lists of all clusters up to time."""

    def __init__(self, congestion: Congestion, settings: Callable[[], Settings], probe: Probe = greets) -> None:
        self._congestion = congestion
        self._settings = settings
        self._probe = probe

    async def run(self, *, task_status: Started) -> NoReturn:
        """Probe for ever.  What is under way when the task crashes is begun anew."""
        room = trio.CapacityLimiter(AT_ONCE)
        under_way: Counter[tuple[str, Address]] = Counter()
        next_round = next_look = trio.current_time()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                due = self._congestion.advance()
                if trio.current_time() >= next_look:
                    next_look = trio.current_time() + LOOK_SECONDS
                    self._congestion.look()
                interval = self._settings().server_detect_refresh_interval
                next_round = min(next_round, trio.current_time() + interval)  # it may be shorter by now
                if trio.current_time() >= next_round:
                    next_round = trio.current_time() + interval
                    most = min(self._settings().server_detect_fail_threshold, AT_ONCE_OF_ONE)
                    for target in self._targets():
                        if under_way[target] < most:
                            under_way[target] += 1
                            nursery.start_soon(self._run_one, target, under_way, room)
                look_at = next_look if self._congestion.watching else math.inf
                with trio.move_on_at(min(next_round, look_at, due)):
                    await self._congestion.woken.wait()

    def _targets(self) -> list[tuple[str, Address]]:
        congestion = self._congestion
        working = congestion.listeners.working() if congestion.limits().mode and congestion.listeners else {}
        return [
            (cluster, address)
            for cluster in congestion.tables
            for address in congestion.candidates(cluster, working.get(cluster, ()))
        ]

    async def _run_one(
        self, target: tuple[str, Address], under_way: Counter[tuple[str, Address]], room: trio.CapacityLimiter
    ) -> None:
        try:
            async with room:
                found = await self._probe(target[1], self._settings().detect_server_timeout)
        except NoDescriptor:  # it says nothing of the server
            return
        finally:
            under_way[target] -= 1
            if not under_way[target]:
                del under_way[target]
        self._congestion.probed(*target, found.error, spoke=found.spoke)
