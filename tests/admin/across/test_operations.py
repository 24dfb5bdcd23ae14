"""HTTP where several workers are one proxy: whichever is asked answers for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from odp_trio.admin.api import API
from odp_trio.admin.http import make_app
from odp_trio.admin.operate import Operator
from odp_trio.app import Proxy
from odp_trio.config import Secret
from tests.admin.across.test_commands import SETTINGS, gone, logged_in
from tests.admin.across.together import open_workers, together

TOKEN = "a token"
AS_ADMINISTRATOR = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(params=[2])
async def proxies(request: pytest.FixtureRequest) -> AsyncIterator[list[Proxy]]:
    """Workers whose one cluster cannot be reached; the parameter is how many."""
    settings = msgspec.structs.replace(SETTINGS, http_token=Secret(TOKEN))
    async with open_workers(settings, request.param) as proxies:
        yield proxies


async def ask(proxy: Proxy, method: str, path: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(make_app(proxy, Operator(proxy)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, headers=AS_ADMINISTRATOR, **options)


async def get(proxy: Proxy, path: str, **parameters: Any) -> Any:
    answer = await ask(proxy, "GET", path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def metrics(proxy: Proxy) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what /metrics says."""
    return samples((await ask(proxy, "GET", "/metrics")).text)


def samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples by name and values of labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels.values())
            samples = found.setdefault(sample.name, {})
            assert labels not in samples, sample
            samples[labels] = sample.value
    return found


@pytest.mark.parametrize("operation", [one for one in API if one.method == "GET" and one.name != "explain"])
async def test_the_answer_is_of_the_type_of_the_table(proxies: list[Proxy], operation: Any) -> None:
    for proxy in proxies:
        answer = await ask(proxy, "GET", operation.path)

        assert answer.status_code == 200, answer.text
        msgspec.json.decode(answer.content, type=operation.answer)


async def test_the_status_is_of_all(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]), logged_in(proxies[1]), logged_in(proxies[1]):
        for proxy in proxies:
            status = await get(proxy, "/api/status")
            assert (status["workers"], status["sessions"], status["accepted"]) == (2, 3, 3)
            assert [cluster["name"] for cluster in status["clusters"]] == ["demo"]


async def test_metrics_are_of_all(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]), logged_in(proxies[1]):
        for proxy in proxies:
            found = await metrics(proxy)
            assert found["odp_sessions"] == {(): 2.0}
            assert found["odp_workers"] == {("answering",): 2.0, ("missing",): 0.0}
            assert {labels[-1] for labels in found["odp_worker_info"]} == {"0", "1"}
            assert 1e9 < found["process_start_time_seconds"][()] < 3e9


async def test_the_process_adds_up(proxies: list[Proxy]) -> None:
    """Here both workers are one process: it has twice the memory of itself."""
    both = await metrics(proxies[0])
    together(proxies[1]).silent = True
    one = await metrics(proxies[0])

    assert both["process_resident_memory_bytes"][()] > 1.5 * one["process_resident_memory_bytes"][()]
    assert one["odp_workers"] == {("answering",): 1.0, ("missing",): 1.0}


async def test_the_sessions_of_all_are_found(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]) as one, logged_in(proxies[1]) as two:
        everybody = await get(proxies[0], "/api/sessions")
        found = await get(proxies[0], "/api/sessions", search=str(two.thread_id()))
        first = await get(proxies[1], "/api/sessions", limit=1)

        assert {session["id"] for session in everybody["sessions"]} == {one.thread_id(), two.thread_id()}
        assert [session["id"] for session in found["sessions"]] == [two.thread_id()]
        assert (first["total"], len(first["sessions"])) == (2, 1)


async def test_a_client_of_another_worker_is_killed(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[1]) as two:
        answer = await ask(proxies[0], "POST", "/api/kill", json={"id": two.thread_id()})
        await gone(proxies[1], two.thread_id())
        again = await ask(proxies[0], "POST", "/api/kill", json={"id": two.thread_id()})

    assert (answer.status_code, again.status_code) == (200, 404)
    (end,) = (await get(proxies[0], "/api/ends"))["clients"]
    assert (end["id"], end["reason"]) == (two.thread_id(), "killed")


async def test_tasks_of_one_worker_or_of_all_are_restarted(proxies: list[Proxy]) -> None:
    tree = await get(proxies[0], "/api/tree")
    assert [child["path"] for child in tree["children"]] == ["worker:0", "worker:1"]

    async def restarted() -> list[int]:
        found = []
        for worker in (await get(proxies[0], "/api/tree"))["children"]:
            found += [child["restarts"] for child in worker["children"] if child["name"] == "loop_lag"]
        return found

    for path, wanted in (("worker:1/loop_lag", [0, 1]), ("loop_lag", [1, 2])):
        answer = await ask(proxies[0], "POST", "/api/restart", json={"path": path})
        assert answer.status_code == 200, answer.text
        with trio.fail_after(20):
            while await restarted() != wanted:  # noqa: ASYNC110
                await trio.sleep(0.01)
    assert (await ask(proxies[0], "POST", "/api/restart", json={"path": "worker:7/loop_lag"})).status_code == 404


async def test_options_are_altered_in_all_or_none(proxies: list[Proxy]) -> None:
    async def alter(value: str) -> httpx.Response:
        return await ask(
            proxies[1], "POST", "/api/config", json={"changes": [{"name": "connect_timeout", "value": value}]}
        )

    assert (await alter("3s")).status_code == 200
    assert (await alter("no time")).status_code == 400
    together(proxies[0]).silent = True
    assert (await alter("4s")).status_code == 503
    assert [proxy.settings().connect_timeout for proxy in proxies] == [3.0, 3.0]


async def test_a_drain_is_one_of_all(proxies: list[Proxy]) -> None:
    assert (await ask(proxies[1], "POST", "/api/drain")).status_code == 200
    assert together(proxies[1]).drained.startswith("HTTP")


async def test_probes_name_who_is_missing(proxies: list[Proxy]) -> None:
    together(proxies[1]).silent = True

    health = await get(proxies[0], "/health")

    assert health["status"] == "degraded"
    assert "worker 1 does not answer" in health["reasons"]


async def test_the_console_shows_all(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]), logged_in(proxies[1]):
        frame = await get(proxies[1], "/api/live")

    assert (frame["sessions"], len(frame["clusters"])) == (2, 1)
    assert [child["path"] for child in frame["tree"]["children"]] == ["worker:0", "worker:1"]
    together(proxies[0]).silent = True
    assert "worker 0 does not answer" in (await get(proxies[1], "/api/live"))["why_degraded"]


async def test_slow_statements_and_warnings_are_in_order_of_time(proxies: list[Proxy]) -> None:
    for later, proxy in ((3, proxies[0]), (1, proxies[1]), (2, proxies[1])):
        proxy.logs.ring.add(1, 9e9 + later, "WARNING", "odp_trio.test", f"at {later}")

    lines = (await get(proxies[0], "/api/log"))["lines"]
    last = (await get(proxies[0], "/api/log", since=9e9, limit=1))["lines"]

    assert [line["log"] for line in lines if line["logger"] == "odp_trio.test"] == ["at 1", "at 2", "at 3"]
    assert [line["log"] for line in last] == ["at 3"]


@pytest.mark.parametrize("proxies", [3], indirect=True)
async def test_counters_do_not_fall_when_a_worker_is_gone(proxies: list[Proxy]) -> None:
    """Nor when somebody else is asked then, who has never looked before."""
    apps = [make_app(proxy, Operator(proxy)) for proxy in proxies]

    async def look(number: int) -> dict[str, dict[tuple[str, ...], float]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(apps[number]), base_url="http://127.0.0.1") as http:
            return samples((await http.get("/metrics")).text)

    for _ in range(3):
        async with logged_in(proxies[2]):
            pass
    async with logged_in(proxies[1]):
        before = await look(0)
        together(proxies[2]).silent = True
        same, other = await look(0), await look(1)

    for found in (before, same, other):
        assert found["odp_sessions_accepted_total"] == {(): 4.0}
        assert sum(found["odp_session_ends_total"].values()) + found["odp_sessions"][()] == 4.0
        assert found["odp_cluster_refreshes_total"] == {("demo",): 0.0}
    assert other["odp_workers"] == {("answering",): 2.0, ("missing",): 1.0}
    assert other["process_cpu_seconds_total"][()] >= before["process_cpu_seconds_total"][()]
    assert other["process_open_fds"][()] < before["process_open_fds"][()]

    together(proxies[2]).silent = False
    assert (await look(1))["odp_sessions_accepted_total"] == {(): 4.0}
