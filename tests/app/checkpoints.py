"""A scenario that is cancelled at one checkpoint after the other, and what may be left then: nothing.

A *checkpoint* is a moment at which a task of the run, whichever it is, is resumed: everything that can be waited for is
waited for between two of them.  Scheduling, chance and time are the same in each run, so that the k-th is the same one.
"""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

import msgspec
import trio
import trio.testing
from trio._core import _run

from odp_trio.app import Proxy, open_proxy
from odp_trio.app.connection import Connection, ConnectionLost
from odp_trio.app.subscription import Subscription
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.model import parse_rslist
from odp_trio.net import memory
from odp_trio.net import reactor as reactors
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import FakeNetwork, open_fake_network
from odp_trio.wire.answers import StatementFailed
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet

Scenario = Callable[[FakeCluster, FakeNetwork, "Trap"], Awaitable[None]]

T = TypeVar("T")


class Left(msgspec.Struct, frozen=True):
    """What a run left behind; nothing of it, if all is well."""

    descriptors: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    sockets: int = 0
    connections: int = 0
    reactor: str = ""

    def __bool__(self) -> bool:
        return self != Left()


class Trap(trio.abc.Instrument):
    """Cancels what runs in ``armed()`` when a task is resumed for the k-th time meanwhile; 0: never."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self._scope: trio.CancelScope | None = None

    @contextmanager
    def armed(self) -> Iterator[trio.CancelScope]:
        """Cancel this block, and go on behind it."""
        with trio.CancelScope() as self._scope:
            try:
                yield self._scope
            finally:
                self._scope = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._scope is not None:
            self.count += 1
            if self.count == self.at:
                self._scope.cancel()


def descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the directory's own
            continue
    return found


async def in_no_thread(function: Callable[..., T], *args: object, **_: object) -> T:
    """Stand in for ``trio.to_thread.run_sync``: how long a thread takes is not the same in each run."""
    await trio.lowlevel.checkpoint()
    result = function(*args)
    await trio.lowlevel.checkpoint()
    return result


def run_once(scenario: Scenario, at: int, *, threads: bool = False) -> tuple[Trap, Left]:
    """Run a scenario, cancelled at the checkpoint ``at``; return the trap, and what is left."""
    trap = Trap(at)
    found: dict[str, object] = {}

    async def main() -> None:
        cluster = FakeCluster()
        async with open_fake_network(cluster) as network:
            before = {task.name for task in _everybody()}
            await scenario(cluster, network, trap)
            for _ in range(20):  # OBServers see their connections end
                await trio.lowlevel.checkpoint()
            found["connections"] = len(cluster.connections)
            found["tasks"] = tuple(sorted(name for name in (task.name for task in _everybody()) if name not in before))
            found["sockets"] = sum(1 for _ in memory._open.values())
            current = reactors._of_this_loop.get(None)
            found["reactor"] = "" if current is None else f"{current.sockets} sockets"

    before, known = descriptors(), {thread.ident for thread in threading.enumerate()}
    kept = _run._r, trio.to_thread.run_sync
    _run._r = random.Random(0)
    try:
        if threads:
            trio.run(main, instruments=[trap])
        else:
            trio.to_thread.run_sync = in_no_thread
            trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[trap])
    finally:
        _run._r, trio.to_thread.run_sync = kept
    gc.collect()
    after = descriptors()
    left = Left(
        descriptors=tuple(f"{number}: {what}" for number, what in after.items() if before.get(number) != what),
        threads=tuple(
            thread.name
            for thread in threading.enumerate()
            if thread.ident not in known and not thread.name.startswith("Trio thread")  # a cache of idle ones
        ),
        **found,
    )
    return trap, left


def _everybody() -> list[trio.lowlevel.Task]:
    """Return all tasks of the run but those of Trio itself."""
    found, waiting = [], [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        assert task is not None
        found.append(task)
        for nursery in task.child_nurseries:
            waiting += nursery.child_tasks
    return found


# ---- scenarios ---------------------------------------------------------------------------

USER, PASSWORD = "app@mytenant#demo", "app_pw"


def settings_of(cluster: FakeCluster) -> Settings:
    return Settings(
        clusters={cluster.name: ClusterSettings(parse_rslist(cluster.rslist))},
        observer_sys_password=Secret(cluster.proxyro_password),
        obproxy_sys_password=Secret("of the proxy"),
        local_bound_ip="127.0.0.1",
        listen_port=0,
        enable_http=False,
        hot_upgrade_exit_timeout=1.0,
    )


def opened(cluster: FakeCluster, network: FakeNetwork, *, listen: bool = False):  # noqa: ANN201
    return open_proxy(settings_of(cluster), listen=listen, network=network, rng=random.Random(1))


async def prepared(connection: Connection) -> None:
    """Prepare, execute and close a statement, by packets."""
    await connection.send_all(packet(0, bytes((Com.STMT_PREPARE,)) + b"select * from t where id = ?"))
    answer = b""
    while answer.count(b"\xfe") < 2 or len(answer) < 60:
        data = await connection.receive_some()
        if not data:
            raise ConnectionLost("closed", sent=True)
        answer += bytes(data)
    statement = answer[5:9]
    await connection.send_all(
        packet(0, bytes((Com.STMT_EXECUTE,)) + statement + b"\0\1\0\0\0" + b"\0\1\x08\0" + (1).to_bytes(8, "little"))
    )
    await connection.receive_some()
    await connection.send_all(packet(0, bytes((Com.STMT_CLOSE,)) + statement))


async def work(cluster: FakeCluster, connection: Connection) -> None:
    await connection.query("create table if not exists t (id int primary key, v varchar(9))")
    await connection.query("insert into t values (1, 'a')")
    await connection.query("begin")
    await connection.query("update t set v = 'b' where id = 1")
    await connection.query("commit")
    await connection.query("select * from t where id = 1")
    with suppress(StatementFailed):
        await connection.query("select * from nowhere")
    await prepared(connection)
    server = cluster.leader("mytenant", 0)
    await cluster.kill(server)
    with suppress(StatementFailed):
        await connection.query("select * from t")  # it goes to another one, or fails
    await cluster.revive(server)


async def everything(cluster: FakeCluster, network: FakeNetwork, trap: Trap) -> None:
    """Open, log in, statements, a transaction, prepared, events, settings, a drain, close; all of it is cancelled."""
    with trap.armed():
        async with opened(cluster, network, listen=True) as proxy, _events(proxy) as happened:
            async with await proxy.connect(USER, PASSWORD, "test") as connection:
                await work(cluster, connection)
            await anext(happened)
            async with (
                await proxy.connect(USER, PASSWORD) as other,
                await proxy.connect("root@proxysys", "of the proxy") as admin,
            ):
                await admin.query("show proxysession")
                await admin.query(f"kill proxysession {other.connection_id}")
                await other.quit()
                (await proxy.dial()).close()
                async with await proxy.open_stream() as stream:
                    await stream.receive_some()
                await proxy.status()
                await proxy.snapshot()
                await proxy.reload(msgspec.structs.replace(settings_of(cluster), connect_timeout=1.0))
                await proxy.drain(0.5)


@asynccontextmanager
async def _events(proxy: Proxy) -> AsyncIterator[Subscription]:
    with proxy.events() as happened:
        yield happened


async def one_client(cluster: FakeCluster, network: FakeNetwork, trap: Trap) -> None:
    """Only a client is cancelled: the proxy goes on, serves the next one, and ends in order."""
    async with opened(cluster, network) as proxy:
        with trap.armed():
            async with await proxy.connect(USER, PASSWORD, "test") as connection:
                await work(cluster, connection)
        await settled(proxy)
        async with await proxy.connect(USER, PASSWORD) as another:
            assert (await another.query("select 1")).rows == ((1,),)


async def one_drain(cluster: FakeCluster, network: FakeNetwork, trap: Trap) -> None:
    """Only a drain is cancelled, with a client in a transaction: leaving the block drains all the same."""
    async with opened(cluster, network, listen=True) as proxy:
        async with await proxy.connect(USER, PASSWORD, "test") as connection:
            await connection.query("begin")
            await connection.query("select 1")
            with trap.armed():
                await proxy.drain(0.5)


async def settled(proxy: Proxy) -> None:
    """Wait until no session is left."""
    for _ in range(200):
        if not proxy.sessions.table:
            return
        await trio.sleep(0.01)
    raise AssertionError(f"left: {[str(session) for session in proxy.sessions.table.values()]}")
