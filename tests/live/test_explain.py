"""Explain on a running proxy: the command line, its snapshot, and what OBServers saw, say the same."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from odp_trio.cli import main
from odp_trio.testing.bed import Testbed
from tests.live.clients import connect, in_thread
from tests.live.test_routing import make_table, run
from tests.proxy_process import ProxyProcess, proxy_process

SESSION = ["--user", "app", "--database", "routes"]


@pytest.fixture
async def running(bed: Testbed) -> AsyncIterator[ProxyProcess]:
    """A proxy process with HTTP, before three OBServers that each lead two partitions of routes.told."""
    tablets = await make_table(bed, "told", "id int primary key, v int", "partition by hash(id) partitions 6")
    for at, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, at % 3)
    manager = proxy_process(
        bed.rslist, bed.cluster, bed.proxyro_password, options="hot_upgrade_exit_timeout=0.2s", http=True
    )
    process = await in_thread(manager.__enter__)
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            await in_thread(manager.__exit__, None, None, None)


async def command(*words: str) -> tuple[int, str, str]:
    """Run the command line in a thread; return status, standard output and standard error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))

    def work() -> int:
        with redirect_stdout(out), redirect_stderr(err):
            return main(words)

    status = await in_thread(work)
    said, complained = (stream.seek(0) or stream.read() for stream in (out, err))
    return status, str(said), str(complained)


async def explain(proxy: ProxyProcess, sql: str, *words: str) -> dict[str, Any]:
    """Ask the proxy for JSON."""
    status, out, err = await command("explain", "--json", "--proxy", url(proxy), *SESSION, *words, sql)
    assert (status, err) == (0, "")
    answer: dict[str, Any] = json.loads(out)
    return answer


def url(proxy: ProxyProcess) -> str:
    assert proxy.http is not None
    return f"http://{proxy.http}"


async def get(proxy: ProxyProcess, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url(proxy), trust_env=False) as client:
        return await client.get(path)


async def test_the_command_line_names_the_server_where_the_statement_then_runs(
    bed: Testbed, running: ProxyProcess
) -> None:
    told = [await explain(running, f"update told set v = 0 where id = {key}") for key in range(6)]

    def work() -> None:
        with closing(connect((running.address.ip, running.address.port), database="routes")) as connection:
            for key in range(6):
                run(connection, f"update told set v = 0 where id = {key}")

    await in_thread(work)

    for key, answer in enumerate(told):
        assert (answer["rule"], answer["partition"]["name"]) == ("leader", f"p{key}")
        (seen,) = bed.statements(rf"update told set v = 0 where id = {key}$")
        assert answer["server"] == str(bed.observers[seen.observer].address), key
        assert seen.observer == key % 3


async def test_a_snapshot_gives_the_same_answers_as_the_proxy_that_it_was_taken_of(
    bed: Testbed, running: ProxyProcess, tmp_path: Path
) -> None:
    path = tmp_path / "demo.json"
    questions = [
        ["select * from told where id = 4"],
        ["select * from told where v = 4"],
        ["--weak", "select * from told where id = 2"],
        ["--param", "5", "delete from told where id = ?"],
        ["select 1"],
        ["--what-if", "zone=zone2 down", "select * from told where id = 1"],
        ["--what-if", f"leader={bed.observers[2].address}", "insert into told values (3, 3)"],
        ["--what-if", "zone=zone3 readonly", "--weak", "select * from told where id = 0"],
        ["select * from no_such_table"],  # the last one: that a table does not exist is not remembered for long
    ]
    live = [await explain(running, words[-1], *words[:-1]) for words in questions]

    status, out, err = await command("snapshot", "--proxy", url(running), "-o", str(path))
    assert (status, out) == (0, "")
    assert err.startswith(f"{path}: 1 clusters, ")

    for words, answer in zip(questions, live, strict=True):
        status, out, err = await command("explain", "--json", "--snapshot", str(path), *SESSION, *words)
        assert (status, err) == (0, "")
        assert json.loads(out) == answer, words


async def test_a_mistake_is_the_proxys_own_words_and_status_2(running: ProxyProcess) -> None:
    answers = [
        await command("explain", "--proxy", url(running), *words, "select 1")
        for words in (["--what-if", "zone=zone9 down"], ["--cluster", "dmeo"], ["--tenant", "nobody"])
    ]

    assert [(status, out) for status, out, _ in answers] == [(2, "")] * 3
    errors = [err for _, _, err in answers]
    assert "there is no zone 'zone9'; did you mean 'zone" in errors[0]
    assert errors[1] == "odp-trio: cluster 'dmeo' is not known; did you mean 'demo'?\n"
    assert errors[2] == "odp-trio: tenant 'nobody' is unknown to cluster 'demo'\n"


async def test_routes_and_metrics_count_what_was_routed(running: ProxyProcess) -> None:
    def work() -> None:
        with closing(connect((running.address.ip, running.address.port), database="routes")) as connection:
            for key in range(4):
                run(connection, f"select * from told where id = {key}")
            run(connection, "select * from told where v = 1")

    await in_thread(work)

    (route,) = (await get(running, "/api/routes?like=routes.told")).json()["routes"]
    assert (route["routed"], route["not_computable"], route["partitions"]) == (4, 1, 6)
    assert route["policies"]["leader"] == {"routed": 4, "missed": 0}
    text = (await get(running, "/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("odp_table_statements_total{")]
    assert any('table="told"' in line and 'outcome="routed"' in line and line.endswith(" 4.0") for line in lines)
    assert 'odp_route_not_computable_total{cluster="demo",tenant="sys"} 1.0' in text
