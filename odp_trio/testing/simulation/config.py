"""The config server of a simulation: its answers as httpx gets them, and what can be wrong with it."""

from __future__ import annotations

from random import Random
from typing import Final, final

import httpx
import msgspec
import trio

from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.ocp_answers import HTML, ServedCluster, told_document, told_idcs, told_rslist, wrapped
from odp_trio.testing.simulation.servers import CLUSTER, listed

URL: Final = "http://ocp.sim:8080/services?Action=GetObProxyConfig&User_ID=odp&UID=secret"
FAULTS: Final = ("down", "hang", "slow", "garbage", "html", "status", "wrong rslist", "unsuccessful", "cut")

_UNSUCCESSFUL: Final = b'{"Success": false, "Code": 500, "Message": "no", "Data": null}'


@final
class ConfigServer(httpx.AsyncBaseTransport):
    """Answers for one cluster.  ``fault`` is one of ``FAULTS``, or empty."""

    def __init__(self, cluster: FakeCluster, rng: Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self.fault = ""
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, or fail as the fault says."""
        self.requests += 1
        await trio.lowlevel.checkpoint()
        match self.fault:
            case "down":
                raise httpx.ConnectError("refused", request=request)
            case "hang":
                await trio.sleep_forever()
            case "slow":
                await trio.sleep(self._rng.uniform(0.5, 8))
            case "garbage":
                return httpx.Response(200, stream=httpx.ByteStream(self._rng.randbytes(self._rng.randrange(200))))
            case "html":
                return httpx.Response(200, stream=httpx.ByteStream(HTML))
            case "status":
                return httpx.Response(self._rng.choice((404, 500, 503)), stream=httpx.ByteStream(b"no"))
            case "unsuccessful":
                return httpx.Response(200, stream=httpx.ByteStream(_UNSUCCESSFUL))
            case _:
                pass
        body = self._answer(str(request.url))
        if self.fault == "cut":
            body = body[: self._rng.randrange(len(body))]
        return httpx.Response(200, stream=httpx.ByteStream(body))

    def _answer(self, url: str) -> bytes:
        rslist = ";".join(str(server.address) for server in listed(self._cluster))
        if self.fault == "wrong rslist":
            rslist = ";".join(f"10.99.0.{self._rng.randrange(1, 250)}:2881" for _ in range(3))
        idcs = {zone.idc: zone.region for zone in self._cluster.zones.values()}
        served = ServedCluster(rslist, idcs=idcs)
        if "ObIDCRegionInfo" in url:
            return wrapped(told_idcs(CLUSTER, served)).body
        if "ObRootServiceInfo" in url:
            return wrapped(told_rslist(CLUSTER, served)).body
        document = told_document("http://ocp.sim:8080/services", "secret", (CLUSTER,), template=False)
        version = "1"
        if "VersionOnly" in url:
            return wrapped({"Version": version}).body
        return msgspec.json.encode(msgspec.json.decode(wrapped(document | {"Version": version}).body))
