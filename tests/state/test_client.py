"""What a session learns from its servers' answers, and what of it routing and the lexer read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.sql.facts import Shape, StatementFacts
from odp_trio.sql.lexer import ANSI_QUOTES, MULTIBYTE, NO_BACKSLASHES
from odp_trio.state.client import STRONG, UNSYNCED, WEAK, ClientState, ServerState, login_defaults
from odp_trio.state.prepared import TextPrepared
from odp_trio.state.sync import SetVariables, sync_plan
from odp_trio.wire.state import SessionState

LOGIN = {b"ob_read_consistency": b"STRONG", b"autocommit": b"1", b"time_zone": b"+08:00", b"sql_mode": b"STRICT"}


def told(system: dict[bytes, bytes] | None = None, user: dict[bytes, bytes] | None = None) -> ClientState:
    """A session after its login and one answer."""
    client = ClientState()
    client.start(login_defaults(LOGIN), b"db")
    client.learn(SessionState(system or {}, user or {}), ServerState())
    return client


@pytest.mark.parametrize(
    ("value", "level", "explicit"),
    [
        (b"WEAK", WEAK, True),
        (b"weak", WEAK, True),
        (b"2", WEAK, True),
        (b"STRONG", STRONG, True),
        (b"3", STRONG, True),
        (b"FROZEN", 1, False),
        (b"1", 1, False),
        (b"", STRONG, True),
    ],
)
def test_read_consistency_is_a_word_or_a_number(value: bytes, level: int, explicit: bool) -> None:
    client = told({b"ob_read_consistency": value})

    assert (client.read_consistency, client.consistency_set) == (level, explicit)


def test_what_the_login_says_of_the_consistency_was_not_set_by_the_client() -> None:
    client = ClientState()

    client.start(login_defaults({b"ob_read_consistency": b"WEAK"}), b"")

    assert (client.read_consistency, client.consistency_set) == (WEAK, False)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"0", 0),
        (b"1", 1),
        (b"2", 2),
        (b"3", 3),
        (b"4", 1),
        (b"READONLY_ZONE_FIRST", 1),
        (b"only_readonly_zone", 2),
        (b"UNMERGE_ZONE_FIRST", 3),
        (b"UNMERGE_FOLLOWER_FIRST", 1),
        (b"", 0),  # so servers name number 0
    ],
)
def test_the_route_policy_is_a_word_or_a_number_and_any_other_means_the_first(value: bytes, number: int) -> None:
    assert told({b"ob_route_policy": value}).route_policy == number


@pytest.mark.parametrize(
    ("value", "on"), [(b"1", True), (b"ON", True), (b"true", True), (b"0", False), (b"OFF", False)]
)
def test_autocommit_is_a_word_or_a_number(value: bytes, on: bool) -> None:
    assert told({b"autocommit": value}).autocommit is on


@pytest.mark.parametrize(
    ("system", "flags"),
    [
        ({}, 0),
        ({b"sql_mode": b"STRICT_ALL_TABLES,ANSI_QUOTES"}, ANSI_QUOTES),
        ({b"sql_mode": b"no_backslash_escapes"}, NO_BACKSLASHES),
        ({b"character_set_client": b"GBK"}, MULTIBYTE),
        ({b"character_set_client": b"utf8mb4"}, 0),
        ({b"sql_mode": b"ANSI", b"character_set_client": b"gb18030"}, ANSI_QUOTES | MULTIBYTE),
    ],
)
def test_the_lexer_is_told_of_quotes_and_character_sets(system: dict[bytes, bytes], flags: int) -> None:
    assert told(system).dialect() == flags


@pytest.mark.parametrize(("value", "idc"), [(b"'hz1'", "hz1"), (b"''", ""), (b"NULL", ""), (b"null", "")])
def test_the_idc_is_a_user_variable_in_any_spelling(value: bytes, idc: str) -> None:
    assert told(user={b"PROXY_IDC_NAME": value}).idc == idc


@pytest.mark.parametrize(("value", "policy"), [(b"'follower_only'", "FOLLOWER_ONLY"), (b"NULL", ""), (b"''", "")])
def test_the_sessions_policy_is_a_user_variable(value: bytes, policy: str) -> None:
    assert told(user={b"proxy_route_policy": value}).user_policy == policy


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"ob_proxy_set_trx_executed", "SET TRANSACTION is pending"),
        (b"_ob_proxy_session_temporary_table_used", "it has a temporary table"),
    ],
)
def test_the_server_says_what_binds_the_session(name: bytes, reason: str) -> None:
    client = told({name: b"1"})
    assert client.bound == reason

    client.learn(SessionState({name: b"0"}), ServerState())

    assert client.bound == ""


def test_a_changed_user_binds_the_session_for_good() -> None:
    client = ClientState()

    client.note_changed_user()
    client.note_locked_tables(True)
    client.note_locked_tables(False)

    assert client.bound.startswith("COM_CHANGE_USER")


@given(st.dictionaries(st.sampled_from([*sorted(UNSYNCED), b"ob_proxy_x", b"_ob_proxy_y"]), st.binary(max_size=4)))
def test_what_belongs_to_a_statement_or_a_server_changes_no_version(system: dict[bytes, bytes]) -> None:
    client = told(system)

    assert (client.version, client.system) == (0, {})


def test_the_server_that_reported_a_change_has_it_and_the_others_have_not() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()

    client.learn(SessionState({b"time_zone": b"+03:00"}), here)

    assert (here.version, there.version, client.version) == (1, 0, 1)


def test_a_server_that_was_behind_stays_behind() -> None:
    client, here, there = ClientState(), ServerState(), ServerState()
    client.learn(SessionState({b"time_zone": b"+03:00"}), here)

    client.learn(SessionState({b"autocommit": b"0"}), there)

    (step,) = sync_plan(client, there)
    assert isinstance(step, SetVariables)
    assert step.items[0] == b"@@time_zone = '+03:00'"


def test_the_database_follows_use_and_is_kept_by_its_server() -> None:
    client, here = ClientState(), ServerState()

    client.learn(SessionState(schema=b"shop"), here)

    assert (client.database, here.database, client.version) == (b"shop", b"shop", 0)


def test_what_is_imposed_is_told_to_every_server_and_counts_as_set() -> None:
    client = ClientState()
    client.start(login_defaults(LOGIN), b"")

    client.impose(b"ob_read_consistency", b"WEAK")

    assert (client.read_consistency, client.consistency_set) == (WEAK, True)
    assert sync_plan(client, ServerState()) == (SetVariables((b"@@ob_read_consistency = 'WEAK'",)),)


def test_after_a_reset_connection_everything_reads_as_after_the_login() -> None:
    fresh, client = told(), told({b"ob_read_consistency": b"WEAK", b"autocommit": b"0", b"sql_mode": b"ANSI_QUOTES"})
    client.learn(SessionState({b"time_zone": b"+03:00"}, {b"proxy_idc_name": b"'hz1'"}), ServerState())
    client.learn(SessionState({b"character_set_client": b"gbk", b"ob_route_policy": b"3"}), ServerState())

    client.forget()

    for name in ("read_consistency", "consistency_set", "autocommit", "time_zone", "sql_mode", "charset", "idc"):
        assert getattr(client, name) == getattr(fresh, name), name
    assert (client.route_policy, client.dialect()) == (1, 0)
    assert client.revision > 0


def test_after_a_reset_connection_what_is_imposed_is_told_again() -> None:
    client, server = ClientState(), ServerState()
    client.start(login_defaults(LOGIN), b"")
    client.impose(b"ob_read_consistency", b"WEAK")
    client.learn(SessionState({b"time_zone": b"+03:00"}), server)

    server.version = client.forget()

    assert client.read_consistency == WEAK
    assert sync_plan(client, server) == (SetVariables((b"@@ob_read_consistency = 'WEAK'",)),)


def test_after_a_reset_connection_no_server_holds_locks_ids_or_statements() -> None:
    client = told()
    client.lock_server = client.insert_id_server = client.route_address = Address("10.0.0.1", 2881)
    client.text_prepared["S"] = TextPrepared("S", b"select 1", Shape(StatementFacts()), ())
    client.note_temporary_table()

    client.forget()

    gone: tuple[object, ...] = (client.lock_server, client.insert_id_server, client.route_address)
    assert gone == (None, None, None)
    assert (client.text_prepared, client.bound, client.database) == ({}, "", b"db")


def test_what_is_of_one_statement_only_is_no_other_state() -> None:
    client, server = told(), ServerState()
    before = client.revision

    client.learn(SessionState({b"ob_statement_trace_id": b"Y1", b"ob_proxy_partition_hit": b"1"}), server)
    assert client.revision == before

    client.learn(SessionState({b"ob_proxy_set_trx_executed": b"1"}), server)
    assert client.revision > before
