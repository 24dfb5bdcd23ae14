"""``odp-trio check-cache``: the entries with their age, or the reason why a proxy would refuse the file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from odp_trio.cli import main
from odp_trio.model import Address
from odp_trio.topology.rslist import ClusterRole, Rslist, SubCluster
from odp_trio.topology.rslist_file import CachedRslist, write_rslist_file

A, B, C = (Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    now = time.time()
    standby = SubCluster(2, ClusterRole.STANDBY, (C,), (A,))
    entries = [
        CachedRslist(
            Rslist("shop", "obcluster", (SubCluster(1, ClusterRole.PRIMARY, (A, B)), standby)),
            now - 3 * 3600,
            now - 600,
            {1: {"x1": "hangzhou"}},
        ),
        CachedRslist(Rslist("bank", "bank", (SubCluster(0, ClusterRole.PRIMARY, (C,)),)), now - 1800),
    ]
    path = tmp_path / "obproxy_rslist_info.json"
    path.write_bytes(write_rslist_file(entries, made_by="odp-trio 0", written_at=now - 300).data)
    return path


@pytest.mark.parametrize("by_directory", [False, True])
def test_entries_are_shown_with_their_age(file: Path, by_directory: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cache", str(file.parent if by_directory else file)]) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"{file}: written 5 min ago by odp-trio 0",
        "CLUSTER  ID  TYPE     AGE     UNUSED FOR  SERVERS",
        "bank     0   PRIMARY  30 min  not known   10.0.0.3:2881",
        "shop     1   PRIMARY  3 h     10 min      10.0.0.1:2881 10.0.0.2:2881",
        "shop     2   STANDBY  3 h     10 min      10.0.0.3:2881 10.0.0.1:2881 (read-only)",
    ]


def test_for_programs_it_is_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cache", "--json", str(file)]) == 0

    found = json.loads(capsys.readouterr().out)
    bank, primary, _ = found["clusters"]
    assert (found["made_by"], found["ahead_of_clock"], bank["unused_for"]) == ("odp-trio 0", 0, None)
    assert 10800 <= primary["age"] < 10900
    assert (primary["real_name"], primary["idcs"]) == ("obcluster", {"x1": "hangzhou"})


def test_times_ahead_of_the_clock_are_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = CachedRslist(Rslist("c", "c", (SubCluster(0, ClusterRole.PRIMARY, (C,)),)), time.time() + 7230)
    file.write_bytes(write_rslist_file([late], made_by="odp-trio 0", written_at=time.time()).data)

    assert main(["check-cache", str(file)]) == 0
    assert "its times are 2 h ahead of this machine's clock: ages count from now" in capsys.readouterr().out


def test_a_file_that_a_proxy_would_refuse_is_status_2(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(file.read_bytes().replace(b"10.0.0.1", b"10.9.9.9"))
    reason = "its checksum is wrong: it was edited or damaged"

    assert main(["check-cache", str(file)]) == 2
    assert capsys.readouterr() == ("", f"odp-trio: {file} is refused: {reason}\n")
    assert main(["check-cache", "--json", str(file)]) == 2
    assert json.loads(capsys.readouterr().out) == {"path": str(file), "refused": reason}
    assert file.exists(), "it is only looked at"


def test_a_file_that_is_not_there_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cache", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err == f"odp-trio: No such file or directory: {tmp_path / 'nowhere'}\n"
