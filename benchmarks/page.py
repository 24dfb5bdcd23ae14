"""A full run as a part of a page: what it was made with, tables, pictures beside the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.comparisons import CPU, REQUESTS, comparisons, find
from benchmarks.contenders import HAPROXY, ODP_TRIO, ODP_TRIO_2
from benchmarks.figures import Comparison, Figure, Report
from benchmarks.plots import CANNED, OPEN_LOOP, ORDER, PERCENTILES, SYSBENCH, plots
from benchmarks.report import cell, number, rounds, write_json
from benchmarks.sysbench import WORKLOADS
from odp_trio.testing.matrix.row import filled

_DASH = "-"
_ENOUGH = 5
"""Rounds."""
_BUSY = 1.0
"""Load average of a machine that has other work."""


def write_page(page: Path, report: Report) -> None:
    """Replace the part ``full`` of a page; the pictures and the JSON file go to a directory of the page's name."""
    place = page.with_suffix("")
    place.mkdir(exist_ok=True)
    write_json(report, place / f"{report.suite}.json")
    pictures = plots(report.figures)
    for name, picture in pictures.items():
        (place / f"{name}.svg").write_text(picture, encoding="utf-8")
    text = markdown(report, place.name, tuple(pictures))
    page.write_text(filled(page.read_text(encoding="utf-8"), **{report.suite: text}), encoding="utf-8")


def markdown(report: Report, directory: str, pictures: Sequence[str]) -> str:
    """Return the part of the page."""
    compared = comparisons(report.figures)
    made = ", ".join(
        f"{name} {value}" for name, value in report.machine.items() if name not in ("load", "cores", "cpu")
    )
    minutes = sum(report.seconds.values()) / 60
    lines = [
        f"`python -m benchmarks --suite {report.suite}`: {rounds(report)}, interleaved, {minutes:.0f} minutes.",
        f"Machine: {report.machine['cores']} cores of {report.machine['cpu']}; load average before the run:"
        f" {report.machine['load']}.",
        f"Versions: {made}.",
        f"Every value: [{report.suite}.json]({directory}/{report.suite}.json).",
        "Cells are medians (lowest … highest) of the rounds;",
        "`÷ HAProxy` is odp_trio ÷ HAProxy of the same round, `2 ÷ 1` is two workers ÷ one.",
    ]
    if min(report.rounds.values(), default=0) < _ENOUGH:
        lines += ["", f"Fewer than {_ENOUGH} rounds of some parts: too few to see how far these figures spread."]
    if float(report.machine["load"].partition(" ")[0]) > _BUSY:
        lines += ["", "The machine had other work than this when the run began: only ratios tell something."]
    groups = _groups(report.figures)
    for name, heading, scenarios in groups:
        if not scenarios:
            continue
        lines += ["", f"### {heading}", ""]
        lines += [line for picture in pictures if picture.startswith(name) for line in (_image(directory, picture), "")]
        lines += (
            _latency(report.figures, compared, scenarios) if name == "latency" else _costs(report, compared, scenarios)
        )
    lines += _others(report.figures, (scenario for _, _, scenarios in groups for scenario in scenarios))
    for skipped in report.skipped:
        lines += ["", f"Not measured: {skipped.what}: {skipped.reason}."]
    return "\n".join(lines)


def _groups(figures: Sequence[Figure]) -> tuple[tuple[str, str, list[str]], ...]:
    scenarios = list(dict.fromkeys(figure.scenario for figure in figures))
    return (
        ("canned", "Canned server", [scenario for scenario in CANNED if scenario in scenarios]),
        ("sysbench", "sysbench on an OceanBase kernel", sorted(filter(SYSBENCH.fullmatch, scenarios), key=_place)),
        ("latency", "Latency against offered load", list(filter(OPEN_LOOP.fullmatch, scenarios))),
    )


def _place(scenario: str) -> tuple[int, bool, int]:
    """Return where a load of sysbench stands in the table."""
    match = SYSBENCH.fullmatch(scenario)
    assert match is not None
    return WORKLOADS.index(match[1]), match[2] == "prepared", int(match[3])


def _image(directory: str, name: str) -> str:
    return f"![{name}]({directory}/{name}.svg)"


def _costs(report: Report, compared: Sequence[Comparison], scenarios: Sequence[str]) -> list[str]:
    lines = ["CPU time of the proxy, µs a statement:", ""]
    lines += _table(report.figures, compared, scenarios, CPU, ((ODP_TRIO, HAPROXY), (ODP_TRIO_2, ODP_TRIO)))
    lines += ["", "Statements a second:", ""]
    return lines + _table(report.figures, compared, scenarios, REQUESTS, ((ODP_TRIO, HAPROXY), (ODP_TRIO_2, ODP_TRIO)))


def _table(
    figures: Sequence[Figure],
    compared: Sequence[Comparison],
    scenarios: Sequence[str],
    metric: str,
    against: Sequence[tuple[str, str]],
) -> list[str]:
    found = {(figure.scenario, figure.contender): figure for figure in figures if figure.metric == metric}
    names = [name for name in ORDER if any((scenario, name) in found for scenario in scenarios)]
    ratios = [pair for pair in against if set(pair) <= set(names)]
    heads = ["", *names, *("÷ HAProxy" if other == HAPROXY else "2 ÷ 1" for _, other in ratios)]
    lines = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    for scenario in scenarios:
        cells = [cell(found.get((scenario, name))) for name in names]
        cells += [_ratio(find(compared, scenario, metric, *pair)) for pair in ratios]
        lines.append(_row([scenario.removeprefix("sysbench "), *cells]))
    return lines


def _latency(figures: Sequence[Figure], compared: Sequence[Comparison], scenarios: Sequence[str]) -> list[str]:
    measured = {figure.metric for figure in figures if figure.scenario in scenarios}
    metrics = [metric for metric in PERCENTILES if metric in measured]
    rate = {figure.scenario: figure.median for figure in figures if figure.metric == "offered"}
    lines = []
    for scenario in scenarios:
        match = OPEN_LOOP.fullmatch(scenario)
        assert match is not None
        lines += ["", f"{match[1]} %, {number(rate[scenario])} statements a second; µs:", ""]
        heads = ["", *(metric.removeprefix("latency ") for metric in metrics), "added to p50", "added to p99"]
        lines += [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
        known = {(figure.metric, figure.contender): figure for figure in figures if figure.scenario == scenario}
        for name in ORDER:
            if (metrics[0], name) in known:
                cells = [cell(known.get((metric, name))) for metric in metrics]
                added = [find(compared, scenario, f"latency {share}", name, ORDER[0]) for share in ("p50", "p99")]
                lines.append(_row([name, *cells, *(number(one.median) if one else _DASH for one in added)]))
    return lines


def _others(figures: Sequence[Figure], shown: Iterable[str]) -> list[str]:
    """Return a table of what has no table of its own."""
    known = set(shown)
    left = [figure for figure in figures if figure.scenario not in known]
    names = [name for name in ORDER if name in {figure.contender for figure in left}]
    if not names:
        return []
    rows: dict[tuple[str, str, str], dict[str, Figure]] = {}
    for figure in left:
        rows.setdefault((figure.scenario, figure.metric, figure.unit), {})[figure.contender] = figure
    lines = ["", "### Others", "", _row(["", "", *names]), _row(["---", "---", *["---:"] * len(names)])]
    for (scenario, metric, unit), cells in rows.items():
        lines.append(_row([scenario, f"{metric}, {unit}", *(cell(cells.get(name)) for name in names)]))
    return lines


def _ratio(found: Comparison | None) -> str:
    if found is None:
        return _DASH
    spread = f" ({found.low:.2f} … {found.high:.2f})" if len(found.values) > 1 else ""
    return f"{found.median:.2f}{spread}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
