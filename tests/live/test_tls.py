"""TLS on either leg, with real clients and a real server.

``ODP_TRIO_TLS_CORPUS=1`` runs every file of the corpus in every way over every combination of legs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pymysql
import pytest

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from odp_trio.wire.fields import Capability
from tests.certificates import Authority, Signed
from tests.live.corpus import corpus_files
from tests.live.test_corpus import WAYS, Sides, compare
from tests.live.threads import until
from tests.proxy_process import ProxyProcess, proxy_process
from tests.raw_client import LoginFailed, RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]

EVERYTHING = bool(os.environ.get("ODP_TRIO_TLS_CORPUS"))
COMBINATIONS = {"client": (True, False), "server": (False, True), "both": (True, True)}
CHOSEN = (
    [(name, way, legs) for legs in COMBINATIONS for way in WAYS for name in (*corpus_files(), *corpus_files(slow=True))]
    if EVERYTHING
    else [(name, list(WAYS)[number % 3], "both") for number, name in enumerate(corpus_files()[::3])]
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def proxy_certificate(authority: Authority) -> Signed:
    return authority.sign("proxy")


@contextmanager
def kernel_tls(kernel: KernelProcess, offered: bool) -> Iterator[None]:
    """Let the kernel offer TLS, and wait until it does."""
    kernel.run("alter system set ssl_client_authentication = true")
    try:
        await_offer(kernel, offered)
        yield
    finally:
        kernel.run("alter system set ssl_client_authentication = false")
        await_offer(kernel, False)
        shutil.rmtree(kernel.directory / "wallet", ignore_errors=True)


def await_offer(kernel: KernelProcess, offered: bool) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with RawClient(Address("127.0.0.1", kernel.port)) as client:
            if bool(client.greeting.capabilities & Capability.SSL) == offered:
                return
        time.sleep(0.1)  # noqa: TID251  # nothing tells when the kernel has read its parameter
    raise AssertionError(f"the kernel's greeting does not have TLS {'on' if offered else 'off'}")


@pytest.fixture(scope="module")
def tls_kernel(kernel: KernelProcess, authority: Authority) -> Iterator[KernelProcess]:
    """The kernel with a certificate of the authority."""
    signed = authority.sign("observer")
    wallet = kernel.directory / "wallet"
    wallet.mkdir(exist_ok=True)
    shutil.copy(authority.ca, wallet / "ca.pem")
    shutil.copy(signed.cert, wallet / "server-cert.pem")
    shutil.copy(signed.key, wallet / "server-key.pem")
    with kernel_tls(kernel, True):
        yield kernel


def client_options(signed: Signed) -> str:
    return f"enable_client_ssl=true,ssl_cert_file={signed.cert},ssl_key_file={signed.key}"


def server_options(authority: Authority, mode: str) -> str:
    return f"enable_server_ssl=true,server_ssl_mode={mode},server_ssl_ca_file={authority.ca}"


@contextmanager
def proxy_with(kernel: KernelProcess, *options: str, http: bool = False) -> Iterator[ProxyProcess]:
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    joined = ",".join(option for option in options if option)
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD, options=joined, http=http) as process:
        yield process


@pytest.fixture(scope="module")
def proxies(
    tls_kernel: KernelProcess, authority: Authority, proxy_certificate: Signed
) -> Iterator[Callable[[str], Address]]:
    """One proxy for each combination of legs, started when it is first asked for."""
    with ExitStack() as stack:
        running: dict[str, Address] = {}

        def proxy(legs: str) -> Address:
            if legs not in running:
                client, server = COMBINATIONS[legs]
                process = stack.enter_context(
                    proxy_with(
                        tls_kernel,
                        client_options(proxy_certificate) if client else "",
                        server_options(authority, "VERIFY_IDENTITY") if server else "",
                    )
                )
                running[legs] = process.address
            return running[legs]

        yield proxy


@pytest.mark.parametrize(("name", "way", "legs"), CHOSEN)
def test_the_corpus_is_the_same_over_tls(
    tls_kernel: KernelProcess, authority: Authority, proxies: Callable[[str], Address], name: str, way: str, legs: str
) -> None:
    direct = Address("127.0.0.1", tls_kernel.port)
    tls = authority.client_context() if COMBINATIONS[legs][0] else None

    count = compare(Sides(direct, proxies(legs), tls=tls), name, *WAYS[way])

    print(f"{name}, {way}, TLS {legs}: {count} answers compared")  # noqa: T201


def test_big_packets_both_ways(authority: Authority, proxies: Callable[[str], Address]) -> None:
    with RawClient(proxies("both"), "root@sys", tls=authority.client_context()) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.version() == "TLSv1.3"
        client.query("set global max_allowed_packet = 67108864")
        text = "x" * (3 << 20)
        answer = client.query(f"select '{text}', repeat('y', 1000000)")
        assert not answer.errno
        assert sum(map(len, answer.packets)) > 4_000_000


def test_pymysql(authority: Authority, proxies: Callable[[str], Address]) -> None:
    address = proxies("both")
    connection = pymysql.connect(
        host=address.ip, port=address.port, user="root@sys", ssl={"ca": str(authority.ca)}, read_timeout=20
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("select 1 + 1")
        assert cursor.fetchall() == ((2,),)
        assert isinstance(connection._sock, ssl.SSLSocket)  # type: ignore[attr-defined]
        cursor.executemany("select %s", [(number,) for number in range(20)])


@pytest.mark.skipif(shutil.which("mariadb") is None, reason="no mariadb client")
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_the_mariadb_client(authority: Authority, proxies: Callable[[str], Address], version: str) -> None:
    address = proxies("client")
    command = ["mariadb", "--no-defaults", f"-h{address.ip}", f"-P{address.port}", "-uroot@sys", "--ssl"]
    command += [f"--ssl-ca={authority.ca}", "--ssl-verify-server-cert", f"--tls-version={version}"]

    found = subprocess.run([*command, "-e", "select 41 + 1; \\s"], capture_output=True, text=True, timeout=30)

    assert found.returncode == 0, found.stderr
    assert "42" in found.stdout
    assert "Cipher in use is" in found.stdout


# ---- who is let in ------------------------------------------------------------------


def test_forced_tls_and_client_certificates(
    kernel: KernelProcess, authority: Authority, proxy_certificate: Signed
) -> None:
    config = (
        client_options(proxy_certificate),
        f"ssl_ca_file={authority.ca}",
        "client_ssl_verify=required",
        'ssl_attributes={"using_ssl":"ENABLE_FORCE"}',
    )
    with proxy_with(kernel, *config) as process:
        with pytest.raises(LoginFailed) as refused:
            RawClient(process.address, "root@sys")
        assert refused.value.errno == 3159
        with pytest.raises((ssl.SSLError, ConnectionError)):
            RawClient(process.address, "root@sys", tls=authority.client_context())
        ours = authority.client_context(authority.sign("application"))
        with RawClient(process.address, "root@sys", tls=ours) as client:
            assert not client.query("select 1").errno
        until(lambda: "peer did not return a certificate" in process.log.read_text(), "the log says why")
        until(lambda: "insecure transport" in process.log.read_text(), "the log says why")


def test_a_least_version(kernel: KernelProcess, authority: Authority, proxy_certificate: Signed) -> None:
    with proxy_with(
        kernel, client_options(proxy_certificate), 'ssl_attributes={"min_tls_version":"TLSV1.3"}'
    ) as process:
        old = authority.client_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            RawClient(process.address, "root@sys", tls=old)
        with RawClient(process.address, "root@sys", tls=authority.client_context()) as client:
            assert not client.query("select 1").errno


def test_a_proxy_header_comes_before_tls(
    kernel: KernelProcess, authority: Authority, proxy_certificate: Signed
) -> None:
    with proxy_with(kernel, client_options(proxy_certificate), "proxy_protocol_networks=127.0.0.0/8") as process:
        balancer = socket.create_server(("127.0.0.1", 0))

        def relay() -> None:
            client, _ = balancer.accept()
            server = socket.create_connection((process.address.ip, process.address.port))
            server.sendall(b"PROXY TCP4 10.1.2.3 10.0.0.1 5555 3306\r\n")

            def copy(source: socket.socket, target: socket.socket) -> None:
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        target.sendall(data)
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)

            back = threading.Thread(target=copy, args=(server, client))
            back.start()
            copy(client, server)
            back.join(10)
            client.close()
            server.close()

        thread = threading.Thread(target=relay)
        thread.start()
        address = Address(*balancer.getsockname())
        with RawClient(address, "root@sys", tls=authority.client_context()) as client:
            answer = client.query("select user()")
            assert b"10.1.2.3" in b"".join(answer.payloads)
        thread.join(10)
        balancer.close()


# ---- servers ------------------------------------------------------------------------


def test_servers_whose_certificate_is_not_believed(tls_kernel: KernelProcess, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    with proxy_with(tls_kernel, server_options(stranger, "VERIFY_CA")) as process:
        with pytest.raises(LoginFailed, match="certificate verify failed"):
            RawClient(process.address, "root@sys")
    with proxy_with(tls_kernel, "enable_server_ssl=true") as process:  # the default believes every server, as ODP does
        with RawClient(process.address, "root@sys") as client:
            assert not client.query("select 1").errno


def test_metadata_queries_go_by_tls_too(tls_kernel: KernelProcess, authority: Authority) -> None:
    """With a password in clear, and with the hash that ODP keeps."""
    tls_kernel.run("alter user proxyro require ssl")
    hashed = hashlib.sha1(PROXYRO_PASSWORD.encode()).hexdigest()
    try:
        for password in (PROXYRO_PASSWORD, hashed):
            options = server_options(authority, "VERIFY_IDENTITY")
            with proxy_process(f"127.0.0.1:{tls_kernel.port}", "demo", password, options=options) as process:
                with RawClient(process.address, "root@sys") as client:
                    assert not client.query("select 1").errno
        with proxy_with(tls_kernel) as process, pytest.raises(LoginFailed):
            RawClient(process.address, "root@sys")
    finally:
        tls_kernel.run("alter user proxyro require none")
