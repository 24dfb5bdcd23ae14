"""Leaders, tenants and the server list change."""

from __future__ import annotations

import trio

from odp_trio.testing.matrix.fault import ELECTION, TENANT, VICTIM, Bounds, Fault, World


async def _move_leader(world: World) -> None:
    await world.lead(0, VICTIM)
    world.bed.miss(r"writes.*(values\(0,|home = 0|\?)", times=-1, number=0)


async def _leader_back(world: World) -> None:
    world.bed.end_faults()
    await world.lead(0, 0)


async def _depose(world: World) -> None:
    """The old leader refuses writes from the moment on at which the new one is there."""
    await world.lead(0, VICTIM)
    world.bed.answer(r"insert into writes values\(0,", errno=4038, message="not master", times=-1, number=0)


async def _move_tenant(world: World) -> None:
    """The tenant leaves servers 1 and 2; logins there, and statements of sessions that are there, get 5150."""
    bed = world.bed
    for partition in (1, 2):
        await world.lead(partition, 0)
    await bed.place_tenant(TENANT, [0])
    for number in (1, 2):
        bed.answer_login(errno=5150, message="tenant is not in this server", times=-1, number=number)
        bed.answer("writes", errno=5150, message="tenant is not in this server", times=-1, number=number)


async def _tenant_back(world: World) -> None:
    world.bed.end_faults()
    await world.bed.place_tenant(TENANT, [0, 1, 2])
    for partition in (1, 2):
        await world.lead(partition, partition)


async def _shrink(world: World) -> None:
    """An orderly way out: the leaders leave first, then the server leaves the list and ends."""
    await world.lead(2, 0)
    await trio.sleep(ELECTION)
    await world.bed.drop_server(2)


async def _grow(world: World) -> None:
    number = await world.bed.add_server(zone="zone3")
    await world.bed.place_tenant(TENANT, [0, 1, number])
    await world.lead(2, number)


def cluster_faults(clients: int) -> tuple[Fault, ...]:
    """Return the faults, with bounds for so many clients."""
    return (
        Fault(
            name="a partition's leader moved, the old one passes on",
            sees="nothing",
            begin=_move_leader,
            end=_leader_back,
            bounds=Bounds(),
        ),
        Fault(
            name="a partition's leader moved, the old one refuses (4038)",
            sees="a write that reached the old leader fails with 4038, once or twice",
            begin=_depose,
            end=_leader_back,
            bounds=Bounds(errors=4 * clients),
        ),
        Fault(
            name="the tenant moved to one server (5150)",
            sees="a statement that reached an old server fails with 5150, once or twice",
            begin=_move_tenant,
            end=_tenant_back,
            bounds=Bounds(errors=4 * clients),
        ),
        Fault(
            name="the server list shrinks by one, grows by another",
            sees="a statement that ran on the server as it ended fails; the others notice nothing",
            begin=_shrink,
            end=_grow,
            bounds=Bounds(errors=2 * clients),
        ),
    )
