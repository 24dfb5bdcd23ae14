"""Twenty-four hours of refreshes, polls, failures and recoveries of three clusters, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
import trio
from trio.testing import MockClock

from odp_trio.catalog.directory import Source
from odp_trio.topology.cluster import ServerState
from tests.catalog.fake_config_server import one
from tests.catalog.test_login_clusters import World, open_world

DAY = 86400.0
INTERVAL = 15.0 * 1.1 + 0.1
"""The longest pause between two refreshes."""
POLL = 60.0
SLOW = 4.0
"""How long a slow config server takes."""
NAMES = ("a", "b", "c")
HOSTS = [f"10.0.{net}.{host}" for net in (0, 1) for host in range(1, 7)]


@dataclass
class Fault:
    """What is wrong with one thing from ``begin`` to ``end``."""

    begin: float
    end: float
    target: str
    kind: str


@dataclass
class Seen:
    """What the watcher found."""

    looks: int = 0
    degraded: int = 0
    healthy: int = 0
    problems: list[str] = field(default_factory=list)


def script(rng: Random) -> Iterator[Fault]:
    """Faults of the clusters and of the config server; those of one target do not overlap."""
    for target in (*NAMES, "server"):
        kinds = ("down", "empty", "bad row", "slow") if target != "server" else ("down", "down rslist", "slow")
        now = rng.uniform(60, 1200)
        while now < DAY - 1800:
            end = now + rng.choice([5.0, 30.0, 120.0, 900.0, 3600.0]) * rng.uniform(0.5, 1.5)
            yield Fault(now, min(end, DAY - 1800), target, rng.choice(kinds))
            now = end + rng.uniform(60, 3600)


def begin(world: World, fault: Fault) -> None:
    if fault.target == "server":
        match fault.kind:
            case "down":
                world.server.down = "config server: connection refused"
            case "down rslist":
                world.server.down_rslist = "config server: status 500"
            case _:
                world.server.delay = SLOW
        return
    fake = world.fakes[fault.target]
    match fault.kind:
        case "down":
            fake.down = "nobody answers"
        case "empty":
            fake.rows = []
        case "bad row":
            fake.rows = [{"svr_ip": "nonsense"}]
        case _:
            fake.delay = 1.5


def end(world: World, fault: Fault) -> None:
    if fault.target == "server":
        world.server.down = world.server.down_rslist = ""
        world.server.delay = 0.0
    else:
        fake = world.fakes[fault.target]
        fake.down, fake.rows, fake.delay = "", None, 0.0


async def suffer(world: World, fault: Fault, active: set[str], since: dict[str, float]) -> None:
    await trio.sleep_until(fault.begin)
    begin(world, fault)
    active.add(f"{fault.target} {fault.kind}")
    since[fault.target] = trio.current_time()
    await trio.sleep_until(fault.end)
    end(world, fault)
    active.discard(f"{fault.target} {fault.kind}")
    since[fault.target] = trio.current_time()


async def change_servers(world: World, rng: Random, since: dict[str, float]) -> None:
    """Servers come, go and change their states all day; one that the proxy knows stays."""
    while True:
        await trio.sleep(rng.uniform(300, 3000))
        name = rng.choice(NAMES)
        fake = world.fakes[name]
        kept = rng.choice(list(world.clusters.find(name).servers)).ip
        chosen = {kept, *rng.sample(HOSTS, rng.randrange(0, 6))}
        fake.servers = {host: rng.choice(["ACTIVE", "ACTIVE", "INACTIVE", "DELETING"]) for host in sorted(chosen)}
        fake.only = set(fake.servers)
        world.server.clusters_told[name] = (one(f"{rng.choice(sorted(chosen))}:2881"),)
        since[f"servers {name}"] = trio.current_time()


async def watch(world: World, seen: Seen, active: set[str], since: dict[str, float]) -> None:
    """Look every few seconds whether what is shown is what is."""

    def expect(true: bool, what: str) -> None:
        if not true:
            seen.problems.append(f"{trio.current_time():.1f}: {what} ({sorted(active)})")

    while True:
        await trio.sleep(7.3)
        seen.looks += 1
        now = trio.current_time()
        for name in NAMES:
            cluster = world.clusters.find(name)
            assert cluster is not None
            expect(bool(cluster.servers), f"{name} has no servers")
            expect(bool(cluster.sys_route()), f"{name} has nobody to ask")
            failing = any(f"{name} {kind}" in active for kind in ("down", "empty", "bad row"))
            settled = now - since.get(name, 0.0) > INTERVAL + 6.5  # a slow round takes its time too
            if failing and settled:
                seen.degraded += 1
                expect(cluster.failures > 0, f"{name} fails and does not say so")
                expect(cluster.refreshed_at is not None and cluster.refreshed_at <= since[name] + 6.5, f"{name}: age")
            elif settled and f"{name} slow" not in active:
                seen.healthy += 1
                expect(not cluster.failures, f"{name} does not fail and says so")
                # Between two rounds the list of IDCs is asked for, and a slow config server takes its time.
                longest = INTERVAL + (SLOW if "server slow" in active or now - since.get("server", 0.0) < 30 else 0.0)
                expect(now - (cluster.refreshed_at or 0.0) <= longest, f"{name} is stale")
                states = {address.ip: server.state.value for address, server in cluster.servers.items()}
                known = states == world.fakes[name].servers
                expect(known or now - since.get(f"servers {name}", 0.0) <= INTERVAL, f"{name} has other servers")
        settled = now - since.get("server", 0.0) > POLL + 10
        if settled:
            down = "server down" in active
            expect((world.directory.trouble.failures > 0) == down, f"the config server: {down}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_day_of_faults(autojump_clock: MockClock, seed: int) -> None:
    rng = Random(seed)
    faults = list(script(rng))
    active: set[str] = set()
    since: dict[str, float] = {}
    seen = Seen()
    async with open_world(*NAMES) as world:
        world.used = set(NAMES)
        for name in NAMES:
            await world.clusters.enter(name)
        async with trio.open_nursery() as nursery:
            for fault in faults:
                nursery.start_soon(suffer, world, fault, active, since)
            nursery.start_soon(watch, world, seen, active, since)
            nursery.start_soon(change_servers, world, rng, since)
            await trio.sleep_until(DAY)
            nursery.cancel_scope.cancel()

    assert not seen.problems, "\n".join(seen.problems[:10])
    assert len(faults) > 80
    assert seen.degraded > 1000
    assert seen.healthy > 10_000
    rounds = DAY / (15.0 * 0.9)
    for name in NAMES:
        assert len(world.fakes[name].asked) < 3.2 * rounds  # zones, servers, tenants
        assert world.server.asked[f"rslist {name}"] < rounds / 10  # once in ten failures, once for a server that left
        assert world.server.asked[f"idcs {name}"] < 60
    assert world.server.asked["document"] < DAY / (POLL / 2) + 10
    assert len(world.bumps) < 3 * 24 * 12  # an answer that says nothing new changes nothing
    assert world.dropped == []
    assert world.directory.entries["a"].source is Source.CONFIG_SERVER
    assert {server.state for name in NAMES for server in world.clusters.find(name).servers.values()} <= set(ServerState)
