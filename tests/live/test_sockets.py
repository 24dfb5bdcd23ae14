"""Clients by IPv6 and by the unix socket: what servers are told of them, and what becomes of the socket's file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pymysql
import pytest

from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.proxy_process import proxy_process
from tests.watch_process import watch_process

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(autouse=True)
def topology(kernel: KernelProcess) -> None:
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))


def asked(**how: object) -> str:
    with pymysql.connect(user="root@sys", connect_timeout=10, read_timeout=60, **how) as connection:  # type: ignore[call-overload]
        with connection.cursor() as cursor:
            cursor.execute("select user()")
            return str(cursor.fetchall()[0][0])


def test_ipv4_ipv6_and_the_unix_socket_at_once(kernel: KernelProcess, tmp_path: Path) -> None:
    path = tmp_path / "odp.sock"
    options = f"ip_listen_mode=3,local_bound_ipv6_ip=::1,unix_socket={path},unix_socket_mode=0700"
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD, options=options) as process:
        assert asked(host="127.0.0.1", port=process.address.port) == "root@127.0.0.1"
        assert asked(host="::1", port=process.address.port) == "root@::1"
        assert asked(unix_socket=str(path)) == "root@127.0.0.1"
        assert path.stat().st_mode & 0o777 == 0o700
        found = subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={path}", "-uroot@sys", "-e", "select 41 + 1"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert "42" in found.stdout
    assert not path.exists()


def test_tls_is_not_forced_on_the_unix_socket(kernel: KernelProcess, tmp_path: Path) -> None:
    path = tmp_path / "odp.sock"
    options = f'unix_socket={path},ssl_attributes={{"using_ssl":"ENABLE_FORCE"}}'
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD, options=options) as process:
        with pytest.raises(pymysql.err.OperationalError, match="3159"):
            asked(host="127.0.0.1", port=process.address.port)
        assert asked(unix_socket=str(path)) == "root@127.0.0.1"


def greeting(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        return sock.recv(100)


def test_the_unix_socket_outlives_a_proxy_under_watch(run_options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "odp.sock"
    options = [*run_options[:-1], f"{run_options[-1]},unix_socket={path}"]
    with watch_process(["--no-spare"], options) as watch:
        first = watch.wait_serving(spare=False)
        assert greeting(path)[4] == 10
        os.kill(first["proxy"], signal.SIGKILL)
        assert greeting(path)[4] == 10, "it waited in the kernel's queue"
        watch.wait(lambda status: status.get("state") == "serving", "another proxy serves")
        watch.process.terminate()
        watch.process.wait(40)
        assert not path.exists()
