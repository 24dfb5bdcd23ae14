"""Who may ask what over HTTP: pure, then asked of the application."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec
import pytest

from odp_trio.admin.access import Refusal, Visitor, check, is_loopback, names_us, visitor
from odp_trio.admin.api import API
from odp_trio.admin.console_pages import PAGES
from odp_trio.admin.explain_answer import ExplainAnswer
from odp_trio.admin.http import make_app
from odp_trio.admin.openapi import describe
from tests.admin.source import KNOWN_SESSION, FakeSource

TOKEN = "a token that nobody guesses"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ELSEWHERE = "192.0.2.7"


@pytest.mark.parametrize(
    ("headers", "peer", "who"),
    [
        ({"host": "127.0.0.1:2884"}, "127.0.0.1", Visitor.LOCAL),
        ({"host": "localhost:2884"}, "::1", Visitor.LOCAL),
        ({"host": "[::1]:2884"}, "::ffff:127.0.0.1", Visitor.LOCAL),
        ({"host": "127.0.0.1"}, ELSEWHERE, Visitor.STRANGER),
        ({"host": "127.0.0.1", "x-forwarded-for": "10.0.0.1"}, "127.0.0.1", Visitor.STRANGER),
        ({"host": "proxy.example", **BEARER}, ELSEWHERE, Visitor.TOKEN),
        ({"host": "a:1", "origin": "http://a:1", **BEARER}, ELSEWHERE, Visitor.TOKEN),
        ({"host": "localhost:1", "sec-fetch-site": "same-origin"}, "127.0.0.1", Visitor.LOCAL),
    ],
)
def test_who_asks(headers: dict[str, str], peer: str, who: Visitor) -> None:
    assert visitor(headers, peer, TOKEN) is who


@pytest.mark.parametrize(
    ("headers", "code", "said"),
    [
        ({"host": "rebound.example"}, 403, "neither an address nor localhost"),
        ({"host": "localhost.example.com"}, 403, "neither an address nor localhost"),
        ({"host": ""}, 403, "neither"),
        ({"host": "127.0.0.1:1", "origin": "http://evil.example"}, 403, "a page of http://evil.example"),
        ({"host": "127.0.0.1:1", "origin": "null"}, 403, "a page of null"),
        ({"host": "127.0.0.1:1", "origin": "http://127.0.0.1:2"}, 403, "may not ask here"),
        ({"host": "127.0.0.1:1", "sec-fetch-site": "cross-site"}, 403, "another site"),
        ({"host": "127.0.0.1:1", "authorization": "Bearer wrong"}, 401, "wrong"),
        ({"host": "127.0.0.1:1", "authorization": "Basic cm9vdDo="}, 401, "Bearer TOKEN"),
    ],
)
def test_who_may_not_ask_at_all(headers: dict[str, str], code: int, said: str) -> None:
    found = visitor(headers, "127.0.0.1", TOKEN)

    assert isinstance(found, Refusal)
    assert found.code == code
    assert said in found.error


def test_an_empty_token_never_is_the_right_one() -> None:
    assert isinstance(visitor({"host": "127.0.0.1", "authorization": "Bearer "}, "127.0.0.1", ""), Refusal)


@pytest.mark.parametrize(
    ("who", "token", "reads", "writes"),
    [
        (Visitor.TOKEN, TOKEN, None, None),
        (Visitor.LOCAL, TOKEN, None, 401),
        (Visitor.LOCAL, "", None, 403),
        (Visitor.STRANGER, TOKEN, 401, 401),
        (Visitor.STRANGER, "", 401, 403),
    ],
)
def test_what_they_may(who: Visitor, token: str, reads: int | None, writes: int | None) -> None:
    for changes, code in ((False, reads), (True, writes)):
        refusal = check(who, token, writes=changes)
        assert (refusal and refusal.code) == code


@pytest.mark.parametrize(("peer", "loopback"), [("127.9.9.9", True), ("10.0.0.1", False), ("", False), ("::1", True)])
def test_loopback(peer: str, loopback: bool) -> None:
    assert is_loopback(peer) is loopback


@pytest.mark.parametrize(
    ("host", "ours"), [("LOCALHOST.", True), ("10.1.2.3", True), ("[fe80::1]:80", True), ("x", False)]
)
def test_hosts(host: str, ours: bool) -> None:
    assert names_us(host) is ours


# ---- of the application ------------------------------------------------------------------


async def ask(source: FakeSource, method: str, path: str, peer: str = "127.0.0.1", **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(make_app(source, source), client=(peer, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **options)


@pytest.fixture
def source() -> FakeSource:
    found = FakeSource().with_token(TOKEN)
    found.with_cluster = True
    return found


@pytest.mark.parametrize("operation", API, ids=lambda operation: f"{operation.method} {operation.name}")
async def test_every_operation_needs_a_token_from_elsewhere(source: FakeSource, operation: Any) -> None:
    response = await ask(source, operation.method, operation.path, peer=ELSEWHERE)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert source.done == []


@pytest.mark.parametrize("path", ["/health", "/metrics", "/", "/console/console.js"])
async def test_what_anybody_may_read(source: FakeSource, path: str) -> None:
    assert (await ask(source, "GET", path, peer=ELSEWHERE)).status_code == 200


CHANGES: list[tuple[str, dict[str, Any], tuple[object, ...]]] = [
    ("/api/kill", {"id": KNOWN_SESSION}, ("kill", KNOWN_SESSION, False)),
    ("/api/kill", {"id": KNOWN_SESSION, "query": True}, ("kill", KNOWN_SESSION, True)),
    ("/api/restart", {"path": "http"}, ("restart", "http")),
    ("/api/drain", {}, ("drain",)),
]


@pytest.mark.parametrize(("path", "body", "done"), CHANGES)
async def test_changes_need_the_token(
    source: FakeSource, path: str, body: dict[str, Any], done: tuple[object, ...]
) -> None:
    assert (await ask(source, "POST", path, json=body)).status_code == 401
    assert (await ask(source, "POST", path, json=body, headers={"authorization": "Bearer x"})).status_code == 401
    assert source.done == []

    response = await ask(source, "POST", path, json=body, headers=BEARER)

    assert response.status_code == 200
    assert source.done == [done]


@pytest.mark.parametrize(
    ("path", "body", "code", "said"),
    [
        ("/api/kill", b'{"id": 8}', 404, "Unknown thread id: 8"),
        ("/api/kill", b'{"id": -1}', 400, "`int` >= 0 - at `$.id`"),
        ("/api/kill", b"{}", 400, "missing required field `id`"),
        ("/api/restart", b'{"path": "htpt"}', 404, "there is no task 'htpt'"),
        ("/api/drain", b'{"now": true}', 400, "unknown field `now`"),
    ],
)
async def test_changes_that_cannot_be_made(source: FakeSource, path: str, body: bytes, code: int, said: str) -> None:
    response = await ask(source, "POST", path, content=body, headers=BEARER)

    assert response.status_code == code
    assert said in response.json()["error"]
    assert source.done == []


async def test_the_document_is_served_and_names_every_operation(source: FakeSource) -> None:
    served = (await ask(source, "GET", "/api/openapi.json")).json()

    assert served == msgspec.json.decode(msgspec.json.encode(describe()))
    assert {(path, method.upper()) for path, methods in served["paths"].items() for method in methods} == {
        (operation.path, operation.method) for operation in API
    }
    assert served["paths"]["/api/kill"]["post"]["security"] == [{"token": []}]


async def test_an_explanation_is_of_the_type_that_the_document_names(source: FakeSource) -> None:
    for sql in ("select * from orders where id = 1", "select /*+ read_consistency(weak) */ 1", "not sql", "begin"):
        words = {"sql": sql, "cluster": "demo", "tenant": "shop", "database": "sales"}
        answer = await ask(source, "POST", "/api/explain", json=words)
        msgspec.json.decode(answer.content, type=ExplainAnswer)


async def test_no_cache_keeps_what_was_answered_and_no_page_frames_the_console(source: FakeSource) -> None:
    assert (await ask(source, "GET", "/api/status")).headers["cache-control"] == "no-store"
    policy = (await ask(source, "GET", "/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_configuration_is_read_and_altered(source: FakeSource) -> None:
    async def value() -> list[str]:
        found = (await ask(source, "GET", "/api/config", params={"like": "client_max_conn%ons"})).json()
        return [row["value"] for row in found["options"]]

    before = await value()
    change = {"changes": [{"name": "client_max_connections", "value": 1234}]}
    dry = await ask(source, "POST", "/api/config", json={**change, "dry_run": True}, headers=BEARER)
    assert (dry.status_code, dry.json()["changed"][0]["new"], await value()) == (200, "1234", before)

    assert (await ask(source, "POST", "/api/config", json=change)).status_code == 401
    assert await value() == before
    done = await ask(source, "POST", "/api/config", json=change, headers=BEARER)

    assert (done.status_code, done.json()["dry_run"], await value()) == (200, False, ["1234"])


async def test_a_change_with_a_mistake_is_refused_and_no_secret_is_shown(source: FakeSource) -> None:
    change = {"changes": [{"name": "client_max_connections", "value": "many"}]}
    refused = await ask(source, "POST", "/api/config", json=change, headers=BEARER)
    assert refused.status_code == 400
    assert "client_max_connections" in refused.json()["error"]

    for path in ("/api/config", "/api/config?all=true", "/api/status", "/api/snapshot"):
        assert TOKEN not in (await ask(source, "GET", path)).text


async def test_another_token_is_in_force_at_once(source: FakeSource) -> None:
    change = {"changes": [{"name": "http_token", "value": "another one"}]}
    assert (await ask(source, "POST", "/api/config", json=change, headers=BEARER)).status_code == 200

    assert (await ask(source, "POST", "/api/drain", headers=BEARER)).status_code == 401
    other = {"authorization": "Bearer another one"}
    assert (await ask(source, "POST", "/api/drain", headers=other)).status_code == 200


async def test_a_wrong_token_is_logged_and_the_token_never_is(
    source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    await ask(source, "POST", "/api/kill", json={"id": 1})
    assert not caplog.records

    await ask(source, "POST", "/api/kill", json={"id": 1}, headers={"authorization": f"Bearer {TOKEN}x"})

    (line,) = caplog.messages
    assert line == "HTTP from 127.0.0.1:5 may not POST /api/kill: the token is wrong"


def test_the_console_asks_nobody_else_for_anything() -> None:
    elsewhere = re.compile(rb"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)

    assert {path: elsewhere.findall(content) for path, (content, _) in PAGES.items() if elsewhere.search(content)} == {}
    assert {"/", "/console/console.js", "/console/console.css"} <= PAGES.keys()
    assert all(content.count(b"\n") <= 400 for content, _ in PAGES.values())
