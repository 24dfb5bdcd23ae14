"""Commands for the proxy where several workers are one proxy: the same answers, from whichever worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest
import trio

from odp_trio.app import Proxy
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.model import Address
from tests.admin.across.together import open_workers, together
from tests.admin.test_commands import EVERY, LONGER, PASSWORD, asked, rows

SETTINGS = Settings(
    listen_port=0,
    local_bound_ip="127.0.0.1",
    enable_http=False,
    reactor="nested",
    hot_upgrade_exit_timeout=0.1,
    obproxy_sys_password=Secret(PASSWORD),
    clusters={"demo": ClusterSettings((Address("127.0.0.1", 1),))},
)


@pytest.fixture
async def proxies() -> AsyncIterator[list[Proxy]]:
    """Two workers whose one cluster cannot be reached."""
    async with open_workers(SETTINGS) as proxies:
        yield proxies


@asynccontextmanager
async def logged_in(proxy: Proxy) -> AsyncIterator[Any]:
    """Log in to the proxy itself."""
    host, port = proxy.addresses[0]
    connect = partial(pymysql.connect, host=host, port=port, user="root@proxysys", password=PASSWORD, read_timeout=20)
    with closing(await trio.to_thread.run_sync(connect)) as connection:
        yield connection


async def gone(proxy: Proxy, number: int) -> None:
    """Wait until a session has ended."""
    while number in proxy.sessions.table:  # noqa: ASYNC110
        await trio.sleep(0.01)


def run(connection: Any, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


async def in_thread(function: Any, *arguments: Any) -> Any:
    return await trio.to_thread.run_sync(function, *arguments)


# ---- rows -----------------------------------------------------------------------------------


async def test_every_command_has_the_columns_that_it_has_with_one_worker(proxies: list[Proxy]) -> None:
    answers = await asked(proxies[1], *EVERY, *LONGER)

    found = {sql: answer[0] for sql, answer in zip((*EVERY, *LONGER), answers, strict=True)}
    assert {sql: found[sql] for sql in EVERY} == EVERY


async def test_the_clients_of_all_workers_are_shown_by_each(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]) as one, logged_in(proxies[1]) as two:
        numbers = {one.thread_id(), two.thread_id()}
        for connection in (one, two):
            assert {row[1] for row in await in_thread(run, connection, "show proxysession")} == numbers
            assert {row[0] for row in await in_thread(run, connection, "show processlist")} == numbers
        assert [proxy.services.ids.worker_of(one.thread_id()) for proxy in proxies] == [0, 0]
        assert proxies[0].services.ids.worker_of(two.thread_id()) == 1


async def test_numbers_add_up(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]) as one, logged_in(proxies[1]):
        found = dict(row[:2] for row in await in_thread(run, one, "show proxystat"))

    assert found["total_client_connections"] == sum(proxy.counts.accepted for proxy in proxies) == 2
    assert found["current_cluster_resource_count"] == 1
    assert found["draining"] == 0


async def test_a_cluster_is_there_once(proxies: list[Proxy]) -> None:
    assert len(await rows(proxies[1], "show proxycluster")) == len(await rows(proxies[1], "show proxyresource")) == 1


async def test_connections_are_limited_over_all_workers(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]) as one, logged_in(proxies[1]) as two:
        every = [row[1] for row in await in_thread(run, one, "show proxynet connection")]
        assert every == [one.thread_id(), two.thread_id()]
        assert [row[1] for row in await in_thread(run, two, "show proxynet connection limit 1")] == every[:1]
        assert [row[1] for row in await in_thread(run, two, "show proxynet connection limit 1, 5")] == every[1:]


async def test_a_worker_that_is_missing_is_a_warning(proxies: list[Proxy], caplog: pytest.LogCaptureFixture) -> None:
    together(proxies[1]).silent = True
    async with logged_in(proxies[0]) as one:

        def ask() -> tuple[int, int]:
            one.query("show proxysession")
            return len(one._result.rows), one._result.warning_count

        assert await in_thread(ask) == (1, 1)
    assert "SHOW PROXYSESSION: the answer is not complete: worker 1 does not answer" in caplog.text


# ---- one session ------------------------------------------------------------------------------


async def test_one_session_is_shown_by_whichever_worker(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]) as one, logged_in(proxies[1]) as two:
        for connection in (one, two):
            shown = dict(
                row[:2] for row in await in_thread(run, connection, f"show proxysession attribute {one.thread_id()}")
            )
            assert shown["cs_id"] == str(one.thread_id())
        own = dict(row[:2] for row in await in_thread(run, two, "show proxysession attribute"))
        assert own["cs_id"] == str(two.thread_id())


@pytest.mark.parametrize("command", ["kill {}", "kill connection {}", "kill proxysession {}"])
async def test_a_client_of_another_worker_is_killed(proxies: list[Proxy], command: str) -> None:
    async with logged_in(proxies[0]) as one, logged_in(proxies[1]) as two:
        await in_thread(run, two, command.format(one.thread_id()))
        await gone(proxies[0], one.thread_id())

        assert list(await in_thread(run, two, "show proxysession")) != []
        (end,) = proxies[0].ends.newest()
        assert end.reason == "killed"
        assert f"by session {two.thread_id()} root@proxysys" in end.detail


async def test_nobody_of_that_id(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[0]) as one:
        number = one.thread_id()
    other = number ^ 1 << 16  # of worker 1
    assert proxies[0].services.ids.worker_of(other) == 1
    for gone in (other, number ^ 1, 12345):
        assert await asked(proxies[0], f"kill {gone}") == [(1094, f"Unknown thread id: {gone}")]
    together(proxies[1]).silent = True
    assert await asked(proxies[0], f"kill {other}") == [(4012, "worker 1 does not answer")]


async def test_who_kills_itself_is_told(proxies: list[Proxy]) -> None:
    async with logged_in(proxies[1]) as two:
        with pytest.raises(pymysql.err.OperationalError) as caught:
            await in_thread(run, two, f"kill {two.thread_id()}")
    assert caught.value.args[0] == 1317


# ---- what is done in all -----------------------------------------------------------------------


async def test_a_task_is_restarted_in_one_worker_or_in_all(proxies: list[Proxy]) -> None:
    paths = [row[0] for row in await rows(proxies[0], "show proxytasks like '%prober'")]
    assert paths == ["worker:0/catalog/prober", "worker:1/catalog/prober"]

    def lives() -> list[int]:
        found = []
        for proxy in proxies:
            (catalog,) = (one for one in proxy.tree().children if one.name == "catalog")
            found += [child.restarts for child in catalog.children if child.name == "prober"]
        return found

    async def lived(wanted: list[int]) -> None:
        with trio.fail_after(20):
            while lives() != wanted:  # noqa: ASYNC110
                await trio.sleep(0.01)

    await asked(proxies[0], "alter proxy restart task 'worker:1/catalog/prober'")
    await lived([0, 1])
    await asked(proxies[0], "alter proxy restart task 'catalog/prober'")
    await lived([1, 2])
    (answer,) = await asked(proxies[0], "alter proxy restart task 'worker:1/no/such'")

    assert answer[0] == 1210


async def test_a_drain_is_one_of_all(proxies: list[Proxy]) -> None:
    await asked(proxies[1], "alter proxy drain")

    assert together(proxies[1]).drained.startswith("session ")


async def test_options_are_altered_in_all_workers(proxies: list[Proxy]) -> None:
    await asked(proxies[1], "alter proxyconfig set connect_timeout = 3s")
    assert [proxy.settings().connect_timeout for proxy in proxies] == [3.0, 3.0]

    (answer,) = await asked(proxies[0], "alter proxyconfig set connect_timeout = 4s, no_such_option = 1")
    assert answer[0] == 5099
    assert [proxy.settings().connect_timeout for proxy in proxies] == [3.0, 3.0]


async def test_with_one_worker_missing_nothing_is_altered(proxies: list[Proxy]) -> None:
    together(proxies[1]).silent = True

    (answer,) = await asked(proxies[0], "alter proxyconfig set connect_timeout = 3s")

    assert "worker 1 does not answer" in answer[1]
    assert [proxy.settings().connect_timeout for proxy in proxies] == [SETTINGS.connect_timeout] * 2


async def test_a_worker_that_refuses_keeps_all_as_they_are(proxies: list[Proxy]) -> None:
    proxies[1].configuration.handed_over = True

    (answer,) = await asked(proxies[0], "alter proxyconfig set connect_timeout = 3s")

    assert "another process serves by now" in answer[1]
    assert proxies[0].settings().connect_timeout == SETTINGS.connect_timeout


async def test_what_is_altered_is_kept_once_and_a_disk_that_is_full_changes_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "kept.toml"
    async with open_workers(SETTINGS, kept_in=str(kept)) as proxies:
        await asked(proxies[0], "alter proxyconfig set connect_timeout = 3s")
        assert 'connect_timeout = "3s"' in kept.read_text()
        kept.unlink()
        kept.mkdir()

        (answer,) = await asked(proxies[1], "alter proxyconfig set connect_timeout = 4s")

        assert "cannot be written" in answer[1]
        assert [proxy.settings().connect_timeout for proxy in proxies] == [3.0, 3.0]


async def test_many_rows_come_in_pieces_and_in_order(proxies: list[Proxy]) -> None:
    for number in range(1800):
        proxies[number % 2].logs.ring.add(1, 9e9 + number, "WARNING", "odp_trio.test", f"line {number}")

    (answer,) = await asked(proxies[0], "show warnlog 0, 0, '2200-01-01'")

    assert [row[3].rsplit(" ", 1)[1] for row in answer[1]] == [str(number) for number in range(1800)]
