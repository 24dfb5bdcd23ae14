"""The config server's client against a config server on a real socket: what it asks, and a reason for every fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from odp_trio.catalog.config_server import ConfigServer
from odp_trio.testing.ocp import ConfigServerBed, open_config_server

RSLIST = "127.0.0.1:2881;127.0.0.2:2881"


@asynccontextmanager
async def open_pair(*, template: bool = False) -> AsyncIterator[tuple[ConfigServerBed, ConfigServer]]:
    async with open_config_server({"demo": RSLIST, "other": RSLIST}, template=template) as ocp:
        server = ConfigServer(ocp.url)
        try:
            yield ocp, server
        finally:
            await server.aclose()


async def test_it_asks_what_odp_asks_literally() -> None:
    async with open_pair() as (ocp, server):
        await server.clusters()
        await server.rslist("demo")
        await server.rslist("demo", 1)
        await server.idcs("demo")
        await server.idcs("demo", 1)

        main = "/services?Action=GetObProxyConfig&User_ID=odp&uid=s3cret"
        rslist = "/services?Action=ObRootServiceInfo&User_ID=odp&UID=s3cret&ObRegion=demo"
        idcs = "/services?Action=ObIDCRegionInfo&User_ID=odp&UID=s3cret&ObRegion=demo"
        assert [request.target for request in ocp.requests] == [
            f"{main}&VersionOnly=true",
            main,
            f"{rslist}&version=2",
            f"{rslist}&version=2&ObRegionId=1",
            idcs,
            f"{idcs}&version=2&ObRegionId=1",
        ]
