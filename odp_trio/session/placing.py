"""Finding a server session for a command when that needs waiting.

Look-ups, new server sessions, replay of state and of prepared statements happen
here, in the session's task; the lane sleeps meanwhile.  A server that cannot be
had is refused for this statement and the rules are asked again, until none is left.
Nothing of the command has been sent before it is placed, so nothing runs twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol, final

import trio

from odp_trio.errors import (
    CatalogError,
    NoReplica,
    OdpError,
    RouteError,
    ServerProtocolError,
    UpstreamError,
)
from odp_trio.model import Address, TenantKey
from odp_trio.observe import Counts
from odp_trio.routing.request import Lookup, Refuse, Route
from odp_trio.session.failover import note_failed
from odp_trio.session.internal_routing import can_participate
from odp_trio.session.preparing import Preparing
from odp_trio.session.reasons import End, ServerEnd, lost_server
from odp_trio.session.replaying import Replaying
from odp_trio.session.retry import failure_of
from odp_trio.session.router import PINNED, Router
from odp_trio.session.server_set import Upstream
from odp_trio.topology.location import Location, TableKey
from odp_trio.wire.command import HANDLING, Handling

log = logging.getLogger("odp_trio.session")

_ROUNDS = 100
_SILENT: Final = tuple(handling is Handling.SILENT for handling in HANDLING)


class Lookups(Protocol):
    """The port to the catalog: what may be waited for."""

    async def tenant(self, key: TenantKey) -> None:
        """Fetch the tenant's servers; raise what a login would get."""
        ...

    async def fetch(self, key: TableKey, tablet_id: int = 0) -> None:
        """Fetch a location; raise CatalogError."""
        ...

    async def wait_renewed(self, location: Location) -> None:
        """Wait for the renewal of a location that is under way."""
        ...


@final
class Placing:
    """Places the commands of one session.

    ``connect`` opens a server session, logged in; ``wait_for`` breaks off what waits for a server that is found dead.
    """

    def __init__(
        self,
        router: Router,
        lookups: Lookups,
        connect: Callable[[Address], Awaitable[Upstream]],
        wait_for: Callable[[Address, Callable[[], Awaitable[Upstream]]], Awaitable[Upstream]],
        timeout: Callable[[], float],
        counts: Counts,
        unsettable: set[bytes],
    ) -> None:
        self._router = router
        self._lookups = lookups
        self._connect = connect
        self._wait_for = wait_for
        self._timeout = timeout
        self._counts = counts
        self._preparing = Preparing(router, timeout, counts)
        self._replaying = Replaying(router, timeout, counts, unsettable)

    async def place(
        self, data: bytes, tried: Sequence[Address] = (), target: Address | None = None
    ) -> tuple[Upstream, bytes]:
        """Return the server session for a command that the router has read, and the command as it goes there.

        ``tried`` are the servers that failed it; ``target`` is the one that a
        server has named for it.  Raises RouteError (the session goes on), or UpstreamError when the
        server that the session is bound to is gone.
        """
        command = bytearray(data)
        refused = [*tried]
        for _ in range(_ROUNDS):
            named = "coordinator" if self._router.state.in_transaction else "reroute"
            route = await self._route(refused) if target is None else Route(target, named)
            target = None
            try:
                upstream = await self._wait_for(route.server, partial(self._ready, route))
            except (UpstreamError, ServerProtocolError) as exc:
                self._give_up(route, exc)
                refused.append(route.server)
                continue
            command = self._preparing.with_types(upstream, command)
            if not _SILENT[self._router.what]:
                self._router.note_begun()
            self._router.take(upstream, route, command)
            if self._router.view is not None and upstream.address in self._router.view.watched:
                self._router.watching = True
            return upstream, bytes(command)
        raise NoReplica(f"no server could be had in {_ROUNDS} attempts")

    async def _route(self, refused: list[Address]) -> Route:
        """Ask the rules until they name a server."""
        router = self._router
        router.request.refused = tuple(refused)
        for _ in range(_ROUNDS):
            decision = router.decide()
            match decision:
                case None:
                    await self._lookups.tenant(router.key)
                case Lookup(key=key, tablet_id=tablet_id):
                    await self.look_up(key, tablet_id)
                case Refuse(error=error):
                    raise error
                case Route(renew=stale) if stale is not None and not router.may_use_dirty(stale):
                    await self._lookups.wait_renewed(stale)
                case Route():
                    return decision
        raise RouteError("the locations of this statement keep changing")

    async def look_up(self, key: TableKey, tablet_id: int) -> None:
        """Fetch a location for the statement; if that fails it goes on without one, and the request says why."""
        self._counts.route_waits += 1
        try:
            with trio.fail_after(self._timeout()):
                await self._lookups.fetch(key, tablet_id)
        except CatalogError as exc:
            self._router.request.lookup_failure = f"its location could not be had: {exc}"
        except trio.TooSlowError:
            self._router.request.lookup_failure = f"its location was not answered within {self._timeout():g} s"

    def _give_up(self, route: Route, error: OdpError) -> None:
        """A server cannot be had: go on with the next one, unless the session is bound to it."""
        if route.rule in PINNED or lost_server(error) is End.KILLED_BY_SERVER:
            raise error
        log.warning("%s cannot be had (%s): %s", route.server, route.rule, error)
        failure = failure_of(error.__cause__ if isinstance(error.__cause__, OdpError) else error)
        if failure is not None:
            note_failed(self._router, route.server, failure)
        state = self._router.state
        if route.server not in self._router.servers.by_address:
            state.lose(route.server)

    # ---- making a server session ready --------------------------------------------------

    async def _ready(self, route: Route) -> Upstream:
        router, new = self._router, False
        upstream = router.servers.by_address.get(route.server)
        if upstream is None:
            if route.rule in PINNED:
                raise UpstreamError(f"the session is bound to {route.server} ({route.rule}), whose connection is gone")
            upstream = await self._connect(route.server)
            router.servers.add(upstream)
            new = True
        upstream.leg.close()
        if router.state.roams and not can_participate(upstream):
            raise UpstreamError(f"{route.server} cannot take part in a transaction that began elsewhere")
        router.offer(upstream)
        try:
            await self._replaying.make_ready(upstream, new=new and not router.state.roams)
            await self._preparing.make_ready(upstream)
        except RouteError:  # as it would have been by any server
            if router.state.held_begin:  # it has begun here, and will begin where the next statement goes
                router.servers.drop(upstream, ServerEnd.TRANSACTION_MOVED)
            else:
                upstream.leg.open()
            raise
        except (UpstreamError, ServerProtocolError, OSError) as exc:
            router.servers.drop(upstream, ServerEnd.REPLAY_FAILED, str(exc))
            raise UpstreamError(f"{route.server}: {exc}") from exc
        except BaseException:  # broken off in the middle of an answer
            router.servers.drop(upstream, ServerEnd.BROKEN_OFF)
            raise
        upstream.leg.open()
        return upstream
