"""A routing rule of one's own in shadow mode: it is asked about every statement, and decides nothing.

What it would have done is counted.  ``python examples/shadow_rule.py`` needs no cluster: it makes one up.
"""

from __future__ import annotations

import trio

import odp_trio
from odp_trio.config import ClusterSettings, Secret
from odp_trio.model import parse_rslist
from odp_trio.routing.own_rules import Choice, RuleRequest
from odp_trio.routing.view import View
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.network import open_fake_network

ROWS = 5


def reads_from_the_last_server(request: RuleRequest, view: View) -> Choice | None:
    """Reads go to the last server of the tenant."""
    if not request.tables:
        return None
    return Choice(servers=view.tenant_servers[-1:], reason="it has the least to do")


async def main() -> None:
    """Run some statements, and say what the rule thought of them."""
    cluster = FakeCluster(observers=3)
    settings = odp_trio.Settings(
        clusters={cluster.name: ClusterSettings(parse_rslist(cluster.rslist))},
        observer_sys_password=Secret(cluster.proxyro_password),
    )
    rule = odp_trio.own_rule(reads_from_the_last_server, mode="shadow")
    async with (
        open_fake_network(cluster) as network,
        odp_trio.open_proxy(settings, listen=False, rules=[rule], network=network) as proxy,
        await proxy.connect("app@mytenant#demo", cluster.app_password, "test") as connection,
    ):
        await connection.query("create table orders (id int primary key)")
        for number in range(ROWS):
            await connection.query(f"insert into orders values ({number})")
            await connection.query(f"select * from orders where id = {number}")
        print(f"asked {rule.asked} times, agreed {rule.agreed}, would have chosen another {rule.disagreed} times")
        print(
            "statements went to OBServer", *sorted({str(each.observer) for each in cluster.statements("orders where")})
        )


if __name__ == "__main__":
    trio.run(main)
