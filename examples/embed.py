"""A proxy inside a Trio program: ``python examples/embed.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO``."""

from __future__ import annotations

import sys

import trio

import odp_trio
from odp_trio.config import build, from_flags


def settings_of(rslist: str, cluster: str, password: str) -> odp_trio.Settings:
    """Return settings, as a file or the command line would make them."""
    flags = {
        "listen_port": 0,
        "local_bound_ip": "127.0.0.1",
        "enable_http": False,
        "rootservice_list": rslist,
        "rootservice_cluster_name": cluster,
        "observer_sys_password": password,
    }
    return build(from_flags(flags)).settings


async def main(rslist: str, cluster: str, password: str) -> None:
    """Serve until cancelled, and say every ten seconds what goes on."""
    async with odp_trio.open_proxy(settings_of(rslist, cluster, password)) as proxy:
        print("listening on", *proxy.addresses, flush=True)
        while True:
            await trio.sleep(10)
            status = proxy.statistics()
            print(status.sessions, "sessions,", status.statements, "statements", flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
