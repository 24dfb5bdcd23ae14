"""The simulation itself: seeds replay exactly, hold, and find bugs that are planted."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import pytest
import trio
import trio.testing

from odp_trio.session import failover, replaying, sessions
from odp_trio.session.reasons import End
from odp_trio.session.retry import Action, Answered, FailedStatement
from odp_trio.session.services import Services, Session
from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.sync import SetVariables, Step
from odp_trio.testing.fakes.session import Session as FakeSession
from odp_trio.testing.simulation.command import account, line
from odp_trio.testing.simulation.rules import RECOVERY_SECONDS, Rule, Rules
from odp_trio.testing.simulation.run import Outcome, simulate
from odp_trio.testing.simulation.script import Step as Fault

MANY = int(os.environ.get("ODP_TRIO_SIMULATION_SEEDS", "0"))
"""So many seeds of 24 hours; none by default, `odp-trio simulate --seeds 1-300` does the same."""


def test_a_seed_runs_the_same_each_time() -> None:
    first, again = simulate(11, 1.0), simulate(11, 1.0)
    assert first.clean, first.broken
    assert first.statements > 100
    assert first.events == again.events
    assert first.digest == again.digest
    assert simulate(12, 1.0).digest != first.digest


def test_a_seed_of_some_hours() -> None:
    outcome = simulate(1, 3.0)
    assert outcome.clean, account(outcome)


@pytest.mark.skipif(not MANY, reason="ODP_TRIO_SIMULATION_SEEDS says how many")
@pytest.mark.parametrize("seed", range(1, MANY + 1))
def test_many_seeds(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.clean, account(outcome)


async def test_errors_are_explained_by_the_faults_before_them(autojump_clock: trio.testing.MockClock) -> None:
    def rules_after(faults: list[tuple[str, float]], errors: int) -> set[Rule]:
        rules = Rules(clients=5)
        for what, seconds in faults:
            rules.begin_fault(Fault(0.0, what, seconds, 0))
        for at in range(errors):
            rules.note_error(f"error {at}")
        return set() if rules.broken is None else {rules.broken.rule}

    assert rules_after([], 1) == {Rule.RECOVERED}
    assert rules_after([("reload", 60.0), ("move leader", 1.0), ("config server", 9.0)], 1) == {Rule.EXPLAINED}
    assert rules_after([("crash session", 1.0)], 2) == set()
    assert rules_after([("crash session", 1.0)], 3) == {Rule.EXPLAINED}
    assert rules_after([("crash session", 1.0), ("crash session", 1.0)], 4) == set()
    assert rules_after([("kill", 60.0)], 6) == {Rule.EXPLAINED}
    assert rules_after([("kill", 60.0), ("lose host", 60.0)], 200) == set(), "there may be no server at all"
    assert rules_after([("kill", 60.0), ("lose host", 60.0)], 500) == {Rule.EXPLAINED}
    assert rules_after([("config server", 60.0), ("restart", 1.0)], 9999) == set(), "nobody knows where servers are"

    rules = Rules(clients=5)
    rules.begin_fault(Fault(0.0, "kill", 1.0, 0))
    rules.end_fault()
    await trio.sleep(RECOVERY_SECONDS)
    rules.begin_fault(Fault(0.0, "reload", 1.0, 0))
    rules.note_error("long after the kill")
    assert rules.broken is not None
    assert rules.broken.rule is Rule.EXPLAINED


def test_a_fake_that_fails_breaks_a_rule() -> None:
    def fails(session: object, name: str, value: object) -> None:
        raise ZeroDivisionError("of a fake")

    with patch.object(FakeSession, "set_user_variable", fails):
        outcome = simulate(1, 1.0)

    assert outcome.broken is not None
    assert outcome.broken.rule is Rule.ENGINE
    assert "set @" in outcome.broken.detail


# ---- bugs on purpose ------------------------------------------------------------------


def may_move(failed: FailedStatement, action: Action) -> bool:
    return action is Action.CLOSE and failed.kept and failed.answered is Answered.NOTHING


def retries_what_may_have_run() -> AbstractContextManager[object]:
    """A write whose answer never came is sent to another server."""
    rule = failover.after_failed_statement

    def wrong(failed: FailedStatement) -> Action:
        action = rule(failed)
        return Action.ELSEWHERE if may_move(failed, action) and not failed.in_transaction else action

    return patch.object(failover, "after_failed_statement", wrong)


def goes_on_with_a_lost_transaction() -> AbstractContextManager[object]:
    """The server of a transaction is lost, and the rest of it, COMMIT with it, goes to another one: told as success."""
    rule = failover.after_failed_statement

    def wrong(failed: FailedStatement) -> Action:
        action = rule(failed)
        return Action.ELSEWHERE if may_move(failed, action) and failed.in_transaction else action

    return patch.object(failover, "after_failed_statement", wrong)


def forgets_user_variables() -> AbstractContextManager[object]:
    """What a client has set is not told to its next server."""
    plan = replaying.sync_plan

    def wrong(client: ClientState, server: ServerState) -> tuple[Step, ...]:
        steps = []
        for step in plan(client, server):
            if isinstance(step, SetVariables):
                items = tuple(item for item in step.items if item.startswith(b"@@"))
                steps += [SetVariables(items)] if items else []
            else:
                steps.append(step)
        return tuple(steps)

    return patch.object(replaying, "sync_plan", wrong)


def ends_sessions_without_a_reason() -> AbstractContextManager[object]:
    """Nobody writes down why sessions ended whose client vanished."""
    note = sessions.note_end

    def wrong(services: Services, session: Session, why: End) -> None:
        if why is not End.CLIENT_GONE:
            note(services, session, why)

    return patch.object(sessions, "note_end", wrong)


PLANTED: dict[str, tuple[Callable[[], AbstractContextManager[object]], set[Rule]]] = {
    "user variables are forgotten": (forgets_user_variables, {Rule.STATE}),
    "a retry of what may have run": (retries_what_may_have_run, {Rule.TWICE, Rule.LOST}),
    "a lost transaction goes on": (goes_on_with_a_lost_transaction, {Rule.TWICE, Rule.LOST}),
    "an end without a reason": (ends_sessions_without_a_reason, {Rule.REASON}),
}
"""Each with the rules that it breaks."""
IN_ALL_RUNS = "an end without a reason"


def found_by(plant: Callable[[], AbstractContextManager[object]], seeds: range) -> Outcome | None:
    with plant():
        return next((found for found in map(simulate, seeds) if not found.clean), None)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_within_200_seeds(name: str) -> None:
    if name != IN_ALL_RUNS and not MANY:
        pytest.skip("ODP_TRIO_SIMULATION_SEEDS asks for the others")
    plant, rules = PLANTED[name]
    found = found_by(plant, range(1, 201))
    assert found is not None
    assert found.broken is not None
    assert found.broken.rule in rules, account(found)
    assert f"--seed {found.seed} --hours 24" in account(found)
    assert "BROKEN" in line(found)
