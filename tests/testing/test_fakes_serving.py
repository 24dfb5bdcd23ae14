"""Fake OBServers on streams in memory: what becomes of a statement whose client has gone."""

import pytest
import trio
import trio.testing

from odp_trio.app.connection import Connection
from odp_trio.net.memory_stream import MemoryStream, open_duplex
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.direct import run_directly
from odp_trio.testing.fakes.serving import serve_observer
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet


async def client_of(cluster: FakeCluster, nursery: trio.Nursery) -> tuple[MemoryStream, Connection]:
    sock, stream = open_duplex()
    ours = MemoryStream(sock)
    nursery.start_soon(serve_observer, cluster, cluster.servers[0].address, stream)
    return ours, await Connection.log_in(ours, "app@mytenant", "app_pw", "test")


@pytest.mark.parametrize("finishes", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
async def test_a_statement_whose_client_has_gone(
    finishes: bool, frozen: bool, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = FakeCluster()
    cluster.finishes = finishes
    run_directly(cluster, ["create table test.t (id int primary key)"])
    async with trio.open_nursery() as nursery:
        ours, _ = await client_of(cluster, nursery)
        if frozen:
            cluster.freeze(0)
        else:
            cluster.slow(0, 5.0)
        await ours.send_all(packet(0, bytes((Com.QUERY,)) + b"insert into t values (1)"))
        await trio.sleep(1)
        await ours.aclose()
        await trio.sleep(1)
        if frozen:
            await cluster.thaw(0)
        # the nursery ends when the connection has
    assert [row["id"] for row in run_directly(cluster, ["select id from test.t"])] == [1] * finishes
    assert not cluster.connections


async def test_a_server_that_is_killed_resets_what_is_in_memory(autojump_clock: trio.testing.MockClock) -> None:
    cluster = FakeCluster()
    async with trio.open_nursery() as nursery:
        ours, _ = await client_of(cluster, nursery)
        await cluster.kill(0)
        with pytest.raises(trio.BrokenResourceError):
            await ours.receive_some()
