"""``EXPLAIN ROUTE …`` in a session: the rules are asked as for the statement itself, and what they say is shown."""

from __future__ import annotations

from odp_trio.errors import CatalogError, OdpError
from odp_trio.routing.decide import Explanation
from odp_trio.routing.request import Lookup
from odp_trio.session.placing import Placing
from odp_trio.session.router import Router
from odp_trio.session.views import Views
from odp_trio.wire.resultset import err_packet, text_result

_ROUNDS = 8


async def explain_statement(router: Router, views: Views, placing: Placing) -> Explanation:
    """Explain the statement that the router has read last; look up what is missing.

    Raises what a login to the tenant would get.
    """
    request = router.request
    request.state.in_transaction = router.tracker.in_transaction
    for _ in range(_ROUNDS):
        view = router.current_view()
        if view is None:
            await views.tenant(router.key)
            continue
        answer = router.rules.explain(request, view)
        if isinstance(answer, Explanation):
            return answer
        assert isinstance(answer, Lookup)
        await placing.look_up(answer.key, answer.tablet_id)
    raise CatalogError("the locations of this statement keep changing")


async def answer_explain(router: Router, views: Views, placing: Placing) -> bytes:
    """Return the packets that answer EXPLAIN ROUTE."""
    try:
        explanation = await explain_statement(router, views, placing)
    except OdpError as exc:
        return err_packet(1, exc)
    return text_result(("item", "value"), explanation_rows(explanation))


def explanation_rows(explanation: Explanation) -> list[tuple[str, str | None]]:
    """Return an explanation as rows: the names of its JSON form, one row a candidate, step and hint."""
    partition = explanation.partition
    rows: list[tuple[str, str | None]] = [
        ("kind", explanation.kind),
        ("tables", ", ".join(explanation.tables)),
        ("consistency", explanation.consistency),
        ("consistency_reason", explanation.consistency_reason),
    ]
    if partition is not None:
        rows += [
            ("partition", partition.name),
            ("tablet_id", None if partition.tablet_id is None else str(partition.tablet_id)),
            ("partition_reason", partition.reason),
            ("key", ", ".join(explanation.key)),
        ]
    rows += [
        ("leader", explanation.leader),
        ("dirty", "yes" if explanation.dirty else "no"),
        ("reason", explanation.reason),
        ("rule", explanation.rule),
        ("policy", explanation.policy),
        ("tier", explanation.tier),
        ("server", explanation.server),
        ("error", explanation.error),
    ]
    rows += [
        ("candidate", f"{found.server} {found.letters}" + (f" refused: {found.refused}" if found.refused else ""))
        for found in explanation.candidates
    ]
    if explanation.sent_first:
        rows.append(("sent_first", explanation.sent_first))
    rows += [("asked", f"{step.rule}: {'yes' if step.answered else 'no'} ({step.says})") for step in explanation.steps]
    rows += [
        ("shadow", f"{found.rule}: {found.server} {'agrees' if found.agrees else 'disagrees'} {found.reason}".strip())
        for found in explanation.shadows
    ]
    rows += [("hint", text + (f" ignored: {ignored}" if ignored else "")) for text, ignored in explanation.hints]
    rows += [
        ("parsed_by", explanation.parsed_by),
        ("why_not_parsed", explanation.why_not_parsed),
        ("routed", str(explanation.routed)),
        ("missed", str(explanation.missed)),
        ("not_computable", str(explanation.not_computable)),
    ]
    return rows
