"""What a further login has otherwise than the first."""

from __future__ import annotations

from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.login_answers import LoginAnswer, LoginAnswers
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

    first, further = LoginAnswer(login_ok(FIRST)), LoginAnswer(login_ok(FURTHER))

    assert answers.differing(first, LoginAnswer(login_ok(FIRST))) == {}
    assert answers.differing(first, further) == {b"sql_mode": b"ANSI"}
    answers.unsettable.add(b"sql_mode")
    assert answers.differing(first, further) == {}


def test_answers_are_kept_once_and_not_without_end() -> None:
    answers = LoginAnswers()
    first = answers.shared(login_ok(FIRST))

    assert answers.shared(login_ok(FIRST)) is first
    for number in range(100):
        answers.shared(login_ok({b"autocommit": b"%d" % number}))
    assert answers.shared(login_ok(FIRST)) is not first


def test_the_first_values_are_set_unless_the_client_has_others() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.start(LoginAnswer(login_ok(FIRST)).defaults, b"")
    there.behind = {b"sql_mode": b"ANSI", b"div_precision_increment": b"4"}
    client.learn(SessionState({b"sql_mode": b"PIPES_AS_CONCAT"}), here)

    (step,) = sync_plan(client, there)

    assert isinstance(step, SetVariables)
    assert step.items == (b"@@div_precision_increment = 4", b"@@sql_mode = 'PIPES_AS_CONCAT'")
    synced(client, there)
    assert sync_plan(client, there) == ()


def test_what_is_read_in_an_answer() -> None:
    told = {
        b"ob_capability_flag": b"42",
        b"ob_proxy_user_privilege": b"7",
        b"ob_proxy_global_variables_version": b"1234",
        b"ob_enable_transmission_checksum": b"OFF",
        b"sql_mode": b"ANSI",
        b"nls_date_format": b"YYYY",
    }
    answer, silent = LoginAnswer(login_ok(told)), LoginAnswer(login_ok({}))

    assert (answer.capabilities, answer.privileges, answer.global_version, answer.checksum) == (42, 7, b"1234", False)
    assert (silent.capabilities, silent.privileges, silent.global_version, silent.checksum) == (0, 0, b"0", True)
    assert answer.defaults[b"sql_mode"] == b"ANSI"
    assert silent.defaults[b"sql_mode"] == b""
    assert answer.plain == silent.plain == silent.tracked == b"\0\0\0\x22\0\0\0"
    block = b"\0" + lenenc_str(lenenc_str(b"nls_date_format") + lenenc_str(b"YYYY"))
    assert answer.tracked == b"\0\0\0\x22\x40\0\0\0" + lenenc_str(block)


def test_answers_of_two_servers_in_turn_are_kept_both() -> None:
    answers = LoginAnswers()
    one, other = answers.shared(login_ok(FIRST)), answers.shared(login_ok(FURTHER))

    assert answers.shared(login_ok(FIRST)) is one
    assert answers.shared(login_ok(FURTHER)) is other
    assert one is not other
