"""What a relay of the test bed leaves alone, and what it changes: every framing, long answers, odd clients."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial

import pymysql
import pytest
import trio

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.testing import relay
from odp_trio.testing.bed import Testbed
from odp_trio.testing.observers import RECORDED, Shared
from odp_trio.testing.relay import Statement
from odp_trio.wire.auth import native_token
from odp_trio.wire.fields import Capability, OBCapability
from odp_trio.wire.handshake import LoginPacket, parse_greeting
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.resultset import parse_err
from odp_trio.wire.state import parse_ok
from tests.live.clients import ask, connect, in_thread, until
from tests.live.proxy_connection import ProxyConnection

FRAMINGS = pytest.mark.parametrize("ob20", [False, True], ids=["plain", "ob20"])


def where(bed: Testbed, number: int = 0) -> Address:
    return Address(bed.observers[number].ip, bed.port)


async def by_proxy(bed: Testbed, script: Callable[[ProxyConnection], None], **options: object) -> None:
    """Run a script on a proxy's connection in a thread."""

    def run() -> None:
        with closing(ProxyConnection(where(bed), **options)) as connection:  # type: ignore[arg-type]
            script(connection)

    await in_thread(run)


@asynccontextmanager
async def nothing_left(bed: Testbed) -> AsyncIterator[None]:
    """Afterwards there are no more descriptors, tasks and relays than before."""

    def count() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living

    await in_thread(lambda: None)
    before = count()
    yield
    await until(lambda: not any(o.open_connections for o in bed.observers), "all relays have ended")
    await until(lambda: count() <= before, f"descriptors and tasks are those of before, {before}")


@FRAMINGS
async def test_a_prepared_statement_is_recorded_when_it_runs(bed: Testbed, ob20: bool) -> None:
    def script(connection: ProxyConnection) -> None:
        ids = []
        for text in (b"select 'prepared', ?", b"select 'other'"):
            connection.send(b"\x16" + text)
            ids.append(connection.answer(0x16)[0][1:5])
        for number, rest in ((ids[1], b""), (ids[0], b"\0\x01\x08\0" + struct.pack("<q", 7))):
            connection.send(b"\x17" + number + b"\0\x01\0\0\0" + rest)
            assert parse_ok(connection.answer(0x17)[-1]).status & 2

    await by_proxy(bed, script, ob20=ob20)

    assert [(s.command, s.sql) for s in bed.statements("prepared|other")] == [
        ("STMT_PREPARE", "select 'prepared', ?"),
        ("STMT_PREPARE", "select 'other'"),
        ("STMT_EXECUTE", "select 'other'"),
        ("STMT_EXECUTE", "select 'prepared', ?"),
    ]


async def test_an_answered_prepare_leaves_no_text_behind(bed: Testbed) -> None:
    def script(connection: ProxyConnection) -> None:
        connection.send(b"\x16select 'refused'")
        assert parse_err(connection.answer(0x16)[0]).errno == 4038
        connection.ask(b"set @a=1")  # its OK begins as that of a PREPARE does
        connection.send(b"\x17\0\0\x02\0\0\x01\0\0\0")
        connection.answer(0x17)

    bed.answer("refused", errno=4038)
    await by_proxy(bed, script, ob20=False)

    assert [s.sql for s in bed.statements() if s.command == "STMT_EXECUTE"] == [""]


async def test_the_texts_of_prepared_statements_are_bounded(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PREPARED", 3)

    def script(connection: ProxyConnection) -> None:
        def prepare(text: bytes) -> bytes:
            connection.send(b"\x16" + text)
            return connection.answer(0x16)[0][1:5]

        first, *more = [prepare(b"select 'number %d'" % number) for number in range(3)]
        connection.send(b"\x19" + more[0])  # closed: makes room
        last = prepare(b"select 'number 3'"), prepare(b"select 'number 4'")
        for statement in (first, *last):
            connection.send(b"\x17" + statement + b"\0\x01\0\0\0")
            connection.answer(0x17)

    await by_proxy(bed, script, ob20=False)

    executed = [s.sql for s in bed.statements() if s.command == "STMT_EXECUTE"]
    assert executed == ["", "select 'number 3'", "select 'number 4'"]


@pytest.mark.parametrize(
    "options",
    [{"extra": {2001: b"client_ip=127.0.0.1"}}, {"split": 5}, {"split": 11}],
    ids=["extra-info", "split-in-the-header", "split-in-the-text"],
)
async def test_ob20_requests_reach_the_kernel_as_they_came(bed: Testbed, options: dict[str, object]) -> None:
    def script(connection: ProxyConnection) -> None:
        for number in (b"1", b"2"):
            connection.send(b"\x03select 'as it came', " + number, **options)  # type: ignore[arg-type]
            assert connection.answer()[4].endswith(b"\x01" + number)

    await by_proxy(bed, script, ob20=True)

    assert len([s for s in bed.statements() if s.command == "QUERY"]) == 2


@FRAMINGS
async def test_a_miss_is_reported_behind_a_long_answer_too(bed: Testbed, ob20: bool) -> None:
    def script(connection: ProxyConnection) -> None:
        for mebibytes, reported in ((0.5, b"OFF"), (3, None)):
            size = int(mebibytes * (1 << 20))
            payloads = connection.ask(b"select repeat('x', %d) as missed" % size)
            assert len(payloads[3]) == size + 4
            state = parse_ok(payloads[-1]).state
            assert (state.system.get(b"ob_proxy_partition_hit") if state else None) == reported
        assert connection.ask(b"select 2")[3] == b"\x012"

    bed.miss("missed", times=2)
    await by_proxy(bed, script, ob20=ob20)


async def test_session_information_stays_in_an_answer_that_reports_a_miss(bed: Testbed) -> None:
    def script(connection: ProxyConnection) -> None:
        connection.ask(b"set tx_isolation = 'SERIALIZABLE' /* missed */")
        assert 2002 in {kind for frame in connection.frames for kind in frame.extra}

    bed.miss("missed")
    asked = OBCapability.NEW_EXTRA_INFO | OBCapability.SESSION_SYNC | OBCapability.SESSION_VAR_SYNC
    await by_proxy(bed, script, ob20=True, capabilities=int(asked))


async def test_a_miss_is_not_reported_to_a_client_that_is_no_proxy(bed: Testbed) -> None:
    bed.miss("missed")

    rows = await in_thread(partial(ask, (where(bed).ip, bed.port), "select 'missed'", "app@sys"))

    assert rows == (("missed",),)


async def test_metadata_over_ob20_is_of_the_mapped_tenant(bed: Testbed) -> None:
    await bed.place_tenant("mytenant", [1])

    def script(connection: ProxyConnection) -> None:
        payloads = connection.ask(
            b"select tenant_name, svr_ip from oceanbase.__all_virtual_proxy_schema where tenant_name = 'mytenant' "
            b"and database_name = 'oceanbase' and table_name = '__all_dummy'"
        )
        assert payloads[4] == b"\x08mytenant\x09127.0.0.2"
        assert payloads[5][:1] == b"\xfe"

    await by_proxy(bed, script, ob20=True, user="proxyro@sys", password=bed.proxyro_password)


async def test_another_user_of_a_mapped_tenant(bed: Testbed) -> None:
    def script(connection: ProxyConnection) -> None:
        connection.send(b"\x11root@mytenant\0\0\0\x2d\0mysql_native_password\0")
        seq, payload = connection.next_packet()
        while payload[:1] == b"\xfe":
            connection.sock.sendall(b"\0\0\0" + bytes((seq + 1,)))
            seq, payload = connection.next_packet()
        assert payload[:1] == b"\0"
        assert connection.ask(b"select user()")[3].endswith(b"root@127.0.0.1")

    await by_proxy(bed, script, ob20=False)

    assert [(s.user, s.tenant) for s in bed.statements("user")] == [("root", "mytenant")]


async def test_a_compressed_connection_is_passed_on_unread(bed: Testbed) -> None:
    """The kernel compresses when CLIENT_COMPRESS is set, though it does not announce it."""

    def script() -> bytes:
        with closing(socket.create_connection((where(bed).ip, bed.port), timeout=15)) as sock:
            packets = PacketReader(ServerProtocolError)

            def next_payload() -> bytes:
                while (found := packets.next_packet()) is None:
                    packets.feed(sock.recv(65536))
                return found[1]

            token = native_token("app_pw", parse_greeting(next_payload()).scramble)
            flags = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.COMPRESS
            sock.sendall(packet(1, LoginPacket(int(flags), 1 << 24, 45, b"app@mytenant", token).to_bytes()))
            assert next_payload()[:1] == b"\0"
            request = packet(0, b"\x03select 'zip'")
            sock.sendall(len(request).to_bytes(3, "little") + b"\0\0\0\0" + request)
            data = b""
            while len(data) < 7 or len(data) < 7 + int.from_bytes(data[:3], "little"):
                data += sock.recv(65536)
            body = data[7 : 7 + int.from_bytes(data[:3], "little")]
            return zlib.decompress(body) if any(data[4:7]) else body

    assert b"\x03zip" in await in_thread(script)


async def test_nothing_is_left_of_any_connection(bed: Testbed) -> None:
    async with nothing_left(bed):
        for number in range(3):
            await in_thread(partial(ask, (where(bed, number).ip, bed.port), "select 1", "app@mytenant"))
        for half in (b"", b"\x10", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\x01" + b"x" * 100):
            async with await trio.open_tcp_stream(where(bed).ip, bed.port) as stream:
                await stream.receive_some(10)
                if half:
                    await stream.send_all(half)
        bed.answer_login(errno=5150, number=0)
        with pytest.raises(pymysql.err.MySQLError, match="5150"):
            await in_thread(partial(ask, (where(bed).ip, bed.port), "select 1", "app@sys"))
        bed.freeze(1)
        async with await trio.open_tcp_stream(where(bed, 1).ip, bed.port):
            await until(lambda: bed.observers[1].open_connections == 1, "the connection is there")
        await bed.kill(1)


async def test_many_statements_go_through_and_are_recorded(bed: Testbed) -> None:
    def load(number: int) -> None:
        with closing(connect((where(bed, number % 3).ip, bed.port), "app@sys")) as connection:
            with connection.cursor() as cursor:
                for at in range(200):
                    cursor.execute(f"select {at} as loaded")
                    assert cursor.fetchall() == ((at,),)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(in_thread, load, number)

    record = bed.statements("as loaded")
    assert len(record) == 6 * 200
    assert {s.observer for s in record} == {0, 1, 2}


def test_the_record_is_bounded() -> None:
    shared = Shared(frozenset)
    for at in range(RECORDED + 10):
        shared.note(Statement(0, 1, "u", "sys", False, "QUERY", str(at), 0.0))

    assert len(shared.record) == RECORDED
    assert shared.record[0].sql == "10"
