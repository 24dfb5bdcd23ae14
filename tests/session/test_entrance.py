"""Logins in callbacks: no task where nothing must be waited for, and the session's task for all the rest."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.model import TenantKey, parse_rslist
from odp_trio.net.memory_stream import MemoryStream
from odp_trio.net.pace import Pace
from odp_trio.net.reactor import open_reactor
from odp_trio.session.reasons import End
from odp_trio.session.services import Session
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import open_fake_network
from odp_trio.wire.auth import native_token
from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD, Capability
from odp_trio.wire.handshake import LoginPacket, parse_greeting
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err

USER, PASSWORD = b"app@mytenant#demo", "app_pw"
CAPABILITIES = int(Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH)
QUIT = packet(0, bytes((Com.QUIT,)))
PING = packet(0, bytes((Com.PING,)))


@dataclass
class Client:
    """A client that says what it is told, byte by byte if need be."""

    proxy: Proxy
    stream: MemoryStream
    login: bytes = b""

    async def greeted(self, password: str = PASSWORD, capabilities: int = CAPABILITIES) -> None:
        greeting = parse_greeting((await self.stream.receive_some())[4:])
        token = native_token(password, greeting.scramble)
        self.login = packet(1, LoginPacket(capabilities, MAX_PAYLOAD, 45, USER, token).to_bytes())

    async def log_in(self) -> bytes:
        await self.greeted()
        await self.stream.send_all(self.login)
        return await self.stream.receive_some()

    @property
    def session(self) -> Session:
        (session,) = self.proxy.sessions.table.values()
        return session

    async def gone(self) -> None:
        for _ in range(2000):
            if not self.proxy.sessions.table:
                return
            await trio.sleep(0.01)
        raise AssertionError("it is there after 20 s")


@dataclass
class World:
    cluster: FakeCluster
    proxy: Proxy

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await self.proxy.open_stream() as stream:
            yield Client(self.proxy, stream)

    async def first_login(self) -> None:
        """From here on cluster and tenant are known."""
        async with self.client() as client:
            assert is_ok(await client.log_in())
            await client.stream.send_all(QUIT)
            await client.gone()


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[World]:
    cluster = FakeCluster()
    settings = Settings(
        clusters={cluster.name: ClusterSettings(parse_rslist(cluster.rslist))},
        observer_sys_password=Secret(cluster.proxyro_password),
        enable_http=False,
        hot_upgrade_exit_timeout=0.1,
        **options,
    )
    async with open_fake_network(cluster) as network:
        async with open_proxy(settings, listen=False, network=network, rng=random.Random(1)) as proxy:
            one = World(cluster, proxy)
            await one.first_login()
            yield one


def is_ok(answer: bytes) -> bool:
    return answer[3:5] == b"\x02\0"


async def test_a_tenant_whose_only_known_server_is_lost_is_looked_for_elsewhere(autojump_clock: MockClock) -> None:
    async with world() as one:
        key = TenantKey("demo", "mytenant")
        numbers = [server.number for server in one.cluster.observers]
        await one.cluster.place_tenant("mytenant", numbers[:1])
        one.proxy.views.tenants.invalidate(key)
        await one.first_login()
        await one.cluster.place_tenant("mytenant", numbers)  # nobody is told: the first one has the tenant as before
        await trio.sleep(3600)
        await one.cluster.kill(numbers[0], noticed=False)

        async with one.client() as client:
            assert is_ok(await client.log_in())
            await client.stream.send_all(QUIT)
            await client.gone()
        assert len(await one.proxy.views.tenants.servers(key)) == len(numbers)


async def test_a_login_a_statement_and_a_quit_need_no_task(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        assert is_ok(await client.log_in())
        assert not client.session.has_task
        assert client.session.state == "active"
        await client.stream.send_all(PING)
        assert is_ok(b"---\x02" + (await client.stream.receive_some())[4:])
        session = client.session
        await client.stream.send_all(QUIT)
        await client.gone()
        assert session.why is not None
        assert session.why.value == "client_quit"
        assert one.proxy.counts.ends["client_quit"] == 2
        assert not one.proxy.sessions.watched.awake


async def test_a_client_that_leaves_without_a_word_is_forgotten(autojump_clock: MockClock) -> None:
    async with world() as one:
        async with one.client() as client:
            assert is_ok(await client.log_in())
        await client.gone()
        assert one.proxy.counts.ends["client_gone"] == 1
        assert one.proxy.reactor.sockets == 0


@pytest.mark.parametrize("at", [1, 4, 40])
async def test_a_login_in_two_pieces_is_left_to_a_task(at: int, autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        await client.greeted()
        await client.stream.send_all(client.login[:at])
        await trio.sleep(0.1)
        assert client.session.has_task
        await client.stream.send_all(client.login[at:])
        assert is_ok(await client.stream.receive_some())


async def test_a_wrong_password_is_refused_in_the_servers_words(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        await client.greeted("wrong")
        await client.stream.send_all(client.login)
        assert parse_err((await client.stream.receive_some())[4:]).errno == 1045
        await client.gone()
        assert one.proxy.counts.ends["login_refused"] == 1


async def test_what_comes_with_the_login_is_answered_behind_it(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        await client.greeted()
        await client.stream.send_all(client.login + PING)
        answer = b""
        while len(answer) < 22:
            answer += await client.stream.receive_some()
        assert is_ok(answer)
        assert answer[11:16] == b"\x07\0\0\x01\0"


async def test_what_comes_while_the_server_is_asked_is_answered_behind_the_login(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        one.cluster.slow(0, 0.5)
        await client.greeted()
        await client.stream.send_all(client.login)
        await client.stream.send_all(PING)
        answer = b""
        while len(answer) < 22:
            answer += await client.stream.receive_some()
        assert is_ok(answer)
        assert answer[11:16] == b"\x07\0\0\x01\0"


async def test_a_command_may_be_longer_than_a_login(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        assert is_ok(await client.log_in())
        await client.stream.send_all(packet(0, bytes((Com.CHANGE_USER,)) + b"x" * 200_000))
        error = parse_err((await client.stream.receive_some())[4:])
        assert error.errno == 1043
        assert "bytes is not expected" not in error.message


async def test_who_does_not_log_in_has_login_timeout(autojump_clock: MockClock) -> None:
    async with world(login_timeout=7.0) as one, one.client() as client:
        began = trio.current_time()
        await client.greeted()
        assert not client.session.has_task
        await client.gone()
        assert trio.current_time() - began == pytest.approx(7.0, abs=0.1)
        assert one.proxy.counts.ends["login_timeout"] == 1


async def test_a_server_that_does_not_answer_is_given_up_after_connect_timeout(autojump_clock: MockClock) -> None:
    async with world(connect_timeout=4.0) as one, one.client() as client:
        for number in range(3):
            one.cluster.freeze(number)
        await client.greeted()
        began = trio.current_time()
        await client.stream.send_all(client.login)
        answer = await client.stream.receive_some()
        assert parse_err(answer[4:]).errno == 4124
        assert trio.current_time() - began == pytest.approx(12.0, abs=1.0)
        for number in range(3):
            await one.cluster.thaw(number)


async def test_a_server_that_refuses_connections_is_passed_over(autojump_clock: MockClock) -> None:
    async with world() as one:
        one.cluster.refuse(0)
        for _ in range(6):
            async with one.client() as client:
                assert is_ok(await client.log_in())
                await client.stream.send_all(QUIT)
                await client.gone()


async def test_a_session_without_a_task_can_be_killed(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        assert is_ok(await client.log_in())
        session = client.session
        session.end(End.KILLED)
        assert await client.stream.receive_some() == b""
        await client.gone()
        assert one.proxy.reactor.sockets == 0


async def test_a_client_that_has_only_been_greeted_can_be_drained(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        await client.greeted()
        client.session.drain()
        await client.gone()
        assert one.proxy.counts.ends["drained"] == 1


async def test_a_proxy_that_is_cancelled_leaves_no_session_without_a_task(autojump_clock: MockClock) -> None:
    cluster_world = world()
    with trio.CancelScope() as scope:
        async with cluster_world as one, one.client() as client, one.client() as greeted:
            await greeted.stream.receive_some()
            await client.greeted()
            await client.stream.send_all(client.login)
            assert is_ok(await client.stream.receive_some())
            sessions = tuple(one.proxy.sessions.table.values())
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert [session.sock.fileno() for session in sessions] == [-1, -1]
    assert not one.proxy.sessions.table


async def test_a_crash_ends_one_session(autojump_clock: MockClock) -> None:
    async with world() as one, one.client() as client:
        assert is_ok(await client.log_in())
        client.session.crash(RuntimeError("a bug"))
        await client.gone()
        assert one.proxy.counts.ends["crashed"] == 1
        await one.first_login()


async def test_so_many_steps_are_allowed_in_a_turn() -> None:
    reactor = open_reactor("nested")
    try:
        pace = Pace(reactor, 2)
        assert [pace.allows() for _ in range(3)] == [True, True, False]
        reactor.turns += 1
        assert pace.allows()
    finally:
        reactor.close()
