"""How many clients there may be: of the proxy, of one tenant, of one user; counted exactly.

A client takes its places once it has said who it is, before anything is done
for it at a server, and gives them back when its session ends, however it ends.
Logins that are under way count; connections that have not said who they are do
not, and neither do logins to the proxy itself: whoever must look after a proxy
that is full gets in.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, NoReturn, TypeVar, final

from odp_trio.config import Settings
from odp_trio.errors import TooManyClients, TooManyInTenant
from odp_trio.model import TenantKey
from odp_trio.workers.tally import EVERYBODY, Tally

log = logging.getLogger("odp_trio.session")

_ANTEROOM: Final = 64
"""Connections beyond the limit that may say who they are, be refused, or be logins to the proxy itself; at least."""
_ANTEROOM_SHARE: Final = 8
_TELL_SECONDS: Final = 1.0

User = tuple[TenantKey, str]
K = TypeVar("K")


@final
class Place:
    """The places that one session has taken."""

    __slots__ = ("of_proxy", "user")

    def __init__(self) -> None:
        self.of_proxy = False
        self.user: User | None = None


def _nobody() -> bool:
    return False


@final
class Admission:
    """The places of one proxy.

    ``displace`` is asked for the place of a client that may go (``enable_client_connection_lru_disconnect``):
    it answers whether one was given back.
    """

    def __init__(self, settings: Callable[[], Settings], tally: Tally | None = None) -> None:
        self.clients = 0
        self.tenants: Counter[TenantKey] = Counter()
        self.users: Counter[User] = Counter()
        self.refused: Counter[str] = Counter({"proxy": 0, "tenant": 0, "user": 0})
        """By the limit that was reached."""
        self.displaced = 0
        self.displace: Callable[[], bool] = _nobody
        self.tally = tally
        """What other workers of this proxy count too; None: there are none."""
        self._settings = settings
        self._told_at = -_TELL_SECONDS
        self._untold = 0

    def accepts(self, connections: int) -> bool:
        """Whether one more connection may be accepted when there are so many."""
        settings = self._settings()
        limit = settings.client_max_connections
        if limit and self.tally is not None:
            connections += self.tally.add(EVERYBODY, 0) - self.clients
        if limit and settings.client_max_connections_policy == "refuse":
            limit += max(_ANTEROOM, limit // _ANTEROOM_SHARE)
        return not limit or connections < limit

    def enter(self, place: Place) -> None:
        """Take one of the proxy's places; raise TooManyClients (1203, as ODP) if there is none."""
        settings = self._settings()
        limit = settings.client_max_connections
        if limit and self._add(EVERYBODY, 1, self.clients) > limit:
            self._add(EVERYBODY, -1, 0)
            if not (settings.enable_client_connection_lru_disconnect and self.displace()):
                self.refused["proxy"] += 1
                raise TooManyClients("Too many sessions")
            self.displaced += 1
            self._add(EVERYBODY, 1, 0)
        elif not limit:
            self._add(EVERYBODY, 1, 0)
        place.of_proxy = True
        self.clients += 1

    def _add(self, name: Hashable, by: int, here: int) -> int:
        """Count in all workers; return how many there are then, ``here`` being how many were in this one."""
        return here + by if self.tally is None else self.tally.add(name, by)

    def enter_tenant(self, place: Place, key: TenantKey, user: str) -> None:
        """Take a place of the tenant and one of the user; raise TooManyInTenant (1040) or TooManyClients (1203)."""
        limits = self._settings().scoped(key.cluster, key.tenant, user)
        if self._add(key, 1, self.tenants[key]) > (limits.tenant_max_connections or math.inf):
            self._add(key, -1, 0)
            self.refused["tenant"] += 1
            raise TooManyInTenant("Too many connections")
        try:
            self._enter_user((key, user), limits.user_max_connections)
        except TooManyClients:
            self._add(key, -1, 0)
            raise
        place.user = (key, user)
        self.tenants[key] += 1

    def check_user(self, place: Place, user: str) -> None:
        """Raise TooManyClients if a session may not become another user's."""
        assert place.user is not None
        key, before = place.user
        if user != before:
            limit = self._settings().scoped(key.cluster, key.tenant, user).user_max_connections
            if limit and self._add((key, user), 0, self.users[key, user]) >= limit:
                self._refuse_user((key, user))

    def become(self, place: Place, user: str) -> None:
        """A session has become another user's."""
        assert place.user is not None
        key, _ = place.user
        self._leave_user(place.user)
        place.user = (key, user)
        self._enter_user(place.user, 0)

    def _enter_user(self, user: User, limit: int) -> None:
        if self._add(user, 1, self.users[user]) > (limit or math.inf):
            self._add(user, -1, 0)
            self._refuse_user(user)
        self.users[user] += 1

    def _refuse_user(self, user: User) -> NoReturn:
        self.refused["user"] += 1
        raise TooManyClients(f"User {user[1]} already has more than 'user_max_connections' active connections")

    def tell(self, who: object, error: TooManyClients, now: float) -> None:
        """Log a refusal, but no more than one line a second: a storm of logins must not become one of log lines."""
        if now - self._told_at < _TELL_SECONDS:
            self._untold += 1
            return
        others = f" (and {self._untold} others since the last such line)" if self._untold else ""
        log.warning("%s: %s%s", who, error, others)
        self._told_at, self._untold = now, 0

    def leave(self, place: Place) -> None:
        """Give back what was taken; doing so twice does nothing."""
        if place.of_proxy:
            place.of_proxy = False
            self.clients -= 1
            self._add(EVERYBODY, -1, 0)
        if place.user is not None:
            _take_one(self.tenants, place.user[0])
            self._add(place.user[0], -1, 0)
            self._leave_user(place.user)
            place.user = None

    def _leave_user(self, user: User) -> None:
        _take_one(self.users, user)
        self._add(user, -1, 0)


def _take_one(counts: Counter[K], key: K) -> None:
    """Count one less; who has none is forgotten."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
