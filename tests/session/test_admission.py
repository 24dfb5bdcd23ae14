"""Places of clients: counted exactly, per proxy, tenant and user."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.config import Layer, Settings, build
from odp_trio.errors import OdpError, TooManyClients, TooManyInTenant
from odp_trio.model import TenantKey
from odp_trio.session.admission import Admission, Place

T1, T2 = TenantKey("demo", "t1"), TenantKey("demo", "t2")


def admission(**options: Any) -> Admission:
    settings = msgspec.structs.replace(Settings(), **options)
    return Admission(lambda: settings)


def entered(admission: Admission, key: TenantKey = T1, user: str = "u") -> Place:
    place = Place()
    try:
        admission.enter(place)
        admission.enter_tenant(place, key, user)
    except OdpError:
        admission.leave(place)
        raise
    return place


def test_at_the_limit_a_client_is_refused_as_by_odp_until_another_leaves() -> None:
    full = admission(client_max_connections=2)
    first = entered(full)
    entered(full)

    with pytest.raises(TooManyClients, match="Too many sessions") as info:
        entered(full)
    assert (info.value.errno, info.value.sqlstate) == (1203, "42000")
    full.leave(first)
    entered(full)
    assert (full.clients, full.refused["proxy"]) == (2, 1)


def test_without_a_limit_nobody_is_refused() -> None:
    unlimited = admission(client_max_connections=0)
    for _ in range(100):
        entered(unlimited)
    assert unlimited.accepts(1 << 20)


@pytest.mark.parametrize(("policy", "beyond"), [("wait", 0), ("refuse", 64)])
def test_who_waits_is_not_accepted_and_who_is_to_be_refused_is_up_to_a_bound(policy: str, beyond: int) -> None:
    full = admission(client_max_connections=8, client_max_connections_policy=policy)

    assert full.accepts(7 + beyond)
    assert not full.accepts(8 + beyond)


def test_limits_of_tenants_and_users_come_from_their_scopes() -> None:
    text: dict[str, Any] = {
        "rslist": "127.0.0.1:1",
        "tenants": {
            "t1": {"tenant_max_connections": 3, "users": {"batch": {"user_max_connections": 1}}},
            "t2": {"user_max_connections": 2},
        },
    }
    settings = build(Layer("test", {"clusters": {"demo": text}})).settings
    places = Admission(lambda: settings)

    entered(places, T1, "batch")
    with pytest.raises(TooManyClients, match="User batch already has") as of_user:
        entered(places, T1, "batch")
    assert of_user.value.errno == 1203
    entered(places, T1, "web")
    entered(places, T1, "web")
    with pytest.raises(TooManyInTenant, match="Too many connections") as of_tenant:
        entered(places, T1, "web")
    assert (of_tenant.value.errno, of_tenant.value.sqlstate) == (1040, "08004")
    for _ in range(2):
        entered(places, T2, "web")
    with pytest.raises(TooManyClients):
        entered(places, T2, "web")
    assert places.refused == {"proxy": 0, "tenant": 1, "user": 2}
    assert places.clients == 5


def test_a_session_that_becomes_another_users_counts_for_that_one() -> None:
    places = admission(user_max_connections=1)
    place = entered(places, user="a")
    entered(places, user="b")

    with pytest.raises(TooManyClients):
        places.check_user(place, "b")
    places.check_user(place, "a")
    places.check_user(place, "c")
    places.become(place, "c")
    assert places.users == {(T1, "b"): 1, (T1, "c"): 1}


def test_an_idle_client_makes_room_if_it_may() -> None:
    full = admission(client_max_connections=1, enable_client_connection_lru_disconnect=True)
    idle = [entered(full)]

    def displace() -> bool:
        if idle:
            full.leave(idle.pop())
            return True
        return False

    full.displace = displace
    entered(full)
    with pytest.raises(TooManyClients):
        entered(full)
    assert (full.clients, full.displaced) == (1, 1)


def test_a_storm_of_refusals_is_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    places = admission()
    for tenth in range(25):
        places.tell("somebody", TooManyClients("Too many sessions"), tenth / 10)

    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "somebody: Too many sessions",
        "somebody: Too many sessions (and 9 others since the last such line)",
        "somebody: Too many sessions (and 9 others since the last such line)",
    ]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([T1, T2]), st.sampled_from("ab"), st.booleans())))
def test_counts_are_those_of_who_is_there(steps: list[tuple[int, TenantKey, str, bool]]) -> None:
    places = admission(client_max_connections=6, tenant_max_connections=3, user_max_connections=2)
    there: dict[int, Place] = {}
    for number, key, user, half_way in steps:
        if number in there:
            places.leave(there.pop(number))
            continue
        place = Place()
        try:
            places.enter(place)
            if not half_way:
                places.enter_tenant(place, key, user)
            there[number] = place
        except OdpError:
            places.leave(place)
            places.leave(place)
        users = [place.user for place in there.values() if place.user is not None]
        assert places.clients == len(there) <= 6
        assert places.users == {user: users.count(user) for user in users}
        assert sum(places.tenants.values()) == len(users)
        assert max(places.tenants.values(), default=0) <= 3
        assert max(places.users.values(), default=0) <= 2
