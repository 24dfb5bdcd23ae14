"""Sessions are counted in slices: others run meanwhile, and nobody is counted twice or left out."""

from __future__ import annotations

import trio

from odp_trio.admin.census import PLAIN, count_sessions, walk_sessions
from odp_trio.observe import Traffic
from odp_trio.session.services import Session

MANY = 2_500


def sessions() -> list[Session]:
    found = []
    for number in range(MANY):
        session = Session(number, None, ("127.0.0.1", number), 0.0)  # type: ignore[arg-type]  # no socket is touched
        session.traffic.statements = number
        session.traffic.client_bytes_in = 1
        session.tls = "TLSv1.3" if number % 5 == 0 else ""
        found.append(session)
    return found


async def test_others_run_while_sessions_are_counted() -> None:
    turns, done = 0, False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await trio.lowlevel.checkpoint()
        before = turns
        census = await walk_sessions(sessions(), Traffic(7, 1, 2, 3))
        done = True

    assert turns - before >= MANY // 1000
    assert (census.sessions, census.busy) == (MANY, 0)
    assert census.traffic == Traffic(7 + sum(range(MANY)), 1, 2 + MANY, 3)
    assert census.clients == {"TLSv1.3": MANY // 5, PLAIN: MANY - MANY // 5}


async def test_a_session_that_ends_while_others_are_counted_counts_once() -> None:
    table, ended = {session.id: session for session in sessions()}, Traffic()

    async def leave() -> None:
        gone = table.pop(MANY - 1)
        ended.add(gone.traffic)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        census = await walk_sessions(table.values(), ended)

    assert len(table) == MANY - 1
    assert census.traffic.statements == sum(range(MANY))


def test_at_once_and_in_slices_the_sums_are_the_same() -> None:
    found = sessions()

    async def slowly() -> tuple[object, ...]:
        census = await walk_sessions(found, Traffic(1))
        return census.traffic, census.sessions, census.clients

    census = count_sessions(found, Traffic(1))
    assert trio.run(slowly) == (census.traffic, census.sessions, census.clients)
