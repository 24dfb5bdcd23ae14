"""A new version takes over from a running proxy: nobody is refused, nothing is lost, a bad one changes nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pymysql
import pytest

from odp_trio.model import Address
from odp_trio.testing.topology import PROXYRO_PASSWORD
from tests.live.clients import ask, connect
from tests.live.threads import pair, until, visitors
from tests.proxy_process import proxy_process
from tests.watch_process import watch_process

QUICK = ("--probe-interval", "0.2", "--probe-timeout", "0.3", "--probe-failures", "2", "--settle", "0.3")


@pytest.mark.parametrize("asked", ["watch", "proxy"])
def test_a_hot_upgrade_refuses_nobody_and_idle_sessions_go_one_by_one(run_options: list[str], asked: str) -> None:
    with watch_process(QUICK, run_options) as watch:
        before = watch.wait_serving()
        idle = [connect(pair(watch.address)) for _ in range(4)]
        numbers = {session.thread_id() for session in idle}
        with visitors(watch.address, 2) as load:
            until(lambda: load.served > 20, "the load runs")

            os.kill(watch.process.pid if asked == "watch" else before["proxy"], signal.SIGUSR2)

            after = watch.wait(lambda s: s["upgrades"] == 1, "the new version serves")
            # The youngest of the idle ones still stands: they are sent away over half of the drain's time.
            with idle[-1].cursor() as cursor:
                cursor.execute("select 1")
            assert after["proxy"] != before["proxy"]
            assert after["draining"] == [before["proxy"]]
            served = load.served
            until(lambda: load.served > served + 20, "the load goes on")
            ready = httpx.get(f"http://{watch.http}/ready")
            assert ready.status_code == 200
            new = connect(pair(watch.address))
            assert (new.thread_id() ^ min(numbers)) >> 17 & 1 == 1, "ids of old and new differ in the version bit"
            watch.wait(lambda s: not s["draining"], "the old one has drained")
        assert load.refused == []
        assert load.lost == []
        with new.cursor() as cursor:
            cursor.execute("select 1")
        assert watch.status()["restarts"] == 0
        assert "of them cut" not in watch.log.read_text().replace(" 0 of them cut", "")
        for session in (*idle, new):
            with suppress(pymysql.err.MySQLError):
                session.close()


def test_a_new_version_that_does_not_come_up_changes_nothing(run_options: list[str], tmp_path: Path) -> None:
    config = tmp_path / "odp.toml"
    config.write_text("login_timeout = '9s'\n")
    with watch_process(QUICK, ["--config", str(config), *run_options]) as watch:
        before = watch.wait_serving()
        session = connect(pair(watch.address))
        config.write_text("nonsense = 1\n")

        watch.process.send_signal(signal.SIGUSR2)

        until(lambda: "hot upgrade failed" in watch.log.read_text(), "it fails")
        assert "nothing has changed: the new version ended with status 2" in watch.log.read_text()
        assert "'nonsense' is unknown" in watch.log.read_text()
        assert watch.status()["proxy"] == before["proxy"]
        with session.cursor() as cursor:
            cursor.execute("select 1")
        assert ask(pair(watch.address), "select 1") == ((1,),)
        session.close()


def test_a_proxy_that_nobody_watches_is_replaced_too(
    kernel_address: Address, run_options: list[str], tmp_path: Path
) -> None:
    rslist = f"127.0.0.1:{kernel_address.port}"
    with ExitStack() as stack:
        systemd = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        proxy = stack.enter_context(proxy_process(rslist, "demo", PROXYRO_PASSWORD, http=True, **environment))
        with visitors(proxy.address, 2) as load:
            until(lambda: load.served > 10, "the load runs")
            before = json.loads(proxy.ready.read_text())["pid"]

            proxy.process.send_signal(signal.SIGUSR2)

            assert proxy.process.wait(20) == 0
            served = load.served
            until(lambda: load.served > served + 10, "the load goes on")
            after = json.loads(proxy.ready.read_text())["pid"]
            assert after != before
        assert (load.refused, load.lost) == ([], [])
        os.kill(after, signal.SIGTERM)
        until(lambda: not proxy.ready.exists(), "the new one takes the ready file away")
        told = ""
        while "STOPPING=1" not in told:
            told += f"{systemd.recv(999).decode()}\n"
        words = [line for line in told.splitlines() if line.startswith(("READY", "RELOADING", "MAINPID", "STOPPING"))]
        assert words[:2] == ["READY=1", "RELOADING=1"]
        assert set(words[2:4]) == {"READY=1", f"MAINPID={after}"}  # the new one speaks, the old one names it
        assert words[4:] == ["STOPPING=1"]
