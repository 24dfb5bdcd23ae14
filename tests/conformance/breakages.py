"""Faults that are planted in our proxy on purpose, each with the checks that must find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from odp_trio.config import Settings
from odp_trio.routing.feedback import Verdict
from odp_trio.session import answering, conversation, entrance, failover, replaying
from odp_trio.session.admission import Admission
from odp_trio.session.lane import Lane
from odp_trio.session.login import Destination, choose_destination
from odp_trio.session.retry import Action
from odp_trio.session.router import Router
from odp_trio.session.statements import SessionStatements
from odp_trio.state.client import ClientState
from odp_trio.wire.login_name import LoginName

Plant = Callable[[pytest.MonkeyPatch], None]


class Breakage(msgspec.Struct, frozen=True):
    """A fault, and the checks that find it."""

    what: str
    plant: Plant
    found_by: tuple[str, ...]
    cheap: bool = True


def answers_swapped(patch: pytest.MonkeyPatch) -> None:
    """A client is sent what another one was sent before, if that is as long."""
    last: dict[int, tuple[Lane, bytes]] = {}
    begin = Lane.__init__

    def made(lane: Lane, *args: Any, **named: Any) -> None:
        begin(lane, *args, **named)
        send = lane._respond

        def respond(data: Any) -> int:
            mine = bytes(data)
            who, others = last.get(len(mine), (lane, mine))
            last[len(mine)] = lane, mine
            return send(mine if who is lane else others)

        lane._respond = respond

    patch.setattr(Lane, "__init__", made)


def strangers_let_in(patch: pytest.MonkeyPatch) -> None:
    """Whatever tenant a login names, it comes into one and the same."""

    def chosen(name: LoginName, settings: Settings) -> Destination:
        found = choose_destination(name, settings)
        return found if found.is_admin else msgspec.structs.replace(found, tenant="mytenant")

    for module in (entrance, conversation):
        patch.setattr(module, "choose_destination", chosen)


def ids_not_renumbered(patch: pytest.MonkeyPatch) -> None:
    """A server is sent the client's id of a statement instead of its own."""
    note_sent = SessionStatements.note_sent

    def sent(statements: SessionStatements, upstream: Any, buffer: bytearray) -> None:
        told = bytes(buffer[5:9])
        note_sent(statements, upstream, buffer)
        buffer[5:9] = told

    patch.setattr(SessionStatements, "note_sent", sent)


def reset_keeps_variables(patch: pytest.MonkeyPatch) -> None:
    """COM_RESET_CONNECTION leaves the variables that were set."""
    forget = ClientState.forget

    def kept(state: ClientState) -> int:
        user, system = dict(state.user), dict(state.system)
        reset = forget(state)
        for values, before in ((state.user, user), (state.system, system)):
            values.update({name: (value, reset + 1) for name, (value, _) in before.items()})
        state.version = reset + 1
        return reset

    patch.setattr(ClientState, "forget", kept)


def state_stays_behind(patch: pytest.MonkeyPatch) -> None:
    """A server session is told nothing of what was set on another one."""
    patch.setattr(replaying, "sync_plan", lambda client, server: ())


def transactions_wander(patch: pytest.MonkeyPatch) -> None:
    """A statement of a transaction goes where its table is."""
    begin = Router.__init__

    def made(router: Router, *args: Any) -> None:
        begin(router, *args)
        router._rules = tuple(rule for rule in router._rules if rule.__name__ != "open_transaction")

    patch.setattr(Router, "__init__", made)
    patch.setattr(Router, "_asked_alike", lambda router, shape, sql, literals: None)


def misses_not_believed(patch: pytest.MonkeyPatch) -> None:
    """What an answer says of a wrong location is not heard."""
    patch.setattr(answering, "judge", lambda *args, **named: Verdict.NOTHING)


def writes_sent_again(patch: pytest.MonkeyPatch) -> None:
    """Whatever fails is sent to another server."""
    patch.setattr(failover, "after_failed_statement", lambda failed: Action.ELSEWHERE)


def limits_ignored(patch: pytest.MonkeyPatch) -> None:
    """Everybody may come in."""

    def enter(admission: Admission, place: Any) -> None:
        place.of_proxy = True
        admission.clients += 1

    patch.setattr(Admission, "enter", enter)


BREAKAGES: Final = (
    Breakage("answers of two sessions are swapped", answers_swapped, ("session.side-by-side", "login.storm")),
    Breakage("a user of another tenant is let in", strangers_let_in, ("login.refused.tenant",)),
    Breakage(
        "ids of prepared statements are not renumbered",
        ids_not_renumbered,
        ("prepared.binary.ids", "prepared.binary.moves", "prepared.binary.transaction"),
    ),
    Breakage("COM_RESET_CONNECTION keeps variables", reset_keeps_variables, ("session.reset-connection",)),
    Breakage("state stays behind", state_stays_behind, ("session.user-variable.follows", "session.database.use")),
    Breakage("transactions wander", transactions_wander, ("transaction.stays", "routing.transaction.stays"), False),
    Breakage(
        "misses are not believed",
        misses_not_believed,
        ("partitions.location.triggered", "partitions.feedback.leader-moved"),
        False,
    ),
    Breakage("writes are sent again", writes_sent_again, ("failover.write.never-twice",), False),
    Breakage("limits are ignored", limits_ignored, ("limits.clients", "limits.clients.idle-goes"), False),
)
