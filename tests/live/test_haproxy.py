"""Two proxies behind a real HAProxy, with the configuration that is shipped."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pymysql
import pytest

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess, free_port
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.live.clients import connect
from tests.live.threads import until, visitors
from tests.paths import ROOT
from tests.proxy_process import ProxyProcess, proxy_process

SHIPPED = ROOT / "etc" / "haproxy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="no haproxy here: apt-get install haproxy")


@dataclass
class Balancer:
    """A running HAProxy."""

    address: Address
    control: Path

    def states(self) -> dict[str, str]:
        """UP or DOWN, by server."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(self.control))
            sock.sendall(b"show stat\n")
            text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
        return {row["svname"]: row["status"].split()[0] for row in rows if row["svname"].startswith("odp")}


def configuration(
    proxies: list[ProxyProcess], port: int, control: Path, *, by_greeting: bool, telling_clients: bool
) -> str:
    """The shipped file with the addresses of this test."""
    text = SHIPPED.read_text()
    if telling_clients:
        text = re.sub(r"^(    server .*)$", r"\1 send-proxy-v2", text, flags=re.MULTILINE)
    if by_greeting:
        text = re.sub(r"^    (option httpchk|http-check|default-server|server) .*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^    #(?=option|default-server|server)", "    ", text, flags=re.MULTILINE)
    for proxy, shipped in zip(proxies, ("10.0.0.11", "10.0.0.12"), strict=True):
        assert proxy.http is not None
        text, found = re.subn(
            rf"{shipped}:2883( port 2884)?(?=\n| send)",
            lambda match, proxy=proxy: f"{proxy.address}" + (f" port {proxy.http.port}" if match[1] else ""),
            text,
        )
        assert found >= 1
    for shipped, here in (("bind :3306", f"bind 127.0.0.1:{port}"), ("/run/haproxy/admin.sock", str(control))):
        assert text.count(shipped) == 1
        text = text.replace(shipped, here)
    return text


@contextmanager
def balancer(
    proxies: list[ProxyProcess], place: Path, *, by_greeting: bool = False, telling_clients: bool = False
) -> Iterator[Balancer]:
    """Check the configuration, run HAProxy, wait until it has found both proxies."""
    assert HAPROXY is not None
    file, log = place / "haproxy.cfg", place / "haproxy.log"
    address = Address("127.0.0.1", free_port())
    with tempfile.TemporaryDirectory() as short:  # the path of a Unix socket may have 97 characters here
        control = Path(short) / "control"
        text = configuration(proxies, address.port, control, by_greeting=by_greeting, telling_clients=telling_clients)
        file.write_text(text)
        checked = subprocess.run([HAPROXY, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        with log.open("wb") as output:
            process = subprocess.Popen([HAPROXY, "-db", "-f", str(file)], stdout=output, stderr=output)
        try:
            haproxy = Balancer(address, control)
            until(lambda: control.exists() or process.poll() is not None, "HAProxy runs")
            assert process.poll() is None, log.read_text()
            until(lambda: set(haproxy.states().values()) == {"UP"}, "both proxies are up")
            yield haproxy
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def proxies(kernel: KernelProcess) -> Iterator[list[ProxyProcess]]:
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    start = partial(
        proxy_process,
        f"127.0.0.1:{kernel.port}",
        "demo",
        PROXYRO_PASSWORD,
        options="proxy_protocol_networks=127.0.0.1/32",
        http=True,
        may_die=True,
    )
    with ExitStack() as stack:
        started = [stack.enter_context(start()) for _ in range(2)]
        for proxy in started:
            until(lambda proxy=proxy: httpx.get(f"http://{proxy.http}/ready").status_code == 200, "it is ready")
        yield started


def test_a_killed_proxy_is_taken_out_and_clients_that_connect_again_work(
    proxies: list[ProxyProcess], tmp_path: Path
) -> None:
    with balancer(proxies, tmp_path) as haproxy, visitors(haproxy.address, 3) as load:
        until(lambda: load.served > 20, "the load runs")

        proxies[0].process.kill()

        until(lambda: haproxy.states() == {"odp1": "DOWN", "odp2": "UP"}, "it is taken out", 5)
        served, lost = load.served, len(load.lost)
        until(lambda: load.served > served + 30, "the load goes on")
        assert load.refused == []
        assert lost <= 3, load.lost  # those whose session was on it
        assert len(load.lost) == lost, load.lost


def test_a_draining_proxy_gets_no_more_clients_and_ends_its_transactions(
    proxies: list[ProxyProcess], tmp_path: Path
) -> None:
    with balancer(proxies, tmp_path) as haproxy:
        sessions = [connect((haproxy.address.ip, haproxy.address.port), autocommit=False) for _ in range(2)]
        for session in sessions:  # one on each: leastconn
            session.begin()

        proxies[0].process.send_signal(signal.SIGTERM)

        until(lambda: haproxy.states()["odp1"] == "DOWN", "it is taken out", 5)
        for session in sessions:
            with session.cursor() as cursor:
                cursor.execute("select 1")
            session.commit()
        assert proxies[0].process.wait(10) == 0
        with visitors(haproxy.address, 1) as load:
            until(lambda: load.served > 5, "new clients are served")
        assert (load.refused, load.lost) == ([], [])
        for session in sessions:
            with suppress(pymysql.err.MySQLError):
                session.close()


@pytest.mark.parametrize("by_greeting", [False, True], ids=["http", "greeting"])
def test_probes_make_no_line_in_the_log(proxies: list[ProxyProcess], tmp_path: Path, by_greeting: bool) -> None:
    with balancer(proxies, tmp_path, by_greeting=by_greeting):
        before = [proxy.log.read_text() for proxy in proxies]
        probed = ends(proxies[0])
        threading.Event().wait(2.2)
        for _ in range(5):  # and the plainest of probes: connect, close
            socket.create_connection((proxies[0].address.ip, proxies[0].address.port)).close()

        until(lambda: ends(proxies[0]) >= probed + (7 if by_greeting else 5), "probes are counted")

        assert [proxy.log.read_text() for proxy in proxies] == before


def ends(proxy: ProxyProcess) -> int:
    """Clients that left before they said a word."""
    text = httpx.get(f"http://{proxy.http}/metrics").text
    found = re.search(r'odp_session_ends_total\{reason="left_before_login"\} ([\d.]+)', text)
    return int(float(found[1])) if found else 0


def test_proxies_are_told_who_the_client_is(proxies: list[ProxyProcess], tmp_path: Path) -> None:
    with balancer(proxies, tmp_path, telling_clients=True) as haproxy:
        address = (haproxy.address.ip, haproxy.address.port)
        with connect(address, bind_address="127.0.0.9") as connection:
            connection.ping(False)
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            connect(address, password="wrong", bind_address="127.0.0.9")
        until(lambda: any(" from 127.0.0.9:" in line for line in lines(proxies)), "the log names the client")


def lines(proxies: list[ProxyProcess]) -> list[str]:
    return [line for proxy in proxies for line in proxy.log.read_text().splitlines()]
