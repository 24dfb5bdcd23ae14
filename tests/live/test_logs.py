"""The logs of a proxy process before a live kernel: what is in them, and what never is."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pymysql
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD, Node, reset_statements
from tests.proxy_process import ProxyProcess, proxy_process

pytestmark = [pytest.mark.live, pytest.mark.slow]

PLANTED = "planted-password"
ADMIN = "planted-password-of-the-proxy"


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join()


@contextmanager
def logging_proxy(kernel: KernelProcess, logs: Path, **options: object) -> Iterator[ProxyProcess]:
    nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(3)]
    kernel.run(*reset_statements(nodes, kernel.port, ("sys",)))
    given = {
        "log_dir": logs,
        "etc_dir": logs.parent / "etc",
        "obproxy_sys_password": ADMIN,
        "hot_upgrade_exit_timeout": "1s",
        **options,
    }
    text = ",".join(f"{name}={value}" for name, value in given.items())
    with proxy_process(f"127.0.0.1:{kernel.port}", "demo", PROXYRO_PASSWORD, options=text) as process:
        yield process


def connect(address: Address, user: str = "root@sys#demo", password: str = "") -> pymysql.Connection[Any]:
    return pymysql.connect(host=address.ip, port=address.port, user=user, password=password, autocommit=True)


def run(connection: pymysql.Connection[Any], sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def lines(logs: Path, name: str) -> list[dict[str, Any]]:
    path = logs / f"obproxy_{name}.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(logs: Path, name: str, text: str) -> None:
    deadline = time.monotonic() + 10
    while not any(text in str(line) for line in lines(logs, name)):
        assert time.monotonic() < deadline, (text, lines(logs, name))
        threading.Event().wait(0.02)


def test_statements_connections_and_secrets(kernel: KernelProcess, logs: Path) -> None:
    options = {"log_format": "json", "query_digest_time_threshold": "0s", "query_digest_sample_rate": 1}
    with logging_proxy(kernel, logs, **options) as proxy:
        for _ in range(30):  # health probes: some wait for the greeting
            with socket.create_connection((proxy.address.ip, proxy.address.port)) as probe:
                probe.settimeout(5)
                if _ % 2:
                    probe.recv(100)
        with pytest.raises(pymysql.err.OperationalError):
            connect(proxy.address, password=PLANTED)
        with closing(connect(proxy.address)) as client:
            run(client, "select 'quick', 1")
            with pytest.raises(pymysql.err.Error):
                run(client, "select * from nowhere.at_all")
            for sql in (
                f"create user planted_user identified by '{PLANTED}'",
                f"set password for planted_user = '{PLANTED}'",
                f"alter user planted_user identified by '{PLANTED}' nonsense",
                "drop user planted_user",
                f"select '{PLANTED}' as password",
            ):
                with suppress(pymysql.err.Error):
                    run(client, sql)
        with closing(connect(proxy.address, "root@proxysys", ADMIN)) as admin:
            run(admin, "alter proxyconfig set slow_query_time_threshold = '50ms'")
            run(admin, f"alter proxyconfig set observer_sys_password1 = '{PLANTED}-3'")
            assert any("login refused" in row[3] for row in run(admin, "show warnlog"))
        with closing(connect(proxy.address)) as client:
            run(client, "select sleep(0.2)")
        wait_for(logs, "slow", "sleep")
        error = proxy.log.read_text()

    written = {path.name: path.read_text() for path in logs.iterdir()}
    assert PLANTED not in str(written) + error
    assert ADMIN not in str(written)
    assert error == ""
    digest = {line["sql"]: line for line in lines(logs, "digest")}
    quick = digest["select 'quick', 1"]
    assert (quick["cluster"], quick["tenant"], quick["user"], quick["result"]) == ("demo", "sys", "root", "success")
    assert 0 < quick["server_us"] < quick["total_us"] < 10_000_000
    assert quick["server"].endswith(f":{kernel.port}")
    (slow,) = [line for line in lines(logs, "slow") if line["sql"] == "select sleep(0.2)"]  # a busy machine: others too
    assert slow["total_us"] > 150_000
    errors = lines(logs, "error")
    assert (errors[0]["sql"], errors[0]["error_code"]) == ("select * from nowhere.at_all", 1146)
    assert "nowhere" in errors[0]["error_message"]
    assert any("***" in line["sql"] for line in errors)
    diagnosis = lines(logs, "diagnosis")
    assert [line["head"] for line in diagnosis[:2]] == ["REBOOT", "LOGIN"]
    assert (diagnosis[1]["login_result"], diagnosis[1]["trace_type"]) == ("failed", "LOGIN_TRACE")
    assert len(diagnosis) == 4  # two logins that succeed, nothing of probes
    assert "left_before_login" not in str(written)


def test_a_traced_statement_has_one_trace_id_everywhere(
    kernel: KernelProcess, logs: Path, collector: Collector
) -> None:
    options: dict[str, object] = {
        "log_format": "json",
        "enable_ob_protocol_v2": True,
        "enable_full_link_trace": True,
        "query_digest_sample_rate": 1,
        "otel_sample_rate": 1,
        "otel_traces_endpoint": collector.url,
    }
    with logging_proxy(kernel, logs, **options) as proxy:
        with closing(connect(proxy.address)) as client:
            run(client, "set ob_enable_show_trace = 1")
            run(client, "select 'traced'")
            shown = run(client, "show trace format = 'json'")
        wait_for(logs, "digest", "traced")

    trace_ids = {entry["trace_id"].replace("-", "") for (text,) in shown for entry in json.loads(text)}
    (line,) = [line for line in lines(logs, "digest") if line["sql"] == "select 'traced'"]
    assert trace_ids == {line["full_link_trace_id"]}
    queries = {
        attribute.value.string_value: span.trace_id.hex()
        for span in collector.spans
        for attribute in span.attributes
        if attribute.key == "db.query.text"
    }
    assert queries["select 'traced'"] == line["full_link_trace_id"]
