"""MySQL's own test of its client library, ``mysql_client_test`` of Debian's ``mariadb-test``, one case at a time."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

from odp_trio.model import Address

PROGRAM: Final = "mysql_client_test"
MISSING: Final = f"{PROGRAM} is not installed: apt-get install mariadb-test"
SECONDS: Final = 60
"""Time of one case; beyond it is ended."""
CHOSEN: Final = tuple(
    """
    test_basic_cursors test_bind_result test_bind_result_ext test_bind_result_ext1 test_fetch_bigint test_fetch_column
    test_fetch_date test_fetch_double test_fetch_float test_fetch_nobuffs test_fetch_null test_fetch_offset
    test_fetch_seek test_fetch_str test_long_data test_long_data_bin test_long_data_str test_long_data_str1
    test_multi_stmt test_null test_prepare test_prepare_alter test_prepare_ext test_prepare_field_result
    test_prepare_insert_update test_prepare_multi_statements test_prepare_noparam test_prepare_resultset
    test_prepare_syntax test_ps_conj_select test_ps_null_param test_select_prepare test_simple_update test_stmt_close
    test_update
    """.split()  # noqa: SIM905
)
"""What the default run does: prepared statements, parameters of every type, long data, cursors."""
ELSEWISE: Final = {
    "test_bug3035": "the kernel forgets that a parameter is unsigned when an execution brings no types; "
    "a server that the statement has moved to is told them again",
    "test_bug5399": "prepares 81 statements: a session of the kernel may have 50, one that moves has 50 on each server",
    "test_proxy_header": "sends PROXY headers that the kernel waits for without end; the proxy refuses them at once",
}
"""Cases whose outcome differs, and why."""


@dataclass(frozen=True)
class Outcome:
    """How one case ended: ``passed``, ``failed``, ``crashed`` or ``too slow``; and the end of what it said."""

    how: str
    said: str


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def every_case() -> list[str]:
    """Return the names of all cases."""
    said = subprocess.run([PROGRAM, "-T"], capture_output=True, text=True, timeout=20)
    return [line.strip() for line in (said.stdout + said.stderr).splitlines() if line.startswith("test_")]


def run_cases(address: Address, user: str, *cases: str, seconds: float = SECONDS) -> Outcome:
    """Run cases one after the other, up to the first that fails."""
    where = ["-h", address.ip, "-P", str(address.port), "-u", user, "--database=test"]
    try:
        done = subprocess.run(
            [PROGRAM, *where, *cases],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            cwd="/tmp",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Outcome("too slow", "")
    how = "passed" if done.returncode == 0 else "crashed" if done.returncode < 0 else "failed"
    return Outcome(how, (done.stdout + done.stderr)[-600:])
