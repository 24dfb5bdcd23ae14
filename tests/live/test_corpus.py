"""The same statements, straight to the server and through a proxy: every packet is to be the same.

``ODP_TRIO_CORPUS=all`` runs DDL in every way too.  ``ODP_TRIO_CORPUS_AGAINST=ip:port`` compares a server with itself, without a
proxy: whatever differs then is a statement that does not belong here.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from odp_trio.model import Address
from tests.live.corpus import (
    ALLOWED,
    Difference,
    Run,
    again_files,
    as_prepared,
    as_text,
    corpus_files,
    differences,
    fresh_database,
    run,
    statements,
)
from tests.raw_client import PLAIN, TRACKING

pytestmark = [pytest.mark.live, pytest.mark.slow]
WAYS = {"text": (as_text, PLAIN), "prepared": (as_prepared, PLAIN), "tracking": (as_text, TRACKING)}
LEAST = 220
ATTEMPTS = 3
DEFINITION = r"\x03def"


@dataclass(frozen=True)
class Sides:
    """A server, and the same server by another way."""

    direct: Address
    proxied: Address
    user: str = "root@sys"
    tls: ssl.SSLContext | None = None
    """For clients of the proxy."""


@pytest.fixture(scope="module")
def sides(request: pytest.FixtureRequest) -> Sides:
    if against := os.environ.get("ODP_TRIO_CORPUS_AGAINST"):
        address = Address.parse(against)
        return Sides(address, address)
    return Sides(request.getfixturevalue("kernel_address"), request.getfixturevalue("module_proxy_address"))


def compare(
    sides: Sides,
    name: str,
    how: Run,
    capabilities: int,
    *,
    rewriting: bool = False,
    allowed: Sequence[Difference] = ALLOWED,
) -> int:
    """Run one file both ways; return how many answers were compared.

    The kernel is not always of one mind about the length that a column of a literal has: it depends on which plan of
    that shape it finds.  So where nothing but column definitions differs, both sides are run again; what the proxy
    does wrong it does again.
    """
    for _ in range(ATTEMPTS):
        count, found = _compare_once(sides, name, how, capabilities, rewriting=rewriting, allowed=allowed)
        packets = [line for line in found if line.startswith(" ")]
        if not found or not all(DEFINITION in line for line in packets):
            break
    assert not found, "\n".join(found)
    return count


def _compare_once(
    sides: Sides, name: str, how: Run, capabilities: int, *, rewriting: bool, allowed: Sequence[Difference]
) -> tuple[int, list[str]]:
    script = statements(name)
    fresh_database(sides.direct)
    one = run(sides.direct, sides.user, script, how, capabilities=capabilities)
    fresh_database(sides.direct)
    other = run(sides.proxied, sides.user, script, how, capabilities=capabilities, rewriting=rewriting, tls=sides.tls)
    if rewriting:
        one = one[1:]

    assert [sql for sql, _ in one] == [sql for sql, _ in other]
    return len(one), [
        line
        for (sql, answer), (_, through) in zip(one, other, strict=True)
        for line in differences(sql, answer, through, allowed)
    ]


def test_the_corpus_is_large() -> None:
    scripts = [statements(name) for name in (*corpus_files(), *corpus_files(slow=True))]

    assert sum(map(len, scripts)) >= LEAST


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for way in WAYS for name in (corpus_files() if way == "text" else again_files())]
)
def test_a_client_cannot_tell_the_proxy_from_the_server(
    sides: Sides, name: str, way: str, record_property: Callable[[str, object], None]
) -> None:
    count = compare(sides, name, *WAYS[way])

    record_property("answers compared", count)
    print(f"{name}, {way}: {len(statements(name))} statements, {count} answers compared")  # noqa: T201


@pytest.mark.parametrize("name", corpus_files(slow=True))
def test_nor_can_it_with_packets_of_16_mib(sides: Sides, name: str) -> None:
    count = compare(sides, name, as_text, PLAIN)

    print(f"{name}: {count} answers compared")  # noqa: T201


@pytest.mark.parametrize("way", ["text", "tracking"])
def test_nor_when_it_sends_files(sides: Sides, way: str) -> None:
    count = compare(sides, "load_data", *WAYS[way])

    print(f"load_data, {way}: {count} answers compared")  # noqa: T201


@pytest.mark.parametrize("name", again_files())
def test_what_a_proxy_connection_gets_is_rewritten_to_what_a_plain_one_gets(sides: Sides, name: str) -> None:
    """The tracker alone, on a connection that logs in as a proxy does, for a client with SESSION_TRACK."""
    here = Sides(sides.direct, sides.direct, sides.user)

    assert compare(here, name, *WAYS["tracking"], rewriting=True)
