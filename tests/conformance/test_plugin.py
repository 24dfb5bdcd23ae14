"""The checks as items of pytest, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from odp_trio.cli import main

PLUGIN = "odp_trio.conformance.plugin"
FEW = ["--fakes", "--check", "clusters.name.login", "--check", "nearness.leader.far", "--check", "partitions.hit.key"]


INSTALLED = any(entry.value == PLUGIN for entry in entry_points(group="pytest11"))
"""Whether pytest finds the plugin by itself."""


def run_pytest(*options: str, alone: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the suite; ``alone`` without other plugins, which take seconds to import."""
    named = [] if INSTALLED and not alone else ["-p", PLUGIN]
    words = [*named, "-p", "no:cacheprovider", "--noconftest", "-c", "/dev/null", "-rs"]
    command = [sys.executable, "-m", "pytest", *words, "--pyargs", "odp_trio.conformance.suite", *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if alone else None
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_each_check_is_an_item_of_pytest() -> None:
    done = run_pytest("-v", *(word.replace("--", "--odp-") for word in FEW))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 1 skipped" in done.stdout
    assert "by hash and by ranges of whole numbers only" in done.stdout


def test_a_wrong_name_of_a_check_is_a_usage_error() -> None:
    done = run_pytest("--odp-check", "nothing", alone=True)
    assert done.returncode != 0
    assert "there is no check 'nothing'" in done.stdout + done.stderr


def test_the_plugin_imports_nothing_that_takes_long() -> None:
    code = "import sys, odp_trio.conformance.plugin; print({'trio', 'pymysql', 'msgspec', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_writes_its_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: tmp_path / "made" / f"report.{kind}" for kind in ("junit", "json", "html")}
    words = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]

    assert main(["conformance", *FEW, *words]) == 0

    out = capsys.readouterr().out
    assert "passed   clusters.name.login" in out
    suite = ET.fromstring(files["junit"].read_text())[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "0", "1")
    record = json.loads(files["json"].read_text())
    assert record["counts"] == {"passed": 2, "failed": 0, "broken": 0, "skipped": 1}
    assert len(record["sentences"]) == 87
    html = files["html"].read_text()
    assert "All 2 checks that could run here passed." in html
    assert "<script" not in html
    assert "src=" not in html
    assert 'href="http' not in html


def test_the_command_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--list", "--group", "nearness"]) == 0
    assert "nearness.order (RT-38, RT-47)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group", "nothing"], "there is no group 'nothing'"),
        (["--rslist", "127.0.0.1:1"], "--user USER@TENANT"),
        (["--rslist", "127.0.0.1:1", "--user", "a@b"], "--cluster NAME"),
        (["--rslist", "127.0.0.1:1", "--user", "a@b", "--fakes"], "which of them"),
        (["--direct", "--proxy", "127.0.0.1:1"], "is there a proxy or not"),
        (["--rslist", "nonsense", "--user", "a@b", "--cluster", "c"], "nonsense"),
        (["--rslist", "127.0.0.1:1", "--user", "a@b", "--cluster", "c"], "ODP_CONFORMANCE_PROXYRO_PASSWORD"),
    ],
)
def test_a_mistake_in_the_arguments_is_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", *words]) == 2
    assert said in capsys.readouterr().err
