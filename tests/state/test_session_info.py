"""What servers hand each other through us: versions, and what an error means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ServerProtocolError
from odp_trio.state.session_info import LIMIT_BYTES, ServerInfo, SharedInfo
from odp_trio.wire.extra_info import entries, entry


def sent(server: ServerInfo) -> dict[int, bytes]:
    return dict(entries(server.outgoing()))


def two() -> tuple[SharedInfo, ServerInfo, ServerInfo]:
    shared = SharedInfo()
    return shared, ServerInfo(shared), ServerInfo(shared)


def test_nothing_is_sent_before_anything_was_said() -> None:
    _, one, _ = two()

    assert one.outgoing() == b""


def test_what_one_server_says_goes_once_to_each_other() -> None:
    _, one, other = two()
    one.outgoing()
    one.arrived(entry(3, b"three") + entry(4, b"four"))

    assert one.outgoing() == b""
    assert sent(other) == {3: b"three", 4: b"four"}
    assert other.outgoing() == b""


def test_a_new_value_goes_alone() -> None:
    _, one, other = two()
    one.arrived(entry(3, b"three") + entry(4, b"four"))
    sent(other)
    one.arrived(entry(4, b"FOUR"))

    assert sent(other) == {4: b"FOUR"}
    assert one.outgoing() == b""


def test_any_number_is_handed_on_unread() -> None:
    _, one, other = two()
    one.arrived(entry(40_000, b"\0\xff"))

    assert sent(other) == {40_000: b"\0\xff"}


def test_after_an_error_only_what_the_server_said_itself_counts() -> None:
    _, one, other = two()
    one.arrived(entry(3, b"three") + entry(4, b"four"))
    assert sent(other) == {3: b"three", 4: b"four"}
    other.arrived(entry(4, b"its own"))
    other.refused()

    assert sent(other) == {3: b"three"}
    assert sent(one) == {4: b"its own"}


def test_an_error_behind_another_request_undoes_nothing() -> None:
    _, one, other = two()
    one.arrived(entry(3, b"three"))
    sent(other)
    assert other.outgoing() == b""
    other.refused()

    assert other.outgoing() == b""


def test_what_was_before_a_reset_does_not_come_back() -> None:
    shared, one, other = two()
    one.arrived(entry(4, b"four"))
    shared.forget()

    assert other.outgoing() == b""
    one.arrived(entry(4, b"new"))
    assert sent(other) == {4: b"new"}
    assert one.outgoing() == b""


def test_a_server_that_has_an_older_value_of_a_reset_session_gets_the_new_one() -> None:
    shared, one, other = two()
    one.arrived(entry(4, b"four"))
    sent(other)
    shared.forget()
    one.arrived(entry(4, b"new"))

    assert sent(other) == {4: b"new"}


def test_a_cut_entry_is_the_servers_fault() -> None:
    _, one, _ = two()

    with pytest.raises(ServerProtocolError):
        one.arrived(entry(4, b"four")[:-1])


def test_there_is_a_bound() -> None:
    _, one, _ = two()
    for _ in range(10):  # the same type again and again is one
        one.arrived(entry(1, bytes(LIMIT_BYTES)))

    with pytest.raises(ServerProtocolError, match="more than"):
        one.arrived(entry(2, b"x"))


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("request"), st.integers(0, 2), st.booleans(), st.dictionaries(st.integers(0, 5), st.binary())
        ),
        st.tuples(st.just("forget"), st.just(0), st.just(False), st.just({})),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_happens_a_server_that_ran_a_request_has_what_was_known(
    steps: list[tuple[str, int, bool, dict[int, bytes]]],
) -> None:
    """Servers that take over what came with a request that succeeded, and may not have with one that failed."""
    shared = SharedInfo()
    servers = [ServerInfo(shared) for _ in range(3)]
    has: list[dict[int, bytes]] = [{} for _ in range(3)]
    known: dict[int, bytes] = {}
    for verb, at, failed, told in steps:
        if verb == "forget":
            shared.forget()
            known = {}
            continue
        came = sent(servers[at])
        if not failed:
            has[at] |= came
        for kind, value in told.items():
            servers[at].arrived(entry(kind, value))
            known[kind] = has[at][kind] = value
        if failed:
            servers[at].refused()
        else:
            assert {kind: has[at].get(kind) for kind in known} == known
