"""sysbench, if it is installed: its mixed load of transactions, and what it says of errors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

from odp_trio.model import Address

IS_INSTALLED: Final = shutil.which("sysbench") is not None
SECONDS: Final = int(os.environ.get("ODP_TRIO_SYSBENCH_SECONDS", "5"))


@dataclass(frozen=True)
class Report:
    """What a run said."""

    transactions: int
    ignored_errors: int
    reconnects: int


def read_and_write(
    address: Address, user: str, password: str, mode: str, *, tables: int = 4, rows: int = 20000
) -> Report:
    """Fill the tables, and run ``oltp_read_write`` with 8 threads; fail if it ends with an error."""
    command = [
        "sysbench",
        "oltp_read_write",
        f"--mysql-host={address.ip}",
        f"--mysql-port={address.port}",
        f"--mysql-user={user}",
        f"--mysql-password={password}",
        "--mysql-db=sbtest",
        f"--tables={tables}",
        f"--table-size={rows}",
        "--rand-type=uniform",
        "--threads=8",
        f"--time={SECONDS}",
        f"--db-ps-mode={mode}",
    ]
    subprocess.run([*command, "cleanup"], check=True, capture_output=True, timeout=60)
    subprocess.run([*command, "prepare"], check=True, capture_output=True, timeout=240)

    done = subprocess.run([*command, "run"], capture_output=True, text=True, timeout=120 + SECONDS)

    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "FATAL" not in said, said
    return Report(*(_count(what, said) for what in ("transactions", "ignored errors", "reconnects")))


def _count(what: str, said: str) -> int:
    found = re.search(rf"{what}: +(\d+)", said)
    assert found is not None, said
    return int(found[1])
