"""obproxy_diagnosis.log."""

from __future__ import annotations

import re

import pytest

from odp_trio.logs.diagnosis import TRACE_TYPES, fields, odp_line, of_end, of_login
from odp_trio.session.ledger import EndRecord
from odp_trio.session.reasons import End

END = EndRecord(
    id=42,
    client="10.0.0.9:4242",
    user="bob",
    tenant="shop",
    cluster="demo",
    server="10.0.0.1:2881",
    server_session=0,
    began=1_700_000_000.0,
    seconds=2.5,
    statements=3,
    client_bytes=1,
    server_bytes=1,
    reason="",
    detail='it said "x"',
)
SILENT = {End.CLIENT_QUIT, End.LEFT_BEFORE_LOGIN, End.DRAINED, End.SHUTDOWN}


@pytest.mark.parametrize("why", End)
def test_every_end_has_a_line_of_odps_kind_or_none_for_a_reason(why: End) -> None:
    line = of_end(END, why)

    assert (line is None) == (why in SILENT)
    assert (why in TRACE_TYPES) == (line is not None)
    if line is not None:
        found = fields(line)
        assert re.fullmatch(
            "LOGIN_TRACE|TIMEOUT_TRACE|CLIENT_VC_TRACE|SERVER_VC_TRACE|SERVER_INTERNAL_TRACE|PROXY_INTERNAL_TRACE",
            found["trace_type"],
        )
        assert (found["head"] == "LOGIN") == (found["trace_type"] == "LOGIN_TRACE")
        assert (found["reason"], found["time"]) == (why.value, "2023-11-14T22:13:22.500000Z")


def test_the_line_of_odp() -> None:
    line = of_end(END, End.LOGIN_REFUSED)
    assert line is not None

    shown = re.sub(r"^\[[^]]*]", "[T]", odp_line(line))
    assert shown == (
        '[T] [0][Y0-0000000000000000] [LOGIN](trace_type="LOGIN_TRACE", connection_diagnosis={cs_id:42, '
        'client_addr:"10.0.0.9:4242", server_addr:"10.0.0.1:2881", cluster_name:"demo", tenant_name:"shop", '
        'user_name:"bob", reason:"login_refused", error_msg:"it said \\"x\\"", seconds:2.5, statements:3, '
        'login_result:"failed"})'
    )


def test_a_login_that_succeeds() -> None:
    assert fields(of_login(END))["login_result"] == "success"
    assert "trace_type" not in odp_line(of_login(END))
