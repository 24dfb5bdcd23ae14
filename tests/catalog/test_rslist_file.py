"""The local file of rslists on a real disk: whole at any moment, one writer, and never a reason not to start."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from odp_trio.catalog.files import replace_whole, temporary_name
from odp_trio.catalog.one_writer import write_for_all
from odp_trio.catalog.rslist_file import BAD_FILES_KEPT, NAME, RslistFile
from odp_trio.model import Address
from odp_trio.topology.rslist import ClusterRole, Rslist, SubCluster
from odp_trio.topology.rslist_file import MOST_BYTES, CachedRslist, read_rslist_file
from tests.paths import ROOT
from tests.workers.test_hub import world

NOW = 1_800_000_000.0


def cached(name: str, host: int = 1) -> CachedRslist:
    servers = (Address(f"10.0.0.{host}", 2881),)
    return CachedRslist(Rslist(name, name, (SubCluster(1, ClusterRole.PRIMARY, servers),)), NOW - 60)


def open_file(directory: Path, now: float = NOW) -> RslistFile:
    return RslistFile(directory, lambda: now)


def on_disk(directory: Path) -> set[str]:
    """Return the names of the clusters in the file; raise if it is not whole."""
    return {entry.rslist.cluster for entry in read_rslist_file((directory / NAME).read_bytes(), NOW).entries}


def bad_files(directory: Path) -> list[str]:
    return sorted(path.read_text() for path in directory.glob("*.bad-*"))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


# ---- reading and writing ----------------------------------------------------------------


async def test_what_is_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    file = open_file(tmp_path / "not" / "there" / "yet")
    await file.save([cached("c1"), cached("c2")])
    file.close()

    again = open_file(file.path.parent, NOW + 3600)
    entries = await again.load()

    assert entries == (cached("c1"), cached("c2"))
    assert (file.writes, file.failures, file.problem, file.pending) == (1, 0, "", False)
    assert (again.written_at, again.problem, again.refused) == (NOW, "", "")


async def test_only_the_proxys_account_may_read_it(tmp_path: Path) -> None:
    file = open_file(tmp_path / "etc")
    await file.save([cached("c1")])

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "etc", *(tmp_path / "etc").iterdir())}

    assert modes == {"etc": 0o700, NAME: 0o600, f"{NAME}.lock": 0o600}


@pytest.mark.parametrize("directory", ["", "missing"])
async def test_no_file_is_no_problem(tmp_path: Path, directory: str, caplog: pytest.LogCaptureFixture) -> None:
    file = open_file(tmp_path / directory)

    assert await file.load() == ()
    assert (file.problem, file.refused, file.written_at) == ("", "", None)
    assert warnings(caplog) == []


async def test_changes_during_a_write_lead_to_exactly_one_more(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    threads = trio.to_thread.current_default_thread_limiter()
    threads.total_tokens = 1
    await threads.acquire_on_behalf_of("a slow disk")

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(file.save, [cached(f"c{number}")])
            await wait_all_tasks_blocked()
        threads.release_on_behalf_of("a slow disk")

    assert file.writes == 2
    assert on_disk(tmp_path) == {"c9"}


async def test_an_entry_that_cannot_be_kept_keeps_no_other_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = open_file(tmp_path)

    await file.save([cached("good"), cached("b\nad")])
    await file.save([cached("good"), cached("b\nad")])

    assert on_disk(tmp_path) == {"good"}
    assert file.problem == r"cluster 'b\nad' is not kept: cluster 'b\nad': 'b\nad' has characters that no name has"
    assert warnings(caplog) == [file.problem]


# ---- bad files --------------------------------------------------------------------------


async def test_a_bad_file_is_moved_aside_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_bytes(b'{"format": 1, "made')
    file = open_file(tmp_path)

    assert await file.load() == ()

    aside = tmp_path / f"{NAME}.bad-20270115T080000Z"
    assert aside.read_bytes() == b'{"format": 1, "made'
    reason = f"{tmp_path / NAME} is not used: it is truncated: it ends at byte 19; it is now {aside}"
    assert (file.problem, file.refused, warnings(caplog)) == (reason, reason, [reason])
    assert await file.load() == ()
    await file.save([cached("c1")])
    assert (file.problem, file.refused, warnings(caplog)) == ("", reason, [reason])


async def test_a_hand_edited_file_is_refused(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    await file.save([cached("c1")])
    file.path.write_bytes(file.path.read_bytes().replace(b"10.0.0.1", b"10.0.0.2"))

    assert await file.load() == ()
    assert "its checksum is wrong: it was edited or damaged" in file.problem


async def test_bad_files_of_one_second_do_not_replace_each_other(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    for number in range(3):
        file.path.write_text(f"bad {number}")
        await file.load()

    assert bad_files(tmp_path) == ["bad 0", "bad 1", "bad 2"]


async def test_only_the_last_bad_files_are_kept(tmp_path: Path) -> None:
    for number in range(BAD_FILES_KEPT + 3):
        file = open_file(tmp_path, NOW + number)
        file.path.write_text(f"bad {number}")
        await file.load()
        file.close()

    assert bad_files(tmp_path) == [f"bad {number}" for number in range(3, 8)]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, MOST_BYTES + 1)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "it is not a regular file"),
        (make_pipe, "it is not a regular file"),
        (link_to_a_device, "it is not a regular file"),
        (make_huge, "it has 16777217 bytes; at most 16777216 are allowed"),
    ],
)
async def test_what_is_no_file_of_ours_is_moved_aside_too(tmp_path: Path, make: Any, said: str) -> None:
    file = open_file(tmp_path)
    make(file.path)

    assert await file.load() == ()
    assert said in file.problem
    await file.save([cached("c1")])
    assert on_disk(tmp_path) == {"c1"}
    assert file.problem == ""


async def test_a_file_that_cannot_be_read_stays_where_it_is(tmp_path: Path) -> None:
    """Errors of reading say nothing about the file.  A loop of links is one that root meets too."""
    file = open_file(tmp_path)
    file.path.symlink_to(file.path)

    assert await file.load() == ()
    assert file.problem.endswith("is not used: it cannot be read: Too many levels of symbolic links")
    assert file.path.is_symlink()


async def test_times_ahead_of_the_clock_are_told(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    await file.save([cached("c1")])

    early = open_file(tmp_path, NOW - 3600)
    (entry,) = await early.load()

    assert entry.fetched_at == NOW - 3600
    assert early.problem == (
        f"{file.path} has times 3600 s ahead of the clock: one of the two is wrong, and ages count from now"
    )


# ---- a disk that fails ------------------------------------------------------------------


async def test_a_directory_that_cannot_be_written_is_told_once_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file where the directory should be: permissions would not keep root away."""
    (tmp_path / "etc").write_text("")
    file = open_file(tmp_path / "etc")

    assert await file.load() == ()
    await file.save([cached("c1")])
    await file.save([cached("c1")])

    assert (file.failures, file.writes, file.pending) == (2, 0, True)
    assert file.problem == f"{file.path} cannot be written: File exists"
    assert warnings(caplog) == [file.problem]

    (tmp_path / "etc").unlink()
    await file.save([cached("c1")])
    assert (file.failures, file.writes, file.pending, file.problem) == (2, 1, False, "")
    assert on_disk(tmp_path / "etc") == {"c1"}


FULL_DISK = """
import json, resource, sys, trio
from pathlib import Path
from tests.catalog.test_rslist_file import cached, on_disk, open_file

async def main():
    file = open_file(Path(sys.argv[1]))
    await file.save([cached("c1")])
    many = [cached(f"c{number}") for number in range(100)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    await file.save(many)
    full = [file.problem, file.pending, file.failures, sorted(on_disk(file.path.parent))]
    left = [path.name for path in file.path.parent.iterdir()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await file.save(many)
    print(json.dumps([full, sorted(left), file.problem, file.pending, len(on_disk(file.path.parent))]))

trio.run(main)
"""


def run_script(script: str, *arguments: object) -> Any:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    full, left, problem, pending, clusters = run_script(FULL_DISK, tmp_path)

    assert full == [f"{tmp_path / NAME} cannot be written: File too large", True, 1, ["c1"]]
    assert left == [NAME, f"{NAME}.lock"]
    assert (problem, pending, clusters) == ("", False, 100)


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    victim, temporary, path = tmp_path / "victim", tmp_path / "temporary", tmp_path / NAME
    victim.write_text("precious")
    temporary.symlink_to(victim)

    replace_whole(path, b"data", temporary)

    assert (victim.read_text(), path.read_bytes()) == ("precious", b"data")
    assert not path.is_symlink()


def test_names_of_temporaries_cannot_be_guessed(tmp_path: Path) -> None:
    assert len({temporary_name(tmp_path / NAME) for _ in range(100)}) == 100


async def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.lock").symlink_to(tmp_path / "victim")
    file = open_file(tmp_path)

    await file.save([cached("c1")])

    assert not (tmp_path / "victim").exists()
    assert "cannot be written: Too many levels of symbolic links" in file.problem


KILLED = """
import json, os, random, signal, sys, time, trio
from pathlib import Path
from tests.catalog.test_rslist_file import NAME, cached, on_disk, open_file

directory = Path(sys.argv[1])

async def write_for_ever():
    file = open_file(directory)
    await file.load()
    for number in range(1_000_000):
        await file.save([cached(f"{number}-{part}") for part in range(400)])

def inode():
    return (directory / NAME).stat().st_ino if (directory / NAME).exists() else 0

rng = random.Random(7)
left = rounds = 0
give_up = time.monotonic() + 10
while (rounds < 20 or not left) and time.monotonic() < give_up:
    before = inode()
    child = os.fork()
    if not child:
        trio.run(write_for_ever)
    while inode() == before and time.monotonic() < give_up:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left += len(list(directory.glob(NAME + ".tmp-*")))
    clusters = on_disk(directory)
    assert len({name.partition("-")[0] for name in clusters}) == 1, "two writes in one file"
    assert len(clusters) == 400
    rounds += 1
file = open_file(directory)
entries = trio.run(file.load)
print(json.dumps([rounds, left, len(entries), file.problem, sorted(path.name for path in directory.iterdir())]))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_a_whole_file(tmp_path: Path) -> None:
    rounds, left, entries, problem, names = run_script(KILLED, tmp_path)

    assert rounds > 3
    assert left > 0, "no kill came in the middle of a write: this test shows nothing"
    assert entries == 400
    assert problem == ""
    assert names == [NAME, f"{NAME}.lock"], "what killed processes left was removed"


# ---- one writer -------------------------------------------------------------------------


async def test_another_proxy_reads_and_takes_over_when_the_writer_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = open_file(tmp_path), open_file(tmp_path)
    await first.load()
    await first.save([cached("c1")])

    assert await second.load() == (cached("c1"),)
    await first.save([cached("c1"), cached("c2")])
    for _ in range(3):
        await second.save([cached("c1", 9), cached("c3")])

    assert (first.writer, second.writer, second.pending, second.writes, second.failures) == (True, False, True, 0, 0)
    assert second.problem == ""
    assert on_disk(tmp_path) == {"c1", "c2"}

    first.close()
    await second.save([cached("c1", 9), cached("c3")])

    assert (second.writer, second.pending, second.writes) == (True, False, 1)
    assert await second.load() == (cached("c1", 9), cached("c2"), cached("c3")), "what the first one knew is not lost"
    told = [record.message for record in caplog.records if "this one" in record.message]
    assert told == [
        f"{first.path}: another proxy writes it, this one reads it",
        f"{first.path}: the other proxy is gone, this one writes it",
    ]


async def test_who_does_not_write_moves_and_removes_nothing(tmp_path: Path) -> None:
    first, second = open_file(tmp_path), open_file(tmp_path)
    await first.load()
    first.path.write_text("bad")
    temporary = tmp_path / f"{NAME}.tmp-1"
    temporary.write_text("a write under way")

    assert await second.load() == ()

    assert second.problem.endswith("is not used: it is not JSON: JSON is malformed: invalid character (byte 0)")
    assert (first.path.read_text(), temporary.read_text()) == ("bad", "a write under way")


async def test_two_writers_at_once_make_a_whole_file(tmp_path: Path) -> None:
    """Even if somebody removes the lock file between them."""
    files = [open_file(tmp_path), open_file(tmp_path)]

    async def write(file: RslistFile, name: str) -> None:
        for number in range(20):
            await file.save([cached(f"{name}{number}-{part}") for part in range(20)])
            (tmp_path / f"{NAME}.lock").unlink(missing_ok=True)
            if file.writes:
                on_disk(tmp_path)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, files[0], "a")
        nursery.start_soon(write, files[1], "b")

    assert all(file.writes for file in files)


async def test_a_lock_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    first, second = open_file(tmp_path), open_file(tmp_path)
    await first.save([cached("c1")])
    (tmp_path / f"{NAME}.lock").unlink()
    await first.save([cached("c2")])

    await second.save([cached("c3")])

    assert (first.writer, second.writer) == (True, False)


HOLDER = """
import sys, trio
from pathlib import Path
from tests.catalog.test_rslist_file import cached, open_file

async def main():
    file = open_file(Path(sys.argv[1]))
    await file.save([cached("c1")])
    print("written", flush=True)
    await trio.sleep_forever()

trio.run(main)
"""


async def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-c", HOLDER, str(tmp_path)]
        holder = await nursery.start(partial(trio.run_process, command, cwd=ROOT, stdout=subprocess.PIPE, check=False))
        assert await holder.stdout.receive_some()
        await file.save([cached("c2")])
        assert (file.writer, on_disk(tmp_path)) == (False, {"c1"})
        holder.kill()

    await file.save([cached("c2")])

    assert (file.writer, on_disk(tmp_path)) == (True, {"c1", "c2"})


# ---- several workers ----------------------------------------------------------------------


async def test_one_worker_writes_for_all_and_another_one_when_it_is_gone(tmp_path: Path) -> None:
    files: dict[int, RslistFile] = {}
    async with world(3) as workers:
        for number, member in workers.members.items():
            files[number] = RslistFile(tmp_path, time.time)
            write_for_all(files[number], member)
            assert await files[number].load() == ()

        await files[0].save([cached("c0")])
        await files[1].save([cached("c1")])
        await files[2].save([cached("c2"), cached("c1", 2)])

        assert [file.writer for file in files.values()] == [True, False, False]
        assert [file.pending for file in files.values()] == [False, False, False]
        assert on_disk(tmp_path) == {"c0", "c1", "c2"}

        files[0].close()
        await files[2].save([cached("c2"), cached("c3")])
        await files[1].save([cached("c1"), cached("c4")])

        assert [file.writer for file in files.values()] == [False, False, True]
        assert on_disk(tmp_path) == {"c0", "c1", "c2", "c3", "c4"}


async def test_what_nobody_can_write_stays_to_be_written(tmp_path: Path) -> None:
    with ExitStack() as stack:
        other = open_file(tmp_path)
        stack.callback(other.close)
        await other.save([cached("other")])
        async with world(2) as workers:
            file = RslistFile(tmp_path, time.time)
            write_for_all(file, workers.members[1])

            await file.save([cached("c1")])

            assert (file.writer, file.pending) == (False, True)
            other.close()
            await file.save([cached("c1")])
            assert (file.writer, file.pending, on_disk(tmp_path)) == (True, False, {"other", "c1"})
