"""Own rules are found by entry point or by module and function; what is wrong with a spec is said."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from odp_trio.catalog.own_rules import load_own_rules, log_disabled
from odp_trio.errors import ConfigError
from odp_trio.routing.own_rules import DEFAULT_BUDGET, Mode

MODULE = "rules_of_a_test"
SOURCE = '''
from odp_trio.routing.own_rules import Choice

def reports(request, view):
    """Reports go elsewhere."""

def by_value(request, view):
    """Looks at values."""
by_value.cache = False

async def waits(request, view): ...
def yields(request, view): yield
def one_argument(request): ...
def leader(request, view): ...

class Deep:
    @staticmethod
    def inside(request, view): ...

class Called:
    def __call__(self, request, view): ...

called = Called()
number = 1
'''


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with entry points, on the path."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    (tmp_path / "broken_rules_of_a_test.py").write_text("raise RuntimeError('no licence')\n")
    install(tmp_path, "shop_rules", f"nightly = {MODULE}:reports\nbroken = broken_rules_of_a_test:rule\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return tmp_path


def install(folder: Path, package: str, entry_points: str) -> None:
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[odp_trio.rules]\n{entry_points}")


def refusal(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_own_rules([spec])
    return str(caught.value)


def test_no_specs_are_no_rules() -> None:
    assert load_own_rules([]) == []


def test_an_entry_point_is_found_by_its_name() -> None:
    (rule,) = load_own_rules(["nightly"])

    assert (rule.name, rule.mode, rule.budget, rule.caches) == ("nightly", Mode.ACTIVE, DEFAULT_BUDGET, True)
    assert rule.__doc__ == "Reports go elsewhere."


@pytest.mark.parametrize(
    ("spec", "name"),
    [("reports", "reports"), ("Deep.inside", "inside"), ("called", "Called"), ("by_value", "by_value")],
)
def test_a_function_is_found_by_its_module_and_called_by_its_own_name(spec: str, name: str) -> None:
    (rule,) = load_own_rules([f"{MODULE}:{spec}"])

    assert rule.name == name


def test_a_suffix_says_mode_budget_and_cache() -> None:
    (rule,) = load_own_rules(["nightly?mode=shadow&budget=500us&cache=no"])

    assert (rule.mode, rule.budget, rule.caches) == (Mode.SHADOW, 500e-6, False)


def test_a_suffix_overrules_the_attribute_of_the_function() -> None:
    plain, cached = load_own_rules([f"{MODULE}:by_value", "nightly?cache=yes"])

    assert (plain.caches, cached.caches) == (False, True)
    assert load_own_rules([f"{MODULE}:by_value?cache=yes"])[0].caches


def test_rules_keep_their_order() -> None:
    assert [rule.name for rule in load_own_rules([f"{MODULE}:reports", "nightly"])] == ["reports", "nightly"]


def test_a_rule_that_is_off_is_not_even_imported() -> None:
    assert load_own_rules(["broken?mode=off", "nightly?mode=off"]) == []
    assert MODULE not in sys.modules


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="a rule named 'nightly' is there already"):
        load_own_rules(["nightly", "nightly?mode=shadow"])


def test_an_unknown_name_is_guessed_at_and_the_known_ones_are_listed() -> None:
    text = refusal("nigthly")

    assert text.startswith("own_rules: 'nigthly': 'nigthly' is no entry point of the group odp_trio.rules")
    assert "did you mean 'nightly'?" in text
    assert "broken, nightly" in text


def test_two_packages_with_a_rule_of_one_name_are_told_apart_by_module(installed: Path) -> None:
    install(installed, "other_rules", f"nightly = {MODULE}:by_value\n")

    assert refusal("nightly").endswith(f"write one of {MODULE}:by_value, {MODULE}:reports")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("broken", "broken_rules_of_a_test:rule cannot be imported: RuntimeError: no licence"),
        (
            "no_such_module:f",
            "no_such_module:f cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (f"{MODULE}:absent", f"cannot be imported: AttributeError: module '{MODULE}' has no attribute 'absent'"),
        (f"{MODULE}:number", "is int, not a function"),
        (f"{MODULE}:waits", "must be a plain function: a rule cannot wait"),
        (f"{MODULE}:yields", "must be a plain function: a rule cannot wait"),
        (f"{MODULE}:one_argument", "must take a request and a view: too many positional arguments"),
        (f"{MODULE}:leader", "'leader' is the name of a built-in rule"),
        ("a b:c", "write the name of an entry point, or package.module:function"),
        (":f", "write the name of an entry point, or package.module:function"),
        ("nightly?mod=shadow", "'mod' is no setting of a rule; did you mean 'mode'? (known: budget, cache, mode)"),
        ("nightly?mode=shadows", "'shadows' is no mode; did you mean 'shadow'? (known: active, off, shadow)"),
        ("nightly?mode", "mode must be given once, as mode=VALUE"),
        ("nightly?mode=off&mode=off", "mode must be given once, as mode=VALUE"),
        ("nightly?budget=soon", 'budget=soon is no duration; write it like "15s", "10ms", "2h"'),
        ("nightly?budget=200", "budget=200: a budget is 1us to 100ms"),
        ("nightly?budget=0", "budget=0: a budget is 1us to 100ms"),
        ("nightly?cache=maybe", "cache=maybe is neither true nor false"),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused_with_the_reason(spec: str, why: str) -> None:
    text = refusal(spec)

    assert text.startswith(f"own_rules: {spec!r}: ")
    assert text.endswith(why)


def test_the_alarm_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    (rule,) = load_own_rules(["nightly"])

    with caplog.at_level(logging.ERROR):
        log_disabled(rule, "it raised ZeroDivisionError: division by zero")

    assert caplog.messages == ["own rule nightly is disabled: it raised ZeroDivisionError: division by zero"]
