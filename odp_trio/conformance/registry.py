"""The checks: ids, groups, what they prove."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import pkgutil
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from odp_trio.conformance.needs import Needs
from odp_trio.errors import ConfigError

if TYPE_CHECKING:
    from odp_trio.conformance.target import Target

GROUPS: Final[Mapping[str, str]] = {
    "login": "Login forms and refusals",
    "wire": "Wire fidelity",
    "session": "Session state",
    "prepared": "Prepared statements",
    "transactions": "Transactions",
    "clusters": "Cluster and tenant routing",
    "routing": "Where statements run",
    "partitions": "Partition hits",
    "nearness": "Weak reads and nearness",
    "admin": "Admin SQL",
    "tls": "TLS and OB 2.0",
    "limits": "Limits",
    "config-server": "Faults of the config server",
    "failover": "Failover of servers",
    "process": "The proxy's own life",
}
"""Every group, in the order in which they run: what breaks most comes last."""
_ID: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)+")

Body = Callable[["Target"], Awaitable[None]]


class Check(msgspec.Struct, frozen=True):
    """One check.  ``body`` raises AssertionError when what must hold does not."""

    id: str
    group: str
    sentence: str
    """What must hold."""
    proves: tuple[str, ...]
    """Ids of the sentences of the requirement that it proves."""
    needs: Needs
    body: Body
    limit: float
    """Seconds after which it has failed."""


_checks: dict[str, Check] = {}


def check(
    id: str,  # noqa: A002  # it is one
    group: str,
    *,
    proves: Iterable[str] = (),
    needs: Needs = Needs.NOTHING,
    limit: float = 30.0,
) -> Callable[[Body], Body]:
    """Register ``async def name(target)`` as a check; its docstring is one sentence that says what must hold.

    Raises ValueError for an id that is taken or misspelt, an unknown group and a missing sentence.
    """

    def register(body: Body) -> Body:
        sentence = " ".join((inspect.getdoc(body) or "").split())
        if not _ID.fullmatch(id):
            raise ValueError(f"the id of a check is words in small letters with dots between, not {id!r}")
        if id in _checks:
            raise ValueError(f"two checks are called {id}")
        if group not in GROUPS:
            raise ValueError(f"{id}: there is no group {group!r}")
        if not sentence.endswith("."):
            raise ValueError(f"{id}: the docstring is to be a sentence that says what must hold")
        _checks[id] = Check(id, group, sentence, tuple(proves), needs, body, limit)
        return body

    return register


def all_checks() -> list[Check]:
    """Return every check there is, group by group."""
    from odp_trio.conformance import groups

    for module in pkgutil.iter_modules(groups.__path__, groups.__name__ + "."):
        importlib.import_module(module.name)
    order = {name: at for at, name in enumerate(GROUPS)}
    return sorted(_checks.values(), key=lambda one: order[one.group])


def chosen(groups: Iterable[str] = (), ids: Iterable[str] = ()) -> list[Check]:
    """Return the checks of these groups and those of these ids, or all; raise ConfigError for a name that is none.

    An id may have ``*`` in it.
    """
    checks = all_checks()
    wanted_groups, wanted_ids = list(groups), list(ids)
    if not wanted_groups and not wanted_ids:
        return checks
    if unknown := set(wanted_groups) - GROUPS.keys():
        raise ConfigError(f"there is no group {min(unknown)!r}; there are {', '.join(GROUPS)}")
    found: set[str] = {one.id for one in checks if one.group in wanted_groups}
    for name in wanted_ids:
        matches = {one.id for one in checks if fnmatch.fnmatchcase(one.id, name)}
        if not matches:
            raise ConfigError(f"there is no check {name!r}; --list names them")
        found |= matches
    return [one for one in checks if one.id in found]
