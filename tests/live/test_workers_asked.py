"""Two processes that are one proxy, asked over their ports: rows, counts, options, kills, the console."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
from prometheus_client.parser import text_string_to_metric_families

from odp_trio.model import Address
from tests.live.clients import connect
from tests.live.test_workers import QUICK, TWO, sessions_of_each, worker_of, workers_of
from tests.live.threads import pair, until
from tests.watch_process import WatchProcess, watch_process

TOKEN, PASSWORD = "a-token", "of-the-proxy"


@pytest.fixture
def watch(run_options: list[str], tmp_path: Path) -> Iterator[WatchProcess]:
    said = f"{run_options[-1]},etc_dir={tmp_path},obproxy_sys_password={PASSWORD},http_token={TOKEN}"
    with watch_process(QUICK, [*run_options[:-1], said, *TWO]) as watch:
        watch.wait_serving()
        yield watch


def administrators(address: Address) -> list[pymysql.Connection]:
    """A session of root@proxysys in each worker."""
    found: dict[int, pymysql.Connection] = {}
    while len(found) < 2:
        session = connect(pair(address), "root@proxysys", PASSWORD)
        if found.setdefault(worker_of(session.thread_id()), session) is not session:
            session.close()
    return [found[worker] for worker in sorted(found)]


def rows(session: pymysql.Connection, sql: str) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def samples(watch: WatchProcess) -> dict[str, dict[tuple[str, ...], float]]:
    """What /metrics says, by name and values of labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(httpx.get(f"http://{watch.http}/metrics", timeout=20).text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def timeouts(watch: WatchProcess) -> list[str]:
    """The option connect_timeout, as each worker has it."""
    found = []
    for session in administrators(watch.address):
        with closing(session):
            found += [row[1] for row in rows(session, "show proxyconfig like 'connect_timeout'")]
    return found


def test_rows_counts_and_kills_are_of_both(watch: WatchProcess) -> None:
    pids = workers_of(watch)
    clients = sessions_of_each(watch.address)
    for count, client in enumerate(clients, 2):
        for _ in range(count):
            rows(client, "select 1")
    admins = administrators(watch.address)
    numbers = {session.thread_id() for session in (*clients, *admins)}

    for admin in admins:
        shown = rows(admin, "show proxysession")
        assert {row[1] for row in shown} >= numbers
        assert {row[11] for row in shown} == set(pids)
        stats = dict(row[:2] for row in rows(admin, "show proxystat"))
        assert stats["current_client_connections"] == len(shown)
        assert len(rows(admin, "show proxycluster")) == 1
    for _ in range(4):  # whichever worker takes it
        found = samples(watch)
        assert found["odp_workers"] == {("answering",): 2.0, ("missing",): 0.0}
        assert Counter(labels[1] for labels in found["odp_worker_info"]) == Counter(map(str, pids))
        assert sum(found["odp_statements_total"].values()) >= 5
        assert found["odp_statement_seconds_count"][("demo", "sys")] >= 5

    rows(admins[0], f"kill {clients[1].thread_id()}")
    with pytest.raises(pymysql.err.OperationalError):
        rows(clients[1], "select 1")
    assert rows(clients[0], "select 1") == [(1,)]
    with pytest.raises(pymysql.err.OperationalError, match="Unknown thread id"):
        rows(admins[0], f"kill {clients[1].thread_id()}")
    for session in (*clients, *admins):
        session.close()


def test_options_are_in_all_workers_or_in_none(watch: WatchProcess) -> None:
    """A worker that is killed comes back with them; while one hangs, nothing is changed."""
    one, two = administrators(watch.address)
    rows(two, "alter proxyconfig set connect_timeout = 3s")
    assert timeouts(watch) == ["3s", "3s"]
    before, accepted = workers_of(watch), samples(watch)["odp_sessions_accepted_total"][()]

    os.kill(before[1], signal.SIGKILL)
    watch.wait(lambda s: s["workers"][1] not in (before[1], None) and s["state"] == "serving", "it is back")
    until(lambda: samples(watch)["odp_workers"][("answering",)] == 2, "both answer")
    assert timeouts(watch) == ["3s", "3s"]
    for _ in range(3):
        assert samples(watch)["odp_sessions_accepted_total"][()] >= accepted

    os.kill(workers_of(watch)[1], signal.SIGSTOP)  # until the parent finds that it hangs
    with pytest.raises(pymysql.err.MySQLError, match="worker 1"):
        rows(one, "alter proxyconfig set connect_timeout = 4s")
    watch.wait(lambda s: s["restarts"] == 2 and s["state"] == "serving", "it is replaced")
    assert timeouts(watch) == ["3s", "3s"]
    one.close()


def test_http_and_the_command_line_show_both(watch: WatchProcess) -> None:
    url, headers = f"http://{watch.http}", {"authorization": f"Bearer {TOKEN}"}
    clients = sessions_of_each(watch.address)
    with httpx.Client(base_url=url, headers=headers, timeout=20) as http:
        for _ in range(4):
            assert http.get("/ready").status_code == 200
            assert http.get("/api/status").json()["workers"] == 2
            listed = http.get("/api/sessions").json()["sessions"]
            assert {session["id"] for session in listed} >= {client.thread_id() for client in clients}
        for client in clients:
            assert http.post("/api/kill", json={"id": client.thread_id()}).status_code == 200
        assert http.post("/api/restart", json={"path": "worker:1/loop_lag"}).status_code == 200
        assert [child["name"] for child in http.get("/api/tree").json()["children"]] == ["worker:0", "worker:1"]

    top = _odp_trio("top", "--once", "--url", url)
    assert "worker:0" in top
    assert "worker:1" in top
    assert "server" in _odp_trio("explain", "--proxy", url, "--tenant", "sys", "select 1")


def _odp_trio(*words: str) -> str:
    command = [sys.executable, "-m", "odp_trio", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
