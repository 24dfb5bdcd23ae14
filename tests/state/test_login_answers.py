"""What a further login has otherwise than the first."""

from __future__ import annotations

from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.login_answers import LoginAnswers, needed_variables
from odp_trio.state.sync import SetVariables, sync_plan, synced
from odp_trio.wire.fields import lenenc_str
from odp_trio.wire.state import SessionState


def login_ok(variables: dict[bytes, bytes]) -> bytes:
    pairs = b"".join(lenenc_str(name) + lenenc_str(value) for name, value in variables.items())
    return b"\0\0\0\x22\x40\0\0\0" + lenenc_str(b"\0" + lenenc_str(pairs))


FIRST = {b"autocommit": b"1", b"sql_mode": b"ANSI", b"ob_statement_trace_id": b"x", b"ob_proxy_user_privilege": b"1"}
FURTHER = {b"autocommit": b"1", b"sql_mode": b"", b"ob_statement_trace_id": b"y", b"ob_proxy_user_privilege": b"2"}


def test_only_what_a_session_can_have_differs() -> None:
    answers = LoginAnswers()

    assert answers.differing(login_ok(FIRST), login_ok(FIRST)) == {}
    assert answers.differing(login_ok(FIRST), login_ok(FURTHER)) == {b"sql_mode": b"ANSI"}
    answers.unsettable.add(b"sql_mode")
    assert answers.differing(login_ok(FIRST), login_ok(FURTHER)) == {}


def test_answers_are_kept_once_and_not_without_end() -> None:
    answers = LoginAnswers()
    first = answers.shared(login_ok(FIRST))

    assert answers.shared(login_ok(FIRST)) is first
    for number in range(100):
        answers.shared(login_ok({b"autocommit": b"%d" % number}))
    assert answers.shared(login_ok(FIRST)) is not first


def test_the_first_values_are_set_unless_the_client_has_others() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.start(needed_variables(login_ok(FIRST)), b"")
    there.behind = {b"sql_mode": b"ANSI", b"div_precision_increment": b"4"}
    client.learn(SessionState({b"sql_mode": b"PIPES_AS_CONCAT"}), here)

    (step,) = sync_plan(client, there)

    assert isinstance(step, SetVariables)
    assert step.items == (b"@@div_precision_increment = 4", b"@@sql_mode = 'PIPES_AS_CONCAT'")
    synced(client, there)
    assert sync_plan(client, there) == ()
