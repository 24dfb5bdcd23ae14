"""Log files: renamed when full, removed when old or too many, by several processes at once."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from odp_trio.logs.files import Keep, LogFile, clean

LIMIT = 100
NOTHING = Keep(count=0, seconds=0.0, bytes=0, percentage=0)


def archives(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name[-1].isdigit())


def test_a_full_file_is_renamed_as_odp_does_it(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "obproxy.log", lambda: datetime(2026, 1, 2, 3, 4, 5))
    for number in range(5):
        file.write(b"%d" % number + b"x" * 48 + b"\n", LIMIT)
    file.close()

    assert archives(tmp_path) == ["obproxy.log.20260102030405", "obproxy.log.20260102030405.1"]
    assert [path.stat().st_size for path in sorted(tmp_path.iterdir())] == [50, 100, 100]


def test_a_line_longer_than_a_file_is_written_whole(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "obproxy.log")
    file.write(b"x" * 500, LIMIT)
    file.write(b"y", LIMIT)
    file.close()

    assert (tmp_path / "obproxy.log").read_bytes() == b"y"
    assert len(archives(tmp_path)) == 1


def test_who_removes_or_renames_the_file_gets_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "obproxy.log"
    file = LogFile(path)
    file.write(b"1\n", LIMIT)
    path.rename(tmp_path / "elsewhere")
    file.write(b"2\n", LIMIT)
    path.unlink()
    file.write(b"3\n", LIMIT)
    file.close()

    assert ((tmp_path / "elsewhere").read_bytes(), path.read_bytes()) == (b"1\n", b"3\n")


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "obproxy.log")
    file.write(b"1\n", LIMIT)
    file.close()

    assert (tmp_path / "obproxy.log").stat().st_mode & 0o007 == 0


def test_two_processes_lose_no_line(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from odp_trio.logs.files import LogFile
file = LogFile(Path(sys.argv[1]) / "obproxy.log")
for number in range(2000):
    file.write(f"{sys.argv[2]} {number} {'x' * 20}\\n".encode(), 4000)
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]

    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number} {'x' * 20}" for name in "ab" for number in range(2000))
    assert all(path.stat().st_size <= 4000 + 40 for path in tmp_path.iterdir())


@pytest.fixture
def old_files(tmp_path: Path) -> Path:
    for day, name in enumerate(["obproxy_slow.log", "obproxy.log", "obproxy.log.wf", "obproxy.log"], 1):
        path = tmp_path / f"{name}.2026010{day}000000"
        path.write_bytes(b"x" * 10)
        os.utime(path, (day, day))
    for name in ("obproxy.log", "obproxy_slow.log", "other.log.20260101000000", "obproxy.pid", "obproxy.log.bak"):
        (tmp_path / name).write_bytes(b"x" * 10)
    return tmp_path


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (NOTHING, 4),
        (Keep(count=3, seconds=0, bytes=0, percentage=0), 3),
        (Keep(count=1, seconds=0, bytes=0, percentage=0), 1),
        (Keep(count=0, seconds=7.5, bytes=0, percentage=0), 2),
        (Keep(count=0, seconds=0, bytes=60, percentage=0), 3),  # with the two current ones, and a copy of one
        (Keep(count=0, seconds=0, bytes=1, percentage=0), 0),
        (Keep(count=0, seconds=0, bytes=0, percentage=5), 2),  # 50 bytes
    ],
)
def test_what_is_not_to_be_kept_goes_the_oldest_first(old_files: Path, keep: Keep, left: int) -> None:
    before = archives(old_files)
    ours = sorted((name for name in before if name.startswith("obproxy")), key=lambda name: name[-14:])

    removed = clean(old_files, keep, now=10.0, capacity=lambda _: 1000)

    assert [path.name for path in removed] == ours[: 4 - left]
    assert set(archives(old_files)) == set(before) - {path.name for path in removed}
    assert (old_files / "obproxy.log").exists()
    assert (old_files / "obproxy.log.bak").exists()
