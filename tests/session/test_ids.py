"""Connection ids: no two alike, not even of a proxy and the one that takes over from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import OdpError
from odp_trio.session.ids import LAYOUTS, ConnectionIds

proxy_ids = st.integers(0, LAYOUTS[2].proxy_id_limit - 1)
counts = st.integers(0, (1 << 17) - 1)


@given(proxy_ids, proxy_ids, counts, counts, st.integers(0, 100))
def test_ids_of_a_version_and_the_next_never_clash(one: int, other: int, a: int, b: int, version: int) -> None:
    old, new = ConnectionIds(one, a, version), ConnectionIds(other, b, version + 1)

    olds, news = {old.allocate(()) for _ in range(5)}, {new.allocate(()) for _ in range(5)}

    assert not olds & news
    assert all(0 < number < 1 << 31 for number in olds | news)
    assert {number >> 18 for number in olds} == {one}
    assert {number >> 17 & 1 for number in olds} == {version & 1}


def test_an_id_in_use_is_passed_over() -> None:
    ids = ConnectionIds(1, 5)
    first = ids.allocate(())

    assert ConnectionIds(1, 5).allocate({first}) == first + 1


class Everything:
    def __contains__(self, _: object) -> bool:
        return True


def test_when_all_are_in_use_there_is_none() -> None:
    with pytest.raises(OdpError, match="no connection id is free"):
        ConnectionIds(1).allocate(Everything())


@given(st.sampled_from((1, 2)), st.integers(1, 64), st.data())
def test_an_id_says_which_worker_of_which_proxy_it_is_of(version: int, workers: int, data: st.DataObject) -> None:
    proxy, other = (data.draw(st.integers(0, LAYOUTS[version].proxy_id_limit - 1)) for _ in range(2))
    one, two = (data.draw(st.integers(0, workers - 1)) for _ in range(2))
    made = {
        worker: ConnectionIds(proxy, data.draw(counts), version=version, worker=worker, workers=workers)
        for worker in (one, two)
    }
    numbers = {worker: {ids.allocate(()) for _ in range(20)} for worker, ids in made.items()}

    for worker, found in numbers.items():
        assert all(0 < number < 1 << 31 for number in found)
        assert {made[one].worker_of(number) for number in found} == {worker}
        stranger = ConnectionIds(other, version=version, worker=one, workers=workers)
        assert {stranger.worker_of(number) for number in found} == {worker if other == proxy else None}
    assert one == two or not numbers[one] & numbers[two]
    assert made[one].worker_of(1 << 31 | 77) is None


@pytest.mark.parametrize(("proxy_id", "version"), [(256, 1), (8192, 2), (-1, 2)])
def test_a_proxy_id_that_does_not_fit_is_refused(proxy_id: int, version: int) -> None:
    with pytest.raises(ValueError, match="is not between"):
        ConnectionIds(proxy_id, version=version)
