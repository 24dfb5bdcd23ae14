"""The command line: what is refused, and how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import odp_trio
from odp_trio.cli import _parser, main, read_settings

FLAGS = [
    "run",
    "-p",
    "3000",
    "-l",
    "3001",
    "-r",
    "10.0.0.1:2881;10.0.0.2:2881",
    "-c",
    "c1",
    "-n",
    "shop",
    "-o",
    "enable_qos=true,login_timeout=3s",
]


def test_odps_flags_mean_what_they_mean_there() -> None:
    built = read_settings(_parser().parse_args(FLAGS))

    settings = built.settings
    assert (settings.listen_port, settings.prometheus_listen_port, settings.app_name) == (3000, 3001, "shop")
    assert settings.login_timeout == 3.0
    assert len(settings.clusters["c1"].rslist) == 2
    assert len(built.warnings) == 1


def test_flags_are_stronger_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "odp.toml").write_text('listen_port = 1\n[clusters.c1]\nrslist = "10.0.0.1:2881"\n')

    built = read_settings(_parser().parse_args(["run", "--etc", str(tmp_path), "-p", "3000"]))

    assert built.settings.listen_port == 3000
    assert list(built.settings.clusters) == ["c1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "no cluster is configured"),
        (["run", "-r", "10.0.0.1:2881"], "needs rootservice_cluster_name (-c)"),
        (["run", "-r", "nonsense", "-c", "c1"], "'nonsense' is not an address of the form ip:port"),
        (["run", "-r", "", "-c", "c1"], "cluster 'c1' is not configured and has no rslist"),
        (["run", "-p", "x", "-r", "10.0.0.1:1", "-c", "c"], "listen_port = 'x' is no whole number"),
        (["run", "--config", "/nonexistent/odp.toml"], "/nonexistent/odp.toml"),
        (["run", "-o", "nonsense"], "is not of the form name=value"),
        (["check-config", "/nonexistent/odp.toml"], "/nonexistent/odp.toml"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_check_config_prints_what_is_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odp.toml"
    path.write_text('listen_port = 3000\nobserver_sys_password = "hunter2"\n[clusters.c1]\nrslist = "10.0.0.1:2881"\n')

    assert main(["check-config", str(path)]) == 0
    shown = capsys.readouterr().out
    assert f"listen_port = 3000  # {path}" in shown
    assert 'observer_sys_password = "***"' in shown
    assert 'rslist = "10.0.0.1:2881"' in shown

    assert main(["check-config", "--json", str(path)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["options"]["listen_port"] == {"value": 3000, "source": str(path)}
    assert "hunter2" not in json.dumps(record)


def test_the_shipped_example_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.paths import ROOT

    assert main(["check-config", str(ROOT / "etc" / "odp.toml")]) == 0


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert odp_trio.__version__ in capsys.readouterr().out
