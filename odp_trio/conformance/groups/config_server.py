"""Faults of the config server: down, slow, talking nonsense; and the file of rslists."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from odp_trio.app import Proxy
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.session import Session
from odp_trio.conformance.target import Target
from odp_trio.testing.client import StatementFailed
from odp_trio.testing.ocp import ConfigServerBed
from odp_trio.testing.ocp_answers import Question

_CONFIG = Needs.PROXY | Needs.OWN_PROXY | Needs.CONFIG_SERVER
_NO_RSLIST = 4669
_FILE = "obproxy_rslist_info.json"


async def _refused(target: Target, proxy: Proxy, seconds: float = 8.0, cluster: str | None = None) -> StatementFailed:
    """Log in, which must be refused within so many seconds for want of an rslist."""
    with trio.fail_after(seconds):
        error = await target.login_error(
            target.login(cluster=cluster), target.account.password.value, at=proxy, database=""
        )
    assert "config server" in error.message, error.message
    return error


async def _served(target: Target, proxy: Proxy, seconds: float = 10.0) -> Session:
    """Log in as soon as that works: what failed is believed for two seconds."""
    with trio.fail_after(seconds):
        while True:
            try:
                session = await target.connect(at=proxy)
            except StatementFailed:
                await target.sleep(0.2)
            else:
                assert await session.value("select 1") == "1"
                return session


@check("config-server.down.first-login", "config-server", proves=("RT-7", "RT-9", "HA-5", "HA-28"), needs=_CONFIG)
async def down_before_the_first_login(target: Target) -> None:
    """While the config server is down a login is refused in time, with its name; when it is back, logins come in."""
    async with target.config_server() as ocp:
        await ocp.down()
        async with target.proxy_by(ocp) as proxy:
            assert (await _refused(target, proxy)).errno == _NO_RSLIST
            ocp.up()
            await _served(target, proxy)


async def _nonsense(target: Target, ocp: ConfigServerBed) -> None:
    async with target.proxy_by(ocp) as proxy:
        error = await _refused(target, proxy)
        assert error.errno == _NO_RSLIST
        ocp.heal()
        await _served(target, proxy)


@check("config-server.answers.html", "config-server", proves=("RT-10", "HA-28"), needs=_CONFIG)
async def html(target: Target) -> None:
    """An answer in HTML is no rslist: the login is refused with the reason, and comes in when answers are JSON again."""
    async with target.config_server() as ocp:
        ocp.html()
        await _nonsense(target, ocp)


@check("config-server.answers.garbage", "config-server", proves=("RT-10", "HA-28"), needs=_CONFIG)
async def garbage(target: Target) -> None:
    """Bytes that are no text are no rslist either, and the proxy recovers."""
    async with target.config_server() as ocp:
        ocp.garbage()
        await _nonsense(target, ocp)


@check("config-server.answers.cut", "config-server", proves=("RT-10",), needs=_CONFIG)
async def cut_json(target: Target) -> None:
    """JSON that ends in the middle is not understood, and the proxy recovers."""
    async with target.config_server() as ocp:
        ocp.cut(after=60)
        await _nonsense(target, ocp)


@check("config-server.answers.status", "config-server", proves=("RT-9", "RT-10", "HA-5"), needs=_CONFIG)
async def bad_gateway(target: Target) -> None:
    """An HTTP error is no rslist: the login is refused with the reason, and comes in when there is HTTP again."""
    async with target.config_server() as ocp:
        ocp.status(502)
        await _nonsense(target, ocp)


@check("config-server.hangs", "config-server", proves=("RT-9", "HA-5"), needs=_CONFIG)
async def hangs(target: Target) -> None:
    """A config server that never answers costs a login its time-out and no more."""
    async with target.config_server() as ocp:
        ocp.hang()
        async with target.proxy_by(ocp, short_async_task_timeout=1.0) as proxy:
            began = trio.current_time()
            error = await target.login_error(target.login(), target.account.password.value, at=proxy, database="")
            took = trio.current_time() - began
            target.notes.add("suite", "the login was refused", f"{error.errno} after {took:.2f} s")
            assert took < 5


@check("config-server.slow", "config-server", proves=("HA-5",), needs=_CONFIG)
async def slow(target: Target) -> None:
    """A config server that is slow makes the first login wait, and no later one."""
    async with target.config_server() as ocp, target.proxy_by(ocp) as proxy:
        await target.until(lambda: bool(ocp.asked(Question.DOCUMENT)), "the proxy knows the clusters")
        ocp.slow(0.5)
        await _served(target, proxy)
        began = trio.current_time()
        await target.connect(at=proxy)
        assert trio.current_time() - began < 0.5


@check("config-server.down.in-memory", "config-server", proves=("RT-7", "RT-11", "RT-12", "HA-40"), needs=_CONFIG)
async def down_when_the_cluster_is_in_memory(target: Target) -> None:
    """When it fails after a cluster is in memory, sessions and logins go on, and the proxy says that something is wrong."""
    async with target.config_server() as ocp, target.proxy_by(ocp, config_server_refresh_interval=0.2) as proxy:
        session = await target.connect(at=proxy)
        await ocp.down()
        await target.until(lambda: bool(proxy.statistics().why_degraded), "the proxy says that it is degraded")
        reasons = proxy.statistics().why_degraded
        target.notes.add("suite", "what the proxy says of itself", reasons)
        assert any("config server" in reason for reason in reasons)
        assert proxy.statistics().why_not_ready == ()
        assert await session.value("select 1") == "1"
        for _ in range(3):
            assert await (await target.connect(at=proxy)).value("select 2") == "2"
        ocp.up()
        await target.until(lambda: not proxy.statistics().why_degraded, "all is well again")


@check("config-server.changes", "config-server", proves=("HA-30", "HA-36"), needs=_CONFIG)
async def its_changes_are_followed(target: Target) -> None:
    """A cluster that the config server begins to name can be logged in to, without a start of the proxy."""
    async with target.config_server() as ocp:
        ocp.remove_cluster(target.cluster)
        async with target.proxy_by(ocp, config_server_refresh_interval=0.2) as proxy:
            await _refused(target, proxy)
            ocp.set_cluster(target.cluster, ";".join(str(server) for server in target.servers))
            await _served(target, proxy)


async def _remember(target: Target, ocp: ConfigServerBed, place: str) -> None:
    """Have a proxy write its file of rslists into ``place``."""
    async with target.proxy_by(ocp, etc_dir=place) as proxy:
        await target.connect(at=proxy)
        await target.until((Path(place) / _FILE).exists, "the file is written")


@check("config-server.file.written", "config-server", proves=("HA-31",), needs=_CONFIG)
async def the_file_is_written(target: Target) -> None:
    """A rslist that was fetched is in obproxy_rslist_info.json of the proxy's directory, as JSON."""
    place = target.directory()
    async with target.config_server() as ocp:
        await _remember(target, ocp, place)
    text = (Path(place) / _FILE).read_text()
    target.notes.add("suite", _FILE, text)
    json.loads(text)
    assert target.cluster in text
    for server in target.servers:
        assert server.ip in text
        assert str(server.port) in text


@check("config-server.file.used", "config-server", proves=("HA-32", "HA-34", "HA-40"), needs=_CONFIG)
async def the_file_is_used(target: Target) -> None:
    """With ignore_local_config=false a proxy that starts while the config server is down serves by its file."""
    place = target.directory()
    async with target.config_server() as ocp:
        await _remember(target, ocp, place)
        await ocp.down()
        async with target.proxy_by(ocp, etc_dir=place, ignore_local_config=False) as proxy:
            session = await target.connect(at=proxy)
            assert await session.value("select 1") == "1"
            assert any("file" in reason for reason in proxy.statistics().why_degraded)


@check("config-server.file.default", "config-server", proves=("HA-33",), needs=_CONFIG)
async def the_file_is_not_used_by_default(target: Target) -> None:
    """Where nobody sets ignore_local_config it is true, and a file that is there is not used."""
    place = target.directory()
    async with target.config_server() as ocp:
        await _remember(target, ocp, place)
        await ocp.down()
        async with target.proxy_by(ocp, etc_dir=place) as proxy:
            assert proxy.settings().ignore_local_config is True
            await _refused(target, proxy)


@check("config-server.file.not-visited", "config-server", proves=("HA-35",), needs=_CONFIG)
async def what_was_not_visited_is_not_in_the_file(target: Target) -> None:
    """A cluster that nobody had logged in to is not in the file, and is refused while the config server is down."""
    place = target.directory()
    rslist = ";".join(str(server) for server in target.servers)
    async with target.config_server(conform_unvisited=rslist) as ocp:
        await _remember(target, ocp, place)
        assert "RsList" not in _entry(place, "conform_unvisited")
        await ocp.down()
        async with target.proxy_by(ocp, etc_dir=place, ignore_local_config=False) as proxy:
            assert await (await target.connect(at=proxy)).value("select 1") == "1"
            await _refused(target, proxy, cluster="conform_unvisited")


def _entry(place: str, cluster: str) -> str:
    """Return what the file has of a cluster, as text; "" if that is nothing."""
    entries = json.loads((Path(place) / _FILE).read_text())
    return json.dumps([one for one in entries if cluster in json.dumps(one)] if isinstance(entries, list) else [])


@check("config-server.file.grows-old", "config-server", proves=("HA-36",), needs=_CONFIG)
async def the_file_grows_old(target: Target) -> None:
    """A proxy that serves by its file knows no change of the rslist, until the config server is back to tell it."""
    place = target.directory()
    async with target.config_server() as ocp:
        ocp.set_cluster(target.cluster, str(target.servers[0]))
        await _remember(target, ocp, place)
        ocp.set_cluster(target.cluster, str(target.servers[-1]))
        await ocp.down()
        options = {"etc_dir": place, "ignore_local_config": False, "config_server_refresh_interval": 0.2}
        async with target.proxy_by(ocp, **options) as proxy:
            await target.connect(at=proxy)
            assert proxy.statistics().clusters[0].rslist_source != "config server"
            assert _told(proxy) is None
            ocp.up()
            now = [str(target.servers[-1])]
            await target.until(lambda: _told(proxy) == now, "the proxy has been told the rslist of now")


def _told(proxy: Proxy) -> list[str] | None:
    """Return the rslist as the config server told it to a proxy that knows one cluster; None if it never did."""
    directory = proxy.clusters.directory
    assert directory is not None
    (entry,) = directory.entries.values()
    return None if entry.told is None else [str(one) for part in entry.told.clusters for one in part.servers]
