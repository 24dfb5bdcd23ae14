"""KILL of a client that another worker of this proxy serves."""

from __future__ import annotations

from typing import Final

import msgspec

from odp_trio.errors import WorkerMissing
from odp_trio.session.ids import SERVER_ID
from odp_trio.session.kill import Killer, check_permission, find_session, kill_connection, kill_query
from odp_trio.session.services import Services
from odp_trio.workers.asking import ANSWER_SECONDS, Question

ABOUT: Final = "kill"
_KILLED: Final = b"killed"


class KillOrder(msgspec.Struct, frozen=True):
    """Whom to kill, for whom."""

    number: int
    query: bool
    killer: Killer
    by: str


def patience(services: Services) -> float:
    """Return how long a worker may take to kill: KILL QUERY connects to an OBServer."""
    return ANSWER_SECONDS + services.settings().connect_timeout


async def killed_elsewhere(services: Services, order: KillOrder) -> bool:
    """Have the worker kill that has the client; return False when no other worker has it.

    Raises what that worker refuses with; WorkerMissing when it does not answer.
    """
    workers = services.workers
    owner = services.ids.worker_of(order.number)
    if workers.count == 1 or owner == workers.number or (owner is None and not order.number & SERVER_ID):
        return False
    question = Question(ABOUT, msgspec.msgpack.encode(order))
    seconds = patience(services)
    if owner is None:
        answers = await workers.ask_all(question, seconds=seconds)
    else:
        answers = [await workers.ask_one(owner, question, seconds=seconds)]
    if any(answer.body == _KILLED for answer in answers):
        return True
    for answer in answers:
        if answer.refusal is not None:
            raise answer.refusal.error()
        if answer.missing and owner is not None:
            raise WorkerMissing(answer.missing)
    return False


async def kill_for_another(services: Services, body: bytes) -> bytes:
    """Kill a client of this worker, as somebody in another one has said; answer whether there is such a one."""
    order = msgspec.msgpack.decode(body, type=KillOrder)
    victim = find_session(services.table, order.number)
    if victim is None:
        return b""
    check_permission(order.killer, victim, order.number)
    if order.query:
        await kill_query(services, victim, None, order.by)
    else:
        kill_connection(victim, order.by)
    return _KILLED
