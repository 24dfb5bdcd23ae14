"""The truth table of what may be tried again."""

import pytest

from odp_trio.errors import ConnectFailed, LoginRefused, UpstreamLost
from odp_trio.session.retry import Verdict, after_failed_login


@pytest.mark.parametrize(
    ("failure", "try_next", "renew"),
    [
        (ConnectFailed("refused"), True, False),
        (UpstreamLost("no answer"), True, False),
        (LoginRefused(b"", 8001, "initialising"), True, False),
        (LoginRefused(b"", 8002, "stopping"), True, False),
        (LoginRefused(b"", 5150, "tenant not in server"), True, True),
        (LoginRefused(b"", 4124, "connect error"), True, True),
        (LoginRefused(b"", 4666, "cluster mismatch"), True, True),
        (LoginRefused(b"", 1045, "access denied"), False, False),
        (LoginRefused(b"", 1049, "unknown database"), False, False),
        (LoginRefused(b"", 4401, "session killed"), False, False),
        (RuntimeError("a bug"), False, False),
    ],
)
def test_a_failed_login_is_tried_elsewhere_only_where_that_can_help(
    failure: Exception, try_next: bool, renew: bool
) -> None:
    mismatch = isinstance(failure, LoginRefused) and failure.errno == 4666
    assert after_failed_login(failure) == Verdict(try_next, renew, rebuild_cluster=mismatch)
