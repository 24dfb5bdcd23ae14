"""Other people's clients through the proxy: the mariadb command line, sysbench, and a slow reader."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD
from odp_trio.wire.command import Com
from tests.live.clients import ask, connect
from tests.live.sysbench import read_and_write
from tests.proxy_process import proxy_process

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    for name in ("mariadb", "sysbench")
}


def mariadb(address: Address, sql: str, password: str = "app_pw") -> subprocess.CompletedProcess[str]:
    command = [
        "mariadb",
        "-h",
        address.ip,
        "-P",
        str(address.port),
        "-u",
        "app@sys#demo",
        f"-p{password}",
        "-N",
        "-B",
        "-e",
        sql,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs["mariadb"]
def test_the_mariadb_client_works(proxy_address: Address) -> None:
    done = mariadb(
        proxy_address,
        "drop database if exists cli; create database cli; use cli; create table t(a int, b varchar(20)); "
        "insert into t values(1,'x'),(2,'y'); select * from t order by a; show tables; select user()",
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1\tx\n2\ty\nt\n")
    assert "app@127.0.0.1" in done.stdout


@needs["mariadb"]
def test_a_wrong_password_gets_1045_from_the_server(proxy_address: Address) -> None:
    done = mariadb(proxy_address, "select 1", "wrong")

    assert done.returncode == 1
    assert "ERROR 1045 (42000)" in done.stderr


@needs["sysbench"]
@pytest.mark.parametrize("mode", ["auto", "disable"])
def test_sysbench_reads_and_writes_without_an_error(kernel: KernelProcess, proxy_address: Address, mode: str) -> None:
    """5 s: ODP_TRIO_SYSBENCH_SECONDS=30 asks for more."""
    kernel.run("create database if not exists sbtest")

    report = read_and_write(proxy_address, "app@sys#demo", "app_pw", mode)

    assert report.transactions
    assert not report.reconnects


@pytest.fixture
def big_table(kernel: KernelProcess) -> str:
    kernel.run("drop database if exists big", "create database big", "create table big.t(a varchar(1000))")
    kernel.run("insert into big.t values" + ",".join(["(repeat('x', 1000))"] * 460))
    return "select a.a from big.t a, big.t b"  # 460 * 460 rows of 1,000 bytes: 212 MB


def test_a_slow_reader_does_not_fill_the_proxys_memory(
    kernel: KernelProcess, big_table: str, record_property: Callable[[str, object], None]
) -> None:
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD) as proxy:
        ask((proxy.address.ip, proxy.address.port), "select 1")
        before = proxy.rss_bytes
        peak, received = _read_slowly(proxy.address, big_table, 30_000_000, lambda: proxy.rss_bytes)

    record_property("bytes", received)
    record_property("growth", peak - before)
    print(f"{received / 1e6:.0f} MB at 30 MB/s: the proxy grew by {(peak - before) / 1e6:.2f} MB")  # noqa: T201
    assert received > 200_000_000
    assert peak - before < 5_000_000


def _read_slowly(address: Address, sql: str, rate: int, rss: Callable[[], int]) -> tuple[int, int]:
    """Read a result at ``rate`` bytes a second; return the greatest memory seen and the bytes read."""
    with closing(connect((address.ip, address.port), read_timeout=60)) as connection:
        connection._execute_command(Com.QUERY, sql)
        sock = connection._sock
        received, peak, start = 0, 0, time.monotonic()
        tail = b""
        while not tail.endswith(b"\xfe\x00\x00\x22\x00") and not tail.endswith(b"\xfe\x00\x00\x02\x00"):
            data = sock.recv(65536)
            assert data
            received += len(data)
            tail = (tail + data)[-9:]
            peak = max(peak, rss()) if received // 65536 % 16 == 0 else peak
            ahead = received / rate - (time.monotonic() - start)
            if ahead > 0.01:
                threading.Event().wait(ahead)
    return peak, received
