"""OB 2.0 towards the kernel: a client cannot tell, wherever its statements run.

By default a part of the corpus; ``ODP_TRIO_FRAMINGS=all`` runs every file in every way, with and without
compression, and rotated (``ODP_TRIO_SEEDS``); ``ODP_TRIO_SCRIPTS`` is the number of random scripts.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
import trio
from hypothesis import HealthCheck, given, settings

from odp_trio.app import open_proxy
from odp_trio.model import Address
from odp_trio.session.server_set import Upstream
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.live.clients import connect, in_thread
from tests.live.corpus import corpus_files
from tests.live.rotation import ALLOWED_ROTATED, WHEEL, rotating_process, rotating_proxy
from tests.live.session_scripts import SCRIPTS, Pair, Step, play, prepare_databases
from tests.live.test_corpus import WAYS, Sides, compare
from tests.proxy_process import proxy_process
from tests.raw_client import RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]
WHOLE = os.environ.get("ODP_TRIO_FRAMINGS") == "all"
SCRIPT_COUNT = int(os.environ.get("ODP_TRIO_SCRIPTS", "10"))
SEEDS = tuple(map(int, os.environ.get("ODP_TRIO_SEEDS", "1").split(",")))
PLAIN = "enable_ob_protocol_v2=true"
ZLIB = "enable_ob_protocol_v2=true,compression_algorithm=zlib:6"
ALL_FILES = [(name, way) for name in [*corpus_files(), "load_data"] for way in WAYS]
SOME_FILES = {
    PLAIN: [("load_data", "text"), ("session", "tracking")],
    ZLIB: [("long", "text")],
}


def files(framing: str) -> list[tuple[str, str]]:
    return ALL_FILES if WHOLE else SOME_FILES[framing]


# ---- the corpus ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=[PLAIN, ZLIB], ids=["ob20", "compressed"])
def framed(
    request: pytest.FixtureRequest, kernel: KernelProcess, kernel_address: Address
) -> Iterator[tuple[str, Sides]]:
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD, options=request.param) as process:
        yield request.param, Sides(kernel_address, process.address)


def test_a_client_cannot_tell_that_servers_get_frames(framed: tuple[str, Sides]) -> None:
    framing, sides = framed
    for name, way in files(framing):
        count = compare(sides, name, *WAYS[way])
        print(f"{name}, {way}: {count} answers compared")  # noqa: T201


@pytest.fixture(scope="module", params=SEEDS)
def rotated(request: pytest.FixtureRequest, kernel: KernelProcess, kernel_address: Address) -> Iterator[Sides]:
    with rotating_process(kernel, request.param, PLAIN) as proxied:
        yield Sides(kernel_address, proxied)


@pytest.mark.parametrize(("name", "way"), ALL_FILES if WHOLE else [("session", "prepared")])
def test_nor_that_its_statements_move(rotated: Sides, name: str, way: str) -> None:
    count = compare(rotated, name, *WAYS[way], allowed=ALLOWED_ROTATED)

    print(f"{name}, {way}: {count} answers compared")  # noqa: T201


# ---- session info -------------------------------------------------------------------


async def test_random_scripts_leave_the_same_state(kernel: KernelProcess, kernel_address: Address) -> None:
    ids = itertools.count(int(time.time()) * 100, 100_000)

    def run(proxied: Address) -> None:
        prepare_databases(kernel_address)

        @settings(
            max_examples=SCRIPT_COUNT,
            deadline=None,
            database=None,
            derandomize="ODP_TRIO_SCRIPTS" not in os.environ,
            suppress_health_check=list(HealthCheck),
        )
        @given(SCRIPTS)
        def scripts_agree(script: list[Step]) -> None:
            WHEEL.place = 0
            with closing(Pair(kernel_address, proxied, first_id=next(ids))) as pair:
                found = play(pair, script, WHEEL)
            assert not found, "\n".join([*(str(step) for step in script if step.verb != "nothing"), *found])

        scripts_agree()

    async with rotating_proxy(kernel, enable_ob_protocol_v2=True) as proxied:
        try:
            await trio.to_thread.run_sync(partial(run, proxied))
        finally:
            WHEEL.place = None


async def test_variables_travel_with_the_request_and_are_not_set(
    kernel: KernelProcess, kernel_address: Address
) -> None:
    def run(proxied: Address) -> list[bytes]:
        prepare_databases(kernel_address)
        with RawClient(proxied, "root@sys") as client:
            WHEEL.place = 0
            for sql in ("select 1", "set ob_query_timeout = 12345678, time_zone = '+03:00'", "set @a = 'user'"):
                assert not client.query(sql).errno
            WHEEL.place = 1
            assert client.query("selec").errno
            rows = client.query("select @@ob_query_timeout, @@time_zone, @a").payloads[-2]
            WHEEL.place = 2
            return [rows, client.query("select @@ob_query_timeout, @@time_zone, @a").payloads[-2]]

    async with rotating_proxy(kernel, enable_ob_protocol_v2=True) as proxied:
        try:
            rows = await in_thread(run, proxied)
        finally:
            WHEEL.place = None
    assert rows == [b"\x0812345678\x06+03:00\x04user"] * 2


async def test_a_sequence_has_its_current_value_everywhere(kernel: KernelProcess) -> None:
    def run(proxied: Address) -> list[bytes]:
        with RawClient(proxied, "root@sys", database="test") as client:
            WHEEL.place = 0
            client.query("drop sequence travelling")
            for sql in ("create sequence travelling", "select travelling.nextval from dual"):
                assert not client.query(sql).errno
            found = []
            for WHEEL.place in (1, 2):
                found.append(client.query("select travelling.currval from dual").payloads[-2])
            assert not client.query("call dbms_application_info.set_client_info('it')").errno
            return found

    try:
        async with rotating_proxy(kernel, enable_ob_protocol_v2=True) as proxied:
            assert await in_thread(run, proxied) == [b"\x011"] * 2
    finally:
        WHEEL.place = None


async def test_a_kernel_that_grants_it_is_spoken_to_in_frames(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the bed's OBServers read them: what they note, misses that they tell, errors that they answer with."""
    made: list[Upstream] = []
    init = Upstream.__init__

    def note(self: Upstream, *arguments: object) -> None:
        init(self, *arguments)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(Upstream, "__init__", note)
    async with open_proxy(settings_for(bed, enable_http=False, enable_ob_protocol_v2=True)) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)

        def ask() -> None:
            with closing(connect(proxy.addresses[0])) as connection, connection.cursor() as cursor:
                for number in range(3):
                    cursor.execute(f"select {number} as framed")

        await in_thread(ask)

    assert len(bed.statements("as framed")) == 3
    assert made
    assert all(upstream.framed is not None and upstream.beside is not None for upstream in made)


async def test_traces_are_shown(kernel: KernelProcess) -> None:
    """The kernel traces what comes with a span."""

    def traced(proxied: Address) -> int:
        with RawClient(proxied, "root@sys") as client:
            for sql in ("set ob_enable_show_trace = 1", "select 'traced'"):
                assert not client.query(sql).errno
            return len(client.query("show trace").payloads)

    WHEEL.place = 0
    try:
        async with rotating_proxy(kernel, enable_ob_protocol_v2=True, enable_full_link_trace=True) as proxied:
            assert await in_thread(traced, proxied) > 8
    finally:
        WHEEL.place = None
