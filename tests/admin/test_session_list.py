"""Looking for sessions: every word must be somewhere; the busiest come first."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from odp_trio.admin.session_list import list_sessions
from odp_trio.session.login import Destination
from odp_trio.session.services import Session


@pytest.fixture
def sessions() -> Iterator[list[Session]]:
    found = []
    with socket.socket() as sock:
        for number in range(1200):
            session = Session(number, sock, (f"10.0.0.{number % 4}", 5000 + number), 0.0)
            session.traffic.statements = number
            if number:
                session.destination = Destination(f"User{number % 2}", f"tenant{number % 3}", "demo", None, "demo")
            found.append(session)
        yield found


@pytest.mark.parametrize(
    ("search", "total"),
    [
        ("", 1200),
        ("user1", 600),
        ("USER1@Tenant0", 200),
        ("user1 tenant0 10.0.0.3", 100),
        ("user1 user0", 0),
        (":6199", 1),
    ],
)
async def test_every_word_must_be_there(sessions: list[Session], search: str, total: int) -> None:
    found, count = await list_sessions(sessions, search=search, limit=50)

    assert count == total
    assert len(found) == min(50, total)
    assert [one.statements for one in found] == sorted((one.statements for one in found), reverse=True)


async def test_by_state_and_others_run_between(sessions: list[Session]) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        assert await list_sessions(sessions, state="idle") == ((), 0)
        _, total = await list_sessions(sessions, state="login")
        nursery.cancel_scope.cancel()

    assert total == 1200
    assert turns >= 4
