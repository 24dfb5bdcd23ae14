"""What a demo's terminal can do to its OBServers."""

from __future__ import annotations

import pytest

from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo_verbs import HELP, BadVerb, obey


async def test_lines_break_observers_and_mend_them(bed: Testbed) -> None:
    assert await obey(bed, "kill 2\n") == f"kill {bed.observers[1].address}: done"
    assert not bed.observers[1].listening
    await obey(bed, "freeze 3")
    assert bed.observers[2].faults.thawed is not None
    assert await obey(bed, "slow 1 0.5") == f"requests to {bed.observers[0].address} wait 0.5 s"
    assert bed.observers[0].faults.slow == 0.5

    assert await obey(bed, "heal") == "every OBServer is well"

    assert bed.observers[1].listening
    assert bed.observers[2].faults.thawed is None
    assert bed.observers[0].faults.slow == 0


@pytest.mark.parametrize("line", ["", "help", "  "])
async def test_what_can_be_done_is_told(bed: Testbed, line: str) -> None:
    assert await obey(bed, line) == HELP


@pytest.mark.parametrize(
    "line", ["kill", "kill 0", "kill 4", "kill two", "kill 1 2", "explode 1", "slow 1 nan", "slow 1 x"]
)
async def test_what_cannot_be_understood_does_nothing(bed: Testbed, line: str) -> None:
    with pytest.raises(BadVerb, match="understood|no OBServer|no number"):
        await obey(bed, line)
