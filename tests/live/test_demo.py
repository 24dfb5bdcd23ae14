"""``odp-trio demo`` and ``testbed`` as a user runs them, and the wheel outside the checkout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tests.paths import ROOT

CHILD = """
import os, pymysql
e = os.environ
c = pymysql.connect(host=e["ODP_HOST"], port=int(e["ODP_PORT"]), user=e["ODP_USER"], password=e["ODP_PASSWORD"]).cursor()
c.execute("select 6 * 7")
print("answer", c.fetchone()[0], e["ODP_CLUSTER"], len(e["ODP_RSLIST"].split(";")), bool(e["ODP_HTTP_PORT"]), bool(e["ODP_ADMIN_PASSWORD"]), bool(e["ODP_HTTP_TOKEN"]))
raise SystemExit(7)
"""


def odp_trio(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "odp_trio", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def test_the_demo_runs_a_command_in_its_environment_and_ends_with_its_status() -> None:
    done = odp_trio("demo", "--port", "0", "--http-port", "0", "--observers", "2", "--", sys.executable, "-c", CHILD)

    assert done.stdout == "answer 42 demo 2 True True True\n", done.stderr
    assert done.returncode == 7


def test_the_demo_in_the_foreground_shows_what_to_paste_and_ends_on_ctrl_c() -> None:
    command = [sys.executable, "-m", "odp_trio", "demo", "--port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        shown = ""
        timer = threading.Timer(90, process.kill)
        timer.start()
        while "Ctrl-C" not in shown:
            line = process.stderr.readline()
            assert line, shown
            shown += line
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        timer.cancel()

    assert "It works:" in shown
    assert "answered 6 * 7 = 42" in shown
    assert "mariadb -h 127.0.0.1 -P" in shown
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_the_testbed_is_the_same_without_the_proxy() -> None:
    code = 'import os; print(os.environ["ODP_RSLIST"].count(";"), os.environ["ODP_USER"], "ODP_PORT" in os.environ)'

    done = odp_trio("testbed", "--", sys.executable, "-c", code)

    assert (done.stdout, done.returncode) == ("2 root@sys False\n", 0), done.stderr


def test_a_command_that_is_not_there_is_127() -> None:
    done = odp_trio("testbed", "--", "no-such-command-here")

    assert done.returncode == 127
    assert "no-such-command-here" in done.stderr


@pytest.mark.slow
def test_a_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"odp_trio/sql/odp_sql.json", "odp_trio/etc/odp.toml", "odp_trio/admin/console/index.html"} <= names
    assert not any(name.startswith(("tests", "benchmarks")) for name in names)
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        timeout=120,
    )
    code = (
        "import odp_trio; from odp_trio.sql.dml import prepare; from odp_trio.admin.commands.table import COMMANDS; "
        f"assert odp_trio.__file__.startswith({str(target)!r}), odp_trio.__file__; "
        "prepare(); print(COMMANDS[0].syntax.notation)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "SHOW PROXYCONFIG [LIKE 'pattern']\n", done.stderr
    run = odp_trio(
        "demo", "--port", "0", "--http-port", "0", "--", sys.executable, "-c", CHILD, cwd=tmp_path, env=environment
    )
    assert run.returncode == 7, run.stderr
