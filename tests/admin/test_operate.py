"""What an operator does over HTTP to a proxy that runs, with a cluster that does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret, Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.model import parse_rslist

TOKEN = "an operator"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    settings = Settings(
        clusters={"demo": ClusterSettings(rslist=parse_rslist("127.0.0.1:1"))},
        local_bound_ip="127.0.0.1",
        listen_port=0,
        prometheus_listen_port=0,
        http_token=Secret(TOKEN),
        hot_upgrade_exit_timeout=0.1,
    )
    async with open_proxy(settings) as proxy:
        yield proxy


async def ask(proxy: Proxy, method: str, path: str, **options: object) -> httpx.Response:
    assert proxy.http_address is not None
    url = f"http://127.0.0.1:{proxy.http_address[1]}{path}"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        with trio.fail_after(20):
            return await client.request(method, url, **options)  # type: ignore[arg-type]


async def test_a_task_is_restarted(proxy: Proxy) -> None:
    answer = await ask(proxy, "POST", "/api/restart", json={"path": "catalog/prober"})
    assert answer.json() == {"done": "task catalog/prober is restarted"}

    with trio.fail_after(10):
        while {task.path: task.restarts for task in proxy.statistics().tasks}["catalog/prober"] != 1:  # noqa: ASYNC110
            await trio.sleep(0.01)

    unknown = await ask(proxy, "POST", "/api/restart", json={"path": "catalog/probe"})
    assert (unknown.status_code, unknown.json()["error"]) == (
        404,
        "there is no task 'catalog/probe' that runs; did you mean 'catalog/prober'?",
    )


async def test_a_session_that_is_not_there_cannot_be_killed(proxy: Proxy) -> None:
    answer = await ask(proxy, "POST", "/api/kill", json={"id": 7})

    assert (answer.status_code, answer.json()) == (404, {"error": "Unknown thread id: 7"})


async def test_an_option_is_altered_and_in_force(proxy: Proxy) -> None:
    change = {"changes": [{"name": "client_max_connections", "value": "17"}]}

    assert (await ask(proxy, "POST", "/api/config", json={**change, "dry_run": True})).json()["dry_run"]
    assert proxy.settings().client_max_connections != 17

    assert (await ask(proxy, "POST", "/api/config", json=change)).status_code == 200
    assert proxy.settings().client_max_connections == 17


async def test_a_drain_begins(proxy: Proxy) -> None:
    assert (await ask(proxy, "POST", "/api/drain")).status_code == 200

    assert proxy.draining
    assert (await ask(proxy, "GET", "/ready")).json() == {
        "ready": False,
        "reasons": ["draining", *proxy.statistics().why_not_ready[1:]],
    }


@pytest.mark.parametrize(
    "path", ["status", "tree", "live", "sessions", "ends", "congestion", "routes", "slow", "log", "config", "snapshot"]
)
async def test_what_is_read_can_be_read_of_a_proxy_without_a_cluster(proxy: Proxy, path: str) -> None:
    assert (await ask(proxy, "GET", f"/api/{path}")).status_code == 200
