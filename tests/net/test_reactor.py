"""The reactor: its traps, its fallback, and Trio's side of it."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from odp_trio.net import reactor as module
from odp_trio.net.reactor import READ, WRITE, Reactor, open_reactor, trio_epoll_fd
from tests.paths import breaks_the_code


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    yield left, right
    left.close()
    right.close()


def fail(error: Exception) -> None:
    raise AssertionError from error


async def test_trio_still_has_the_epoll_that_we_sleep_in() -> None:
    """If this fails after an upgrade of Trio, ``trio_epoll_fd`` must learn where it went."""
    fd = trio_epoll_fd()

    assert fd is not None
    assert isinstance(trio._core._run.GLOBAL_RUN_CONTEXT.runner.io_manager._epoll, select.epoll)


@breaks_the_code
async def test_without_it_the_nested_way_is_used_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "trio_epoll_fd", lambda: None)

    reactor = open_reactor()

    assert not reactor.attached
    assert "slower" in caplog.text
    reactor.close()


async def test_the_nested_way_can_be_asked_for_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    reactor = open_reactor("nested")

    assert not reactor.attached
    assert caplog.text == ""
    reactor.close()


async def test_a_callback_wakes_a_task_at_once_although_trio_meant_to_sleep_long(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    reactor = open_reactor()
    woken = trio.Event()

    async def parked() -> None:
        task = trio.lowlevel.current_task()
        reactor.register(near.fileno(), lambda _: (near.recv(1), reactor.wake(task)), fail)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(parked)
        await trio.testing.wait_all_tasks_blocked()
        far.send(b"x")
        with trio.fail_after(30):
            start = trio.current_time()
            await woken.wait()

    assert trio.current_time() - start < 5  # not the 30 s that Trio was going to sleep
    reactor.unregister(near.fileno())
    reactor.close()


async def test_a_timer_is_not_late_by_its_own_length() -> None:
    reactor = open_reactor()
    start = trio.current_time()

    await trio.sleep(0.2)

    assert trio.current_time() - start < 0.39
    reactor.close()


async def test_tasks_run_while_sockets_are_always_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    reactor = open_reactor()
    reactor.register(near.fileno(), lambda _: None, fail)
    far.send(b"x")  # nobody reads it: ready for ever

    with trio.fail_after(10):
        for _ in range(20):
            await trio.sleep(0.001)
        await trio.to_thread.run_sync(lambda: None)

    assert reactor.turns > 20
    reactor.unregister(near.fileno())
    reactor.close()


async def test_an_exception_goes_to_the_owner_and_the_reactor_goes_on(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    reactor = open_reactor()
    errors: list[Exception] = []

    def owner(error: Exception) -> None:
        errors.append(error)
        reactor.unregister(near.fileno())

    reactor.register(near.fileno(), lambda _: 1 / 0, owner)
    far.send(b"x")
    await trio.sleep(0.01)

    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert reactor.attached
    assert reactor.errors == 1
    reactor.close()


async def test_events_of_a_socket_that_went_earlier_in_the_batch_are_dropped() -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    reactor = open_reactor()
    calls: list[int] = []

    def callback(own: socket.socket, other: socket.socket) -> None:
        calls.append(own.fileno())
        reactor.unregister(own.fileno())
        reactor.unregister(other.fileno())

    (a, a_far), (b, b_far) = pairs
    a_far.send(b"x")
    b_far.send(b"x")
    reactor.register(a.fileno(), lambda _: callback(a, b), fail)
    reactor.register(b.fileno(), lambda _: callback(b, a), fail)
    await trio.sleep(0.01)

    assert len(calls) == 1
    assert reactor.sockets == 0
    for sock in (a, b, a_far, b_far):
        sock.close()
    reactor.close()


async def test_what_is_watched_can_be_changed(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    reactor = open_reactor()
    seen: list[int] = []

    def callback(events: int) -> None:
        seen.append(events)
        reactor.modify(near.fileno(), READ)

    reactor.register(near.fileno(), callback, fail, WRITE)
    await trio.sleep(0.01)

    assert seen == [WRITE]
    reactor.unregister(near.fileno())
    reactor.close()


async def test_unregistering_twice_is_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    reactor = open_reactor()
    reactor.register(pair[0].fileno(), lambda _: None, fail)

    reactor.unregister(pair[0].fileno())
    reactor.unregister(pair[0].fileno())

    reactor.close()


async def test_another_instrument_does_no_harm(pair: tuple[socket.socket, socket.socket]) -> None:
    class Counter(trio.abc.Instrument):
        waits = 0

        def before_io_wait(self, timeout: float) -> None:
            self.waits += 1

    counter = Counter()
    trio.lowlevel.add_instrument(counter)
    reactor = open_reactor()
    await trio.sleep(0.01)

    assert counter.waits
    assert isinstance(reactor, Reactor)
    trio.lowlevel.remove_instrument(counter)
    reactor.close()


async def test_two_proxies_of_a_loop_share_one_and_the_last_one_closes_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    first, second = open_reactor(), open_reactor()
    got: list[bytes] = []
    task = trio.lowlevel.current_task()

    assert first is second
    first.close()
    second.register(near.fileno(), lambda _: (got.append(near.recv(1)), second.wake(task)), fail)
    far.send(b"x")
    with trio.fail_after(30):
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    assert got == [b"x"]
    second.unregister(near.fileno())
    second.close()
    third = open_reactor()
    assert third is not second
    third.close()


async def test_one_that_has_a_task_of_its_own_is_not_shared() -> None:
    shared, first, second = open_reactor(), open_reactor("nested"), open_reactor("nested")

    assert len({id(shared), id(first), id(second)}) == 3
    for reactor in (shared, first, second):
        reactor.close()


async def test_idleness_can_be_waited_for() -> None:
    """With a nudge at every deadline Trio would never see a whole cushion pass."""
    reactor = open_reactor()

    with trio.fail_after(5):
        await trio.testing.wait_all_tasks_blocked(0.02)

    reactor.close()
