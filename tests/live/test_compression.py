"""Compressed legs on a live kernel: other people's client, large results, and clients that mean no good."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from odp_trio.wire.fields import Capability
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err
from tests.live.corpus import UPLOADS
from tests.live.test_clients import needs
from tests.live.threads import until
from tests.proxy_process import ProxyProcess, proxy_process
from tests.raw_client import PLAIN, RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]
COMPRESSED = PLAIN | Capability.COMPRESS | Capability.LOCAL_FILES
BLOB_BYTES, BLOBS, TIMES = 1 << 20, 8, 8
USER = "root@sys#demo"


@pytest.fixture(scope="module")
def proxy(kernel: KernelProcess) -> Iterator[ProxyProcess]:
    """A proxy whose both legs are compressed."""
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)), "set global local_infile = 1")
    options = "client_compression_level=1,enable_compression_protocol=true,obproxy_sys_password=admin"
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD, options=options) as process:
        yield process


def mariadb(address: Address, sql: str) -> subprocess.CompletedProcess[str]:
    where = ["-h", address.ip, "-P", str(address.port), "-u", USER, "-N", "-B"]
    command = ["mariadb", *where, "--compress", "--local-infile", "-e", sql]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs["mariadb"]
def test_the_mariadb_client_compresses(proxy: ProxyProcess, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_bytes(UPLOADS[b"long.csv"])
    done = mariadb(
        proxy.address,
        "status; drop database if exists packed; create database packed; use packed; "
        "create table t(a int, b varchar(200)); "
        f"load data local infile '{rows}' into table t fields terminated by ','; "
        "select count(*), sum(length(b)) from t; select repeat('x', 70000); select 1",
    )

    assert done.returncode == 0, done.stderr
    assert "Protocol:\t\tCompressed" in done.stdout
    assert done.stdout.endswith(f"30000\t2700000\n{'x' * 70000}\n1\n")
    failed = mariadb(proxy.address, "select 1; selec")
    assert failed.returncode == 1
    assert failed.stdout == "1\n"
    assert "ERROR 1064 (42000)" in failed.stderr


@pytest.fixture(scope="module")
def blobs(kernel: KernelProcess) -> tuple[str, list[bytes]]:
    """A statement whose result is 64 MiB that cannot be compressed, and the values of its rows."""
    kernel.run("drop database if exists packed_blobs", "create database packed_blobs")
    kernel.run("create table packed_blobs.t (id int primary key, data longblob)")
    values = [os.urandom(BLOB_BYTES) for _ in range(BLOBS)]
    for number, value in enumerate(values):
        kernel.run(f"insert into packed_blobs.t values ({number}, x'{value.hex()}')")
    times = " union all ".join(f"select {number} as n" for number in range(TIMES))
    return f"select t.data from packed_blobs.t, ({times}) as times order by n, id", values * TIMES


def test_a_slow_reader_of_64_mib_does_not_fill_the_proxys_memory(
    proxy: ProxyProcess, blobs: tuple[str, list[bytes]], record_property: Callable[[str, object], None]
) -> None:
    with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
        client.query("select 1")
        before = peak = proxy.rss_bytes
        assert client.compressed is not None
        start, wait, receive = time.monotonic(), threading.Event().wait, client.compressed.recv

        def slowly(size: int) -> bytes:
            nonlocal peak
            data = receive(min(size, 262_144))
            assert client.compressed is not None
            peak = max(peak, proxy.rss_bytes)
            if (ahead := client.compressed.received / 40e6 - (time.monotonic() - start)) > 0:
                wait(ahead)
            return data

        client.compressed.recv = slowly  # type: ignore[method-assign]
        answer = client.query(blobs[0])

    record_property("growth", peak - before)
    print(f"{client.compressed.received / 1e6:.0f} MB: the proxy grew by {(peak - before) / 1e6:.2f} MB")  # noqa: T201
    rows = answer.payloads[3:-1]
    assert [row[4:] for row in rows] == blobs[1]
    assert peak - before < 8_000_000


def test_a_result_that_can_be_compressed_is(proxy: ProxyProcess) -> None:
    with RawClient(proxy.address, USER, capabilities=COMPRESSED, frame_bytes=3) as client:
        answer = client.query("select repeat('odp', 1000000)")

        assert client.compressed is not None
        assert len(answer.payloads[3]) > 3_000_000
        assert client.compressed.received < 30_000


def test_the_proxys_own_account_may_compress(proxy: ProxyProcess) -> None:
    with RawClient(proxy.address, "root@proxysys", "admin", capabilities=COMPRESSED) as client:
        for _ in range(2):
            answer = client.query("show proxystat")
            assert client.compressed is not None
            assert not answer.errno
            assert len(answer.packets) > 10


def bomb(size: int, says: int) -> bytes:
    coded = zlib.compress(bytes(size), 9)
    return len(coded).to_bytes(3, "little") + b"\0" + says.to_bytes(3, "little") + coded


def test_a_bomb_ends_the_session_and_takes_no_memory(proxy: ProxyProcess) -> None:
    """One whose header is a lie; and one of 16 MiB, which is what a statement may be: it is passed on piece by piece."""
    with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
        assert client.compressed is not None
        client.compressed.send_coded(bomb(64 << 20, 4000))
        error = parse_err(client.compressed.recv(1000)[4:])
    assert error.errno == 1043
    until(lambda: "more than its header says" in proxy.log.read_text(), "the log says why, and all is imported")

    before = proxy.rss_bytes
    for _ in range(2):
        with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
            assert client.compressed is not None
            client.compressed.send_coded(bomb(64 << 20, 4000))
            client.compressed.recv(1000)
    with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
        assert client.compressed is not None
        client.compressed.send_coded(bomb(0xFFFFFF, 0xFFFFFF))
        assert client.compressed.recv(1000)[4] == 0xFF, "a command packet of no bytes"
    with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
        assert not client.query(b"select 1" + b" " * 0xFFFF00).errno

    assert proxy.rss_bytes - before < 8_000_000
    assert "client_protocol_error" in proxy.log.read_text()


@pytest.mark.parametrize("seq", [1, 255])
def test_a_wrong_number_is_told_as_such(proxy: ProxyProcess, seq: int) -> None:
    with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
        client.query("select 1")
        ping = packet(0, b"\x0e")
        client.socket.sendall(len(ping).to_bytes(3, "little") + bytes((seq, 0, 0, 0)) + ping)
        data = client.socket.recv(1000)

        assert parse_err(zlib.decompress(data[7:])[4:]).errno == 1156
        assert client.socket.recv(1000) == b""


def test_a_user_is_changed_on_compressed_legs(proxy: ProxyProcess) -> None:
    """The one command whose answer asks the client something: the frames of both sides go on from each other's."""
    with RawClient(proxy.address, USER, capabilities=COMPRESSED) as client:
        assert client.compressed is not None
        for _ in range(2):
            client.send(b"\x11root@sys\0\0\0\x2d\0mysql_native_password\0")
            asked = client.compressed.recv(1000)
            assert asked[3:5] == b"\x01\xfe"
            client.compressed.sendall(packet(2, b""), goes_on=True)
            assert client.compressed.recv(1000)[3:5] == b"\x03\0"
            assert not client.query("select 1").errno


def test_who_is_not_offered_it_does_not_get_it(proxy_address: Address) -> None:
    with RawClient(proxy_address, USER, capabilities=COMPRESSED) as client:
        assert not client.greeting.capabilities & Capability.COMPRESS
        assert client.compressed is None
        assert not client.query("select 1").errno
