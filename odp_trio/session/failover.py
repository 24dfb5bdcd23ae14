"""A statement failed on its server: what is known of it, what is learnt from it, where it goes next."""

from __future__ import annotations

import logging
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.routing.request import Route
from odp_trio.session.events import Failed
from odp_trio.session.retry import (
    REROUTE,
    Action,
    Answered,
    Delivered,
    Effect,
    FailedStatement,
    after_failed_statement,
)
from odp_trio.session.router import PINNED, Router
from odp_trio.session.server_set import Upstream
from odp_trio.topology.congestion import Failure
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.reroute import parse_reroute

log = logging.getLogger("odp_trio.session")

_REPEATABLE: Final = frozenset({Com.STMT_PREPARE, Com.PING, Com.INIT_DB, Com.STATISTICS, Com.FIELD_LIST})


def rule(router: Router, upstream: Upstream, failed: Failed, least_attempts: int) -> tuple[Action, Address | None]:
    """Say what becomes of the statement that failed on ``upstream``, and the address if a server has named one.

    What the failure says of the server and of the location goes to the feedback.
    """
    view = router.view
    replicas = 0 if view is None else len(view.tenant_servers)
    tried = router.request.refused
    target = _target(router, upstream) if failed.errno == REROUTE else None
    participant = router.state.roams and upstream.address != router.state.coordinator
    answered = Answered.ERROR if failed.refusal else Answered.NOTHING if failed.unanswered else Answered.PART
    statement = FailedStatement(
        answered=answered,
        delivered=Delivered.WHOLE if failed.whole else Delivered.NOT_WHOLE,
        errno=failed.errno,
        effect=effect_of(router),
        in_transaction=router.state.in_transaction,
        participant=participant,
        bound=_is_pinned(router) or router.is_bound_to(upstream),
        kept=failed.received and len(router.text) < router.looks_at,
        target=target is not None,
        attempts_left=len(tried) + 1 < max(least_attempts, 2 * replicas + 1),
    )
    if failed.error is not None:
        note_failed(router, upstream.address, Failure.LOST)
    action = after_failed_statement(statement)
    return action, router.state.coordinator if action is Action.COORDINATOR else target


def effect_of(router: Router) -> Effect:
    """Say what the running command does."""
    if router.what in (Com.QUERY, Com.STMT_EXECUTE):
        repeatable = router.request.shape.facts.repeatable and router.request.owner is None
    else:
        repeatable = router.what in _REPEATABLE
    return Effect.REPEATABLE if repeatable else Effect.WRITES


def command_of(router: Router) -> bytes:
    """Return the running command as the client sent it."""
    return packet(0, bytes((router.what,)) + router.text)


def note_failed(router: Router, address: Address, failure: Failure) -> None:
    """A server failed the statement: it counts against it, and where the statement was located may have changed."""
    router.feedback.server_failed(router.key, address, failure)
    location, decision = router.request.location, router.decision
    if location is not None and isinstance(decision, Route) and decision.to_leader:
        router.feedback.note_dirty(location)


def _is_pinned(router: Router) -> bool:
    """Whether the statement may run on its server only."""
    return isinstance(router.decision, Route) and router.decision.rule in PINNED


def _target(router: Router, upstream: Upstream) -> Address | None:
    """Return the server that an error 5727 names, if it is one of the cluster's and was not tried before."""
    if router.reroute is None:
        return None
    try:
        target = parse_reroute(router.reroute)
    except ServerProtocolError as exc:
        log.warning("%s answers 5727 and names no server: %s", upstream.address, exc)
        return None
    known = router.view is not None and target in router.view.servers
    if not known or target == upstream.address or target in router.request.refused:
        log.warning("%s answers 5727 and names %s, which is of no use", upstream.address, target)
        return None
    return target
