"""A client that leaves while a server is connected to for it: the server's failure, if it took too long."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from odp_trio.config import Settings
from odp_trio.model import Address, TenantKey
from odp_trio.net.reactor import open_reactor
from odp_trio.session.attempt import ClientLeft
from odp_trio.session.services import Session
from odp_trio.topology.congestion import Failure

KEY, SERVER = TenantKey("demo", "t1"), Address("10.0.0.1", 2881)


@pytest.mark.parametrize(
    ("limit", "counted"), [(0.001, [(KEY, SERVER, Failure.GIVEN_UP)]), (3600.0, [])], ids=["too long", "soon"]
)
async def test_min_congested_connect_timeout(limit: float, counted: list[object]) -> None:
    failed: list[object] = []
    reactor = open_reactor("inside")
    near, far = socket.socketpair()
    services: Any = SimpleNamespace(
        reactor=reactor,
        settings=lambda: Settings(min_congested_connect_timeout=limit),
        views=SimpleNamespace(server_failed=lambda *what: failed.append(what)),
    )
    session = Session(1, near, ("127.0.0.1", 1), trio.current_time())

    async def connect() -> None:
        await trio.sleep(0.01)
        far.close()
        await trio.sleep_forever()

    try:
        with trio.fail_after(10), pytest.raises(ClientLeft):
            await session.wait_for(services, KEY, SERVER, connect)
    finally:
        near.close()
        reactor.close()
    assert failed == counted
