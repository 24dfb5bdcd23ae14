"""A hostile client: before it is let in, and afterwards."""

from __future__ import annotations

import logging
import zlib
from collections.abc import AsyncIterator
from time import thread_time

import pytest
import trio

from odp_trio.admin.commands.answer import find, refusal
from odp_trio.admin.commands.syntax import take_apart
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Layer, Settings, build
from odp_trio.config.like import is_like
from odp_trio.errors import AccessDenied, ServerProtocolError
from odp_trio.logs.line import one_line, sameness
from odp_trio.logs.masking import masked
from odp_trio.model import Address, LoginName
from odp_trio.session.entrance import LOGIN_BYTES
from odp_trio.session.login import choose_destination
from odp_trio.testing.client import Client, StatementFailed
from odp_trio.wire.command import HANDLING, Handling
from odp_trio.wire.compressed import CompressedReader
from odp_trio.wire.handshake import LoginPacket, parse_greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err

PATIENCE = 0.5


@pytest.fixture(params=[PATIENCE, 3.5], ids=["in a task", "in callbacks"])
async def proxy(request: pytest.FixtureRequest) -> AsyncIterator[Proxy]:
    """A proxy without a cluster that can be reached: nobody gets beyond a login.

    A short time for logins is kept by a task of the session; a longer one by callbacks, until something must wait.
    """
    values = {
        "listen_port": 0,
        "local_bound_ip": "127.0.0.1",
        "enable_http": False,
        "rootservice_list": "127.0.0.1:1",
        "rootservice_cluster_name": "demo",
        "login_timeout": request.param,
    }
    async with open_proxy(build(Layer("test", values)).settings) as found:
        yield found


async def greeted(proxy: Proxy) -> trio.SocketStream:
    stream = await trio.open_tcp_stream(*proxy.addresses[0])
    assert parse_greeting((await stream.receive_some())[4:]).scramble
    return stream


async def rest(stream: trio.SocketStream) -> bytes:
    """Read to the end, which a reset is too."""
    found = b""
    try:
        async for data in stream:
            found += data
    except trio.BrokenResourceError:
        pass
    return found


async def test_client_1_a_login_of_more_than_a_packet_is_refused_at_its_header(proxy: Proxy) -> None:
    async with await greeted(proxy) as stream:
        await stream.send_all((LOGIN_BYTES + 1).to_bytes(3, "little") + b"\1")

        with trio.fail_after(PATIENCE / 2):  # long before the time for a login is over
            answer = await rest(stream)

    assert parse_err(answer[4:]).errno == 1043


async def test_client_2_a_login_that_comes_a_byte_at_a_time_has_an_end(proxy: Proxy) -> None:
    login = packet(1, b"\x8d\xa2\x0a\0" + bytes(28) + b"u" * 60000)
    begun = trio.current_time()

    async with await greeted(proxy) as stream, trio.open_nursery() as nursery:

        async def trickle() -> None:
            for at in range(len(login)):
                try:
                    await stream.send_all(login[at : at + 1])
                except trio.BrokenResourceError:
                    return
                await trio.sleep(0.01)

        nursery.start_soon(trickle)
        await rest(stream)
        nursery.cancel_scope.cancel()

    limit = proxy.settings().login_timeout
    assert limit - 0.1 < trio.current_time() - begun < limit + 2.5


def test_client_4_a_frame_of_16_mib_in_16_kib_is_given_out_in_pieces() -> None:
    plain = (1 << 24) - 1
    coded = zlib.compress(bytes(plain), 9)
    reader = CompressedReader(ServerProtocolError, lambda _: None)
    reader.feed(len(coded).to_bytes(3, "little") + b"\0" + plain.to_bytes(3, "little") + coded)
    buffer, found = bytearray(4096), 0

    while count := reader.read_into(buffer):
        found += count
        held = len(reader._checked) + (len(reader._inflater.unconsumed_tail) if reader._inflater else 0)
        assert held <= 65536 + len(coded)

    assert found == plain


LONG = 1 << 16
HOSTILE = {
    "words that assign nothing": b"set " + b"pwd" * (LONG // 3),
    "one word": b"select " + b"pass" * (LONG // 4),
    "blanks": b"x" * 99 + b"password" + b"\t" * LONG,
    "by by by": b"create user pass" + b" by" * (LONG // 3),
    "assignments": b"set " + b"passwd=x," * (LONG // 9),
    "quotes": b"set password=" + b"'" * LONG,
    "comments": b"/*" * (LONG // 2),
    "brackets": b"show proxyconfig like " + b"(" * LONG,
    "commas": b"alter proxyconfig set " + b"a=1," * (LONG // 4),
    "digits": b"1" * LONG,
    "addresses": b"from 1.1.1.1:" * (LONG // 13),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_client_5_a_text_made_to_hurt_takes_time_in_proportion(name: str) -> None:
    sql = HOSTILE[name]
    text = sql.decode()
    begun = thread_time()

    masked(sql)
    sameness(text)
    one_line(text)
    command = take_apart(text)
    assert find(command) or str(refusal(command))
    is_like("a" * 500, "%a" * 100 + "b")

    assert thread_time() - begun < 2  # 64 KiB that were looked at again and again took minutes


@pytest.mark.parametrize("text", ["a\nERROR forged", "a\r\n", "\x1b[2J", "\x85next", "a\u2028b", "\x00"])
def test_client_6_what_it_sends_stays_on_its_line(text: str) -> None:
    assert len(one_line(text).splitlines()) == 1
    assert one_line(text).isprintable()


def test_client_7_its_answer_is_not_shown() -> None:
    login = LoginPacket(0, 0, 45, b"u", b"the answer", None, None, {b"k": b"v"})

    assert "the answer" not in f"{login!r} {login}"


async def test_client_8_it_cannot_say_that_it_comes_from_elsewhere(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with await greeted(proxy) as stream:
        await stream.send_all(b"PROXY TCP4 10.9.8.7 10.0.0.1 1 2\r\n")
        answer = await rest(stream)

    assert parse_err(answer[4:]).errno == 1043
    assert "proxy_protocol_networks" in caplog.text


@pytest.mark.parametrize("name", [LoginName("proxyro", "sys", "c"), LoginName("proxyro", None, None)])
def test_client_9_the_proxys_own_account_is_nobody_elses(name: LoginName) -> None:
    settings = Settings(rootservice_cluster_name="c")

    with pytest.raises(AccessDenied, match="own account"):
        choose_destination(name, settings)


@pytest.mark.parametrize("password", ["", "x", "root"])
async def test_client_10_without_a_password_nobody_is_root_of_the_proxy(proxy: Proxy, password: str) -> None:
    with pytest.raises(StatementFailed) as caught:
        await Client.connect(Address(*proxy.addresses[0]), "root@proxysys", password)

    assert caught.value.errno == 1045


def test_client_11_only_commands_that_servers_expect_reach_them() -> None:
    reach = {byte for byte, how in enumerate(HANDLING) if how in (Handling.FORWARD, Handling.SILENT)}

    assert max(reach) < 0x20
    assert HANDLING[0xA1] is Handling.REFUSE


async def test_client_12_bytes_that_are_no_login_end_the_connection_only(proxy: Proxy) -> None:
    for data in (bytes(64), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 300, packet(1, b""), packet(1, b"\xff" * 40)):
        async with await greeted(proxy) as stream:
            await stream.send_all(data)
            with trio.fail_after(proxy.settings().login_timeout + 2.5):
                await rest(stream)

    async with await greeted(proxy):
        pass
