"""What a server answers to the replay of a session's variables."""

import pytest

from odp_trio.errors import UpstreamError
from odp_trio.observe import Counts
from odp_trio.session.replaying import Replaying
from odp_trio.wire.state import SessionState
from tests.session.statement_bed import StatementBed, open_statement_bed

_SET = b"\x03SET @v = 5e0"


def replaying(bed: StatementBed) -> Replaying:
    state = bed.router.state
    state.learn(SessionState({}, {b"v": b"5e0"}, None, changed=True), bed.upstreams[1].state)
    return Replaying(bed.router, lambda: 5.0, Counts(), set())


@pytest.mark.parametrize("errno", [4012, 4013, 8001, 8002, 5150])
async def test_a_server_that_cannot_run_it_for_the_moment_is_not_used(errno: int) -> None:
    async with open_statement_bed() as bed:
        bed.fakes[2].errors[_SET] = [errno, errno]
        with pytest.raises(UpstreamError, match=f"failed with error {errno}"):
            await replaying(bed).make_ready(bed.upstreams[2], new=False)


async def test_a_variable_that_a_server_does_not_let_be_set_is_left_as_it_is() -> None:
    async with open_statement_bed() as bed:
        bed.fakes[2].errors[_SET] = [1231, 1231]
        await replaying(bed).make_ready(bed.upstreams[2], new=False)
        assert not bed.fakes[2].errors[_SET], "it was asked with the others, and alone"
        assert not bed.upstreams[2].closed
