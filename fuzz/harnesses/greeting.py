"""What a server says until a login is over: greeting, auth switch, ERR, the login's OK, error 5727's address."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.cutting import outcome
from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.state.login_answers import LoginAnswer, LoginAnswers, needed_variables
from odp_trio.wire.handshake import parse_auth_switch, parse_greeting
from odp_trio.wire.reroute import parse_reroute, write_reroute
from odp_trio.wire.resultset import err_payload, parse_err
from odp_trio.wire.state import find_number, find_variable, parse_ok
from tests.wire.captured import conversation


def one_input(data: bytes) -> None:
    """Read the same bytes as each of them."""
    greeting = outcome(lambda: parse_greeting(data), ServerProtocolError)
    if not isinstance(greeting, type) and len(greeting.scramble) == 20:
        assert parse_greeting(greeting.to_bytes()) == greeting
    switch = outcome(lambda: parse_auth_switch(data), ServerProtocolError)
    if not isinstance(switch, type):
        assert parse_auth_switch(switch.to_bytes()) == switch
    error = outcome(lambda: parse_err(data), ServerProtocolError)
    if not isinstance(error, type) and error.sqlstate.isascii() and len(error.message) < 2048:
        assert parse_err(err_payload(error.errno, error.sqlstate, error.message)) == error
    server = outcome(lambda: parse_reroute(data), ServerProtocolError)
    if not isinstance(server, type):
        assert parse_reroute(write_reroute(server)) == server
    _login_ok(data)


def _login_ok(data: bytes) -> None:
    outcome(lambda: find_variable(data, b"autocommit"), ServerProtocolError)
    outcome(lambda: find_number(data, b"ob_capability_flag"), ServerProtocolError)
    outcome(lambda: needed_variables(data), ServerProtocolError)
    if isinstance(outcome(lambda: parse_ok(data), ServerProtocolError), type):
        return
    answer = outcome(lambda: LoginAnswer(data), ServerProtocolError)
    if isinstance(answer, type):
        return
    assert not isinstance(outcome(lambda: parse_ok(answer.tracked), ServerProtocolError), type)
    answers = LoginAnswers()
    shared = answers.shared(data)
    assert answers.shared(bytes(data)) is shared
    assert answers.differing(shared, LoginAnswer(data + b"\0")) == {}


def seeds() -> Iterator[bytes]:
    """Give greetings and OKs that were captured (without the hundreds of variables), an ERR, an auth switch."""
    for name in ("login_plain", "login_proxy", "login_tracking", "change_user"):
        for each in conversation(name):
            if not each.from_client and len(each.payload) < 1500:
                yield each.payload
    variables = (
        (b"autocommit", b"ON"),
        (b"ob_capability_flag", b"4194303"),
        (b"ob_query_timeout", b"10000000"),
        (b"ob_enable_transmission_checksum", b"ON"),
        (b"nls_date_format", b"YYYY-MM-DD"),
        (b"collation_connection", b"45"),
        (b"time_zone", b"+08:00"),
        (b"sql_mode", b"4194304"),
    )
    pairs = b"".join(bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in variables)
    block = b"\0\xfc" + len(pairs).to_bytes(2, "little") + pairs
    yield b"\0\0\0\x02\x40\0\0\0\xfc" + len(block).to_bytes(2, "little") + block
    yield err_payload(1045, "42000", "Access denied for user 'root'@'xxx.xxx.xxx.xxx' (using password: YES)")
    yield b"\xff\x15\x04Too many"
    yield b"\xfemysql_native_password\0" + bytes(range(1, 21)) + b"\0"
    yield write_reroute(Address("10.1.2.3", 2881)) + b"\1\2\3"
    yield write_reroute(Address("2001:db8::7", 2881))
