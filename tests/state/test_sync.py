"""Session state and its replay: after the steps of a plan the next plan is empty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.state.client import WEAK, ClientState, ServerState, login_defaults
from odp_trio.state.sync import SetVariables, UseDatabase, literal, sync_plan, synced
from odp_trio.wire.state import SessionState

NAMES = st.sampled_from([b"time_zone", b"sql_mode", b"ob_query_timeout", b"autocommit", b"last_insert_id"])
TOLD = st.builds(
    lambda system, user, schema: SessionState(system, user, schema),
    st.dictionaries(NAMES, st.binary(max_size=8), max_size=3),
    st.dictionaries(st.sampled_from([b"a", b"b b"]), st.sampled_from([b"1", b"'x'", b"NULL"]), max_size=2),
    st.one_of(st.none(), st.sampled_from([b"one", b"two"])),
)


@given(st.lists(st.tuples(TOLD, st.integers(0, 2))))
def test_after_a_plan_the_next_one_is_empty(history: list[tuple[SessionState, int]]) -> None:
    client, servers = ClientState(), [ServerState() for _ in range(3)]
    for told, number in history:
        server = servers[number]
        synced(client, server)  # a statement runs only where the state is complete
        client.learn(told, server)
        assert sync_plan(client, server) == ()
    for server in servers:
        synced(client, server)

        assert sync_plan(client, server) == ()


def test_the_database_comes_first_then_one_set() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.learn(SessionState({b"time_zone": b"+03:00", b"ob_query_timeout": b"5"}, {b"w": b"'it''s'"}, b"db"), here)

    steps = sync_plan(client, there)

    assert steps[0] == UseDatabase(b"db")
    assert isinstance(steps[1], SetVariables)
    assert steps[1].sql == b"SET @@time_zone = '+03:00', @@ob_query_timeout = 5, @w = 'it''s'"


def test_only_what_a_server_has_not_seen_is_replayed() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.learn(SessionState({b"time_zone": b"+03:00"}), here)
    synced(client, there)
    client.learn(SessionState({b"autocommit": b"OFF"}), here)

    (step,) = sync_plan(client, there)

    assert isinstance(step, SetVariables)
    assert step.items == (b"@@autocommit = 'OFF'",)


def test_values_are_quoted_unless_they_are_numbers() -> None:
    assert literal(b"17") == b"17"
    assert literal(b"-1.5") == b"-1.5"
    assert literal(b"007") == b"'007'"
    assert literal(b"it's \\") == b"'it''s \\\\'"
    assert literal(b"") == b"''"


@given(st.binary())
def test_a_quoted_value_reads_as_it_was(value: bytes) -> None:
    written = literal(value)

    if written != value:
        assert written[:1] == written[-1:] == b"'"
        assert written[1:-1].replace(b"\\\\", b"\0\0").replace(b"''", b"'").replace(b"\0\0", b"\\") == value.replace(
            b"\0\0", b"\\"
        )


@pytest.mark.parametrize(
    "value", [b"1e3", b"0x1F", b"1 or 1", b"--1", b"1;", b".5", b"5.", b"123456789012345678901", b"1\n"]
)
def test_what_only_looks_like_a_number_is_quoted(value: bytes) -> None:
    assert literal(value) == b"'" + value + b"'"


@pytest.mark.parametrize(
    ("name", "written"), [(b"a", b"@a"), (b"a.b$1", b"@a.b$1"), (b"b b", b"@`b b`"), (b"x`; y", b"@`x``; y`")]
)
def test_names_of_user_variables_are_quoted_if_they_must_be(name: bytes, written: bytes) -> None:
    client, here = ClientState(), ServerState()
    client.learn(SessionState(user={name: b"1"}), here)

    (step,) = sync_plan(client, ServerState())

    assert isinstance(step, SetVariables)
    assert step.items == (written + b" = 1",)


def test_a_variable_that_was_set_twice_is_replayed_once_with_its_last_value() -> None:
    client, here = ClientState(), ServerState()
    for value in (b"+01:00", b"+02:00"):
        client.learn(SessionState({b"time_zone": value}), here)

    (step,) = sync_plan(client, ServerState())

    assert isinstance(step, SetVariables)
    assert step.items == (b"@@time_zone = '+02:00'",)


def test_a_session_without_a_database_asks_for_none() -> None:
    client, server = ClientState(), ServerState(database=b"old")

    assert sync_plan(client, server) == ()


def test_what_belongs_to_a_statement_or_a_server_is_never_replayed() -> None:
    client, here = ClientState(), ServerState()
    client.learn(SessionState({b"ob_proxy_partition_hit": b"OFF", b"ob_statement_trace_id": b"Y1"}), here)

    assert (client.version, client.system) == (0, {})


def test_routing_learns_what_it_needs() -> None:
    client, here = ClientState(), ServerState()
    client.start(login_defaults({b"ob_read_consistency": b"STRONG", b"lower_case_table_names": b"0"}), b"db")
    assert not client.lower_case_names
    assert not client.consistency_set

    client.learn(
        SessionState({b"ob_read_consistency": b"WEAK", b"ob_route_policy": b"3"}, {b"proxy_idc_name": b"'hz1'"}), here
    )

    assert (client.read_consistency, client.consistency_set, client.route_policy, client.idc) == (WEAK, True, 3, "hz1")


def test_what_binds_a_session_is_said_in_words_and_ends() -> None:
    client, here = ClientState(), ServerState()
    client.learn(SessionState({b"_ob_proxy_session_temporary_table_used": b"1"}), here)
    client.note_locked_tables(True)
    assert client.bound == "it has a temporary table; it holds table locks"

    client.learn(SessionState({b"_ob_proxy_session_temporary_table_used": b"0"}), here)
    client.note_locked_tables(False)

    assert client.bound == ""


def test_a_reset_connection_forgets_all_but_the_database() -> None:
    client, here = ClientState(), ServerState()
    client.learn(SessionState({b"time_zone": b"+03:00"}, {b"a": b"1"}, b"db"), here)

    client.forget()

    assert (client.system, client.user, client.database) == ({}, {}, b"db")
