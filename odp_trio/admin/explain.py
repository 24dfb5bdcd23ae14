"""Where would this statement go, and why?  Asked of a running proxy, or of a snapshot.

The rules are those that statements are routed by; the answer is an object for
people and programs alike (docs/explain.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
import trio

from odp_trio.admin.what_if import WhatIf, did_you_mean, imagine, parse_what_if
from odp_trio.config import Settings
from odp_trio.errors import BadAddress, CatalogError, ConfigError
from odp_trio.model import Address, TenantKey
from odp_trio.routing.decide import Explanation
from odp_trio.routing.own_rules import RuleSet, rule_set
from odp_trio.routing.request import Lookup, RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import View
from odp_trio.session.login import DEFAULT_TENANT
from odp_trio.session.views import Views, route_settings
from odp_trio.sql.cache import Statements
from odp_trio.sql.literals import read_annotation
from odp_trio.state.client import WEAK, ClientState
from odp_trio.topology.cluster import interleave
from odp_trio.topology.congestion import NO_REFUSALS
from odp_trio.topology.snapshot import Restored
from odp_trio.wire.login_name import parse_login_name

_ROUNDS: Final = 8
NOT_IN_SNAPSHOT: Final = "the table is not in the snapshot"
_TABLET_NOT_IN_SNAPSHOT: Final = "the location of its partition is not in the snapshot"


class ExplainRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement, the session that it is imagined in, and what else is imagined."""

    sql: str
    cluster: str = ""
    """Empty: the default cluster."""
    tenant: str = ""
    """Empty: the tenant of logins that name none."""
    user: str = ""
    database: str = ""
    what_if: tuple[str, ...] = ()
    parameters: tuple[str | int | float | bool | None, ...] = ()
    """Values of the placeholders ``?``."""
    read_consistency: Literal["", "weak", "strong"] = ""
    idc: str = ""
    """The session's ``@proxy_idc_name``."""
    in_transaction_on: str = ""
    """``ip:port`` of the server on which a transaction is open."""
    last_server: str = ""
    """``ip:port`` of the server that ran the statement before."""


class Explained(msgspec.Struct, frozen=True):
    """An explanation, and what it was asked about."""

    request: ExplainRequest
    key: TenantKey
    changes: tuple[WhatIf, ...]
    explanation: Explanation


# ---- asking ---------------------------------------------------------------------------


async def explain_live(
    views: Views, statements: Statements, request: ExplainRequest, settings: Settings, rules: RuleSet
) -> Explained:
    """Explain with what the proxy knows; look up what it does not know yet, as the statement itself would.

    Raises ConfigError for a request that cannot be used, and what a login to the tenant would get.
    """
    changes = _changes(request)
    key = await _live_key(views, request, settings)
    question = _question(statements, request, settings, key)
    lookup: Lookup | None = None
    for _ in range(_ROUNDS):
        view = views.view(key, request.user)
        if view is None:
            await views.tenant(key)
            continue
        found = _explain(rules, question, view, changes)
        if not isinstance(found, Lookup):
            return Explained(request, key, changes, found)
        lookup = found
        await _look_up(views, question, lookup, settings.connect_timeout)
    raise CatalogError("the locations of this statement keep changing")


async def _look_up(views: Views, question: RouteRequest, lookup: Lookup, seconds: float) -> None:
    try:
        with trio.fail_after(seconds):
            await views.fetch(lookup.key, lookup.tablet_id)
    except CatalogError as exc:
        question.lookup_failure = f"its location could not be had: {exc}"
    except trio.TooSlowError:
        question.lookup_failure = f"its location was not answered within {seconds:g} s"


def explain_offline(restored: Restored, request: ExplainRequest) -> Explained:
    """Explain with what a snapshot knows; what it does not have stays unknown.

    Raises ConfigError for a request that cannot be used, or a tenant that the snapshot does not have.
    """
    changes = _changes(request)
    settings = restored.settings
    key = _tenant_key(request, settings)
    question = _question(Statements(100, text_limit=settings.request_buffer_length), request, settings, key)
    view = view_of(restored, key, request.user)
    for _ in range(_ROUNDS):
        found = _explain(rule_set(), question, view, changes)
        if not isinstance(found, Lookup):
            return Explained(request, key, changes, found)
        question.lookup_failure = _TABLET_NOT_IN_SNAPSHOT if found.tablet_id else NOT_IN_SNAPSHOT
    raise AssertionError("a look-up that failed is not asked for again")


def view_of(restored: Restored, key: TenantKey, user: str) -> View:
    """Return the view of a tenant as a snapshot has it; raise ConfigError for a tenant that it does not have."""
    cluster = restored.clusters[key.cluster]
    servers = restored.tenants.get(key)
    if key.tenant == DEFAULT_TENANT:
        servers = interleave(cluster.servers.values())
    if servers is None:
        known = [tenant.tenant for tenant in restored.tenants if tenant.cluster == key.cluster]
        near = did_you_mean(key.tenant, [*known, DEFAULT_TENANT])
        raise ConfigError(f"tenant {key.tenant!r} of cluster {key.cluster!r} is not in the snapshot{near}")
    scoped = restored.settings.scoped(key.cluster, key.tenant, user)
    primary_zone = cluster.primary_zones.get(key.tenant, "")
    return View(
        key,
        0,
        cluster.servers,
        cluster.zones,
        servers,
        restored.locations,
        route_settings(scoped),
        primary_zone,
        idcs=cluster.idcs,
        refusals=restored.refusals.get(key.cluster, NO_REFUSALS),
    )


def _explain(rules: RuleSet, question: RouteRequest, view: View, changes: tuple[WhatIf, ...]) -> Explanation | Lookup:
    found = rules.explain(question, view)
    if isinstance(found, Lookup) or not changes:
        return found
    return rules.explain(question, imagine(view, question, changes))


def _changes(request: ExplainRequest) -> tuple[WhatIf, ...]:
    return tuple(parse_what_if(text) for text in request.what_if)


async def _live_key(views: Views, request: ExplainRequest, settings: Settings) -> TenantKey:
    """As ``_tenant_key``; a config server's clusters are made as at a login, and may be named with their id."""
    if not settings.obproxy_config_server_url:
        return _tenant_key(request, settings)
    named = parse_login_name(f"explain#{request.cluster}") if request.cluster else None
    name, cluster_id = (named.cluster or "", named.cluster_id) if named else (settings.default_cluster or "", None)
    cluster = await views.cluster(name, cluster_id)
    return TenantKey(cluster.name, _tenant(request, settings))


def _tenant(request: ExplainRequest, settings: Settings) -> str:
    return request.tenant or ("" if request.cluster else settings.proxy_tenant_name) or DEFAULT_TENANT


def _tenant_key(request: ExplainRequest, settings: Settings) -> TenantKey:
    cluster = request.cluster or settings.default_cluster or ""
    if cluster not in settings.clusters:
        near = did_you_mean(cluster, settings.clusters)
        raise ConfigError(f"cluster {cluster!r} is not known{near}" if cluster else "no cluster is named or configured")
    return TenantKey(cluster, _tenant(request, settings))


def _question(statements: Statements, request: ExplainRequest, settings: Settings, key: TenantKey) -> RouteRequest:
    """Return the statement in a session like the one that is asked about."""
    sql = request.sql.strip()
    if not sql:
        raise ConfigError("there is no statement to explain")
    state = _session(request, settings.scoped(key.cluster, key.tenant, request.user))
    shape, literals = statements.shape(sql.encode("utf-8", "surrogateescape"), state.dialect())
    facts = shape.facts
    if request.parameters and len(request.parameters) != facts.parameters:
        given = f"{len(request.parameters)} value{'s' * (len(request.parameters) != 1)}"
        raise ConfigError(f"the statement has {facts.parameters} placeholders; {given} given for them")
    values = Values()
    values.literals, values.parameters = literals, request.parameters
    question = RouteRequest(state, values)
    question.user = request.user
    question.begin(shape)
    if facts.leading_comment is not None:
        question.annotation = read_annotation(literals[facts.leading_comment])
    return question


def _session(request: ExplainRequest, settings: Settings) -> ClientState:
    state = ClientState()
    state.database = request.database.encode("utf-8", "surrogateescape")
    if settings.obproxy_read_consistency:
        state.read_consistency, state.consistency_set = WEAK, True
    if request.read_consistency:
        state.impose(b"ob_read_consistency", request.read_consistency.upper().encode())
    state.idc = request.idc
    state.last = _address("last_server", request.last_server)
    transaction = _address("in_transaction_on", request.in_transaction_on)
    if transaction is not None:
        state.in_transaction, state.last = True, transaction
    return state


def _address(name: str, text: str) -> Address | None:
    try:
        return Address.parse(text) if text else None
    except BadAddress as exc:
        raise ConfigError(f"{name}: {exc}") from exc


# ---- answering ------------------------------------------------------------------------


def explanation_object(explained: Explained) -> dict[str, Any]:
    """Return the answer as a JSON object.

    ``partition`` is null when there is none, or none that can be told; ``reason`` says why.
    """
    explanation, partition = explained.explanation, explained.explanation.partition
    told = partition is not None and partition.name is not None
    reason = explanation.reason
    if not told:
        reason = (partition.reason if partition is not None else "") or reason or _why_no_partition(explanation)
    to_builtins: Callable[[object], Any] = msgspec.to_builtins
    return {
        "cluster": explained.key.cluster,
        "tenant": explained.key.tenant,
        "what_if": [str(change) for change in explained.changes],
        "kind": explanation.kind,
        "tables": list(explanation.tables),
        "consistency": explanation.consistency,
        "consistency_reason": explanation.consistency_reason,
        "partition": {"name": partition.name, "tablet_id": partition.tablet_id} if told and partition else None,
        "reason": reason,
        "key": list(explanation.key),
        "leader": explanation.leader,
        "dirty": explanation.dirty,
        "rule": explanation.rule,
        "policy": explanation.policy,
        "tier": explanation.tier,
        "server": explanation.server,
        "error": explanation.error,
        "candidates": to_builtins(explanation.candidates),
        "steps": to_builtins(explanation.steps),
        "shadows": to_builtins(explanation.shadows),
        "hints": [{"text": text, "ignored": ignored} for text, ignored in explanation.hints],
        "parsed_by": explanation.parsed_by,
        "why_not_parsed": explanation.why_not_parsed,
        "counts": {
            "routed": explanation.routed,
            "missed": explanation.missed,
            "not_computable": explanation.not_computable,
        },
    }


def _why_no_partition(explanation: Explanation) -> str:
    return "the table is not partitioned" if explanation.tables else "no table in the text"
