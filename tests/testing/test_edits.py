"""Answers that report a partition miss: the layouts of live-captured answers, any chunks, both framings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ServerProtocolError
from odp_trio.testing.edits import LIMIT_BYTES, Edit, with_partition_miss
from odp_trio.wire.ob20 import Flag, Frame, FrameReader
from odp_trio.wire.packets import packet
from odp_trio.wire.state import parse_ok

SELECT = bytes.fromhex(
    "01000001011700000203646566000000013100 0c3f0014000000088100000000 05000003fe00000200 020000040131 05000005fe00000200"
    "0800000600000022 00000000"
)
WITH_STATE = b"\0\0\0\x02\x40\0\0\x03 hi" + bytes.fromhex(
    "2e00210a6175746f636f6d6d69740130065f5f4e554c4c065f5f4e554c4c01610327782701050474657374 02020131"
)
ERROR = packet(1, b"\xff\x28\x04#42000no") + packet(2, b"\0\0\0\x22\0\0\0\0")


def last_ok(answer: bytes) -> bytes:
    at = 0
    while at < len(answer):
        start, at = at, at + 4 + int.from_bytes(answer[at : at + 3], "little")
    return answer[start + 4 :]


@pytest.mark.parametrize("answer", [SELECT, packet(1, WITH_STATE), ERROR], ids=["select", "set", "error"])
def test_only_the_last_ok_changes_and_only_by_the_miss(answer: bytes) -> None:
    changed = with_partition_miss(answer)

    before, after = parse_ok(last_ok(answer)), parse_ok(last_ok(changed))
    assert changed.startswith(answer[: -len(last_ok(answer)) - 4])
    assert after.state is not None
    assert after.state.system.pop(b"ob_proxy_partition_hit") == b"OFF"
    assert (after.affected_rows, after.warnings, after.info) == (before.affected_rows, before.warnings, before.info)
    if before.state is not None:
        assert after.state == before.state


@given(st.integers(1, 200), st.booleans(), st.integers(1, 80))
def test_an_answer_is_collected_whatever_the_chunks(size: int, ob20: bool, split: int) -> None:
    data = SELECT
    if ob20:
        pieces = [SELECT[at : at + split] for at in range(0, len(SELECT), split)]
        data = b"".join(
            Frame(
                5, 6, 1 + at, int(Flag.LAST) if at == len(pieces) - 1 else 0, piece, {2002: b"s"} if not at else {}
            ).to_bytes()
            for at, piece in enumerate(pieces)
        )
    edit = Edit(3, ob20=ob20)

    found = [edit.collect(data[at : at + size]) for at in range(0, len(data), size)]

    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] is not None
    if not ob20:
        assert found[-1] == with_partition_miss(SELECT)
        return
    reader = FrameReader(ServerProtocolError, 5)
    reader.feed(found[-1])
    frame = reader.next_frame()
    assert frame is not None
    assert (frame.mysql, frame.request_id, frame.seq, frame.is_last) == (with_partition_miss(SELECT), 6, 1, True)
    assert dict(frame.extra) == {2002: b"s"}


def test_a_long_answer_is_given_up_as_it_came() -> None:
    rows = packet(4, b"\xfc\x00\xff" + b"x" * 0xFF00)
    edit = Edit(3, ob20=False)
    given_up, sent = b"", SELECT[:41]
    assert edit.collect(sent) is None
    while not given_up:
        sent += rows
        given_up = edit.collect(rows) or b""

    assert given_up == sent
    assert LIMIT_BYTES < len(sent) < LIMIT_BYTES + 2 * len(rows)
