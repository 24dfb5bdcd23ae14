"""The supervisor against its rules, in virtual time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from odp_trio.errors import ChildGaveUp
from odp_trio.supervise.restart import Backoff, Intensity, Restart
from odp_trio.supervise.statistics import ChildState
from odp_trio.supervise.supervisor import ChildSpec, Supervisor, open_supervisor


def supervisor(name: str = "top", parent: Supervisor | None = None) -> AbstractAsyncContextManager[Supervisor]:
    return open_supervisor(name, rng=Random(0), parent=parent)


class Service:
    """A child that notes its lives, and dies as often as it is told to."""

    def __init__(self, log: list[str], name: str, *, deaths: int = 0, setup: float = 0.0, live: float = 1.0) -> None:
        self.log, self.name, self.deaths, self.setup, self.live = log, name, deaths, setup, live
        self.lives = 0

    async def run(self, *, task_status: trio.TaskStatus[str]) -> None:
        self.lives += 1
        await trio.sleep(self.setup)
        task_status.started(f"{self.name} runs")
        try:
            if self.lives <= self.deaths:
                await trio.sleep(self.live)
                raise RuntimeError(f"bug {self.lives}")
            await trio.sleep_forever()
        finally:
            self.log.append(self.name)


async def test_start_returns_what_the_child_reported(autojump_clock: MockClock) -> None:
    async with supervisor() as top:
        assert await top.start(ChildSpec("a", Service([], "a").run)) == "a runs"


async def test_a_start_that_fails_is_the_starters(autojump_clock: MockClock) -> None:
    async def broken(*, task_status: object) -> None:
        raise OSError("no port")

    async with supervisor() as top:
        with pytest.raises(OSError, match="no port"):
            await top.start(ChildSpec("a", broken))
        assert top.statistics().children == ()


async def test_a_crashed_child_is_born_again_and_counted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service([], "a", deaths=3)
    async with supervisor() as top:
        await top.start(ChildSpec("a", service.run))
        await trio.sleep(20)

        (child,) = top.statistics().children

    assert (child.state, child.restarts, child.last_error) == (ChildState.RUNNING, 3, "RuntimeError: bug 3")
    assert service.lives == 4
    assert "bug 1" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_crash_harms_no_sibling(autojump_clock: MockClock) -> None:
    healthy, sick = Service([], "a"), Service([], "b", deaths=4)
    async with supervisor() as top:
        await top.start(ChildSpec("a", healthy.run))
        await top.start(ChildSpec("b", sick.run))
        await trio.sleep(30)

    assert (healthy.lives, sick.lives) == (1, 5)


@pytest.mark.parametrize("run", range(10))
@pytest.mark.parametrize("from_outside", [False, True])
async def test_children_stop_youngest_first(autojump_clock: MockClock, run: int, from_outside: bool) -> None:
    log: list[str] = []
    with trio.CancelScope() as scope:
        async with supervisor() as top, supervisor("below", top) as below:
            for name in "abc":
                await top.start(ChildSpec(name, Service(log, name).run))
            for name in "xyz":
                await below.start(ChildSpec(name, Service(log, name).run))
            if from_outside:
                scope.cancel()

    assert log == list("zyxcba")


async def test_a_child_that_hangs_while_it_starts_can_be_reached(autojump_clock: MockClock) -> None:
    async with supervisor() as top:
        with trio.move_on_after(1) as scope:
            await top.start(ChildSpec("a", Service([], "a", setup=10**9).run))
        assert scope.cancelled_caught


async def test_start_soon_restarts_a_child_that_never_got_ready(autojump_clock: MockClock) -> None:
    async def broken(*, task_status: object) -> None:
        raise OSError("remote is down")

    async with supervisor() as top:
        top.start_soon(ChildSpec("a", broken, intensity=None))
        await trio.sleep(100)
        (child,) = top.statistics().children

    assert child.restarts > 5
    assert child.state is ChildState.BACKING_OFF
    assert child.next_attempt is not None


async def test_too_many_failures_are_the_parents_affair(autojump_clock: MockClock) -> None:
    log: list[str] = []
    sick = Service(log, "sick", deaths=99)
    with pytest.raises(ChildGaveUp, match="'sick' failed too often") as caught:
        async with supervisor() as top:
            await top.start(ChildSpec("healthy", Service(log, "healthy").run))
            await top.start(ChildSpec("sick", sick.run, intensity=Intensity(2, 60.0), backoff=Backoff(first=0.01)))
            await trio.sleep_forever()

    assert isinstance(caught.value.__cause__, RuntimeError)
    assert sick.lives == 3
    assert log[-1] == "healthy"


async def test_a_child_without_intensity_only_slows_down(autojump_clock: MockClock) -> None:
    sick = Service([], "sick", deaths=10**9, live=0.0)
    async with supervisor() as top:
        await top.start(ChildSpec("sick", sick.run, intensity=None, backoff=Backoff(first=1, limit=10, jitter=0)))
        await trio.sleep(1000)

    assert 100 < sick.lives < 110


async def test_a_child_can_be_stopped_while_it_backs_off(autojump_clock: MockClock) -> None:
    sick = Service([], "sick", deaths=99)
    async with supervisor() as top:
        await top.start(ChildSpec("sick", sick.run, backoff=Backoff(first=1000, limit=1000)))
        await trio.sleep(10)
        with trio.fail_after(1):
            await top.stop("sick")

    assert sick.lives == 1


async def test_a_temporary_child_ends_for_good(autojump_clock: MockClock) -> None:
    sick = Service([], "sick", deaths=99)
    async with supervisor() as top:
        await top.start(ChildSpec("sick", sick.run, restart=Restart.TEMPORARY))
        await trio.sleep(100)

        assert top.statistics().children[0].state is ChildState.STOPPED
    assert sick.lives == 1


async def test_a_crash_on_purpose_is_like_a_bug(autojump_clock: MockClock) -> None:
    service = Service([], "a")
    async with supervisor() as top:
        await top.start(ChildSpec("a", service.run))
        top.crash("a", ValueError("on purpose"))
        await trio.sleep(5)

        assert service.lives == 2
        assert top.statistics().children[0].last_error == "ValueError: on purpose"


async def test_an_error_of_the_body_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with supervisor() as top:
            await top.start(ChildSpec("a", Service([], "a").run))
            raise KeyError("mine")


async def test_a_group_of_errors_is_one_death(autojump_clock: MockClock) -> None:
    async def torn(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

        async def fail() -> None:
            raise ValueError("inner")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)

    async with supervisor() as top:
        await top.start(ChildSpec("a", torn, intensity=None))
        await trio.sleep(1)

        assert top.statistics().children[0].restarts > 0


async def test_supervisors_show_what_is_below_them(autojump_clock: MockClock) -> None:
    async with supervisor() as top, supervisor("below", top) as below:
        await below.start(ChildSpec("x", Service([], "x").run))

        (child,) = top.statistics().children

        assert child.name == "below"
        assert [grandchild.name for grandchild in child.children] == ["x"]
        assert top.find("below/x") == (below, "x")
        with pytest.raises(KeyError):
            top.find("below/y")


async def test_two_children_of_one_name_are_a_mistake(autojump_clock: MockClock) -> None:
    async with supervisor() as top:
        await top.start(ChildSpec("a", Service([], "a").run))
        with pytest.raises(ValueError, match="already"):
            top.start_soon(ChildSpec("a", Service([], "a").run))


# ---- the traps ---------------------------------------------------------------------


async def test_a_starter_that_is_cancelled_leaves_no_child_behind(autojump_clock: MockClock) -> None:
    """The child reports started() after the cancellation: shielded by then, it must still be reached."""

    async def late(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        task_status.started()
        await trio.sleep_forever()

    async with supervisor() as top:
        with trio.fail_after(10), trio.move_on_after(1) as scope:
            await top.start(ChildSpec("a", late))

        assert scope.cancelled_caught
        assert top.statistics().children == ()


@pytest.mark.parametrize("setup", [0.0, 1.0, 10**9])
async def test_a_cancel_from_outside_ends_children_that_still_start(autojump_clock: MockClock, setup: float) -> None:
    with trio.fail_after(60), trio.move_on_after(0.5):
        async with supervisor() as top:
            top.start_soon(ChildSpec("a", Service([], "a", setup=setup).run))
            await trio.sleep_forever()

    assert trio.current_time() < 5


async def test_a_child_that_starts_feels_a_cancel_at_once_and_one_that_runs_only_its_supervisor(
    autojump_clock: MockClock,
) -> None:
    ends: dict[str, float] = {}

    async def child(name: str, setup: float, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await trio.sleep(setup)
            task_status.started()
            await trio.sleep_forever()
        finally:
            ends[name] = trio.current_time() - begun

    begun = trio.current_time()
    with trio.move_on_after(1):
        async with supervisor() as top:
            await top.start(ChildSpec("runs", child), "runs", 0.0)
            top.start_soon(ChildSpec("starts", child), "starts", 10**9)
            try:
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(5, shield=True):
                    await trio.sleep(2)

    assert ends == {"starts": pytest.approx(1), "runs": pytest.approx(3)}


async def test_a_childs_own_scope_cannot_be_confused_with_a_stop(autojump_clock: MockClock) -> None:
    async def impatient(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        with trio.move_on_after(1):
            await trio.sleep_forever()

    async with supervisor() as top:
        await top.start(ChildSpec("a", impatient, restart=Restart.TRANSIENT))
        await trio.sleep(10)

        assert top.statistics().children[0].state is ChildState.STOPPED


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_is_no_exception_passes(autojump_clock: MockClock, kind: type[BaseException]) -> None:
    lives = 0

    async def interrupted(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal lives
        lives += 1
        task_status.started()
        await trio.sleep(1)
        raise kind

    with pytest.raises(kind):
        async with supervisor() as top:
            await top.start(ChildSpec("a", interrupted, intensity=None))
            await trio.sleep(100)

    assert lives == 1


async def test_started_reaches_the_starter_once(autojump_clock: MockClock) -> None:
    lives = 0

    async def counting(*, task_status: trio.TaskStatus[int]) -> None:
        nonlocal lives
        lives += 1
        task_status.started(lives)
        task_status.started(-1)
        await trio.sleep(1 if lives < 3 else 10**9)
        raise RuntimeError("bug")

    async with supervisor() as top:
        assert await top.start(ChildSpec("a", counting)) == 1
        await trio.sleep(20)

        assert lives == 3
        assert top.statistics().children[0].state is ChildState.RUNNING


async def test_a_report_of_a_former_life_is_not_heard(autojump_clock: MockClock) -> None:
    former: list[trio.TaskStatus[None]] = []

    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        former.append(task_status)
        if len(former) == 1:
            raise OSError("first")
        await trio.sleep(100)

    async with supervisor() as top:
        top.start_soon(ChildSpec("a", slow))
        await trio.sleep(5)
        former[0].started()

        assert top.statistics().children[0].state is ChildState.STARTING


async def test_stopping_waits_for_the_childs_own_cleanup(autojump_clock: MockClock) -> None:
    async def polite(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                await trio.sleep(0.75)

    async with supervisor() as top:
        await top.start(ChildSpec("a", polite))
        begun = trio.current_time()
        await top.stop("a")

        assert trio.current_time() - begun == pytest.approx(0.75)


# ---- by hand -----------------------------------------------------------------------


async def test_a_restart_by_hand_is_no_failure(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    service = Service([], "a")
    async with supervisor() as top:
        await top.start(ChildSpec("a", service.run, intensity=Intensity(1, 60.0)))
        for _ in range(5):
            top.restart("a")
            await trio.sleep(0.01)
        (child,) = top.statistics().children

        assert (service.lives, child.restarts, child.last_error) == (6, 5, "")
        assert caplog.text == ""

        top.crash("a", ValueError("a failure again"))
        await trio.sleep(0.01)
        assert top.statistics().children[0].state is ChildState.BACKING_OFF


async def test_a_restart_by_hand_ends_a_pause(autojump_clock: MockClock) -> None:
    sick = Service([], "sick", deaths=1)
    async with supervisor() as top:
        await top.start(ChildSpec("sick", sick.run, backoff=Backoff(first=1000, limit=1000)))
        await trio.sleep(10)
        top.restart("sick")
        await trio.sleep(0.01)

        assert top.statistics().children[0].state is ChildState.RUNNING
    assert sick.lives == 2


async def test_who_is_done_can_be_replaced_but_not_crashed(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with supervisor() as top:
        await top.start(ChildSpec("a", Service(log, "a", deaths=1).run, restart=Restart.TEMPORARY))
        await top.start(ChildSpec("b", Service(log, "b").run))
        await trio.sleep(5)
        with pytest.raises(KeyError):
            top.crash("a", ValueError("too late"))
        with pytest.raises(KeyError):
            top.restart("nobody")
        await top.start(ChildSpec("a", Service(log, "new a").run))

    assert log == ["a", "new a", "b"]


async def test_no_crash_is_silent(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async def rude(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in cleanup")

    async with supervisor() as top:
        await top.start(ChildSpec("once", Service([], "once", deaths=1).run, restart=Restart.TEMPORARY))
        await top.start(ChildSpec("rude", rude))
        await trio.sleep(5)

    assert "RuntimeError: bug 1; it is not started again" in caplog.text
    assert "rude failed while it was stopped: ValueError: in cleanup" in caplog.text
    assert all(record.exc_info for record in caplog.records)


async def test_a_supervisor_that_closes_takes_no_child(autojump_clock: MockClock) -> None:
    async def recruiter(top: Supervisor, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with pytest.raises(RuntimeError, match="closing"):
                top.start_soon(ChildSpec("late", Service([], "late").run))

    with trio.fail_after(10):
        async with supervisor() as top:
            await top.start(ChildSpec("a", recruiter), top)


async def test_a_start_that_returns_is_a_failed_start(autojump_clock: MockClock) -> None:
    async def silent(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(1)

    async with supervisor() as top:
        with pytest.raises(RuntimeError, match=r"before it reported started\(\)"):
            await top.start(ChildSpec("a", silent))


async def test_a_child_shows_the_supervisor_that_it_opens(autojump_clock: MockClock) -> None:
    """Named like the child, it hangs under it; and one-for-all is a child that lets ChildGaveUp through."""
    grandchildren = Service([], "x", deaths=10**9)

    async def family(top: Supervisor, *, task_status: trio.TaskStatus[None]) -> None:
        async with supervisor("family", top) as own:
            await own.start(ChildSpec("x", grandchildren.run, intensity=Intensity(1, 60.0)))
            task_status.started()
            await trio.sleep_forever()

    async with supervisor() as top:
        await top.start(ChildSpec("family", family, intensity=None), top)
        (shown,) = top.statistics().children
        assert [child.name for child in shown.children] == ["x"]

        await trio.sleep(4)
        (shown,) = top.statistics().children
        assert shown.restarts == 1
        assert shown.last_error == "ChildGaveUp: family: child 'x' failed too often"
