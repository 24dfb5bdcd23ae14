"""Two zones, in memory, in virtual time: ten minutes with the loss of a zone in them take a second.

``python examples/two_zones.py``.  This is how a program may test what it does when a data centre is gone: the proxy
is the real one, the OBServers are not, and the clock goes as fast as there is nothing to do.
"""

from __future__ import annotations

import trio
import trio.testing

import odp_trio
from odp_trio.config import ClusterSettings, Secret
from odp_trio.model import Address, parse_rslist
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import open_fake_network
from odp_trio.wire.answers import StatementFailed

NEAR, FAR = 0, 1
MINUTE = 60


async def reads(proxy: odp_trio.Proxy, cluster: FakeCluster, count: int) -> str:
    """Run weak reads, and say which zones they went to."""
    cluster.forget_statements()
    failed = 0
    async with await proxy.connect("app@mytenant#demo", cluster.app_password, "test") as connection:
        for _ in range(count):
            await trio.sleep(1)
            try:
                await connection.query("select /*+ read_consistency(weak) */ * from t")
            except StatementFailed:
                failed += 1
    zones = sorted({cluster.servers[each.observer].zone for each in cluster.statements("read_consistency")})
    return f"{' and '.join(zones)}, {failed} failed"


async def main() -> None:
    """Lose the near zone, and get it back."""
    cluster = FakeCluster(addresses=[Address("10.0.1.1", 2881), Address("10.0.2.1", 2881)])
    settings = odp_trio.Settings(
        clusters={cluster.name: ClusterSettings(parse_rslist(cluster.rslist))},
        observer_sys_password=Secret(cluster.proxyro_password),
        proxy_idc_name="idc1",  # that of the first zone
    )
    async with (
        open_fake_network(cluster) as network,
        odp_trio.open_proxy(settings, listen=False, network=network) as proxy,
    ):
        async with await proxy.connect("app@mytenant#demo", cluster.app_password, "test") as connection:
            await connection.query("create table t (id int primary key)")
        print("at first:", await reads(proxy, cluster, 10))
        await cluster.kill(NEAR)
        await trio.sleep(5 * MINUTE)
        print("without it:", await reads(proxy, cluster, 10))
        await cluster.revive(NEAR)
        await trio.sleep(5 * MINUTE)
        print("again:", await reads(proxy, cluster, 10))
        print(f"{trio.current_time() / MINUTE:.0f} minutes")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
