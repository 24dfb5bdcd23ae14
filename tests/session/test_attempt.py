"""An attempt to log in to a server: done, broken off, or of no use any more because the client has left."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import trio

from odp_trio.errors import ConnectFailed
from odp_trio.model import Address
from odp_trio.net.reactor import Reactor, open_reactor
from odp_trio.session.attempt import Attempt, ClientLeft

SERVER = Address("127.0.0.1", 2881)


@pytest.fixture(params=["inside", "nested"])
async def reactor(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    reactor = open_reactor(request.param)
    if not reactor.attached:
        nursery.start_soon(reactor.run_nested)
    yield reactor
    assert reactor.sockets == 0
    reactor.close()


async def answer() -> str:
    await trio.lowlevel.checkpoint()
    return "logged in"


async def test_what_comes_of_it_is_returned(reactor: Reactor) -> None:
    near, far = socket.socketpair()
    with near, far:
        assert await Attempt(SERVER, near, reactor).run(answer) == "logged in"


async def test_it_ends_when_the_server_is_known_to_be_dead(reactor: Reactor, nursery: trio.Nursery) -> None:
    near, far = socket.socketpair()
    with near, far:
        attempt = Attempt(SERVER, near, reactor)
        nursery.start_soon(_later, partial(attempt.break_off, "3 probes failed"))
        with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:2881: 3 probes failed"), trio.fail_after(5):
            await attempt.run(trio.sleep_forever)


async def test_it_ends_when_the_client_leaves(reactor: Reactor, nursery: trio.Nursery) -> None:
    near, far = socket.socketpair()
    with near:
        nursery.start_soon(_later, far.close)
        with pytest.raises(ClientLeft, match="the client left"), trio.fail_after(5):
            await Attempt(SERVER, near, reactor).run(trio.sleep_forever)


async def test_a_client_that_sends_more_does_not_end_it(reactor: Reactor, nursery: trio.Nursery) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.send(b"more")
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):
            await Attempt(SERVER, near, reactor).run(trio.sleep_forever)
        assert near.recv(9) == b"more"


async def _later(action: Callable[[], object]) -> None:
    await trio.lowlevel.checkpoint()
    action()
