"""No port, no socket to a client: a program asks through its own proxy, and hears what happens in it.

``python examples/without_a_port.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO USER PASSWORD``
"""

from __future__ import annotations

import sys

import trio
from embed import settings_of

import odp_trio
from odp_trio import events
from odp_trio.app.subscription import Subscription


async def tell(happened: Subscription) -> None:
    """Print what happens, until the proxy has ended."""
    async for event in happened:
        match event:
            case events.SessionBegan(user=user, server=server):
                print(f"{user} is logged in, at {server}", flush=True)
            case events.SessionEnded(user=user, reason=reason, statements=count):
                print(f"{user} has left ({reason}) after {count} statements", flush=True)
            case events.ServerOff(server=server, reason=reason):
                print(f"{server} gets nothing new: {reason}", flush=True)
            case events.EventsLost(count=count):
                print(f"{count} events were lost", flush=True)
            case _:
                print(type(event).__name__, flush=True)


async def main(rslist: str, cluster: str, password: str, user: str, user_password: str) -> None:
    """Run one statement."""
    async with (
        trio.open_nursery() as nursery,
        odp_trio.open_proxy(settings_of(rslist, cluster, password), listen=False) as proxy,
    ):
        nursery.start_soon(tell, proxy.events())
        async with await proxy.connect(user, user_password) as connection:
            result = await connection.query("select 6 * 7 as answer")
            print(dict(zip(result.columns, result.rows[0], strict=True)), flush=True)
            await connection.quit()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
