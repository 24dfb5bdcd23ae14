"""Lines on their way from ``log.warning(...)`` to a file or standard error."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from odp_trio.config import Secret, Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.errors import ConfigError
from odp_trio.logs.line import sameness
from odp_trio.logs.output import LogOutput, secrets_of
from odp_trio.logs.statement import Finished
from tests.logs.records import record, taking

log = logging.getLogger("odp_trio.test")

Made = Callable[..., LogOutput]
PATIENCE = 120.0
"""Seconds: a machine that stands still for a while must not look like lines that are lost."""


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(stream: io.StringIO) -> Iterator[Made]:
    made: list[LogOutput] = []

    def make(**options: Any) -> LogOutput:
        output = LogOutput(Settings(**{"syslog_level": "DEBUG", **options}), stream)
        log.addHandler(output)
        log.setLevel(logging.DEBUG)
        output.start()
        output.go()
        made.append(output)
        return output

    yield make
    for output in made:
        log.removeHandler(output)
        output.close(PATIENCE)


def test_json_lines_have_the_documented_keys(make: Made, stream: io.StringIO) -> None:
    output = make(log_format="json")
    log.warning("%s cannot be had: %s", "10.0.0.1:2881", "refused", extra={"cluster": "demo", "path": Path("/x")})
    output.close(PATIENCE)

    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "odp_trio.test",
        "event": "10.0.0.1:2881 cannot be had: refused",
        "cluster": "demo",
        "path": "/x",
    }


def test_console_lines_are_for_people(make: Made, stream: io.StringIO) -> None:
    output = make()
    log.info("listening on %d", 2883, extra={"cluster": "demo"})
    output.close(PATIENCE)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \[info\] listening on 2883 \[odp_trio.test\] cluster=demo\n",
        stream.getvalue(),
    )


def test_lines_of_odp(make: Made, stream: io.StringIO) -> None:
    output = make(log_format="odp")
    log.info("one")
    log.error("two")
    output.close(PATIENCE)

    one, two = stream.getvalue().splitlines()
    head = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\]"
    assert re.fullmatch(head + r" INFO TEST test_output.py:\d+ \[\d+\]\[Y0-0{16}\] one", one)
    assert re.fullmatch(head + r" ERROR TEST test_lines_of_odp \(test_output.py:\d+\) \[\d+\]\[Y0-0{16}\] two", two)


@pytest.mark.parametrize("form", ["console", "json", "odp"])
def test_a_traceback_is_written(make: Made, stream: io.StringIO, form: str) -> None:
    output = make(log_format=form)
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        log.exception("crashed")
    output.close(PATIENCE)

    assert "ZeroDivisionError: by nothing" in stream.getvalue()
    assert "Traceback (most recent call last)" in stream.getvalue()


@pytest.mark.parametrize("form", ["console", "json", "odp"])
def test_nobody_can_forge_a_line(make: Made, stream: io.StringIO, form: str) -> None:
    output = make(log_format=form)
    log.warning("user %s", "bob\n2026-01-01 00:00:00.000000 [info] all is well")
    output.close(PATIENCE)

    assert len(stream.getvalue().splitlines()) == 1


def test_the_form_can_be_changed_while_it_runs(make: Made, stream: io.StringIO) -> None:
    output = make(log_format="odp")
    written = threading.Event()
    stream.flush = written.set  # type: ignore[method-assign]
    log.info("one")
    assert written.wait(5)
    output.apply(Settings(log_format="json"))
    log.info("two")
    output.close(PATIENCE)

    one, two = stream.getvalue().splitlines()
    assert one.endswith(" one")
    assert json.loads(two)["event"] == "two"


def test_the_same_about_the_same_source_is_written_some_times_and_counted(make: Made, stream: io.StringIO) -> None:
    output = make(log_repeats_per_minute=3)
    for number in range(50):
        log.warning("session %d from 10.0.0.%d:%d: refused after %g s", number, number % 2, 4000 + number, number / 7)
    output.close(PATIENCE)

    assert len(stream.getvalue().splitlines()) == 6
    assert output.counts().repeated == 44
    assert len(output.ring.lines()) == 6


def test_of_two_messages_addresses_count_and_numbers_do_not() -> None:
    assert sameness("session 5 bob from 10.0.0.1:99: no") == sameness("session 6 bob from 10.0.0.1:98: no")
    assert sameness("session 5 bob from 10.0.0.1:99: no") != sameness("session 5 bob from 10.0.0.2:99: no")
    assert (
        sameness("session 5 from [::1]:99") == sameness("session 5 from [::1]:98") != sameness("session 5 from [::2]:9")
    )
    assert sameness("10.0.0.1:2881 is gone") != sameness("10.0.0.1:2882 is gone")
    assert sameness("after 1.5e-05 s") == sameness("after 2 s")
    assert sameness("cluster ob4") != sameness("cluster ob3")


def test_warnings_are_kept_for_show_warnlog(make: Made) -> None:
    output = make()
    log.info("no")
    log.warning("yes")

    assert [line.log for line in output.ring.lines()] == ["yes"]
    assert output.ring.rows()[0][3] == "WARNING [odp_trio.test] yes"


def test_secrets_of_the_configuration_are_nowhere(make: Made, stream: io.StringIO, tmp_path: Path) -> None:
    passwords = ["first-password", "second-password", "third-password", "fourth-password"]
    settings: dict[str, Any] = {
        "observer_sys_password": Secret(passwords[0]),
        "obproxy_sys_password": Secret(passwords[1]),
        "ssl_key_password": Secret(passwords[2]),
        "clusters": {"demo": ClusterSettings(rslist=(), observer_sys_password1=Secret(passwords[3]))},
    }
    assert sorted(secrets_of(Settings(**settings))) == sorted(passwords)
    output = make(**settings, log_dir=str(tmp_path), enable_syslog_wf=True)
    for password in passwords:
        log.error("refused: %s", password, extra={"note": password})
        try:
            raise ValueError(password)
        except ValueError:
            log.exception("crashed")
        output.put(Finished(taking(900, errno=1, message=password, sql=f"SELECT '{password}'".encode())))
    output.close(PATIENCE)

    written = stream.getvalue() + "".join(path.read_text() for path in tmp_path.iterdir()) + str(output.ring.lines())
    assert "***" in written
    assert [password for password in passwords if password in written] == []
    assert {path.name for path in tmp_path.iterdir()} == {
        "obproxy.log", "obproxy.log.wf", "obproxy_slow.log", "obproxy_digest.log", "obproxy_error.log",
    }  # fmt: skip


STATEMENTS = (
    b"SET PASSWORD FOR bob = 'planted-1'",
    b"ALTER USER bob IDENTIFIED BY 'planted-2'",
    b'ALTER USER bob IDENTIFIED BY "planted-3"',
    b"ALTER PROXYCONFIG SET obproxy_sys_password = 'planted-4'",
    b"UPDATE users SET password = 'planted-5'",
)


@pytest.mark.parametrize("form", ["console", "json", "odp"])
def test_passwords_in_statements_are_nowhere(make: Made, tmp_path: Path, form: str) -> None:
    output = make(log_format=form, log_dir=str(tmp_path))
    for sql in STATEMENTS:
        output.put(Finished(taking(900, errno=1064, message=f"near '{sql.decode()}'", sql=sql), digest=True))
    output.close(PATIENCE)

    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert "planted" not in str(written)
    assert {name: len(text.splitlines()) for name, text in written.items()} == dict.fromkeys(
        ("obproxy_digest.log", "obproxy_slow.log", "obproxy_error.log"), len(STATEMENTS)
    )


@pytest.mark.parametrize("form", ["console", "json", "odp"])
def test_a_statement_is_one_line_in_every_form(make: Made, tmp_path: Path, form: str) -> None:
    output = make(log_format=form, log_dir=str(tmp_path))
    output.put(Finished(record(sql='SELECT "ü\r\n\t\'"'.encode()), digest=True))
    output.close(PATIENCE)

    text = (tmp_path / "obproxy_digest.log").read_text()
    assert text.count("\n") == 1
    if form == "json":
        assert json.loads(text)["sql"] == 'SELECT "ü\r\n\t\'"'


def test_a_full_disk_is_told_and_counted(make: Made, stream: io.StringIO, tmp_path: Path) -> None:
    output = make(log_dir=str(tmp_path))
    (tmp_path / "obproxy_slow.log").mkdir()
    (tmp_path / "obproxy.log").mkdir()
    output.put(Finished(taking(900)))
    log.warning("important")
    output.close(PATIENCE)

    assert "the logs cannot be written: " in stream.getvalue()
    assert "important" in stream.getvalue()
    assert output.counts().failed == 2


def test_more_than_may_be_written_in_a_second_is_dropped_and_told(
    make: Made, stream: io.StringIO, tmp_path: Path
) -> None:
    output = make(log_dir=str(tmp_path), syslog_io_bandwidth_limit=3000, log_repeats_per_minute=0, log_format="odp")
    for _ in range(100):
        output.put(Finished(taking(900)))
    output.close(PATIENCE)

    assert output.counts().over_budget >= 100
    assert "lines of the logs were dropped" in output.ring.lines()[-1].log


def test_files_are_renamed_when_full_and_removed_when_they_are_too_many(make: Made, tmp_path: Path) -> None:
    output = make(
        log_dir=str(tmp_path),
        log_format="json",
        max_log_file_size=1 << 20,
        max_syslog_file_count=2,
        log_cleanup_interval=0.0,
        syslog_io_bandwidth_limit=0,
    )
    for number in range(6000):
        output.put(Finished(taking(900, session=number)))
    (tmp_path / "other.log.20260101000000").write_text("")
    output.close(PATIENCE)

    archives = sorted(path.name for path in tmp_path.iterdir() if re.search(r"log\.\d{14}(\.\d+)?$", path.name))
    assert (len(archives), archives[-1]) == (3, "other.log.20260101000000")
    assert {path.name for path in tmp_path.iterdir()} >= {"obproxy_slow.log", "obproxy_digest.log"}
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())
    last = json.loads((tmp_path / "obproxy_slow.log").read_text().splitlines()[-1])
    assert last["session"] == 5999


def test_the_level_can_be_changed_while_it_runs() -> None:
    """In a process of its own, whose root logger it is."""
    code = (
        "import logging\nfrom odp_trio.config import Settings\nfrom odp_trio.logs.output import LogOutput\n"
        "log = logging.getLogger('odp_trio.test')\n"
        "output = LogOutput(Settings(syslog_level='WARN', log_format='odp')).install()\n"
        "output.go()\n"
        "log.info('one')\n"
        "output.apply(Settings(syslog_level='INFO', log_format='odp'))\n"
        "log.info('two')\n"
        f"output.close({PATIENCE})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert re.sub(r".*\] ", "", done.stderr) == "two\n"


def test_a_directory_that_cannot_be_had_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        LogOutput(Settings(log_dir=str(tmp_path / "file" / "log")))


def test_spans_without_the_extra_are_an_error_at_once() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from odp_trio.config import Settings\nfrom odp_trio.logs.output import LogOutput\n"
        "LogOutput(Settings(otel_traces_endpoint='http://127.0.0.1:1/'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert f"{ConfigError.__name__}: otel_traces_endpoint needs the extra otel" in done.stderr


def test_a_line_costs_the_loop_little(make: Made) -> None:
    """No time is measured: what is slow must not have happened when ``warning`` returns."""
    code = (
        "import logging, sys\nfrom odp_trio.config import Settings\nfrom odp_trio.logs.output import start_logging\n"
        "start_logging(Settings())\nlogging.getLogger('odp_trio').warning('x')\n"
        "print(sorted({'structlog', 'asyncio', 'rich', 'opentelemetry'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert " [warning] x [odp_trio]" in done.stderr
