"""The truth tables of what may be tried again."""

from itertools import product

import pytest

from odp_trio.errors import ConnectFailed, LoginRefused, UpstreamLost, UpstreamTimedOut
from odp_trio.session.retry import (
    WITHHELD,
    Action,
    Answered,
    Delivered,
    Effect,
    FailedStatement,
    Verdict,
    after_failed_login,
    after_failed_statement,
    failure_of,
)
from odp_trio.topology.congestion import Failure


@pytest.mark.parametrize(
    ("failure", "try_next", "renew"),
    [
        (ConnectFailed("refused"), True, False),
        (UpstreamLost("no answer"), True, False),
        (LoginRefused(b"", 8001, "initialising"), True, False),
        (LoginRefused(b"", 8002, "stopping"), True, False),
        (LoginRefused(b"", 5150, "tenant not in server"), True, True),
        (LoginRefused(b"", 4124, "connect error"), True, True),
        (LoginRefused(b"", 4666, "cluster mismatch"), True, True),
        (LoginRefused(b"", 1045, "access denied"), False, False),
        (LoginRefused(b"", 1049, "unknown database"), False, False),
        (LoginRefused(b"", 4401, "session killed"), False, False),
        (RuntimeError("a bug"), False, False),
    ],
)
def test_a_failed_login_is_tried_elsewhere_only_where_that_can_help(
    failure: Exception, try_next: bool, renew: bool
) -> None:
    mismatch = isinstance(failure, LoginRefused) and failure.errno == 4666
    assert after_failed_login(failure) == Verdict(try_next, renew, rebuild_cluster=mismatch)


# What has happened, and what becomes of a statement: that is repeatable, that may write; both with and without hindrance.
ELSEWHERE, REROUTE, COORDINATOR, TELL, CLOSE = Action
TABLE = {
    # the connection is lost, and nothing of an answer has come
    ("lost, not sent whole", "free"): (ELSEWHERE, ELSEWHERE),
    ("lost, not sent whole", "held"): (CLOSE, CLOSE),
    ("lost, not sent whole", "nowhere left"): (TELL, TELL),
    ("lost, sent whole", "free"): (ELSEWHERE, CLOSE),
    ("lost, sent whole", "held"): (CLOSE, CLOSE),
    ("lost, sent whole", "nowhere left"): (TELL, CLOSE),
    # the connection is lost in the middle of an answer
    ("part of an answer", "free"): (CLOSE, CLOSE),
    ("part of an answer", "held"): (CLOSE, CLOSE),
    ("part of an answer", "nowhere left"): (CLOSE, CLOSE),
    # an error, and the connection is well
    (8001, "free"): (ELSEWHERE, ELSEWHERE),
    (8002, "free"): (ELSEWHERE, ELSEWHERE),
    (5150, "free"): (ELSEWHERE, ELSEWHERE),
    (5081, "free"): (ELSEWHERE, ELSEWHERE),
    (4124, "free"): (ELSEWHERE, TELL),
    (5727, "free"): (TELL, TELL),
    ("5727 with an address", "free"): (REROUTE, REROUTE),
    (4038, "free"): (TELL, TELL),
    (4012, "free"): (TELL, TELL),
    (1062, "free"): (TELL, TELL),
    (6002, "free"): (TELL, TELL),
    (6279, "free"): (TELL, TELL),
    # an error of a participant of the transaction
    **{(errno, "participant"): (COORDINATOR, COORDINATOR) for errno in (6279, 8001, 8002, 5150, 5081)},
    **{(errno, "participant"): (TELL, TELL) for errno in (4124, "5727 with an address", 1062)},
    ("lost, not sent whole", "participant"): (CLOSE, CLOSE),
    ("lost, sent whole", "participant"): (CLOSE, CLOSE),
    ("part of an answer", "participant"): (CLOSE, CLOSE),
    **{(errno, "held"): (TELL, TELL) for errno in (8001, 8002, 5150, 5081, 4124, "5727 with an address", 1062)},
    **{(errno, "nowhere left"): (TELL, TELL) for errno in (8001, 8002, 5150, 5081, 4124, "5727 with an address")},
}
HELD = [{"in_transaction": True}, {"bound": True}, {"kept": False}]
HINDRANCES: dict[str, list[dict[str, bool]]] = {
    "free": [{}],
    "held": [*HELD, *(one | other for one, other in product(HELD, HELD)), {"bound": True, "attempts_left": False}],
    "nowhere left": [{"attempts_left": False}],
    "participant": [{"in_transaction": True, "participant": True}],
}


@pytest.mark.parametrize(("event", "hindrance"), list(TABLE))
def test_what_becomes_of_a_failed_statement(event: int | str, hindrance: str) -> None:
    fields: dict[str, object] = {}
    if event == "lost, not sent whole":
        fields = {"answered": Answered.NOTHING, "delivered": Delivered.NOT_WHOLE}
    elif event == "lost, sent whole":
        fields = {"answered": Answered.NOTHING}
    elif event == "part of an answer":
        fields = {"answered": Answered.PART}
    else:
        number = event if isinstance(event, int) else 5727
        fields = {"answered": Answered.ERROR, "errno": number, "target": isinstance(event, str)}
    for hindering in HINDRANCES[hindrance]:
        for effect, action in zip((Effect.REPEATABLE, Effect.WRITES), TABLE[event, hindrance], strict=True):
            failed = FailedStatement(effect=effect, **(fields | hindering))  # type: ignore[arg-type]
            assert after_failed_statement(failed) is action, failed


def every_failure() -> list[FailedStatement]:
    booleans = (False, True)
    return [
        FailedStatement(
            answered=answered,
            delivered=delivered,
            errno=errno,
            effect=effect,
            in_transaction=in_transaction,
            participant=participant,
            bound=bound,
            kept=kept,
            target=target,
            attempts_left=left,
        )
        for answered, delivered, errno, effect, in_transaction, participant, bound, kept, target, left in product(
            Answered, Delivered, (0, *sorted(WITHHELD), 1062), Effect, *([booleans] * 6)
        )
    ]


def test_never_twice() -> None:
    for failed in every_failure():
        if after_failed_statement(failed) is Action.COORDINATOR:
            assert failed.participant
            assert failed.answered is Answered.ERROR
            assert failed.errno in (5081, 5150, 6279, 8001, 8002)
        if after_failed_statement(failed) in (Action.ELSEWHERE, Action.REROUTE):
            assert not failed.in_transaction
            assert not failed.bound
            assert failed.answered is not Answered.PART
            may_have_run = failed.answered is Answered.NOTHING and failed.delivered is Delivered.WHOLE
            assert not (may_have_run and failed.effect is Effect.WRITES)
            assert failed.answered is not Answered.ERROR or failed.errno in WITHHELD


def test_an_unknown_outcome_is_never_told_as_an_error_that_leaves_the_session() -> None:
    for failed in every_failure():
        lost = failed.answered is Answered.NOTHING and failed.delivered is Delivered.WHOLE
        if lost and failed.effect is Effect.WRITES:
            assert after_failed_statement(failed) is Action.CLOSE


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ConnectFailed("refused"), Failure.CONNECT),
        (UpstreamTimedOut("no answer"), Failure.TIMED_OUT),
        (UpstreamLost("reset"), Failure.LOST),
        (LoginRefused(b"", 8002, "stopping"), Failure.ERROR),
        (LoginRefused(b"", 1045, "denied"), None),
        (LoginRefused(b"", 5150, "moved"), None),
        (RuntimeError("a bug"), None),
    ],
)
def test_what_a_failure_says_of_its_server(error: Exception, failure: Failure | None) -> None:
    assert failure_of(error) is failure
