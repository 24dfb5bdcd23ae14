"""What the console shows: made while somebody looks, once for all who do; over a WebSocket for who may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from odp_trio.admin.congestion import ServerCongestion
from odp_trio.admin.live import INTERVAL, Feed, LiveFrame, health_of
from odp_trio.admin.live_socket import FULL, MOST_WATCHERS, UNAUTHORIZED, read_token
from odp_trio.admin.status import ProxyStatus
from odp_trio.observe import StatementRecord
from odp_trio.topology.location import TableKey
from tests.admin.served import served
from tests.admin.source import FakeSource

TOKEN = "a token"
ELSEWHERE = [(b"X-Forwarded-For", b"192.0.2.7")]
HOST = "127.0.0.1"


class CountingSource(FakeSource):
    def __init__(self) -> None:
        super().__init__()
        self.with_cluster = True
        self.asked = 0

    def statistics(self) -> ProxyStatus:
        self.asked += 1
        return super().statistics()


@pytest.fixture
def source() -> CountingSource:
    found = CountingSource()
    found.with_token(TOKEN)
    return found


# ---- the record --------------------------------------------------------------------------


async def test_the_map_has_zones_by_place_and_servers_with_what_they_lead(source: CountingSource) -> None:
    frame = await Feed(source).frame()

    (cluster,) = frame.clusters
    assert [(zone.name, zone.region, zone.idc) for zone in cluster.zones] == [
        ("z1", "hz", "hz1"),
        ("z2", "hz", "hz2"),
        ("z3", "sh", "sh3"),
    ]
    assert [zone.servers[0].leaders for zone in cluster.zones] == [1, 2, 1]
    assert {zone.servers[0].health for zone in cluster.zones} == {"ok"}


async def test_the_tables_with_the_most_misroutes_come_first(source: CountingSource) -> None:
    for table, tally in (("orders", [100, 2]), ("items", [9, 7])):
        entry = source.locations.find(TableKey("demo", "shop", "sales", table))
        assert entry is not None
        entry.tally("leader")[:] = tally

    frame = await Feed(source).frame()

    assert [(table.table, table.missed) for table in frame.misroutes] == [("items", 7), ("orders", 2)]
    assert (frame.routed, frame.missed) == (109, 9)


def statement(number: int, sql: bytes) -> StatementRecord:
    record = StatementRecord(*([0] * len(StatementRecord.__dataclass_fields__)))
    record.cluster, record.tenant, record.user, record.sql = "demo", "shop", "app", sql
    record.arrived, record.ended, record.wall_us, record.session = 0, 2_500_000_000, number * 1_000_000, number
    record.database = record.server = record.rule = ""
    return record


async def test_slow_statements_come_newest_first_and_masked(
    source: CountingSource, autojump_clock: trio.testing.MockClock
) -> None:
    feed = Feed(source)
    assert (await feed.frame()).slow == ()
    for number in (1, 2):
        source.logs.slow.append(statement(number, b"select sleep(2.5)"))
    await trio.sleep(INTERVAL)
    assert [one.session for one in (await feed.frame()).slow] == [2, 1]

    source.logs.slow.append(statement(3, b"create user u identified by 'a secret'"))
    await trio.sleep(INTERVAL)
    slow = (await feed.frame()).slow
    assert [(one.session, one.at, one.seconds) for one in slow] == [(3, 3.0, 2.5), (2, 2.0, 2.5), (1, 1.0, 2.5)]
    assert "a secret" not in slow[0].sql

    for number in range(4, 60):
        source.logs.slow.append(statement(number, b"select 1"))
    await trio.sleep(INTERVAL)
    assert [one.session for one in (await feed.frame()).slow][:11] == [*range(59, 49, -1), 3]


async def test_one_record_is_made_for_all_who_ask_within_the_interval(
    source: CountingSource, autojump_clock: trio.testing.MockClock
) -> None:
    feed = Feed(source)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(feed.encoded)
    assert source.asked == 1

    await trio.sleep(INTERVAL)
    await feed.encoded()
    assert source.asked == 2


def listed(where: str) -> ServerCongestion:
    return ServerCongestion(
        "demo", "z1", "", "", "ip", "ACTIVE", where, "why", False, None, False, None, False, False, None, 0, 0, 0, None, 0,
        False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "where", "health"),
    [
        ("ACTIVE", "", "ok"),
        ("ACTIVE", "alive", "grey"),
        ("ACTIVE", "detect", "black"),
        ("ACTIVE", "forced", "off"),
        ("INACTIVE", "", "black"),
        ("INACTIVE", "dead", "black"),
        ("REPLAY", "", "off"),
        ("UPGRADE", "forced", "off"),
        ("DELETING", "", "ok"),
    ],
)
def test_health(state: str, where: str, health: str) -> None:
    assert health_of(state, listed(where))[0] == health


# ---- the WebSocket -----------------------------------------------------------------------


@asynccontextmanager
async def watching(port: int, headers: list[tuple[bytes, bytes]] | None = None) -> AsyncIterator[WebSocketConnection]:
    """Connect; the socket is closed whoever ends it."""
    async with await trio.open_tcp_stream(HOST, port) as stream, trio.open_nursery() as nursery:
        with trio.fail_after(10):
            yield await wrap_client_stream(nursery, stream, HOST, "/api/live", extra_headers=headers)
        nursery.cancel_scope.cancel()


async def test_a_watcher_is_told_again_and_again_and_nothing_is_made_when_it_has_left(source: CountingSource) -> None:
    async with served(source) as port:
        with trio.fail_after(10):
            async with watching(port) as connection:
                moments = [msgspec.json.decode(await connection.get_message(), type=LiveFrame).at for _ in range(3)]
        assert moments == sorted(set(moments))
        await trio.sleep(INTERVAL)
        made = source.asked
        await trio.sleep(3 * INTERVAL)
        assert source.asked == made


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ([(b"Authorization", f"Bearer {TOKEN}".encode())], None),
        ([], f'{{"token": "{TOKEN}"}}'),
    ],
)
async def test_from_elsewhere_a_token_opens_it(
    source: CountingSource, headers: list[tuple[bytes, bytes]], first: str | None
) -> None:
    async with served(source) as port:
        words = [*ELSEWHERE, *headers]
        with trio.fail_after(10):
            async with watching(port, words) as connection:
                if first is not None:
                    await connection.send_message(first)
                assert msgspec.json.decode(await connection.get_message(), type=LiveFrame).version == "0"


@pytest.mark.parametrize("first", ['{"token": "wrong"}', "not json", '{"tokens": 1}', '{"token": ""}'])
async def test_from_elsewhere_a_wrong_token_closes_it(source: CountingSource, first: str) -> None:
    async with served(source) as port:
        with trio.fail_after(10):
            async with watching(port, ELSEWHERE) as connection:
                await connection.send_message(first)
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == UNAUTHORIZED
    assert source.asked == 0


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Bearer wrong"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "x.y"),
    ],
)
async def test_who_may_not_look_gets_nothing(source: CountingSource, header: tuple[str, str]) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with served(source) as port, httpx.AsyncClient() as client:
        response = await client.get(f"http://{HOST}:{port}/api/live", headers={**upgrade, header[0]: header[1]})

    assert response.status_code == 403
    assert source.asked == 0


async def test_only_so_many_look_at_once(source: CountingSource) -> None:
    async with served(source) as port, trio.open_nursery() as nursery:
        ready: list[int] = []
        done = trio.Event()

        async def watch() -> None:
            async with watching(port) as connection:
                await connection.get_message()
                ready.append(1)
                if len(ready) == MOST_WATCHERS:
                    done.set()
                await trio.sleep_forever()

        for _ in range(MOST_WATCHERS):
            nursery.start_soon(watch)
        with trio.fail_after(20):
            await done.wait()
            async with watching(port) as connection:
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == FULL
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("message", ['{"a": ' + "[" * 4000, "\ud800", "", "[1]", '{"token": 5}'])
def test_a_first_message_that_is_none_has_no_token(message: str) -> None:
    assert read_token(message) == ""
