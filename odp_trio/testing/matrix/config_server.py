"""The config server (OCP) is down, or answers what it should not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from odp_trio.app import open_proxy
from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.testing.client import Client
from odp_trio.testing.matrix.fault import Bounds, Fault, Verb, World, nothing
from odp_trio.testing.ocp import ConfigServerBed

SECOND: Final = "second"
"""A cluster that nobody has visited."""
_LIMIT: Final = 10.0
_NEW: Final = "a login to a new cluster"
_AFTERWARDS: Final = "the same when the config server is well again"


async def _visit(world: World, cluster: str, address: tuple[str, int]) -> str:
    """Log in to a cluster; return what came of it."""
    user = f"{world.plan.user.partition('#')[0]}#{cluster}"
    try:
        client = await Client.connect(Address(*address), user, world.plan.password)
    except OdpError as exc:
        return str(exc)
    await client.quit()
    return "served"


async def _visit_until_served(world: World, cluster: str, address: tuple[str, int]) -> str:
    visited = ""
    with trio.move_on_after(_LIMIT):
        while (visited := await _visit(world, cluster, address)) != "served":  # noqa: ASYNC110  # a login
            await trio.sleep(0.05)
    return visited


async def _into_the_cache(world: World) -> None:
    """Visit the cluster by another proxy, so that its rslist is in the cache; then the config server goes."""
    async with open_proxy(world.settings) as proxy:
        visited = await _visit_until_served(world, world.bed.cluster, proxy.addresses[0])
    if visited != "served":
        raise RuntimeError(f"the cluster could not be visited: {visited}")
    await world.config_server.down()


async def _down(world: World) -> None:
    await world.config_server.down()


async def _up(world: World) -> None:
    world.config_server.up()


async def _break(world: World, how: Callable[[ConfigServerBed], None]) -> None:
    """Let it answer wrongly; a login to a cluster that is not known yet shows what clients are told."""
    how(world.config_server)
    world.notes[_NEW] = await _visit(world, SECOND, world.proxy.addresses[0])


async def _heal(world: World) -> None:
    """Let it answer rightly, and see that the new cluster can be had."""
    world.config_server.heal()
    begun = trio.current_time()
    visited = await _visit_until_served(world, SECOND, world.proxy.addresses[0])
    world.notes[_AFTERWARDS] = f"{visited} after {trio.current_time() - begun:.2f} s"


def _broken(name: str, how: Callable[[ConfigServerBed], None], told: str, timeout: float = 2.0) -> Fault:
    return Fault(
        name=f"the config server {name}",
        sees="nothing; a login to a cluster that was not visited yet gets an error that says what is wrong",
        begin=partial(_break, how=how),
        end=_heal,
        bounds=Bounds(),
        settings={"short_async_task_timeout": timeout},
        notes={_NEW: told, _AFTERWARDS: "^served after"},
        by_config_server=True,
    )


def config_server_faults() -> tuple[Fault, ...]:
    """Return the faults."""
    end: Verb = _up
    return (
        Fault(
            name="the config server is down before the start, the rslist is in the cache",
            sees="nothing",
            prepare=_into_the_cache,
            begin=nothing,
            end=end,
            bounds=Bounds(),
            by_config_server=True,
        ),
        Fault(
            name="the config server is down before the start, no cache",
            sees="every login gets 4669, at once, which says what is wrong, until the config server is back",
            prepare=_down,
            begin=nothing,
            end=end,
            bounds=Bounds(errors=None, gap_during=1.0, gap=5.0, recovery=5.0),
            flows=False,
            by_config_server=True,
        ),
        Fault(
            name="the config server goes down while clients work",
            sees="nothing",
            begin=_down,
            end=end,
            bounds=Bounds(),
            by_config_server=True,
        ),
        _broken("answers with HTML", ConfigServerBed.html, "^4669.* HTML, not JSON"),
        _broken("answers with garbage", ConfigServerBed.garbage, "^4669.* not JSON"),
        _broken("does not answer", ConfigServerBed.hang, "^(4012|4669).* answer"),
        _broken("answers after 0.3 s", partial(ConfigServerBed.slow, seconds=0.3), "^served$", timeout=10.0),
        _broken("answers with an empty rslist", ConfigServerBed.empty_list, "^4669.* empty"),
    )
