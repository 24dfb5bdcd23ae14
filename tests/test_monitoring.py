"""The dashboard and the alert rules: every expression can be read, and asks for metrics and labels that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from lark.exceptions import UnexpectedInput

from odp_trio.admin.metric_table import FAMILIES, MEANINGS, Family
from odp_trio.observe import ROUTES, StatementWatch
from odp_trio.session.reasons import End, ServerEnd
from odp_trio.session.retry import Action
from odp_trio.topology.congestion import Failure, Listed
from tests.paths import ROOT
from tests.promql import uses

DASHBOARD = ROOT / "etc" / "grafana" / "odp-trio.json"
ALERTS = ROOT / "etc" / "prometheus" / "alerts.yml"
ADDED = {"job", "instance"}
"""Labels that Prometheus adds to every sample."""
VALUES = {
    ("odp_session_ends_total", "reason"): {end.value for end in End},
    ("odp_server_session_ends_total", "reason"): {end.value for end in ServerEnd},
    ("odp_failed_statements_total", "action"): {action.value for action in Action},
    ("odp_server_failures_total", "kind"): {failure.value for failure in Failure},
    ("odp_congested_servers", "list"): {listed.value for listed in Listed},
    ("odp_table_statements_total", "outcome"): {"routed", "missed"},
    ("odp_tenant_statement_time_seconds_total", "part"): {"total", "server", "proxy"},
    ("odp_tenant_statements_total", "route"): set(MEANINGS),
    ("odp_statement_records_total", "wanted"): set(StatementWatch().records),
}


def alert_rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from group["rules"]


def panels() -> Iterator[dict[str, Any]]:
    yield from json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alert_rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]


def family_of(sample: str) -> tuple[Family, str] | None:
    """Return the family that a sample belongs to, and the end of its name."""
    if sample in FAMILIES:
        return FAMILIES[sample], ""
    for suffix in ("_bucket", "_sum", "_count"):
        family = FAMILIES.get(sample.removesuffix(suffix))
        if sample.endswith(suffix) and family is not None and family.kind == "histogram":
            return family, suffix
    return None


def mistakes(expression: str) -> list[str]:
    """Say what is wrong with an expression."""
    try:
        found = uses(expression)
    except UnexpectedInput as exc:
        return [f"it cannot be read: {exc}"]
    wrong: list[str] = []
    for use in found:
        if use.sample == "up":  # Prometheus's own
            continue
        known = family_of(use.sample)
        if known is None:
            wrong.append(f"there is no {use.sample}")
            continue
        family, suffix = known
        labels = {*family.labels, *ADDED} | ({"le"} if suffix == "_bucket" else set())
        grows = family.kind != "gauge"
        if family.kind == "histogram" and not suffix:
            wrong.append(f"{use.sample} is a histogram: it has _bucket, _sum, _count")
        if grows != use.ranged or grows != (use.function in ("rate", "increase")):
            wrong.append(
                f"{use.sample} is a {family.kind}: rate() of a range is for what only grows, and for all of it"
            )
        if suffix == "_bucket" and "le" not in use.grouped:
            wrong.append(f"the buckets of {use.sample} are summed up over le")
        for name, how, value in use.matched:
            if name not in labels:
                wrong.append(f"{use.sample} has no label {name}")
            closed = VALUES.get((use.sample, name))
            wanted = set(value.split("|")) if how.endswith("~") else {value}
            if closed is not None and not value.startswith("$") and not wanted <= closed:
                wrong.append(f"{name} of {use.sample} is never {sorted(wanted - closed)}")
        if use.grouped - labels:
            wrong.append(f"{use.sample} has no label {sorted(use.grouped - labels)}")
    return wrong


@pytest.mark.parametrize(("what", "expression"), [pytest.param(*each, id=each[0]) for each in expressions()])
def test_every_expression_asks_for_what_there_is(what: str, expression: str) -> None:
    assert mistakes(expression) == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("rate(odp_nothing_total[5m])", "there is no odp_nothing_total"),
        ("sum(rate(odp_logins_total[5m])", "cannot be read"),
        ("odp_logins_total > 3", "is a counter"),
        ("rate(odp_clients[5m])", "is a gauge"),
        ("rate(odp_logins_total)", "is a counter"),
        ("sum by (tenant) (rate(odp_logins_total[5m]))", "has no label ['tenant']"),
        ('rate(odp_logins_total{tenant="a"}[5m])', "has no label tenant"),
        ('rate(odp_session_ends_total{reason="boredom"}[5m])', "is never ['boredom']"),
        ('odp_congested_servers{list=~"dead|black"}', "is never ['black']"),
        ("histogram_quantile(0.9, sum(rate(odp_statement_seconds_bucket[5m])))", "summed up over le"),
        ("rate(odp_statement_seconds[5m])", "is a histogram"),
        ("rate(odp_clients_sum[5m])", "there is no odp_clients_sum"),
    ],
)
def test_a_mistake_in_an_expression_is_found(expression: str, said: str) -> None:
    assert said in "; ".join(mistakes(expression))


def test_metrics_that_the_documentation_names_are_there() -> None:
    of_odp = {name for family in FAMILIES.values() for name in re.findall(r"odp_\w+", family.odp)}
    unknown: dict[str, str] = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name in re.findall(r"`(odp_[a-z_]+)", page.read_text()):
            parts = name.startswith("odp_trio") or name.endswith("_")
            known = family_of(name) or name in FAMILIES or f"{name}_total" in FAMILIES or name in of_odp
            if not parts and not known:
                unknown[name] = page.name

    assert unknown == {}


# ---- alert rules ----------------------------------------------------------------------------


def test_alert_rules_are_as_prometheus_wants_them() -> None:
    rules = list(alert_rules())
    names = [rule["alert"] for rule in rules]

    assert len(names) == len(set(names)) > 10
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m")), rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith((".", "?"))


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in alert_rules()])
def test_an_alert_names_labels_that_its_expression_leaves(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", "".join(rule["annotations"].values())))
    left = set(ADDED)
    for use in uses(rule["expr"]):
        known = family_of(use.sample)
        left |= use.grouped or (set(known[0].labels) if known is not None else set())

    assert named <= left - {"le"}


# ---- the dashboard --------------------------------------------------------------------------


def test_panels_lie_beside_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in panels()]
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells

    assert len(ids) == len(set(ids))


def test_panels_ask_the_data_source_that_was_chosen_with_variables_that_there_are() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}

    for panel in panels():
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            named = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert named <= set(variables), panel["title"]
            assert {"job", "instance"} <= named, panel["title"]
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            asked = uses(target["expr"])
            assert all(legend <= (use.grouped or legend) for use in asked if use.grouped), panel["title"]
    for variable in variables.values():
        if variable["type"] == "query":
            asked_of = re.match(r"label_values\((\w+)", variable["definition"])
            assert asked_of is not None
            assert asked_of[1] in FAMILIES


def test_what_is_measured_is_shown() -> None:
    shown = {use.sample for _, expression in expressions() for use in uses(expression)}
    families = {known[0].name for sample in shown if (known := family_of(sample)) is not None}

    assert {
        name for name in FAMILIES if name.startswith(("odp_statement_", "odp_tenant_st", "odp_loop_lag"))
    } - families <= {
        "odp_statement_errors_total",  # by tenant there are the same
        "odp_statement_records_total",
        "odp_statement_cache_size",
        "odp_statement_cache_misses_total",
        "odp_statement_cache_evictions_total",
    }


def test_every_route_has_a_meaning() -> None:
    assert set(ROUTES.values()) | {"own_rule"} == set(MEANINGS)
