"""HTTP, and the browser of somebody who runs the proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio
from starlette.routing import Route
from trio.testing import MockClock

from odp_trio.admin.access import FORWARDED
from odp_trio.admin.api import API
from odp_trio.admin.console_pages import PAGES
from odp_trio.admin.http import make_app
from tests.admin.source import FakeSource

TOKEN = "a token that nobody guesses"
OPEN = {"/health", "/ready", "/metrics", *PAGES}
"""What anybody may read: a path that is added here is a decision."""
ELSEWHERE = "192.0.2.7"
WRITES = [operation.path for operation in API if operation.writes]


async def ask(source: FakeSource, method: str, path: str, peer: str, **options: Any) -> int:
    transport = httpx.ASGITransport(make_app(source, source), client=(peer, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.request(method, path, **options)).status_code


@pytest.fixture
def source() -> FakeSource:
    found = FakeSource().with_token(TOKEN)
    found.with_cluster = True
    return found


async def test_http_1_from_elsewhere_every_other_path_needs_the_token(source: FakeSource) -> None:
    routes = [route for route in make_app(source, source).routes if isinstance(route, Route)]
    answers = {
        route.path: await ask(source, "POST" if "POST" in (route.methods or ()) else "GET", route.path, ELSEWHERE)
        for route in routes
    }

    assert {path for path, code in answers.items() if code != 401} == OPEN
    assert len(answers) > len(OPEN) + 10


@pytest.mark.parametrize("header", FORWARDED)
async def test_http_1_what_a_proxy_between_passes_on_is_from_elsewhere(source: FakeSource, header: str) -> None:
    assert await ask(source, "GET", "/api/status", "127.0.0.1", headers={header: "127.0.0.1"}) == 401


@pytest.mark.parametrize("path", WRITES)
async def test_http_2_without_a_configured_token_nothing_is_changed(path: str) -> None:
    source = FakeSource()

    assert await ask(source, "POST", path, "127.0.0.1", content=b"{}") == 403
    assert source.done == []


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"host": "evil.example:2884"},
    {"host": "127.0.0.1.evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("operation", API, ids=lambda operation: operation.name)
async def test_http_3_a_page_of_another_site_gets_nothing(
    source: FakeSource, operation: Any, headers: dict[str, str]
) -> None:
    assert await ask(source, operation.method, operation.path, "127.0.0.1", headers=headers) in (401, 403)
    assert source.done == []


async def test_http_4_a_body_that_trickles_has_an_end(source: FakeSource, autojump_clock: MockClock) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await trio.sleep(1)

    begun = trio.current_time()
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert await ask(source, "POST", "/api/drain", "127.0.0.1", content=trickle(), headers=headers) == 400
    assert trio.current_time() - begun < 31


async def test_http_4_a_body_has_at_most_16_mib(source: FakeSource) -> None:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(1 << 20)
        raise AssertionError("all of it was read")

    headers = {"authorization": f"Bearer {TOKEN}"}

    assert await ask(source, "POST", "/api/drain", "127.0.0.1", content=flood(), headers=headers) == 400
