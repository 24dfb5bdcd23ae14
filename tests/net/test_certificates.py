"""Files of certificates: loaded, replaced, broken."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from odp_trio.config import Layer, build
from odp_trio.config.ssl_attributes import SslAttributes, read_ssl_attributes, ssl_attributes
from odp_trio.errors import ConfigError
from odp_trio.net.certificates import LOOK_SECONDS, Certificates
from odp_trio.net.tls import TlsStream
from tests.certificates import Authority, Signed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def signed(authority: Authority) -> Signed:
    return authority.sign("proxy")


def certificates(**options: Any) -> Certificates:
    named = {"clusters": {"demo": {"rslist": "127.0.0.1:1"}}}
    return Certificates(build(Layer("test", {**named, **{key: str(value) for key, value in options.items()}})).settings)


def for_clients(signed: Signed, **options: Any) -> Certificates:
    return certificates(enable_client_ssl=True, ssl_cert_file=signed.cert, ssl_key_file=signed.key, **options)


async def shown_to(client: ssl.SSLContext, ours: ssl.SSLContext) -> int:
    """Shake hands in memory; return the serial number of the certificate that the client saw."""
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(here, there, server_hostname="proxy")
    other = ours.wrap_bio(there, here, server_side=True)
    for _ in range(3):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = one.getpeercert()
    assert found is not None
    return int(str(found["serialNumber"]), 16)


async def until(true: Callable[[], bool]) -> None:
    """Let time pass until something has become true; what a thread does takes no time on this clock."""
    for _ in range(100_000):
        if true():
            return
        await trio.sleep(LOOK_SECONDS)
    raise AssertionError("it did not come true")


async def test_nothing_is_offered_unless_it_is_asked_for_and_can_be_loaded(signed: Signed, tmp_path: Path) -> None:
    off = certificates(ssl_cert_file=signed.cert, ssl_key_file=signed.key)
    assert not off.wanted
    await off.load()
    assert (off.client, off.server) == (None, None)

    nameless = certificates(enable_client_ssl=True)
    await nameless.load()
    assert nameless.client is None
    assert nameless.problem == "enable_client_ssl needs ssl_cert_file"

    absent = certificates(enable_client_ssl=True, ssl_cert_file=tmp_path / "none.pem")
    await absent.load()
    assert absent.client is None
    assert "none.pem" in absent.problem
    assert "No such file" in absent.problem


async def test_replaced_files_are_noticed_and_broken_ones_refused(
    authority: Authority, signed: Signed, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    ours = for_clients(signed)
    await ours.load()
    first = ours.client
    assert first is not None
    serial = await shown_to(authority.client_context(), first)

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: ours.watch(task_status=task_status))
        await trio.sleep(LOOK_SECONDS * 3.5)
        assert (ours.client, ours.loads) == (first, 1), "nothing has changed"

        good = signed.key.read_bytes()
        broken = signed.key.with_name("new.pem")
        broken.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
        broken.replace(signed.key)
        await until(lambda: bool(ours.problem))
        await trio.sleep(LOOK_SECONDS * 3.5)
        assert ours.client is first
        assert str(signed.key) in ours.problem
        assert caplog.text.count("the ones before stay in force") == 1

        signed.key.write_bytes(good)
        await until(lambda: not ours.problem)

        loads = ours.loads
        assert authority.sign("proxy") == signed, "the same files"
        await until(lambda: ours.loads > loads and not ours.problem)
        assert ours.client is not None
        assert await shown_to(authority.client_context(), ours.client) != serial
        assert await shown_to(authority.client_context(), first) == serial, "who began with it goes on with it"
        nursery.cancel_scope.cancel()


async def test_a_key_that_belongs_to_another_certificate_is_refused(authority: Authority, signed: Signed) -> None:
    ours = for_clients(signed)
    shutil.copy(authority.sign("other").key, signed.key)
    await ours.load()
    assert ours.client is None
    assert "key values mismatch" in ours.problem


async def test_a_key_with_a_password(authority: Authority) -> None:
    signed = authority.sign("locked", password="open sesame")
    without = for_clients(signed)
    await without.load()
    assert without.client is None, "and nobody was asked at a terminal"
    assert "open sesame" not in without.problem

    with_it = for_clients(signed, ssl_key_password="open sesame")
    await with_it.load()
    assert with_it.client is not None


async def test_certificates_of_clients(authority: Authority, signed: Signed) -> None:
    lacking = for_clients(signed, client_ssl_verify="required")
    await lacking.load()
    assert lacking.problem == "client_ssl_verify = required needs ssl_ca_file"

    for word, mode in (("none", ssl.CERT_NONE), ("optional", ssl.CERT_OPTIONAL), ("required", ssl.CERT_REQUIRED)):
        ours = for_clients(signed, client_ssl_verify=word, ssl_ca_file=authority.ca)
        await ours.load()
        assert ours.client is not None
        assert ours.client.verify_mode is mode


@pytest.mark.parametrize(
    ("mode", "required", "verify", "name"),
    [
        ("PREFERRED", False, ssl.CERT_NONE, False),
        ("required", True, ssl.CERT_NONE, False),
        ("VERIFY_CA", True, ssl.CERT_REQUIRED, False),
        ("VERIFY_IDENTITY", True, ssl.CERT_REQUIRED, True),
    ],
)
async def test_modes_towards_servers(
    authority: Authority, mode: str, required: bool, verify: ssl.VerifyMode, name: bool
) -> None:
    ours = certificates(enable_server_ssl=True, server_ssl_mode=mode, server_ssl_ca_file=authority.ca)
    await ours.load()
    assert ours.server is not None
    assert ours.server.context is not None
    found = (ours.server.required, ours.server.context.verify_mode, ours.server.context.check_hostname)
    assert found == (required, verify, name)

    blind = certificates(enable_server_ssl=True, server_ssl_mode=mode)
    await blind.load()
    assert blind.server is not None
    assert (blind.server.context is None) == (verify is ssl.CERT_REQUIRED)
    assert bool(blind.server.problem) == (verify is ssl.CERT_REQUIRED)


async def test_versions(signed: Signed) -> None:
    for word, least in (("NONE", "TLSv1_2"), ("TLSV1", "TLSv1_2"), ("tlsv1.2", "TLSv1_2"), ("TLSV1.3", "TLSv1_3")):
        ours = for_clients(signed, ssl_attributes=f'{{"min_tls_version": "{word}"}}')
        await ours.load()
        assert ours.client is not None
        assert ours.client.minimum_version.name == least
        assert not ours.forced
    assert for_clients(signed, ssl_attributes='{"using_ssl": "ENABLE_FORCE"}').forced


def test_attributes() -> None:
    assert ssl_attributes(read_ssl_attributes("")) == SslAttributes(False, "NONE")
    text = read_ssl_attributes({"using_ssl": "enable_force", "min_tls_version": "tlsv1.3"})
    assert ssl_attributes(text) == SslAttributes(True, "TLSV1.3")
    for wrong in ("[1]", "{", '{"using_ssl": "YES"}', '{"using": "ENABLE_FORCE"}', '{"min_tls_version": 1.2}', 7):
        with pytest.raises(ConfigError):
            read_ssl_attributes(wrong)


async def test_a_stream_can_be_made_of_what_was_loaded(signed: Signed) -> None:
    ours = for_clients(signed)
    await ours.load()
    assert ours.client is not None
    near, far = trio.socket.socketpair()
    with near, far:
        assert TlsStream(near._sock, ours.client, server_side=True).version == ""
