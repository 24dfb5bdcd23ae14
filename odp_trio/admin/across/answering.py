"""What a worker answers to the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import trio

from odp_trio.admin import proxysys
from odp_trio.admin.across.joining import answer_newcomers
from odp_trio.admin.configuration import ALTER
from odp_trio.session import kill_elsewhere

if TYPE_CHECKING:
    from odp_trio.app import Proxy


def answer_others(proxy: Proxy) -> None:
    """Answer what other workers ask, from now on; what that needs is imported when it is asked."""
    answerer = proxy.workers.answerer
    proxy.configuration.join(proxy.workers)
    answer_newcomers(proxy.configuration, proxy.workers)

    async def command(body: bytes) -> bytes:
        commands = await proxysys.commands()
        answered: bytes = await commands.answer_worker(proxy, body)
        return answered

    answerer.on("command", command)
    answers: list[Callable[[bytes], Awaitable[bytes]]] = []

    async def operation(body: bytes) -> bytes:
        if not answers:
            operations = await trio.to_thread.run_sync(import_module, "odp_trio.admin.across.operations")
            operator = import_module("odp_trio.admin.operate").Operator(proxy)
            answers.append(operations.answering(proxy, operator))
        return await answers[0](body)

    answerer.on("operation", operation)
    answerer.on(kill_elsewhere.ABOUT, partial(kill_elsewhere.kill_for_another, proxy.services))
    answerer.take_part(ALTER, proxy.configuration)
