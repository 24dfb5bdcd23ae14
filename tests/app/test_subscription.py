"""Events as an iterator: bounded, told what was lost, ended."""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing

from odp_trio.app.subscription import Subscription
from odp_trio.events import Announcements, ConfigServerBack, Event, EventsLost


def event(number: int) -> Event:
    return ConfigServerBack(0.0, number)


async def numbers(subscription: Subscription) -> list[int]:
    return [each.failures for each in [event async for event in subscription] if isinstance(each, ConfigServerBack)]


async def test_events_come_in_their_order_and_end_with_the_proxy() -> None:
    announcements = Announcements()
    subscription = Subscription(announcements)
    for number in range(3):
        announcements.tell(event(number))
    subscription.end()
    announcements.tell(event(9))

    assert await numbers(subscription) == [0, 1, 2]


async def test_who_is_slow_loses_the_oldest_and_is_told_how_many() -> None:
    announcements = Announcements()
    subscription = Subscription(announcements, 2)
    for number in range(5):
        announcements.tell(event(number))
    subscription.end()

    got = [each async for each in subscription]

    assert [type(each) for each in got] == [EventsLost, ConfigServerBack, ConfigServerBack]
    assert got[0] == EventsLost(got[0].at, 3)
    assert got[1:] == [event(3), event(4)]


async def test_who_waits_is_woken(autojump_clock: trio.testing.MockClock) -> None:
    announcements = Announcements()
    subscription = Subscription(announcements)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(numbers, subscription)
        await trio.sleep(5)
        announcements.tell(event(1))
        await trio.sleep(5)
        with pytest.raises(trio.BusyResourceError):
            await anext(subscription)
        subscription.end()


async def test_waiting_can_be_cancelled_and_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    announcements = Announcements()
    subscription = Subscription(announcements)
    with trio.move_on_after(1):
        await anext(subscription)
    announcements.tell(event(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(subscription)

    assert scope.cancelled_caught
    assert await anext(subscription) == event(1)


async def test_nobody_listens_any_more_when_it_is_closed_or_forgotten() -> None:
    announcements = Announcements()
    with Subscription(announcements) as subscription:
        announcements.tell(event(1))
    assert not announcements.wanted
    assert await numbers(subscription) == []

    subscription = Subscription(announcements)
    assert announcements.wanted
    del subscription
    gc.collect()
    assert not announcements.wanted


def test_at_least_one_must_fit() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Subscription(Announcements(), 0)
