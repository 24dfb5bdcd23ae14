"""The proxy under ``odp-trio watch``: killed, hung, dying at once, told to end."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import threading
import time
from pathlib import Path

import httpx
import pymysql
import pytest

from tests.live.clients import ask, connect
from tests.live.threads import pair, until, visitors
from tests.watch_process import WatchProcess, watch_process

QUICK = ("--probe-interval", "0.2", "--probe-timeout", "0.3", "--probe-failures", "2", "--settle", "0.3")
KILLS = 3


def ended(watch: WatchProcess, seconds: float = 20) -> int:
    return watch.process.wait(seconds)


# ---- killed ---------------------------------------------------------------------------


def test_a_killed_proxy_is_back_within_a_second_and_nobody_is_refused(run_options: list[str]) -> None:
    with watch_process(QUICK, run_options) as watch:
        gaps = []
        watch.wait_serving()
        with visitors(watch.address, 2) as load:
            for _ in range(KILLS):
                status = watch.wait_serving()
                threading.Event().wait(0.3)  # longer than --settle: this is no death at once
                os.kill(status["proxy"], signal.SIGKILL)
                began = time.monotonic()
                with socket.create_connection(pair(watch.address), timeout=20) as client:
                    assert client.recv(99)[4] == 10, "a greeting"
                gaps.append(time.monotonic() - began)
                assert ask(pair(watch.address), "select 1") == ((1,),)
        assert load.refused == []
        assert load.served > KILLS
        # Who had a session when its proxy died loses it: at most each of the clients, each time.
        assert len(load.lost) <= 2 * KILLS
        assert max(gaps) <= 1.0, (statistics.median(gaps), gaps)
        assert watch.status()["restarts"] == KILLS


def test_a_hung_proxy_is_killed_and_one_that_drains_or_is_full_is_not(run_options: list[str]) -> None:
    run_options[-1] += ",client_max_connections=2,client_max_connections_policy=wait"
    with watch_process(QUICK, run_options) as watch:
        status = watch.wait_serving()
        sessions = [connect(pair(watch.address)) for _ in range(2)]  # full: no greeting for the probe
        for _ in range(10):
            threading.Event().wait(0.2)
            assert watch.status()["proxy"] == status["proxy"]
        for session in sessions:
            session.close()

        os.kill(status["proxy"], signal.SIGSTOP)

        began = time.monotonic()
        assert ask(pair(watch.address), "select 1") == ((1,),)
        assert time.monotonic() - began < 4
        assert watch.status()["proxy"] != status["proxy"]
        until(lambda: "is hung: no greeting 2 times in a row" in watch.log.read_text(), "the log says why")


def test_one_that_dies_at_once_again_and_again_is_given_up(run_options: list[str]) -> None:
    with watch_process(["--give-up-after", "2", "--no-spare"], run_options) as watch:
        for life in range(3):
            status = watch.wait(lambda s, n=life: s.get("state") == "serving" and s["restarts"] == n, "it serves")
            os.kill(status["proxy"], signal.SIGKILL)

        assert ended(watch) == 3
        assert watch.status()["state"] == "gave_up"
        assert "giving up after 3 short lives in a row; the last one was ended by SIGKILL" in watch.log.read_text()
        with pytest.raises(pymysql.err.OperationalError, match="refused"):
            connect(pair(watch.address))


def test_wrong_settings_are_not_tried_again(run_options: list[str]) -> None:
    with watch_process((), [*run_options, "-o", "no_such_option"]) as watch:
        assert ended(watch) == 2
        assert "Traceback" not in watch.log.read_text()
        assert "-o: item 1 is not of the form name=value" in watch.log.read_text()


def test_a_proxy_that_ends_cleanly_ends_the_watch(run_options: list[str]) -> None:
    with watch_process((), run_options) as watch:
        os.kill(watch.wait_serving()["proxy"], signal.SIGTERM)

        assert ended(watch) == 0
        assert watch.status()["restarts"] == 0


def test_systemd_is_told_by_the_watch_and_only_by_it(run_options: list[str], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        with watch_process((), run_options, **environment) as watch:
            told: list[str] = []

            def hear(word: str) -> None:
                while not any(line.startswith(word) for line in told):
                    told.append(systemd.recv(999).decode())

            hear("READY=1")
            hear("WATCHDOG=1")
            told.clear()
            os.kill(watch.process.pid, signal.SIGUSR2)
            hear("RELOADING=1")
            hear("READY=1")
            told.clear()
            watch.process.terminate()
            hear("STOPPING=1")
            assert ended(watch) == 0


# ---- drained --------------------------------------------------------------------------


def test_sigterm_drains_closes_the_port_first_and_ends_with_the_proxys_status(run_options: list[str]) -> None:
    run_options[-1] = run_options[-1].replace("hot_upgrade_exit_timeout=3s", "hot_upgrade_exit_timeout=30s")
    with watch_process((), run_options) as watch:
        watch.wait_serving()
        busy, idle = (connect(pair(watch.address), autocommit=False) for _ in range(2))
        with busy.cursor() as cursor:
            cursor.execute("begin")
        assert httpx.get(f"http://{watch.http}/ready").status_code == 200

        watch.process.terminate()

        until(lambda: httpx.get(f"http://{watch.http}/ready").status_code == 503, "not ready")
        assert httpx.get(f"http://{watch.http}/api/status").json()["draining"]
        with pytest.raises(pymysql.err.OperationalError, match="refused"):
            connect(pair(watch.address))
        with pytest.raises(pymysql.err.MySQLError):
            idle.ping(reconnect=False)
        busy.commit()
        assert ended(watch) == 0
        assert "drained 2 sessions" in watch.log.read_text()
        assert "0 of them cut; ends: 2 drained" in watch.log.read_text()


def test_what_is_still_in_a_transaction_when_the_time_is_over_is_cut(run_options: list[str]) -> None:
    run_options[-1] = run_options[-1].replace("hot_upgrade_exit_timeout=3s", "hot_upgrade_exit_timeout=300ms")
    with watch_process((), run_options) as watch:
        watch.wait_serving()
        busy = connect(pair(watch.address), autocommit=False)
        busy.begin()
        with busy.cursor() as cursor:
            cursor.execute("select 1")

        watch.process.terminate()

        assert ended(watch) == 0
        assert "drained 1 sessions" in watch.log.read_text()
        assert "1 of them cut; ends: 1 shutdown" in watch.log.read_text()


def test_a_second_signal_ends_both_at_once(run_options: list[str]) -> None:
    run_options[-1] = run_options[-1].replace("hot_upgrade_exit_timeout=3s", "hot_upgrade_exit_timeout=1h")
    with watch_process((), run_options) as watch:
        proxy = watch.wait_serving()["proxy"]
        busy = connect(pair(watch.address), autocommit=False)
        busy.begin()

        watch.process.terminate()
        until(lambda: "draining for at most" in watch.log.read_text(), "the drain has begun")
        watch.process.terminate()

        assert ended(watch, 5) == 0
        until(lambda: not os.path.exists(f"/proc/{proxy}"), "the proxy is gone too")


def test_a_proxy_whose_watch_is_killed_drains_and_leaves_the_port_free(run_options: list[str]) -> None:
    with watch_process((), run_options) as watch:
        status = watch.wait_serving()

        watch.process.kill()

        for pid in (status["proxy"], status["spare"]):
            until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "both are gone")
        assert "the watch is gone: draining" in watch.log.read_text()
