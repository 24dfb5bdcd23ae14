"""A routing rule that sends every statement that may move to some server of the tenant, and proxies that use it.

The rule is asked after those that bind a statement to a server.  What it names is chosen by ``WHEEL``: by chance,
seeded for each session, or, for a test that says so before each command, one server after the other.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import trio

from odp_trio.app import open_proxy
from odp_trio.config import Secret, Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address, parse_rslist
from odp_trio.routing.own_rules import Choice, RuleRequest
from odp_trio.routing.view import View
from odp_trio.state.client import ClientState
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from odp_trio.wire.fields import Status
from odp_trio.wire.state import parse_ok_head
from tests.live.corpus import ALLOWED, Difference, difference, without_told
from tests.proxy_process import proxy_process

RULE = "tests.live.rotation:rotate?budget=100ms"
SEED = "ODP_TRIO_ROTATION_SEED"
SERVERS = 3
_SESSIONS = 64
CLUSTER = "demo"


_FIRST_OK: Final = re.compile(
    rb"(?:\0#\x1fob_enable_transmission_checksum\x02ON\0\x19\x15_nlj_batching_enabled\x02ON)?"
)


def _without_first_ok(payload: bytes) -> bytes:
    """Write an OK without what the first one tells; then it may have told that nothing else has changed."""
    try:
        changed = payload[:1] == b"\0" and parse_ok_head(payload)[2] & Status.SESSION_STATE_CHANGED
        return without_told(_FIRST_OK, payload) if changed else payload
    except ServerProtocolError:  # a row of the binary protocol begins as an OK does
        return payload


ALLOWED_ROTATED: Final = (
    Difference(
        "first OK",
        "the first OK of each server session tells two variables, which a client that tracks its session is not told twice",
        re.compile(rb"."),
        _without_first_ok,
    ),
    *ALLOWED,
    difference(
        "width of an integer",
        "an INT in a user variable is told to proxies as a number: elsewhere it is a BIGINT of the same value",
        rb"@",
        rb"^(\x03def.*\x0c\x3f\0)(?:\x0b\0\0\0\x03|\x14\0\0\0\x08)(.{5})$",
        rb"\1<integer>\2",
    ),
    difference(
        "width of an integer in a binary row",
        "the same: 4 bytes of an INT, 8 of a BIGINT",
        rb"^select @b, @c$",
        rb"^\0\0(\x2a\0\0\0)(?:\0{4})?(\x04hey!)$",
        rb"<row>\1\2",
    ),
    difference(
        "found_rows",
        "it asks the server of the last statement, which need not be that of the last SELECT",
        rb"^select row_count\(\), found_rows\(\)$",
        rb"^\x010(?:\x01[0-9]|\x02[0-9]{2})$",
        b"<rows>",
    ),
    difference(
        "type of a number",
        "a DOUBLE 6 in a user variable is told to proxies as the number 6: elsewhere it is a BIGINT",
        rb"^select @x := 5, @x := @x \+ 1, @x$",
        rb"^(\x03def.*(?:@x := @x \+ 1|\x02@x\0).*|\0\0\x05\0{7}.{16})$",
        b"<later>",
    ),
)
"""What may differ besides when statements move."""


class Wheel:
    """Says which server is next.

    ``place`` is the server of the next statement, for tests with one session; None leaves it to chance.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.place: int | None = None
        self.answers: Counter[Address] = Counter()
        self._dice: OrderedDict[int, tuple[ClientState, random.Random]] = OrderedDict()

    def turn(self, state: ClientState, servers: tuple[Address, ...]) -> Address:
        """Return the next server of a session."""
        at = self._chance(state).randrange(len(servers)) if self.place is None else self.place % len(servers)
        self.answers[servers[at]] += 1
        return servers[at]

    def _chance(self, state: ClientState) -> random.Random:
        """Return the session's dice: all sessions throw the same, so a session can be repeated."""
        kept = self._dice.get(id(state))  # the state is kept with them: its id is not given again
        if kept is None:
            kept = self._dice[id(state)] = (state, random.Random(self.seed))
            if len(self._dice) > _SESSIONS:
                self._dice.popitem(last=False)
        return kept[1]


WHEEL = Wheel(int(os.environ.get(SEED, "1")))


def rotate(request: RuleRequest, view: View) -> Choice | None:
    """Every statement that may move goes to a server that the wheel names."""
    return Choice(server=WHEEL.turn(request._request.state, view.tenant_servers))


rotate.cache = False  # type: ignore[attr-defined]


def _topology(kernel: KernelProcess) -> str:
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(SERVERS)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    return f"127.0.0.1:{kernel.port}"


@asynccontextmanager
async def rotating_proxy(kernel: KernelProcess, **options: Any) -> AsyncIterator[Address]:
    """Run such a proxy in this process: the test has its ``WHEEL``."""
    clusters = {CLUSTER: ClusterSettings(rslist=parse_rslist(_topology(kernel)))}
    settings = Settings(
        clusters=clusters,
        local_bound_ip="127.0.0.1",
        listen_port=0,
        enable_http=False,
        observer_sys_password=Secret(PROXYRO_PASSWORD),
        own_rules=RULE,
        hot_upgrade_exit_timeout=0.2,
        **options,
    )
    async with open_proxy(settings) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(CLUSTER)
        yield Address(*proxy.addresses[0])
        assert not proxy.rules.own[0].disabled


@contextmanager
def rotating_process(kernel: KernelProcess, seed: int, options: str = "") -> Iterator[Address]:
    """Run a proxy process straight before the kernel, whose three addresses are three servers for it."""
    rslist = _topology(kernel)
    before = os.environ.get(SEED)
    os.environ[SEED] = str(seed)
    try:
        with proxy_process(
            rslist, CLUSTER, PROXYRO_PASSWORD, options=f"own_rules={RULE},{options}".rstrip(",")
        ) as process:
            yield process.address
            assert "disabled" not in process.log.read_text()
    finally:
        os.environ.pop(SEED)
        if before is not None:
            os.environ[SEED] = before
