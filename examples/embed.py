"""A proxy inside a Trio program: ``python examples/embed.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO``."""

from __future__ import annotations

import sys

import trio

from odp_trio.app import open_proxy
from odp_trio.config import build, from_flags


async def main(rslist: str, cluster: str, password: str) -> None:
    """Serve until cancelled, and say every ten seconds what goes on."""
    flags = {
        "listen_port": 0,
        "local_bound_ip": "127.0.0.1",
        "enable_http": False,
        "rootservice_list": rslist,
        "rootservice_cluster_name": cluster,
        "observer_sys_password": password,
    }
    async with open_proxy(build(from_flags(flags)).settings) as proxy:
        print("listening on", *proxy.addresses, flush=True)
        while True:
            await trio.sleep(10)
            status = proxy.statistics()
            print(status.sessions, "sessions,", status.statements, "statements", flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
