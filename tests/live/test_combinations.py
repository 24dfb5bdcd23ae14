"""Every combination of what the two legs of a session can be wrapped in: a client cannot tell one from another.

By default each file of the corpus runs in one way over one combination, all in turn.  ``ODP_TRIO_COMBINATIONS=each``
runs a file over each combination; ``all`` runs every file in every way over every combination.
"""

from __future__ import annotations

import itertools
import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final

import pytest
import trio

from odp_trio.app import open_proxy
from odp_trio.config import build, from_flags, from_optstr
from odp_trio.model import Address
from odp_trio.net.coded import Coded
from odp_trio.net.ob20_stream import OB20Stream
from odp_trio.net.stream import Stream
from odp_trio.net.tls import TlsStream
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from odp_trio.wire.fields import Capability
from tests.certificates import Authority, Signed
from tests.live.clients import in_thread
from tests.live.corpus import again_files, corpus_files
from tests.live.test_corpus import WAYS, Sides, compare
from tests.live.test_tls import client_options, kernel_tls, server_options
from tests.proxy_process import proxy_process
from tests.raw_client import PLAIN, RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]

CLIENT_LEGS: Final = {
    "plain": (False, False),
    "tls": (True, False),
    "compressed": (False, True),
    "tls+compressed": (True, True),
}
"""Whether the client asks for TLS, and for compression; the proxies offer both."""
SERVER_LEGS: Final = {
    "plain": "",
    "checksum": "enable_compression_protocol=true",
    "compressed": "enable_compression_protocol=true,compression_algorithm=zlib:6",
    "ob20": "enable_ob_protocol_v2=true",
    "ob20+compressed": "enable_ob_protocol_v2=true,compression_algorithm=zlib:6",
}
SERVER_TLS: Final = {"": False, "tls": True}
COMBINATIONS: Final = tuple(itertools.product(CLIENT_LEGS, SERVER_LEGS, SERVER_TLS))
ASKED: Final = os.environ.get("ODP_TRIO_COMBINATIONS", "")
STRIDE: Final = 11
"""From the combination of one file to that of the next: all legs have a turn, and every client leg is seen first."""


def runs() -> list[tuple[str, str, str, str, str]]:
    """Name what is run: client leg, server leg, its TLS, file, way."""
    small, ways = [*(corpus_files() if ASKED else again_files()), "load_data"], list(WAYS)
    if ASKED == "all":
        files = [*small, *corpus_files(slow=True)]
        every = [(combination, name, way) for combination in COMBINATIONS for name in files for way in ways]
    else:
        every = [
            (COMBINATIONS[number * STRIDE % len(COMBINATIONS)], small[number % len(small)], ways[number % len(ways)])
            for number in range(len(COMBINATIONS) if ASKED == "each" else len(small))
        ]
    as_it_can = [
        (combination, name, way if way == "tracking" or name in corpus_files() else "text")
        for combination, name, way in every
    ]
    return [(*combination, name, way) for combination, name, way in dict.fromkeys(as_it_can)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def proxy_certificate(authority: Authority) -> Signed:
    return authority.sign("proxy")


@pytest.fixture(scope="module")
def secure_kernel(kernel: KernelProcess, authority: Authority) -> Iterator[KernelProcess]:
    """The kernel, which offers TLS to whoever asks for it, and is three servers."""
    signed = authority.sign("observer")
    wallet = kernel.directory / "wallet"
    wallet.mkdir(exist_ok=True)
    shutil.copy(authority.ca, wallet / "ca.pem")
    shutil.copy(signed.cert, wallet / "server-cert.pem")
    shutil.copy(signed.key, wallet / "server-key.pem")
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    with kernel_tls(kernel, True):
        yield kernel


def options_of(server_leg: str, server_tls: str, authority: Authority, certificate: Signed) -> str:
    """Write the options of a proxy that offers everything to clients."""
    options = [client_options(certificate), "client_compression_level=1", SERVER_LEGS[server_leg]]
    if SERVER_TLS[server_tls]:
        options.append(server_options(authority, "REQUIRED"))
    return ",".join(filter(None, options))


@pytest.fixture(scope="module")
def proxies(
    secure_kernel: KernelProcess, authority: Authority, proxy_certificate: Signed
) -> Iterator[Callable[[str, str], Address]]:
    """One proxy for each kind of server leg, started when it is first asked for."""
    with ExitStack() as stack:
        running: dict[tuple[str, str], Address] = {}

        def proxy(server_leg: str, server_tls: str) -> Address:
            if (server_leg, server_tls) not in running:
                options = options_of(server_leg, server_tls, authority, proxy_certificate)
                process = proxy_process(f"127.0.0.1:{secure_kernel.port}", "demo", PROXYRO_PASSWORD, options=options)
                running[server_leg, server_tls] = stack.enter_context(process).address
            return running[server_leg, server_tls]

        yield proxy


@pytest.mark.parametrize(("client_leg", "server_leg", "server_tls", "name", "way"), runs())
def test_a_client_cannot_tell_what_the_legs_are_wrapped_in(
    proxies: Callable[[str, str], Address],
    kernel_address: Address,
    authority: Authority,
    client_leg: str,
    server_leg: str,
    server_tls: str,
    name: str,
    way: str,
) -> None:
    tls, compressed = CLIENT_LEGS[client_leg]
    how, capabilities = WAYS[way]
    context = ssl.create_default_context(cafile=str(authority.ca)) if tls else None
    sides = Sides(kernel_address, proxies(server_leg, server_tls), tls=context)

    count = compare(sides, name, how, capabilities | (Capability.COMPRESS if compressed else 0))

    print(f"{client_leg} - {server_leg} {server_tls}: {name}, {way}: {count} answers compared")  # noqa: T201


# ---- the legs are what they are called ----------------------------------------------------


def layers(stream: Stream) -> list[str]:
    """Name what is around a socket, outermost first."""
    match stream:
        case Coded():
            return [type(stream._codec).__name__, *layers(stream._inner)]
        case OB20Stream():
            return ["OB20Stream", *layers(stream.inner)]
        case TlsStream():
            return ["TlsStream"]
        case _:
            return []


@pytest.mark.parametrize("server_tls", SERVER_TLS)
@pytest.mark.parametrize("server_leg", SERVER_LEGS)
async def test_the_legs_are_wrapped_as_they_are_called(
    secure_kernel: KernelProcess, authority: Authority, proxy_certificate: Signed, server_leg: str, server_tls: str
) -> None:
    options = options_of(server_leg, server_tls, authority, proxy_certificate)
    more = f"observer_sys_password={PROXYRO_PASSWORD},local_bound_ip=127.0.0.1,enable_http=false,listen_port=0"
    flags = {"rootservice_list": f"127.0.0.1:{secure_kernel.port}", "rootservice_cluster_name": "demo"}
    settings = build(from_optstr(f"{options},{more},hot_upgrade_exit_timeout=200ms"), from_flags(flags)).settings
    expected = {"plain": [], "checksum": ["ServerCodec"], "compressed": ["ServerCodec"]}.get(server_leg, ["OB20Stream"])
    context = ssl.create_default_context(cafile=str(authority.ca))
    async with open_proxy(settings) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available("demo")
        address = Address(*proxy.addresses[0])
        for tls, compressed in CLIENT_LEGS.values():
            capabilities = PLAIN | (Capability.COMPRESS if compressed else 0)
            client = await in_thread(
                partial(RawClient, address, "root@sys", capabilities=capabilities, tls=context if tls else None)
            )
            answer = await in_thread(client.query, "select repeat('x', 100)")

            assert answer.payloads[3] == b"\x64" + b"x" * 100
            (session,) = proxy.sessions.table.values()
            assert session.lane is not None
            assert session.router is not None
            assert session.router.servers.active is not None
            assert layers(session.lane._client.stream) == ["ClientCodec"] * compressed + ["TlsStream"] * tls
            stream = session.router.servers.active.stream
            assert layers(stream) == expected + ["TlsStream"] * bool(server_tls)
            if isinstance(stream, Coded):
                assert not stream._codec._reader.stored  # type: ignore[attr-defined]
            client.close()
            with trio.fail_after(10):
                while proxy.sessions.table:
                    await trio.lowlevel.checkpoint()
