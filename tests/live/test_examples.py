"""The examples run."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.live.clients import ask
from tests.paths import ROOT

APP = ("app@sys#demo", "app_pw")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
"""A program finds its neighbours, as where its users run it."""


@pytest.fixture
def arguments(kernel: KernelProcess) -> list[str]:
    """What an example is told: where the cluster is, and who may ask it."""
    kernel.run(*reset_statements([Node(0, "127.0.0.1", "zone1")], kernel.port, ("sys",)))
    return [f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD]


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]


@contextmanager
def started(name: str, *arguments: str) -> Iterator[str]:
    """Run an example in the background; yield its first line."""
    with subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
        finally:
            process.kill()


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed: pip install 'odp-trio[dev]'")


def test_a_proxy_inside_a_trio_program(arguments: list[str]) -> None:
    with started("embed", *arguments) as line:
        address = line.removeprefix("listening on (").rstrip(")\n").replace("'", "").split(", ")
        assert ask((address[0], int(address[1])), "select 42") == ((42,),)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("without_a_port", ["app is logged in", "{'answer': 42}", "app has left (client_quit) after 1 statements"]),
        ("with_pymysql", ["0 1 4 9 16 25 36 49"]),
        pytest.param("with_trio_mysql", ["42"], marks=needs("trio_mysql")),
    ],
)
def test_a_program_that_ends(arguments: list[str], name: str, said: list[str]) -> None:
    done = subprocess.run(command(name, *arguments, *APP), capture_output=True, text=True, timeout=60, env=ENVIRONMENT)

    assert done.returncode == 0, done.stderr
    assert [each for each in said if each not in done.stdout] == [], done.stdout


@pytest.mark.parametrize("name", ["beside_hypercorn", pytest.param("beside_quart", marks=needs("quart_trio"))])
def test_a_web_service_and_its_proxy(arguments: list[str], name: str) -> None:
    with started(name, *arguments, *APP) as line:
        base = line.removeprefix("listening on ").strip()
        with urllib.request.urlopen(f"{base}/", timeout=30) as answer:
            assert json.load(answer) == [{"answer": 42}]
