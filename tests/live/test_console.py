"""The console in a browser, before a cluster under load.  ``CONSOLE_SHOTS=DIR`` keeps pictures there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trio

from odp_trio.admin.live import INTERVAL
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, ConnectionLost, StatementFailed
from odp_trio.testing.demo import NOTICES_SOON, settings_for
from tests.chromium import CHROMIUM, Page, open_page
from tests.live.clients import through, until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

TOKEN = "the console's token"
CLIENTS = 6
TURNS = 10.0
"""Seconds within which the map shows that a server is gone, and that it is back."""


class Console(NamedTuple):
    page: Page
    proxy: Proxy
    url: str


async def load(address: Address, number: int) -> None:
    """Read again and again; connect again when the connection is lost."""
    while True:
        try:
            client = await Client.connect(address, "app@sys#demo", "app_pw", database="console")
        except (ConnectionLost, StatementFailed):
            await trio.sleep(0.05)
            continue
        try:
            while True:
                number += 1
                await client.query(f"select * from orders where id = {number % 12}" if number % 4 else "select 1")
                await trio.sleep(0.02)
        except (ConnectionLost, StatementFailed):
            pass
        finally:
            client.close()


@asynccontextmanager
async def opened(bed: Testbed, **options: Any) -> AsyncIterator[Console]:
    await bed.query(
        "create database if not exists console",
        "create table if not exists console.orders(id int primary key, v int) partition by hash(id) partitions 6",
    )
    settings = settings_for(bed, http_token=Secret(TOKEN), hot_upgrade_exit_timeout=0.2, **{**NOTICES_SOON, **options})
    async with open_proxy(settings) as proxy, trio.open_nursery() as nursery, open_page() as page:
        await proxy.clusters.wait_available(bed.cluster)
        for number in range(CLIENTS):
            nursery.start_soon(load, Address(*proxy.addresses[0]), number)
        assert proxy.http_address is not None
        url = f"http://127.0.0.1:{proxy.http_address[1]}"
        await page.look(1280)
        await page.open(f"{url}/")
        await page.until("document.querySelectorAll('.server').length === 3")
        yield Console(page, proxy, url)
        nursery.cancel_scope.cancel()


async def statements_by_server(url: str) -> tuple[int, list[int]]:
    """Return how many statements there were, and how many each server has run since somebody looks."""
    async with httpx.AsyncClient() as client:
        frame = (await client.get(f"{url}/api/live")).json()
    servers = [server for zone in frame["clusters"][0]["zones"] for server in zone["servers"]]
    return frame["statements"], [server["statements"] for server in servers]


async def shoot(page: Page, name: str) -> None:
    place = os.environ.get("CONSOLE_SHOTS")
    if place:
        await page.shoot(Path(place) / f"{name}.png")


def of_server(bed: Testbed, number: int) -> str:
    return f"document.querySelector('.server[data-address=\"{bed.observers[number].address}\"]')"


async def test_the_console_shows_a_cluster_under_load(bed: Testbed) -> None:
    async with opened(bed) as (page, proxy, url):
        # the map: every server is there, statements flow to each
        await page.until(
            "[...document.querySelectorAll('.server')].every((s) => s.dataset.health === 'ok'"
            " && parseFloat(s.querySelector('b').textContent) > 0)",
            20,
        )
        assert await page.run("document.querySelectorAll('.flows path.busy').length") == 3
        assert "zone1" in await page.run("document.querySelector('#clusters').innerText")
        await page.until("document.querySelector('#health').textContent === 'ok'")
        await page.until("parseFloat(document.querySelector('#number-statements').textContent) > 20")

        before, were = await statements_by_server(url)
        await until(lambda: proxy.sessions.traffic().statements > before + 200, "the load runs")
        await trio.sleep(INTERVAL)
        after, are = await statements_by_server(url)
        ran = [now - then for now, then in zip(are, were, strict=True)]
        assert min(ran) > 30  # each leads two of the six partitions
        assert abs(sum(ran) - (after - before)) <= CLIENTS

        # a server that is killed turns red, and back
        health = f"{of_server(bed, 1)}.dataset.health"
        await bed.kill(1)
        await page.until(f"{health} === 'black'", TURNS)
        colour = f"getComputedStyle({of_server(bed, 1)}).borderLeftColor"
        assert await page.run(colour) == "rgb(192, 28, 40)"
        assert await page.run(f"{of_server(bed, 1)}.querySelector('.why').textContent")
        await shoot(page, "killed")
        await bed.revive(1)
        await page.until(f"{health} !== 'black'", TURNS)
        await page.until(f"{health} === 'ok'", 10)  # who was dead for a moment only is refused for another second

        # a statement is explained, by the keyboard alone
        await page.press("e")
        await page.write("select * from console.orders where id = 4")
        await page.run("document.querySelector('#explain-form').requestSubmit()")
        await page.until("document.querySelector('#why .answered') !== null")
        said = await page.run("document.querySelector('#explanation').innerText")
        assert "leader" in said
        assert "p4" in said
        server = dict(await through(proxy, "explain route select * from console.orders where id = 4"))["server"]
        assert await page.run("document.querySelector('.verdict strong').textContent") == server

        # pictures, and no line of the page is wider than a small window
        for width, dark in ((1280, False), (1280, True), (360, False), (360, True)):
            await page.look(width, dark=dark)
            await page.until(f"getComputedStyle(document.body).colorScheme !== '' && innerWidth === {width}")
            assert await page.run("document.documentElement.scrollWidth") <= width
            await trio.sleep(0.6 if "CONSOLE_SHOTS" in os.environ else 0)
            await shoot(page, f"{width}-{'dark' if dark else 'light'}")
        assert page.errors == []


async def test_a_session_is_found_and_killed_with_the_token(bed: Testbed) -> None:
    async with opened(bed) as (page, proxy, _):
        victim = await Client.connect(Address(*proxy.addresses[0]), "app@sys#demo", "app_pw", database="mysql")
        await victim.query("select 1")
        (session,) = [one for one in proxy.sessions.table.values() if one.id == victim.connection_id]

        await page.press("/")
        await page.write(str(session.id))
        await page.until("document.querySelectorAll('#session-list .row:not(.head)').length === 1")
        await page.run("document.querySelector('#session-list button').click()")
        await page.until("document.querySelector('#kill-dialog').open")
        await page.run("document.querySelector('#kill-dialog .danger').click()")
        await page.until("document.querySelector('#token-dialog').open")  # it is not known yet
        await page.write(TOKEN)  # the field has the focus
        await page.press("Enter")

        await until(lambda: session.id not in proxy.sessions.table, "the session is gone")
        await page.until("document.querySelectorAll('#session-list .row:not(.head)').length === 0")
        assert proxy.ends.clients[-1].reason == "killed"
        victim.close()
        assert page.errors == []
