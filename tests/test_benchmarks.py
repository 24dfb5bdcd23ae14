"""The benchmarks run: each part once, tiny, with every answer checked and no time judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.canned_answers import BigResult, big_size
from benchmarks.cpu import cpu_seconds, family, family_cpu_seconds
from benchmarks.figures import Sample, figures
from benchmarks.micro import rows, track_once
from benchmarks.open_loop import due_times
from benchmarks.packets import token
from benchmarks.report import number
from benchmarks.sysbench import WORKLOADS, percentile
from odp_trio.wire.auth import native_token
from odp_trio.wire.response import ResponseTracker

ROOT = Path(__file__).resolve().parents[1]


asked = pytest.mark.skipif(
    "ODP_TRIO_BENCHMARKS" not in os.environ, reason="ODP_TRIO_BENCHMARKS=all asks for every part of the benchmarks"
)


def smoke(part: str, directory: Path) -> dict[str, object]:
    """Run the smoke suite of one part and return its JSON report."""
    out = directory / "report.json"
    command = [sys.executable, "-m", "benchmarks", "--suite", "smoke", "--only", part, "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert isinstance(report, dict)
    return report


def contenders(report: dict[str, object]) -> set[str]:
    found = report["figures"]
    assert isinstance(found, list)
    return {figure["contender"] for figure in found}


@pytest.mark.slow
def test_every_canned_scenario_gives_figures_for_odp_trio(tmp_path: Path) -> None:
    report = smoke("canned", tmp_path)
    found = report["figures"]
    assert isinstance(found, list)
    ours = {(figure["scenario"], figure["metric"]) for figure in found if figure["contender"] == "odp_trio"}
    assert {metric for _, metric in ours} >= {
        "proxy CPU", "requests", "latency p50", "latency p99", "throughput", "per core", "memory of the proxy",
        "to the first answer",
    }  # fmt: skip
    assert ("canned point select, prepared, 16 connections", "proxy CPU") in ours
    assert {"direct", "odp_trio", "odp_trio, OB 2.0", "odp_trio, compressed client"} <= contenders(report)


@pytest.mark.slow
def test_the_benchmarks_of_routing_give_figures(tmp_path: Path) -> None:
    assert contenders(smoke("routing", tmp_path)) == {"odp_trio"}


@asked
@pytest.mark.live
@pytest.mark.slow
def test_cold_statements_are_measured_before_both_back_ends(tmp_path: Path) -> None:
    found = smoke("cold", tmp_path)["figures"]
    assert isinstance(found, list)
    assert {figure["scenario"] for figure in found} == {"cold, canned server", "cold, kernel"}


@pytest.mark.slow
def test_what_it_costs_to_be_looked_at_is_measured_three_ways(tmp_path: Path) -> None:
    assert contenders(smoke("observed", tmp_path)) == {"nothing on", "metrics", "everything on"}


@asked
@pytest.mark.slow
def test_many_tables_are_measured_and_looked_at(tmp_path: Path) -> None:
    found = smoke("crowded", tmp_path)["figures"]
    assert isinstance(found, list)
    scenarios = {figure["scenario"] for figure in found}
    assert {"crowded, any of 10 tables", "crowded, any of 1,000 tables"} <= scenarios


@asked
@pytest.mark.slow
def test_more_of_everything_is_routed(tmp_path: Path) -> None:
    assert contenders(smoke("scale", tmp_path)) == {"odp_trio"}


@asked
@pytest.mark.slow
def test_many_sessions_are_measured_as_they_come_and_at_rest(tmp_path: Path) -> None:
    found = smoke("sessions", tmp_path)["figures"]
    assert isinstance(found, list)
    ours = {(figure["scenario"], figure["metric"]) for figure in found if figure["contender"] == "odp_trio"}
    assert {metric for _, metric in ours} >= {"proxy CPU", "login p99", "statements beside, p99", "memory of the proxy"}


@asked
@pytest.mark.slow
def test_a_trickle_beside_a_flood_and_a_busy_crowd_are_measured(tmp_path: Path) -> None:
    found = smoke("fairness", tmp_path)["figures"]
    assert isinstance(found, list)
    ours = {(figure["scenario"], figure["metric"]) for figure in found if figure["contender"] == "odp_trio"}
    assert {metric for _, metric in ours} >= {"p99", "of the others", "answers of the session with fewest"}


def test_the_microbenchmarks_give_figures(tmp_path: Path) -> None:
    assert contenders(smoke("micro", tmp_path)) == {"odp_trio"}


@pytest.mark.live
@pytest.mark.slow
def test_the_kernel_is_measured_through_every_contender(tmp_path: Path) -> None:
    report = smoke("live", tmp_path)
    assert {"direct", "odp_trio", "odp_trio, 2 workers", "textbook Trio relay"} <= contenders(report)
    if shutil.which("sysbench"):
        found = report["figures"]
        assert isinstance(found, list)
        ours = {figure["scenario"] for figure in found if figure["contender"] == "odp_trio"}
        assert ours == {f"sysbench {mix}, {way}, 2 threads" for mix in WORKLOADS for way in ("text", "prepared")}


@pytest.mark.slow
def test_a_wrong_answer_fails_the_load_client() -> None:
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.canned_server", "0"], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        command = [sys.executable, "-m", "benchmarks.load", "point", "--port", port, "--requests", "5"]
        good = subprocess.run([*command, "--sql=select 1", "--expect=1"], cwd=ROOT, capture_output=True, check=False)
        bad = subprocess.run([*command, "--sql=select 1", "--expect=2"], cwd=ROOT, capture_output=True, check=False)
    finally:
        server.kill()
        server.communicate()
    assert good.returncode == 0, good.stderr
    assert bad.returncode == 1
    assert b"WrongAnswer" in bad.stderr


def test_tracking_an_answer_forwards_all_but_the_extra_ok() -> None:
    answer = rows(100, 10_000)
    assert track_once(ResponseTracker(), bytearray(answer)) == len(answer) - 12


def test_the_packets_of_a_big_result_are_numbered_through() -> None:
    big = BigResult(proxy=True)
    blocks = 2
    data = big.head + big.block * blocks + big.tail
    expected = 1
    while data:
        assert data[3] == expected % 256
        expected += 1
        data = data[4 + int.from_bytes(data[:3], "little") :]
    assert big.blocks(1) * len(big.block) == 1 << 20


@pytest.mark.parametrize(("sql", "mebibytes"), [(b"select 100 big", 100), (b"select 1", 0), (b"select big", 0)])
def test_a_statement_says_how_big_its_result_is(sql: bytes, mebibytes: int) -> None:
    assert big_size(sql) == mebibytes


@pytest.mark.parametrize("password", ["", "secret"])
def test_both_ways_to_a_token_agree(password: str) -> None:
    scramble = bytes(range(1, 21))
    assert token(password, scramble) == native_token(password, scramble)


def test_figures_gather_the_rounds() -> None:
    samples = [Sample("s", "m", "u", "c", value) for value in (3.0, 1.0, 2.0)]
    (figure,) = figures(samples)
    assert (figure.median, figure.low, figure.high) == (2.0, 1.0, 3.0)


def test_a_percentile_is_read_off_a_histogram() -> None:
    assert percentile([(0.1, 98), (0.2, 1), (5.0, 1)], 0.99) == 0.2


@pytest.mark.parametrize(("value", "text"), [(1.25, "1.2"), (1234.4, "1,234")])
def test_numbers_show_what_means_something(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.slow
def test_latency_is_measured_at_the_offered_load(tmp_path: Path) -> None:
    found = smoke("latency", tmp_path)["figures"]
    assert isinstance(found, list)
    rates = {figure["median"] for figure in found if figure["metric"] == "offered"}
    assert len(rates) == 1
    assert {figure["metric"] for figure in found} >= {"latency p50", "latency p95", "latency p99", "latency p99.9"}


def test_due_times_are_the_same_for_the_same_seed_and_come_as_often_as_asked() -> None:
    due = due_times(10_000, 2, seed=7)
    assert due == due_times(10_000, 2, seed=7) != due_times(10_000, 2, seed=8)
    assert list(due) == sorted(due)
    assert 1.9e9 < due[-1] < 2.1e9


def test_the_cpu_time_of_a_family_counts_its_children() -> None:
    loop = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(); input()'])"
    parent = subprocess.Popen([sys.executable, "-c", loop], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        parent.stdout.readline()  # written by the child
        assert len(family(parent.pid)) == 2
        assert family_cpu_seconds(parent.pid) > cpu_seconds(parent.pid)
    finally:
        parent.communicate(b"\n")
