"""Several workers on one port: one is killed, one hangs, all drain, all are replaced, a bad version replaces none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pymysql
import pytest

from odp_trio.model import Address
from odp_trio.session.ids import ConnectionIds
from odp_trio.testing.topology import PROXYRO_PASSWORD
from tests.live.clients import ask, connect
from tests.live.threads import pair, until, visitors
from tests.proxy_process import proxy_process
from tests.watch_process import WatchProcess, watch_process

QUICK = ("--probe-interval", "0.2", "--probe-timeout", "0.5", "--probe-failures", "2", "--settle", "0.3")
TWO = ("--workers", "2")


def worker_of(number: int) -> int:
    """Which of two workers gave a connection id."""
    return number >> 16 & 1


def sessions_of_each(address: Address, each: int = 1) -> list[pymysql.Connection]:
    """Sessions until every worker has so many; those beyond are closed."""
    kept: list[pymysql.Connection] = []
    counted: Counter[int] = Counter()
    while min(counted[0], counted[1]) < each:
        session = connect(pair(address))
        worker = worker_of(session.thread_id())
        if counted[worker] < each:
            kept.append(session)
            counted[worker] += 1
        else:
            session.close()
    return sorted(kept, key=lambda session: worker_of(session.thread_id()))


def workers_of(watch: WatchProcess) -> list[int]:
    return list(watch.wait_serving()["workers"])


def test_the_ids_of_workers_say_whose_they_are() -> None:
    for worker in range(2):
        assert worker_of(ConnectionIds(5, worker=worker, workers=2).allocate(())) == worker


def test_a_killed_worker_is_back_within_a_second_and_nobody_is_refused(run_options: list[str]) -> None:
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        before = workers_of(watch)
        stays, goes = sessions_of_each(watch.address)
        number = goes.thread_id()
        with visitors(watch.address, 4) as load:
            until(lambda: load.served > 20, "the load runs")
            threading.Event().wait(0.3)  # longer than --settle: this is no death at once

            os.kill(before[1], signal.SIGKILL)
            gaps = []
            for _ in range(8):  # about every second one waits for the next worker
                began = time.monotonic()
                with socket.create_connection(pair(watch.address), timeout=20) as client:
                    assert client.recv(99)[4] == 10, "a greeting"
                gaps.append(time.monotonic() - began)

            while worker_of((session := connect(pair(watch.address))).thread_id()) != 1:
                session.close()
            with stays.cursor() as cursor:
                cursor.execute("select 1")
            served = load.served
            until(lambda: load.served > served + 20, "the load goes on")
        assert load.refused == []
        assert max(gaps) <= 1.0, gaps
        assert len(load.lost) <= 4
        assert (session.thread_id() ^ number) >> 17 & 1 == 1, "ids differ from those of the one before"
        assert session.thread_id() >> 18 == stays.thread_id() >> 18, "all workers have one proxy id"
        after = watch.wait_serving()
        assert after["workers"][0] == before[0]
        assert after["workers"][1] != before[1]
        assert after["restarts"] == 1


def admin(watch: WatchProcess, sql: str) -> list[tuple[object, ...]]:
    return list(ask(pair(watch.address), sql, "root@proxysys", "adm"))


def test_a_worker_that_is_started_anew_has_what_was_altered(run_options: list[str], tmp_path: Path) -> None:
    run_options[-1] += f",obproxy_sys_password=adm,login_timeout=9s,etc_dir={tmp_path}"
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        before = workers_of(watch)
        admin(watch, "alter proxyconfig set login_timeout='7s'")  # above -o, as long as the proxy lives
        threading.Event().wait(0.3)

        os.kill(before[0], signal.SIGKILL)

        watch.wait(lambda s: s["restarts"] == 1 and s["state"] == "serving", "it is back")
        until(lambda: "the settings are those of worker 1" in watch.log.read_text(), "its log says so, a little later")
        for session in sessions_of_each(watch.address):
            session.close()
        for _ in range(8):  # whichever answers
            rows = admin(watch, "show proxyconfig like 'login_timeout'")
            assert "7s" in str(rows), rows


def test_nothing_is_altered_while_a_worker_hangs(run_options: list[str], tmp_path: Path) -> None:
    run_options[-1] += f",obproxy_sys_password=adm,etc_dir={tmp_path}"
    with watch_process(("--probe-timeout", "20"), [*run_options, *TWO]) as watch:
        before = workers_of(watch)
        session = connect(pair(watch.address), "root@proxysys", "adm")
        hung = before[1 - worker_of(session.thread_id())]
        os.kill(hung, signal.SIGSTOP)
        try:
            with session.cursor() as cursor, pytest.raises(pymysql.err.MySQLError, match=f"{hung}.* did not answer"):
                cursor.execute("alter proxyconfig set login_timeout='7s'")
        finally:
            os.kill(hung, signal.SIGCONT)
        assert not list(tmp_path.glob("proxyconfig.toml"))
        with session.cursor() as cursor:
            cursor.execute("show proxyconfig diff")
            assert "login_timeout" not in str(cursor.fetchall())
            cursor.execute("alter proxyconfig set login_timeout='7s'")
        assert list(tmp_path.glob("proxyconfig.toml"))
        session.close()


def test_the_limit_on_clients_is_that_of_all_workers_and_a_dead_one_has_none(run_options: list[str]) -> None:
    run_options[-1] += ",client_max_connections=4"
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        before = workers_of(watch)
        sessions = sessions_of_each(watch.address, 2)
        for _ in range(6):
            with pytest.raises(pymysql.err.MySQLError, match="Too many sessions"):
                connect(pair(watch.address))
        threading.Event().wait(0.3)

        os.kill(before[1], signal.SIGKILL)

        watch.wait(lambda s: s["restarts"] == 1 and s["state"] == "serving", "it is back")
        sessions += [connect(pair(watch.address)) for _ in range(2)]
        with pytest.raises(pymysql.err.MySQLError, match="Too many sessions"):
            connect(pair(watch.address))
        sessions[0].close()  # of the worker that stayed
        until(lambda: _can_connect(watch), "there is room again")


def _can_connect(watch: WatchProcess) -> bool:
    with suppress(pymysql.err.MySQLError):
        connect(pair(watch.address)).close()
        return True
    return False


def test_a_hung_worker_is_killed_and_its_clients_are_served_by_the_next(run_options: list[str]) -> None:
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        before = workers_of(watch)
        os.kill(before[0], signal.SIGSTOP)

        began = time.monotonic()
        for _ in range(8):
            assert ask(pair(watch.address), "select 1") == ((1,),)
        assert time.monotonic() - began < 5
        until(lambda: "is hung: no sign of life 2 times in a row" in watch.log.read_text(), "the log says why")
        after = watch.wait_serving()
        assert after["workers"][0] != before[0]
        assert after["workers"][1] == before[1]


def test_a_drain_is_of_all_workers(run_options: list[str]) -> None:
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        watch.wait_serving()
        busy, idle = sessions_of_each(watch.address), sessions_of_each(watch.address)
        for session in busy:
            session.begin()
            with session.cursor() as cursor:
                cursor.execute("select 1")

        watch.process.terminate()

        until(lambda: watch.log.read_text().count("draining for at most") == 2, "both drain")
        with pytest.raises(pymysql.err.OperationalError, match="refused"):
            connect(pair(watch.address))
        for session in idle:
            with pytest.raises(pymysql.err.MySQLError):
                session.ping(reconnect=False)
        for session in busy:
            session.commit()
        assert watch.process.wait(20) == 0
        assert watch.log.read_text().count("0 of them cut; ends: 2 drained") == 2


def test_a_worker_that_is_told_to_end_ends_the_proxy(run_options: list[str]) -> None:
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        os.kill(workers_of(watch)[1], signal.SIGTERM)

        assert watch.process.wait(20) == 0
        assert watch.status()["state"] == "stopped"
        assert watch.status()["restarts"] == 0


@pytest.mark.parametrize("asked", ["parent", "worker"])
def test_a_hot_upgrade_replaces_all_workers_and_refuses_nobody(run_options: list[str], asked: str) -> None:
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        before = workers_of(watch)
        with visitors(watch.address, 4) as load:
            until(lambda: load.served > 20, "the load runs")

            os.kill(watch.process.pid if asked == "parent" else before[1], signal.SIGUSR2)

            after = watch.wait(lambda s: s["upgrades"] == 1 and s["state"] == "serving", "the new version serves")
            assert not set(after["workers"]) & set(before)
            watch.wait(lambda s: not s["draining"], "the old ones have drained")
            served = load.served
            until(lambda: load.served > served + 20, "the load goes on")
        assert (load.refused, load.lost) == ([], [])
        assert {worker_of(session.thread_id()) for session in sessions_of_each(watch.address)} == {0, 1}
        assert httpx.get(f"http://{watch.http}/ready").status_code == 200
        assert watch.status()["restarts"] == 0


def test_a_new_version_that_does_not_come_up_replaces_no_worker(run_options: list[str], tmp_path: Path) -> None:
    config = tmp_path / "odp.toml"
    config.write_text("login_timeout = '9s'\n")
    with watch_process(QUICK, ["--config", str(config), *run_options, *TWO]) as watch:
        before = workers_of(watch)
        config.write_text("nonsense = 1\n")

        watch.process.send_signal(signal.SIGUSR2)

        until(lambda: "hot upgrade failed, nothing has changed" in watch.log.read_text(), "it fails")
        assert watch.status()["workers"] == before
        sessions_of_each(watch.address)


def test_wrong_settings_of_workers_are_not_tried_again(run_options: list[str]) -> None:
    with watch_process((), [*run_options, "--workers", "33"]) as watch:
        assert watch.process.wait(20) == 2
        assert "workers" in watch.log.read_text()


def test_workers_that_die_at_once_again_and_again_are_given_up(run_options: list[str]) -> None:
    with watch_process(["--give-up-after", "1", "--no-spare"], [*run_options, *TWO]) as watch:
        for life in range(2):
            status = watch.wait(lambda s, n=life: s.get("state") == "serving" and s["restarts"] == n, "it serves")
            os.kill(status["workers"][1], signal.SIGKILL)

        assert watch.process.wait(20) == 3
        assert watch.status()["state"] == "gave_up"


def test_workers_whose_parent_is_killed_drain_and_leave_the_port_free(run_options: list[str]) -> None:
    with watch_process(QUICK, [*run_options, *TWO]) as watch:
        pids = workers_of(watch)
        address = pair(watch.address)

        watch.process.kill()

        for pid in pids:
            until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "both are gone")
        with socket.create_server(address):
            pass


def test_run_with_workers_is_its_own_parent(kernel_address: Address, run_options: list[str]) -> None:
    rslist = f"127.0.0.1:{kernel_address.port}"
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_process(rslist, "demo", PROXYRO_PASSWORD, options="workers=2", http=True))
        record = json.loads(proxy.ready.read_text())
        assert record["pid"] == proxy.process.pid
        assert len(record["workers"]) == 2
        sessions = sessions_of_each(proxy.address)
        with sessions[0].cursor() as cursor:
            cursor.execute("select 1")
        taken = subprocess.run(
            [*_command(proxy.process.pid), "-p", str(proxy.address.port)], capture_output=True, text=True, timeout=30
        )
        assert taken.returncode == 1
        assert "Address already in use" in taken.stderr
        for session in sessions:
            with suppress(pymysql.err.MySQLError):
                session.close()


def _command(pid: int) -> list[str]:
    """The command line of a process, without its file that says that it is ready."""
    words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    at = words.index("--ready-file")
    return words[:at] + words[at + 2 :]
