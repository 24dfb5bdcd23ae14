"""trio-mysql (``pip install trio-mysql``) through a proxy of the same process, without a port.

It takes no stream but a socket's, so it is given one end of a socket pair.

``python examples/with_trio_mysql.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO USER PASSWORD``
"""

from __future__ import annotations

import sys

import trio
import trio_mysql
from embed import settings_of

import odp_trio


async def main(rslist: str, cluster: str, password: str, user: str, user_password: str) -> None:
    """Run a statement with a parameter."""
    async with odp_trio.open_proxy(settings_of(rslist, cluster, password), listen=False) as proxy:
        connection = trio_mysql.connect(user=user, password=user_password)
        await connection.connect(trio.socket.from_stdlib_socket(await proxy.dial()))
        async with connection.cursor() as cursor:
            await cursor.execute("select %s * 7", (6,))
            print(*await cursor.fetchone(), flush=True)
        await connection.aclose()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
