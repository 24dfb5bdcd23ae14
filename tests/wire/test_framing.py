"""Which framing is asked for, and which one comes: the whole truth table."""

from __future__ import annotations

import itertools

import pytest

from odp_trio.wire.fields import OBCapability
from odp_trio.wire.framing import Framing, agreed_framing, framing_capabilities

CHECKSUM, V2, V2_COMPRESS = OBCapability.CHECKSUM, OBCapability.OB_PROTOCOL_V2, OBCapability.V2_COMPRESS
NOTHING = 0
EVERYTHING = 0xFFFFFF

# ob20, compressed, level above 0; what is asked; what comes of a server that has everything, all but OB 2.0, all but
# compression of OB 2.0, nothing
P, C, O, Z = Framing.PLAIN, Framing.COMPRESSED, Framing.OB20, Framing.OB20_COMPRESSED  # noqa: E741
TABLE = [
    (False, False, False, NOTHING, (P, P, P, P)),
    (False, False, True, NOTHING, (P, P, P, P)),
    (False, True, False, CHECKSUM, (C, C, C, P)),
    (False, True, True, CHECKSUM, (C, C, C, P)),
    (True, False, False, V2, (O, P, O, P)),
    (True, False, True, V2 | V2_COMPRESS, (Z, P, O, P)),
    (True, True, False, V2 | CHECKSUM, (O, C, O, P)),
    (True, True, True, V2 | V2_COMPRESS | CHECKSUM, (Z, C, O, P)),
]
SERVERS = (EVERYTHING, EVERYTHING & ~V2, EVERYTHING & ~V2_COMPRESS, NOTHING)


def test_the_table_is_whole() -> None:
    assert [row[:3] for row in TABLE] == list(itertools.product((False, True), repeat=3))


@pytest.mark.parametrize(("ob20", "compressed", "has_level", "asked", "came"), TABLE)
def test_what_is_asked_and_what_comes(
    ob20: bool, compressed: bool, has_level: bool, asked: int, came: tuple[Framing, ...]
) -> None:
    assert framing_capabilities(ob20=ob20, compressed=compressed, level=6 if has_level else 0) == asked
    assert tuple(agreed_framing(asked, server) for server in SERVERS) == came


def test_a_server_decides_nothing_that_was_not_asked() -> None:
    assert agreed_framing(NOTHING, EVERYTHING) is Framing.PLAIN
    assert agreed_framing(V2_COMPRESS, EVERYTHING) is Framing.PLAIN, "compression of nothing"


def test_other_bits_have_no_say() -> None:
    others = EVERYTHING & ~(CHECKSUM | V2 | V2_COMPRESS)

    assert agreed_framing(others, others) is Framing.PLAIN
    assert agreed_framing(V2 | others, V2) is Framing.OB20
