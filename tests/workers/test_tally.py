"""What several processes count together, and limits that hold for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.config import Settings
from odp_trio.errors import TooManyClients, TooManyInTenant
from odp_trio.model import TenantKey
from odp_trio.session.admission import Admission, Place
from odp_trio.workers.tally import EVERYBODY, Tally, open_tally
from tests.paths import ROOT

T1, T2 = TenantKey("c", "t1"), TenantKey("c", "t2")


@pytest.fixture
def pair() -> Iterator[tuple[Tally, Tally]]:
    descriptor, rows = open_tally(2)
    both = Tally(descriptor, rows, 0), Tally(descriptor, rows, 5)
    os.close(descriptor)
    yield both
    for each in both:
        each.close()


names = st.one_of(st.just(EVERYBODY), st.sampled_from([f"t{number}" for number in range(40)]))


@given(st.lists(st.tuples(st.integers(0, 1), names, st.sampled_from((1, -1, 3)))))
def test_the_sum_is_that_of_all(steps: list[tuple[int, str, int]]) -> None:
    descriptor, rows = open_tally(2)
    both = Tally(descriptor, rows, 0), Tally(descriptor, rows, 1)
    os.close(descriptor)
    model: Counter[str] = Counter()
    for who, name, by in steps:
        model[name] += by
        assert both[who].add(name, by) == model[name]
    for each in both:
        each.close()


def test_what_a_process_counted_is_forgotten_when_it_is_gone() -> None:
    descriptor, rows = open_tally(2)
    parent, stays = Tally(descriptor, rows), Tally(descriptor, rows, 0)
    code = (
        "import sys; from odp_trio.workers.tally import Tally\n"
        f"tally = Tally(int(sys.argv[1]), {rows}, 7); tally.add('', 5); print(tally.add('name', 2))"
    )
    stays.add(EVERYBODY, 1)
    stays.add("name", 1)

    done = subprocess.run(
        [sys.executable, "-c", code, str(descriptor)], pass_fds=[descriptor], cwd=ROOT, capture_output=True, text=True
    )

    os.close(descriptor)
    assert (done.stdout.strip(), done.stderr) == ("3", "")
    assert (stays.add(EVERYBODY, 0), stays.add("name", 0)) == (6, 3)
    parent.clear(7)
    assert (stays.add(EVERYBODY, 0), stays.add("name", 0)) == (1, 1)
    parent.close()
    stays.close()


def test_a_limit_of_the_proxy_holds_for_all_workers(pair: tuple[Tally, Tally]) -> None:
    settings = Settings(client_max_connections=3, client_max_connections_policy="wait")
    one, other = (Admission(lambda: settings, tally) for tally in pair)
    places = [Place() for _ in range(4)]
    for admission, place in zip((one, other, other), places, strict=False):
        admission.enter(place)

    for admission in (one, other):
        assert not admission.accepts(admission.clients)
        with pytest.raises(TooManyClients):
            admission.enter(Place())

    other.leave(places[2])
    assert one.accepts(one.clients)
    one.enter(places[3])
    with pytest.raises(TooManyClients):
        other.enter(Place())


def test_limits_of_tenants_and_users_hold_for_all_workers(pair: tuple[Tally, Tally]) -> None:
    settings = Settings(tenant_max_connections=2, user_max_connections=1)
    one, other = (Admission(lambda: settings, tally) for tally in pair)
    first, second, third = Place(), Place(), Place()
    one.enter_tenant(first, T1, "a")
    with pytest.raises(TooManyClients):
        other.enter_tenant(second, T1, "a")
    other.enter_tenant(second, T1, "b")
    with pytest.raises(TooManyInTenant):
        one.enter_tenant(third, T1, "c")
    one.enter_tenant(third, T2, "a")

    with pytest.raises(TooManyClients):
        other.check_user(second, "a")
    one.leave(first)
    other.check_user(second, "a")
    other.become(second, "a")
    with pytest.raises(TooManyClients):
        one.enter_tenant(first, T1, "a")
    one.enter_tenant(first, T1, "b")
