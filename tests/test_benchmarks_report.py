"""What becomes of measured values: rounds that resume, comparisons, pictures, the page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.__main__ import main
from benchmarks.comparisons import comparisons, find
from benchmarks.contenders import DIRECT, HAPROXY, ODP_TRIO
from benchmarks.figures import Figure, Report, Sample, Skipped, figures
from benchmarks.page import write_page
from benchmarks.plots import plots
from benchmarks.report import read_json, write_json
from benchmarks.rounds import each_round, rotated
from benchmarks.runner import run
from benchmarks.scenarios import SMOKE, Plan
from benchmarks.session import WrongAnswer
from benchmarks.svg import Panel, Point, Series, draw, nice

MACHINE = {"cores": "2", "cpu": "some", "load": "0", "commit": "abc"}
SVG = "{http://www.w3.org/2000/svg}"


def sample(value: float, contender: str = ODP_TRIO, metric: str = "proxy CPU", scenario: str = "s") -> Sample:
    return Sample(scenario, metric, "µs", contender, value)


def some_report() -> Report:
    """Two rounds of a bit of everything."""
    found = []
    for number in (1, 2):
        for scale, contender in enumerate((DIRECT, HAPROXY, ODP_TRIO), 1):
            for threads in ("1 thread", "8 threads"):
                scenario = f"sysbench point_select, text, {threads}"
                found.append(sample(10.0 * scale + number, contender, "proxy CPU", scenario))
                found.append(sample(1000.0 * scale, contender, "requests", scenario))
            found.append(sample(20.0 * scale, contender, "proxy CPU", "canned point select, 16 connections"))
            found.append(sample(30.0 * scale, contender, "to the first answer", "start-up"))
            for percent in (25, 50):
                scenario = f"open loop, {percent} % of what odp_trio can do"
                found.append(sample(9000, contender, "offered", scenario))
                found += [sample(100.0 * scale, contender, f"latency {share}", scenario) for share in ("p50", "p99")]
    return Report("full", MACHINE, {"live": 2}, {"live": 90.0}, figures(found), (Skipped("sysbench", "not installed"),))


async def test_a_run_makes_only_the_rounds_that_are_lacking_and_saves_each(tmp_path: Path) -> None:
    made = []

    async def measure(plan: Plan, logs: Path) -> list[Sample]:
        made.append(plan.rounds)
        return [sample(len(made))]

    async def rounds(count: int, report: Report) -> Report:
        plan = Plan(**{**{name: getattr(SMOKE, name) for name in SMOKE.__struct_fields__}, "rounds": count})
        parts = {"part": each_round(measure)}
        return await run(
            plan, ("part",), tmp_path, report, parts=parts, tell=lambda _: None, save=lambda new: write_json(new, out)
        )

    out = tmp_path / "report.json"
    await rounds(2, Report("smoke", MACHINE, {}, {}))
    assert read_json(out).rounds == {"part": 2}
    await rounds(3, read_json(out))
    assert made == [1, 1, 1]
    assert read_json(out).rounds == {"part": 3}
    assert read_json(out).figures[0].values == (1, 2, 3)


async def test_what_was_measured_before_a_wrong_answer_is_kept(tmp_path: Path) -> None:
    saved: list[Report] = []

    async def measure(plan: Plan, logs: Path) -> list[Sample]:
        if saved:
            raise WrongAnswer("2 instead of 1")
        return [sample(1)]

    plan = Plan(**{**{name: getattr(SMOKE, name) for name in SMOKE.__struct_fields__}, "rounds": 2})
    with pytest.raises(WrongAnswer):
        await run(
            plan, ("part",), tmp_path, Report("smoke", MACHINE, {}, {}),
            parts={"part": each_round(measure)}, tell=lambda _: None, save=saved.append,
        )  # fmt: skip
    assert [report.rounds for report in saved] == [{"part": 1}]


def test_rounds_are_compared_pair_by_pair() -> None:
    ours, theirs = (20.0, 60.0, 30.0), (10.0, 40.0, 20.0)
    found = figures([*map(sample, ours), *(sample(value, HAPROXY) for value in theirs)])
    ratio = find(comparisons(found), "s", "proxy CPU", ODP_TRIO, HAPROXY)
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high, ratio.values) == (1.5, 1.5, 2.0, (2.0, 1.5, 1.5))


def test_contenders_that_did_not_have_the_same_rounds_are_compared_by_their_medians() -> None:
    found = figures([sample(20), sample(40), sample(30), sample(10, HAPROXY)])
    (ratio,) = comparisons(found)
    assert ratio.values == (3.0,)


def test_there_is_no_ratio_to_nothing() -> None:
    assert comparisons(figures([sample(20), sample(30), sample(10, HAPROXY), sample(0, HAPROXY)])) == ()


def test_latency_that_a_proxy_adds_is_a_difference_to_none() -> None:
    found = figures([sample(250, metric="latency p99"), sample(150, DIRECT, metric="latency p99")])
    (added,) = comparisons(found)
    assert (added.contender, added.against, added.unit, added.median) == (ODP_TRIO, DIRECT, "µs", 100)


def test_everybody_is_first_once() -> None:
    assert [rotated("abc", number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert rotated("abc", 1) == ["b", "c", "a"]


def test_pictures_are_svg_with_all_points_inside_and_both_colour_schemes() -> None:
    drawn = plots(some_report().figures)
    assert set(drawn) == {"canned-cpu", "sysbench-cpu", "sysbench-requests", "latency"}
    for picture in drawn.values():
        root = ET.fromstring(picture)
        assert root.tag == f"{SVG}svg"
        assert "prefers-color-scheme:dark" in picture
        for line in root.iter(f"{SVG}line"):
            assert all(-1 <= float(line.get(name, "0")) <= 300 for name in ("x1", "x2", "y1", "y2"))
    names = {text.text for text in ET.fromstring(drawn["latency"]).iter(f"{SVG}text")}
    assert {"direct", "haproxy", "odp_trio", "latency p50", "latency p99", "25 %"} <= names


def test_a_higher_value_is_further_up_on_both_scales() -> None:
    points = (Point(0, 10, 9, 11), Point(1, 1000, 900, 1100))
    for logarithmic in (False, True):
        panel = Panel("p", ("a", "b"), "x", (Series("one", 0, points),), logarithmic)
        root = ET.fromstring(draw("t", "u", [panel], 1))
        (line,) = (path for path in root.iter(f"{SVG}path") if "line" in path.get("class", ""))
        first, second = (float(part.split()[1]) for part in line.get("d", "").removeprefix("M").split("L"))
        assert 0 <= second < first <= 190


def test_text_in_pictures_is_escaped() -> None:
    panel = Panel("a < b & c", ("<",), "", (Series("<script>", 0, (Point(0, 1, 1, 1),)),))
    assert ET.fromstring(draw("<t>", "", [panel], 1)).find(f"{SVG}title") is not None


@pytest.mark.parametrize(("step", "rounded"), [(0.9, 1), (1.1, 2), (2.2, 2.5), (30, 50), (51, 100)])
def test_ticks_are_at_round_numbers(step: float, rounded: float) -> None:
    assert nice(step) == pytest.approx(rounded)


def test_a_page_gets_tables_pictures_and_every_value(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n\n<!-- full -->\nold\n<!-- /full -->\n\nafter\n")
    for _ in range(2):  # the second time nothing is added
        write_page(page, some_report())
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "Not measured: sysbench: not installed." in text
    assert text.count("![") == 4
    assert (
        "| point_select, text, 8 threads | 11.5 (11.0 … 12.0) | 21.5 (21.0 … 22.0) | 31.5 (31.0 … 32.0) | 1.47" in text
    )
    assert "| start-up | to the first answer, µs | 30.0 (30.0 … 30.0) | 60.0 (60.0 … 60.0) |" in text
    for name in ("canned-cpu", "sysbench-cpu", "sysbench-requests", "latency"):
        assert f"(performance/{name}.svg)" in text
        assert (tmp_path / "performance" / f"{name}.svg").exists()
    kept = read_json(tmp_path / "performance" / "full.json")
    assert isinstance(kept.figures[0], Figure)
    assert kept.comparisons


def test_a_finished_run_is_printed_again_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.json"
    write_json(some_report(), out)
    arguments = ["--suite", "full", "--only", "live", "--rounds", "2", "--resume", "--json", str(out)]
    assert main(arguments) == 0
    assert "suite full, live 2 rounds" in capsys.readouterr().out
    assert read_json(out).machine == MACHINE
