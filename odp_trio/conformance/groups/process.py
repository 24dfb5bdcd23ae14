"""The proxy's own life: starts, deaths, guards, health, several proxies that stand in for one another."""

from __future__ import annotations

import time

import httpx
import trio

from odp_trio.admin.tree import TreeNode
from odp_trio.app import Proxy
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target, address_of
from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.testing.client import ConnectionLost

_OWN = Needs.PROXY | Needs.OWN_PROXY
_PROCESS = Needs.PROXY | Needs.PROCESS
_QUICK = ("--probe-interval", "0.2", "--probe-timeout", "0.5", "--probe-failures", "2", "--settle", "0.2")
_ABOUT_A_SECOND = 1.5
_GREETING = 10
_SAMPLE = 0.05
"""Seconds of CPU by which the load of the machine is judged."""


async def _greeted(address: Address, seconds: float) -> float:
    """Connect until a proxy greets; return how long it took, in seconds; fail after ``seconds``."""
    began = trio.current_time()
    with trio.fail_after(seconds):
        while True:
            try:
                async with await trio.open_tcp_stream(address.ip, address.port) as stream:
                    data = await stream.receive_some()
                    if len(data) > 4 and data[4] == _GREETING:
                        return trio.current_time() - began
            except (OSError, trio.BrokenResourceError):
                pass
            await trio.sleep(0.01)


async def _open(address: Address) -> bool:
    """Connect as a load balancer's check does; answer whether the port is open."""
    try:
        async with await trio.open_tcp_stream(address.ip, address.port):
            return True
    except OSError:
        return False


def _stretch() -> float:
    """Return how much slower than its clock the machine is now, because others work on it: 1 on an idle one."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < _SAMPLE:
        pass
    return max(1.0, (time.monotonic() - began) / _SAMPLE)


@check("process.start.second", "process", proves=("HA-10", "HA-24", "HA-39"), needs=_PROCESS, limit=60)
async def the_start_takes_a_second(target: Target) -> None:
    """A proxy is initialised, configured and serves within about a second of being started."""
    took = []
    for _ in range(3):
        stretch, began = _stretch(), trio.current_time()
        async with target.process() as process:
            await process.wait_ready()
            await _greeted(process.address, 5)
            seconds = trio.current_time() - began
            stretch = (stretch + _stretch()) / 2
            target.notes.add(
                "suite", "seconds to a greeting", f"{seconds:.2f}; others slow the machine by {stretch:.1f}"
            )
            took.append(seconds / stretch)
            assert await (await target.connect(at=process.address)).value("select 1") == "1"
        if min(took) <= _ABOUT_A_SECOND:
            break
    assert min(took) <= _ABOUT_A_SECOND, f"it took {min(took):.2f} s"


@check(
    "process.guard.starts-again",
    "process",
    proves=("HA-4", "HA-21", "HA-22", "HA-23", "HA-27", "HA-38"),
    needs=_PROCESS,
    limit=60,
)
async def the_guard_starts_it_again(target: Target) -> None:
    """A proxy that is killed is started again by its guard, and the port serves within about a second."""
    async with target.process(guard=_QUICK) as guard:
        await guard.wait_ready()
        await target.until(lambda: bool(guard.status().get("spare")), "the guard has a proxy and a spare one", 30)
        session = await target.connect(at=guard.address)
        first = guard.status()["proxy"]
        await target.sleep(0.4)
        stretch = _stretch()
        guard.kill_guarded()
        took = await _greeted(guard.address, 20)
        stretch = (stretch + _stretch()) / 2
        target.notes.add("suite", "seconds to a greeting", f"{took:.2f}; others slow the machine by {stretch:.1f}")
        await target.until(lambda: guard.status().get("proxy") not in (None, first), "the guard has another", 20)
        assert took / stretch <= _ABOUT_A_SECOND
        assert await (await target.connect(at=guard.address)).value("select 1") == "1"
        try:
            await session.query("select 1")
            raise AssertionError("a session survived the process that it was in")
        except ConnectionLost:
            pass


@check("process.guard.gives-up", "process", proves=("HA-25", "HA-26"), needs=_PROCESS, limit=60)
async def the_guard_gives_up(target: Target) -> None:
    """A proxy that dies whenever it starts is not started for ever: the guard ends, and a closed port tells the others."""
    options = ("--give-up-after", "1", "--no-spare", "--settle", "30")
    async with target.process(guard=options) as guard:
        await guard.wait_ready()
        for life in range(2):
            await target.until(
                lambda life=life: guard.status().get("state") == "serving" and guard.status()["restarts"] == life,  # type: ignore[misc]
                f"life {life + 1} serves",
                20,
            )
            guard.kill_guarded()
        with trio.fail_after(20):
            status = await guard.process.wait()
        target.notes.add("suite", "exit status of the guard", status)
        assert status == 3
        assert not await _open(guard.address)


@check("process.redundant", "process", proves=("HA-10", "HA-11", "HA-15", "HA-17", "HA-38"), needs=_OWN)
async def another_takes_over(target: Target) -> None:
    """Proxies before one cluster need nothing of one another: when one ends another serves, and a third is added at will."""
    async with target.proxy() as second:
        async with target.proxy() as first:
            for proxy in (first, second):
                assert await (await target.connect(at=proxy)).value("select 1") == "1"
            gone = address_of(first)
        assert not await _open(gone)
        assert await (await target.connect(at=second)).value("select 2") == "2"
        began = trio.current_time()
        async with target.proxy(ready=False) as third:
            assert await (await target.connect(at=third)).value("select 3") == "3"
            assert trio.current_time() - began < 3


@check("process.health.ok", "process", proves=("HA-9", "HA-16"), needs=_OWN)
async def a_healthy_proxy_says_so(target: Target) -> None:
    """A monitoring system that asks a healthy proxy over HTTP is told that it is alive and ready, and the port is open."""
    async with target.proxy(enable_http=True, prometheus_listen_port=0) as proxy:
        await _http_runs(target, proxy)
        assert await _asked(proxy, "/ready") == 200
        assert await _asked(proxy, "/health") == 200
        assert await _open(address_of(proxy))


@check("process.health.not-ready", "process", proves=("HA-9", "HA-16", "HA-26"), needs=_OWN | Needs.FAULTS)
async def a_proxy_that_cannot_serve_says_so(target: Target) -> None:
    """A proxy that reaches no server says over HTTP that it is not ready, and so when it is again."""
    for number in range(len(target.servers)):
        await target.bed.kill(number, noticed=False)
    options = {"server_state_refresh_interval": 0.2, "short_async_task_timeout": 1.0, "prometheus_listen_port": 0}
    async with target.proxy(ready=False, enable_http=True, **options) as proxy:
        await _http_runs(target, proxy)
        assert await _asked(proxy, "/ready") == 503
        assert await _asked(proxy, "/health") == 200
        for number in range(len(target.servers)):
            await target.bed.revive(number)
        with trio.fail_after(10):
            while await _asked(proxy, "/ready") != 200:
                await target.sleep(0.05)


@check("process.drain", "process", proves=("HA-11",), needs=_OWN)
async def a_proxy_drains(target: Target) -> None:
    """A proxy that is told to end takes no new client, and lets a transaction that is open come to its end."""
    table = await target.table()
    async with trio.open_nursery() as nursery, target.proxy(hot_upgrade_exit_timeout=10.0) as proxy:
        session = await target.connect(at=proxy)
        await session.query("begin")
        await session.query(f"insert into {table} values(1, 1)")

        async def finish() -> None:
            await target.until(lambda: proxy.sessions.draining, "it drains")
            assert not await _open(address_of(proxy))
            await session.query(f"insert into {table} values(2, 2)")
            await session.query("commit")

        nursery.start_soon(finish)
    assert await (await target.connect()).value(f"select count(*) from {table}") == "2"


def _tasks(node: TreeNode, proxy: Proxy) -> list[str]:
    found = []
    for child in node.children:
        try:
            proxy.root.find(child.path)
            found.append(child.path)
        except KeyError:
            pass
        found += _tasks(child, proxy)
    return found


@check("process.tasks.crash", "process", proves=("HA-1", "HA-4", "HA-27"), needs=_OWN, limit=60)
async def tasks_crash(target: Target) -> None:
    """Any background task of the proxy may crash: it is started again, and no session and no login notices."""
    async with target.proxy(server_state_refresh_interval=0.3) as proxy:
        session = await target.connect(at=proxy)
        await target.until(lambda: all(one.state == "running" for one in proxy.statistics().tasks), "everything runs")
        paths = _tasks(proxy.tree(), proxy)
        target.notes.add("suite", "tasks", paths)
        assert "front/listener" in paths
        for path in paths:
            proxy.crash_task(path, RuntimeError("a crash on purpose"))
            await target.until(
                lambda path=path: any(  # type: ignore[misc]
                    one.path == path and one.restarts and one.state == "running" for one in proxy.statistics().tasks
                ),
                f"{path} runs again",
            )
            assert await session.value("select 1") == "1"
            assert await (await target.connect(at=proxy)).value("select 2") == "2"


@check("process.session.crash", "process", proves=("HA-1", "HA-27"), needs=_OWN)
async def a_session_crashes(target: Target) -> None:
    """A bug that strikes in one session ends that session and no other."""
    async with target.proxy() as proxy:
        victim, other = await target.connect(at=proxy), await target.connect(at=proxy)
        proxy.crash_session(victim.client.connection_id, RuntimeError("a crash on purpose"))
        try:
            await victim.query("select 1")
            raise AssertionError("the session goes on")
        except OdpError:
            pass
        assert await other.value("select 1") == "1"


async def _http_runs(target: Target, proxy: Proxy) -> None:
    await target.until(
        lambda: any(one.path == "http" and one.state == "running" for one in proxy.statistics().tasks), "HTTP runs", 20
    )


async def _asked(proxy: Proxy, path: str) -> int:
    """Ask a proxy over HTTP; return the status."""
    assert proxy.http_address is not None
    host, port = proxy.http_address[:2]
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{host}:{port}{path}")).status_code
