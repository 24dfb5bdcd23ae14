"""PyMySQL in threads, through a proxy of the same process, without a port: each gets a socket of its own.

``python examples/with_pymysql.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO USER PASSWORD``
"""

from __future__ import annotations

import sys
from contextlib import closing

import pymysql
import trio
from embed import settings_of

import odp_trio


def ask(proxy: odp_trio.Proxy, user: str, password: str, number: int) -> int:
    """Run one statement, in a thread that Trio has started."""
    connection = pymysql.connect(user=user, password=password, defer_connect=True)
    connection.connect(trio.from_thread.run(proxy.dial))
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("select %s * %s", (number, number))
        return int(cursor.fetchone()[0])


async def main(rslist: str, cluster: str, password: str, user: str, user_password: str) -> None:
    """Square some numbers, four at a time."""
    squares: dict[int, int] = {}
    threads = trio.CapacityLimiter(4)

    async def square(number: int) -> None:
        squares[number] = await trio.to_thread.run_sync(ask, proxy, user, user_password, number, limiter=threads)

    async with odp_trio.open_proxy(settings_of(rslist, cluster, password), listen=False) as proxy:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(square, number)
        print(*(squares[number] for number in sorted(squares)), flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
