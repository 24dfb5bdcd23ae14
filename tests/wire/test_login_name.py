"""Login names in all their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import AccessDenied
from odp_trio.model import LoginName
from odp_trio.wire.login_name import parse_login_name

FORMS = [
    # standard: @ or # occurs
    ("root@sys#c1", ("root", "sys", "c1")),
    ("root#c1", ("root", None, "c1")),
    ("root@t1", ("root", "t1", None)),
    ("root@t1#c1:2", ("root", "t1", "c1", 2)),
    ("root#c1:2", ("root", None, "c1", 2)),
    ("root@", ("root", None, None)),
    ("root#", ("root", None, None)),
    ("root@#", ("root", None, None)),
    ("root@#c1", ("root", None, "c1")),
    ("root@t1#", ("root", "t1", None)),
    ("root@t1#:7", ("root", "t1", None, 7)),
    ("root@t1#c1:x", ("root", "t1", "c1:x")),
    ("root@t1#c1:", ("root", "t1", "c1:")),
    ("a:b:c@t1", ("a:b:c", "t1", None)),
    ("a.b-c@t1#c.1-x", ("a.b-c", "t1", "c.1-x")),
    ("proxyro@sys", ("proxyro", "sys", None)),
    ("root@proxysys", ("root", "proxysys", None)),
    ("root@SERVICE:orders", ("root", "SERVICE:orders", None)),
    # cluster first: neither, and a separator at least twice
    ("c1:t1:root", ("root", "t1", "c1")),
    ("c1-t1-root", ("root", "t1", "c1")),
    ("c1.t1.root", ("root", "t1", "c1")),
    ("c1:t1:root:2", ("root", "t1", "c1", 2)),
    ("c1-t1-root-2", ("root", "t1", "c1", 2)),
    ("c1-t1-root:2", ("root", "t1", "c1", 2)),
    ("c1.t1.root:2", ("root", "t1", "c1", 2)),
    ("c1-t1-my-user", ("my-user", "t1", "c1")),
    ("a-b:c.d:e-f.g", ("e-f.g", "c.d", "a-b")),
    (":t1:root", ("root", "t1", None)),
    ("c1::root", ("root", None, "c1")),
    # plain
    ("root", ("root", None, None)),
    ("c1:root", ("c1:root", None, None)),
    ("first.last", ("first.last", None, None)),
    ("a:b-c.d", ("a:b-c.d", None, None)),
    ("имя", ("имя", None, None)),
]


@pytest.mark.parametrize(("name", "parts"), FORMS, ids=repr)
def test_a_login_name_is_taken_apart(name: str, parts: tuple[str, str | None, str | None]) -> None:
    assert parse_login_name(name) == LoginName(*parts)


@pytest.mark.parametrize("name", ["", "@t1", "#c1", "@t1#c1", "c1:t1:", "::", "@", "c1:t1::2"])
def test_a_name_without_a_user_is_refused(name: str) -> None:
    with pytest.raises(AccessDenied, match="names no user"):
        parse_login_name(name)


def test_the_first_separator_of_the_list_that_occurs_twice_is_used() -> None:
    name = "a-b-c.d.e"

    assert parse_login_name(name, ".;-") == LoginName("e", "d", "a-b-c")
    assert parse_login_name(name, "-;.") == LoginName("c.d.e", "b", "a")


@pytest.mark.parametrize("separators", ["", ";", ";;"])
def test_without_separators_every_other_name_is_a_plain_user(separators: str) -> None:
    assert parse_login_name("c1:t1:root", separators) == LoginName("c1:t1:root", None, None)


def test_a_number_of_thousands_of_digits_is_part_of_the_name() -> None:
    digits = "1" * 5000

    assert parse_login_name(f"u@t#c:{digits}") == LoginName("u", "t", f"c:{digits}")
    assert parse_login_name(f"c:t:u:{digits}") == LoginName(f"u:{digits}", "t", "c")


def test_digits_of_other_scripts_are_no_number() -> None:
    assert parse_login_name("u@t#c:²") == LoginName("u", "t", "c:²")
    assert parse_login_name("u@t#c:٣") == LoginName("u", "t", "c:٣")


@given(st.text(alphabet="@#:-.;a1", max_size=12) | st.text(max_size=30))
def test_any_name_gives_a_user_or_a_refusal(name: str) -> None:
    try:
        login = parse_login_name(name)
    except AccessDenied:
        return
    assert login.user
    assert login.user in name
    assert login.tenant != "" != login.cluster


PART = st.text(alphabet=st.characters(exclude_characters="@#", codec="utf-8"), min_size=1, max_size=10)


@given(PART, PART, PART.filter(lambda part: ":" not in part), st.none() | st.integers(0, 2**63 - 1))
def test_the_full_form_reads_back(user: str, tenant: str, cluster: str, number: int | None) -> None:
    name = f"{user}@{tenant}#{cluster}" + ("" if number is None else f":{number}")

    assert parse_login_name(name) == LoginName(user, tenant, cluster, number)
