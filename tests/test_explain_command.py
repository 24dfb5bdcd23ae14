"""``odp-trio explain`` and ``odp-trio snapshot``: answers, exit statuses, and what is refused in one line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from odp_trio.admin.explain import ExplainRequest, explain_offline, explanation_object
from odp_trio.admin.explain_command import read_parameter
from odp_trio.cli import main
from odp_trio.topology.snapshot import Snapshot, restore
from tests.admin.world import SERVERS, snapshot
from tests.paths import ROOT

S1, S2, S3 = map(str, SERVERS)
ORDER = "select * from orders where id = 1"
LOGIN = ["--tenant", "shop", "--database", "sales"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.json"
    path.write_bytes(msgspec.json.encode(snapshot()))
    return path


@pytest.fixture
def explained(file: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run ``explain`` on the snapshot; return status, answer and standard error."""

    def run(*words: str) -> tuple[int, dict[str, Any], str]:
        status = main(["explain", "--json", "--snapshot", str(file), *LOGIN, *words])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else {}, err

    return run


def test_a_snapshot_answers_without_a_proxy(explained: Any) -> None:
    status, answer, err = explained(ORDER)

    assert (status, err) == (0, "")
    assert answer["server"] == S2
    assert answer["partition"] == {"name": "p1", "tablet_id": 200002}


def test_flags_describe_the_session(explained: Any) -> None:
    _, weak, _ = explained("--weak", "--user", "reports", "--idc", "sh3", ORDER)
    _, bound, _ = explained("--in-transaction-on", S3, ORDER)
    _, last, _ = explained("--last-server", S3, "select 1")
    _, prepared, _ = explained("--param", "2", "select * from orders where id = ?")

    assert (weak["server"], weak["policy"]) == (S3, "FOLLOWER_FIRST")
    assert (bound["server"], bound["rule"]) == (S3, "open_transaction")
    assert last["server"] == S3
    assert prepared["partition"]["name"] == "p2"


def test_several_what_ifs_are_imagined_together(explained: Any) -> None:
    _, answer, _ = explained("--what-if", "zone=z2 down", "--what-if", f"server={S1} down", ORDER)

    assert answer["server"] == S3


def test_a_statement_may_come_from_standard_input_or_behind_two_dashes(
    explained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(ORDER + "\n"))

    assert explained("-")[1]["server"] == S2
    assert explained("--", ORDER)[1]["server"] == S2


def test_a_statement_that_no_server_may_serve_is_status_1(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file.with_name("strict.json")
    path.write_bytes(msgspec.json.encode(snapshot(target_db_server="10.9.9.9:2881")))

    status = main(["explain", "--snapshot", str(path), *LOGIN, ORDER])

    assert status == 1
    assert "none: Not allow to route to target db server" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no statement to explain; see 'odp-trio explain --help'"),
        (["--what-if", "zone=z9 down", ORDER], "there is no zone 'z9'; known: z1, z2, z3"),
        (["--cluster", "dmeo", ORDER], "cluster 'dmeo' is not known; did you mean 'demo'?"),
        (["--param", "1", ORDER], "the statement has 0 placeholders; 1 value given for them"),
        (["--last-server", "x", ORDER], "last_server: 'x' is not an address of the form ip:port"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(explained: Any, words: list[str], said: str) -> None:
    status, answer, err = explained(*words)

    assert (status, answer) == (2, {})
    assert err.startswith("odp-trio: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"{", "not a snapshot: "),
        (b'{"format": 2}', "format 2 of snapshots is not known; this version reads 1"),
    ],
)
def test_a_file_that_is_no_snapshot_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)

    assert main(["explain", "--snapshot", str(path), "select 1"]) == 2

    err = capsys.readouterr().err
    assert err.startswith(f"odp-trio: {path}: ")
    assert said in err
    assert err.count("\n") == 1


def test_people_see_the_facts_the_rule_and_every_candidate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--snapshot", str(file), *LOGIN, "--what-if", "zone=z2 down", ORDER]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] in (f"server {S1}", f"server {S3}")
    assert "tenant shop#demo" in lines
    assert "statement select on orders" in lines
    assert "partition p1, tablet 200002" in lines
    assert "what if zone=z2 down" in lines
    assert f"{S2} ANWPLD its state is INACTIVE" in lines
    assert any(line.startswith("→ 10.0.0.") for line in lines)


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-1.5", -1.5), ('"7"', "7"), ("null", None), ("true", True), ("abc", "abc"), ("[1]", "[1]"), ("", "")],
)
def test_parameters_are_json_or_else_text(text: str, value: object) -> None:
    found = read_parameter(text)

    assert (type(found), found) == (type(value), value)


# ---- a proxy --------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    """Answers as a proxy does, out of the made-up cluster."""

    taken: Snapshot = snapshot()
    broken: tuple[int, bytes] | None = None

    def do_GET(self) -> None:
        self._answer(200, msgspec.json.encode(self.taken) if self.path == "/api/snapshot" else b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        request = msgspec.json.decode(body, type=ExplainRequest)
        self._answer(200, msgspec.json.encode(explanation_object(explain_offline(restore(self.taken), request))))

    def _answer(self, status: int, body: bytes) -> None:
        status, body = self.broken or (status, body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Stay silent."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Handler, "broken", None)
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_proxy_and_its_snapshot_answer_the_same(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "taken.json"
    words = ["--json", *LOGIN, "--what-if", "zone=z2 down", ORDER]

    assert main(["snapshot", "--proxy", url, "-o", str(path)]) == 0
    assert capsys.readouterr().err == f"{path}: 1 clusters, 3 tables\n"
    assert main(["explain", "--proxy", url + "/", *words]) == 0
    live = json.loads(capsys.readouterr().out)
    assert main(["explain", "--snapshot", str(path), *words]) == 0

    assert json.loads(capsys.readouterr().out) == live
    assert [found.name for found in tmp_path.iterdir()] == ["taken.json"]


def test_a_snapshot_goes_to_standard_output_if_no_file_is_named(
    url: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["snapshot", "--proxy", url]) == 0
    assert msgspec.json.decode(capsysbinary.readouterr().out, type=Snapshot) == _Handler.taken


@pytest.mark.parametrize("verb", [["explain", "select 1"], ["snapshot"]])
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1", "cannot be asked: [Errno 111] Connection refused; is the proxy running"),
        ("127.0.0.1:2884", "cannot be asked: "),
        ("nonsense", "cannot be asked: "),
        ("http://[", "cannot be asked: "),
    ],
)
def test_a_proxy_that_cannot_be_asked_is_status_2(
    capsys: pytest.CaptureFixture[str], verb: list[str], address: str, said: str
) -> None:
    assert main([*verb, "--proxy", address]) == 2

    err = capsys.readouterr().err
    assert err.startswith(f"odp-trio: {address} ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", [["explain", "select 1"], ["snapshot"]])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b"Not Found"), "answered with status 404"),
        ((503, b'{"error": "nobody answers"}'), "odp-trio: nobody answers"),
        ((200, b"<html>"), "not "),
        ((200, b"[]"), "not "),
    ],
)
def test_an_answer_that_is_no_good_is_status_2(
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: list[str],
    answer: tuple[int, bytes],
    said: str,
) -> None:
    monkeypatch.setattr(_Handler, "broken", answer)

    assert main([*verb, "--proxy", url]) == 2

    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_asking_a_snapshot_imports_no_client_and_no_server(file: Path) -> None:
    heavy = {"httpx", "starlette", "hypercorn", "prometheus_client", "rich"}
    code = (
        f"import sys, odp_trio.cli\nstatus = odp_trio.cli.main({['explain', '--json', '--snapshot', str(file), 'x']!r})"
        f"\nprint(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)\nraise SystemExit(status)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, "[]\n")
