"""What one proxy has logged: which records it asks for, and what it keeps."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from odp_trio.config import Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.logs.proxy_logs import ProxyLogs
from odp_trio.model import Address, TenantKey
from odp_trio.observe import NEVER, StatementWatch
from odp_trio.routing.request import Route
from odp_trio.session.services import Services
from tests.logs.records import record, taking

Made = Callable[..., tuple[ProxyLogs, StatementWatch]]


@pytest.fixture
def make() -> Iterator[Made]:
    made = []

    def make(**options: Any) -> tuple[ProxyLogs, StatementWatch]:
        logs, watch = ProxyLogs(Settings(**options)), StatementWatch()
        services = SimpleNamespace(watch=watch, diagnosis=None, views=SimpleNamespace(diagnosis=None))
        logs.attach(cast("Services", services))
        assert services.diagnosis is services.views.diagnosis is logs
        logs.serving()
        made.append(logs)
        return logs, watch

    yield make
    for logs in made:
        logs.close()


def lines(directory: Path, name: str) -> list[dict[str, Any]]:
    path = directory / f"obproxy_{name}.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_without_files_only_slow_statements_are_asked_for_and_kept(make: Made) -> None:
    logs, watch = make(query_digest_sample_rate=0.5, otel_sample_rate=0.5)

    assert (watch.slow_ns, watch.every, watch.failed) == (100_000_000, NEVER, False)
    logs.statement(taking(200))
    logs.statement(slow := taking(600))
    assert list(logs.slow) == [slow]


def test_when_nothing_is_wanted_nothing_is_asked_for(make: Made) -> None:
    _, watch = make(slow_query_time_threshold=0.0, query_digest_time_threshold=0.0)

    assert watch.log is None


def test_with_files_those_that_fail_and_a_share_too(make: Made, tmp_path: Path) -> None:
    _, watch = make(log_dir=str(tmp_path), query_digest_sample_rate=0.01)

    assert (watch.slow_ns, watch.every, watch.failed) == (100_000_000, 100, True)


def test_settings_that_change_hold_from_the_next_statement(make: Made, tmp_path: Path) -> None:
    logs, watch = make(log_dir=str(tmp_path))
    logs.apply(
        Settings(), Settings(log_dir=str(tmp_path), slow_query_time_threshold=0.01, query_digest_sample_rate=1.0)
    )

    assert (watch.slow_ns, watch.every) == (10_000_000, 1)
    logs.statement(taking(20))
    assert len(logs.slow) == 1


def test_what_is_slow_is_the_users(make: Made) -> None:
    scopes = {("shop", "bob"): {"slow_query_time_threshold": 0.05}}
    logs, _ = make(clusters={"demo": ClusterSettings(rslist=(), scopes=scopes)})

    logs.statement(taking(100, user="bob"))
    logs.statement(taking(100, user="eve"))
    assert [kept.user for kept in logs.slow] == ["bob"]


def test_digests_and_spans_have_shares_of_their_own(make: Made, tmp_path: Path) -> None:
    options = {"log_format": "json", "query_digest_sample_rate": 0.1, "otel_sample_rate": 0.4}
    logs, watch = make(log_dir=str(tmp_path), otel_traces_endpoint="http://127.0.0.1:1/", **options)
    put: list[Any] = []
    logs.output.put = put.append  # type: ignore[method-assign]
    for number in range(400):
        logs.statement(record(wanted="slow" if number % 2 else "sampled"))
        logs.statement(record(wanted="slow", sampled=False))

    assert watch.every == 2  # so these are half of 800 statements
    assert sum(finished.digest for finished in put) == pytest.approx(80, abs=1)
    assert sum(finished.span for finished in put) == pytest.approx(320, abs=1)


def test_a_storm_is_cut_and_counted(make: Made, tmp_path: Path) -> None:
    logs, _ = make(log_dir=str(tmp_path), log_format="json", statement_lines_per_second=10)
    for second in (1, 2):
        for _ in range(25):
            logs.statement(record(wanted="failed", errno=1146, wall_us=second * 1_000_000))
    logs.close()

    assert len(lines(tmp_path, "error")) == 20
    assert logs.output.counts().over_budget == 30


def test_a_misroute_has_a_line_unless_that_is_off(make: Made, tmp_path: Path) -> None:
    logs, _ = make(log_dir=str(tmp_path), log_format="json")
    key, route = TenantKey("demo", "shop"), Route(Address("10.0.0.1", 2881), "leader")
    logs.misrouted(key, route, b"select 'x' from users where password = 'y'")
    logs.apply(Settings(), Settings(log_dir=str(tmp_path), log_format="json", route_diagnosis_level=0))
    logs.misrouted(key, route, b"select 2")
    logs.close()

    start, line = lines(tmp_path, "diagnosis")
    assert start["head"] == "REBOOT"
    assert (line["head"], line["server_addr"], line["rule"]) == ("ROUTE", "10.0.0.1:2881", "leader")
    assert line["user_sql"] == "select *** from users where password = ***"


def test_in_a_program_of_its_own_only_warnings_are_kept_and_nothing_is_left_behind(make: Made, tmp_path: Path) -> None:
    logs, _ = make(log_dir=str(tmp_path))
    handlers = list(logging.getLogger("odp_trio").handlers)
    logging.getLogger("odp_trio.net").warning("kept")
    logs.close()

    assert [line.log for line in logs.ring.lines()] == ["kept"]
    assert not (tmp_path / "obproxy.log").exists()
    assert logs.output in handlers
    assert logs.output not in logging.getLogger("odp_trio").handlers
