"""What a user's own rule is shown of a statement, and what it may answer."""

from __future__ import annotations

from typing import cast, final

import msgspec

from odp_trio.model import Address
from odp_trio.routing.locate import key_operands, names
from odp_trio.routing.policy import POLICIES, Candidate
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.view import View
from odp_trio.sql.facts import Literal, StatementFacts
from odp_trio.topology.location import Location, Replica


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule answers: exactly one of ``server``, ``servers`` and ``policy``."""

    server: Address | None = None
    servers: tuple[Address, ...] = ()
    """In order of preference: the first that may be used is taken."""
    policy: str | None = None
    """Name of a route policy, which chooses among the replicas of the location, or the tenant's servers."""
    weak: bool | None = None
    """Whether the server's feedback is judged as that of a weak read; None leaves it as the statement is."""
    reason: str = ""
    """Shown by ``explain``."""


@final
class RuleRequest:
    """What a rule may read of a statement and its session.  It holds for one call: do not keep it."""

    __slots__ = ("_request", "_view", "read_values")

    def __init__(self, request: RouteRequest, view: View) -> None:
        self._request = request
        self._view = view
        self.read_values = False
        """Whether ``key_values`` was read."""

    @property
    def facts(self) -> StatementFacts:
        """Facts of the statement's shape: kind, tables, conditions, hints."""
        return self._request.shape.facts

    @property
    def tables(self) -> tuple[tuple[str, str], ...]:
        """Database and name of every table in the text, as the server knows them; the first decides the location."""
        return tuple(names(table, self._request) for table in self.facts.tables)

    @property
    def key_values(self) -> tuple[object, ...]:
        """Values that conditions on the first table's columns compare with, in the order of the text.

        A literal is the text as it stands in the statement, quotes included; a
        parameter is its value, or None when it is not known.  An answer of a
        call that read them is not cached.
        """
        self.read_values = True
        literals, parameters = self._request.values.literals, self._request.values.parameters or ()
        found: list[object] = []
        for operand in key_operands(self._request.shape):
            if isinstance(operand, Literal):
                known = operand.slot < len(literals)
                text = literals[operand.slot].decode("utf-8", "replace") if known else None
                found.append(f"-{text}" if text is not None and operand.negative else text)
            else:
                found.append(parameters[operand.index] if operand.index < len(parameters) else None)
        return tuple(found)

    @property
    def user(self) -> str:
        """User of the login, without tenant and cluster."""
        return _user_of(self._request)

    @property
    def tenant(self) -> str:
        """Tenant of the login."""
        return self._view.key.tenant

    @property
    def cluster(self) -> str:
        """Cluster of the login."""
        return self._view.key.cluster

    @property
    def database(self) -> str:
        """Current database of the session; empty when there is none."""
        return self._request.state.database.decode("utf-8", "replace")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._request.state.in_transaction

    @property
    def weak(self) -> bool:
        """Whether a replica that may lag is good enough."""
        return self._request.weak

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Replicas of the partition, or of the table; none when the location is not known."""
        return () if self._request.location is None else self._request.location.replicas

    @property
    def leader(self) -> Address | None:
        """The leader among the replicas."""
        return None if self._request.location is None else self._request.location.leader

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Replicas and the tenant's other servers with their letters; see ``routing.policy``."""
        return self._view.candidates(self._request.location, self._request.state.idc)


def _user_of(request: RouteRequest) -> str:
    return request.user


def cache_key(request: RouteRequest, view: View) -> object:
    """Everything that a rule can read but values and replicas; objects count by identity, and are kept alive."""
    state = request.state
    return (
        request.shape,
        view,
        request.location,
        _user_of(request),
        state.database,
        state.idc,
        state.in_transaction,
        state.lower_case_names,
        request.weak,
    )


def what_is_wrong(choice: object, request: RouteRequest, view: View) -> str:
    """Say why an answer cannot be used; empty when it can."""
    if choice is None:
        return ""
    if not isinstance(choice, Choice):
        return f"it answered {type(choice).__name__}, not Choice or None"
    servers, policy, reason = cast("tuple[object, object, object]", (choice.servers, choice.policy, choice.reason))
    if not isinstance(servers, tuple) or not isinstance(reason, str):
        return "servers must be a tuple, and reason text"
    if (choice.server is not None) + bool(servers) + (policy is not None) != 1:
        return "a Choice names exactly one of server, servers and policy"
    if policy is not None:
        return "" if policy in tuple(POLICIES) else f"there is no policy {policy!r}"
    wrong = (_wrong_server(address, request.location, view) for address in servers or (choice.server,))
    return next(filter(None, wrong), "")


def _wrong_server(address: object, location: Location | None, view: View) -> str:
    if not isinstance(address, Address):
        return f"{address!r} is no Address"
    if address in view.tenant_servers:
        return ""
    if location is not None and any(replica.address == address for replica in location.replicas):
        return ""
    if address in view.servers:
        return f"{address} is not one of tenant {view.key.tenant!r}"
    return f"{address} is not in cluster {view.key.cluster!r}"
