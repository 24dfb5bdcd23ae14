"""kill -9 in the middle of keeping a change: the file is always one whole version.

``ODP_TRIO_WRITERS=1000`` kills so many.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.paths import ROOT

WRITERS = int(os.environ.get("ODP_TRIO_WRITERS", "15"))


def test_the_file_is_one_whole_version_whenever_its_writer_is_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    command = [sys.executable, "-m", "tests.admin.killed_writer", str(tmp_path), str(WRITERS)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30 + WRITERS, check=False, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    record_property("said", done.stdout)
