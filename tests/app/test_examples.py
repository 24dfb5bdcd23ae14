"""The examples that need no cluster run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.paths import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two_zones", ["at first: zone1, 0 failed", "without it: zone2, 0 failed", "again: zone1, 0 failed"]),
        ("shadow_rule", ["agreed 0, would have chosen another 10 times", "statements went to OBServer 0"]),
        ("own_rule", ["report_sales -> 10.0.0.3:2881 by rule reports"]),
    ],
)
def test_an_example_in_memory(name: str, said: list[str]) -> None:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert [each for each in said if each not in done.stdout] == [], done.stdout
