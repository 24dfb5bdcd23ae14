"""OBServers that die, freeze, refuse, are slow, and come back."""

from __future__ import annotations

from typing import Final

import trio

from odp_trio.testing.matrix.fault import ELECTION, VICTIM, Bounds, Fault, World

CUTS: Final = 40
FLAPS: Final = 5
_HOME_ONLY: Final = {"mix": {"abroad": 0.0, "read_weak": 0}}
"""Every client uses its own partition only, so that two thirds of them need not go to the victim."""


async def _kill(world: World) -> None:
    await world.bed.kill(VICTIM)
    await trio.sleep(ELECTION)
    await world.lead(VICTIM, 2)


async def _kill_unnoticed(world: World) -> None:
    await world.bed.kill(VICTIM, noticed=False)


async def _revive(world: World) -> None:
    await world.bed.revive(VICTIM)
    await world.lead(VICTIM, VICTIM)


async def _flap(world: World) -> None:
    for _ in range(FLAPS):
        await world.bed.kill(VICTIM)
        await trio.sleep(0.15)
        await world.bed.revive(VICTIM)
        await trio.sleep(0.15)


async def _cut(world: World) -> None:
    """Lose answers, here and there: the statement ran, and its connection is reset before or in the answer."""
    for at in range(CUTS):
        world.bed.cut(at % 3, after_bytes=(0, 0, 5)[at % 3])
        await trio.sleep(0.03)


async def _freeze(world: World) -> None:
    world.bed.freeze(VICTIM)


async def _refuse(world: World) -> None:
    world.bed.refuse(VICTIM)


async def _slow(world: World) -> None:
    world.bed.slow(VICTIM, 0.3)


async def _end_faults(world: World) -> None:
    world.bed.end_faults()


async def _kill_all(world: World) -> None:
    for observer in world.bed.observers:
        await world.bed.kill(observer.number, noticed=False)


async def _revive_all(world: World) -> None:
    for observer in world.bed.observers:
        await world.bed.revive(observer.number)


def server_faults(clients: int) -> tuple[Fault, ...]:
    """Return the faults, with bounds for so many clients."""
    return (
        Fault(
            name="one OBServer killed, listed INACTIVE, back",
            sees="a statement that ran there fails (reads outside transactions are repeated elsewhere), "
            "a transaction there is rolled back; the others notice nothing",
            one_server=True,
            begin=_kill,
            end=_revive,
            bounds=Bounds(errors=clients, leaves=0.1, returns=2.5),
        ),
        Fault(
            name="one OBServer killed, the list says ACTIVE, back",
            sees="the same",
            one_server=True,
            begin=_kill_unnoticed,
            end=_revive,
            bounds=Bounds(errors=2 * clients, gap=2.0, leaves=0.1, returns=4.0),
        ),
        Fault(
            name=f"one OBServer killed and back, {FLAPS} times",
            sees="the same, each time",
            begin=_flap,
            end=_revive,
            bounds=Bounds(errors=FLAPS * clients, gap=2.0),
        ),
        Fault(
            name=f"{CUTS} answers lost: the statement ran, the connection was reset",
            sees="an error that says that the outcome is unknown; reads outside transactions are repeated elsewhere",
            begin=_cut,
            end=_end_faults,
            bounds=Bounds(errors=2 * CUTS),
        ),
        Fault(
            name="one OBServer frozen, thaws",
            sees="a statement that was sent there waits until a probe has failed; then a read outside a transaction is "
            "repeated elsewhere, anything else gets 2013; further ones go elsewhere",
            one_server=True,
            begin=_freeze,
            end=_revive,
            at_least=2.5,
            bounds=Bounds(errors=clients, gap=2.0, slower=2.0, leaves=1.5, returns=2.5),
            plan=_HOME_ONLY,
        ),
        Fault(
            name="one OBServer refuses connections, accepts again",
            sees="nothing, but for a statement that runs there at the moment at which the last probe fails",
            one_server=True,
            begin=_refuse,
            end=_revive,
            bounds=Bounds(errors=clients, leaves=1.0, returns=2.5),
        ),
        Fault(
            name="one OBServer slow (0.3 s a request)",
            sees="slowness, for what must go there",
            one_server=True,
            begin=_slow,
            end=_end_faults,
            bounds=Bounds(gap=3.0, slower=2.0),
            plan=_HOME_ONLY,
        ),
        Fault(
            name="all OBServers killed, back",
            sees="errors, at once, until one is back; sessions at rest stay",
            begin=_kill_all,
            end=_revive_all,
            bounds=Bounds(errors=None, gap_during=1.0, gap=3.0, recovery=3.0),
        ),
    )
