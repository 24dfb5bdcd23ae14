"""The command line: what is refused, and how."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import odp_trio
from odp_trio import service
from odp_trio.admin.configuration import Configuration
from odp_trio.cli import command_line, main, read_settings
from odp_trio.config import Settings
from odp_trio.errors import ChildGaveUp
from odp_trio.testing import commands, demo
from tests.paths import ROOT

CLUSTER = '[clusters.c1]\nrslist = "10.0.0.1:2881"\n'
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
    built = read_settings(command_line().parse_args(FLAGS))

    settings = built.settings
    assert (settings.listen_port, settings.prometheus_listen_port, settings.app_name) == (3000, 3001, "shop")
    assert settings.login_timeout == 3.0
    assert len(settings.clusters["c1"].rslist) == 2
    assert len(built.warnings) == 1


def test_flags_are_stronger_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "odp.toml").write_text('listen_port = 1\n[clusters.c1]\nrslist = "10.0.0.1:2881"\n')

    built = read_settings(command_line().parse_args(["run", "--etc", str(tmp_path), "-p", "3000"]))

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
    assert main(["check-config", str(ROOT / "etc" / "odp.toml")]) == 0


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert odp_trio.__version__ in capsys.readouterr().out


# ---- run ---------------------------------------------------------------------------


class Called(list[dict[str, Any]]):
    """Stands in for what a verb calls: notes the calls, answers with a status."""

    def __init__(self, status: int = 0, error: BaseException | None = None) -> None:
        super().__init__()
        self.status, self.error = status, error

    async def __call__(self, *settings: Settings, **values: Any) -> int:
        self.append({"settings": settings[0], **values} if settings else values)
        if self.error is not None:
            raise self.error
        return self.status

    @property
    def settings(self) -> Settings:
        configuration = self[-1]["settings"]
        assert isinstance(configuration, Configuration)
        return configuration.settings()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Called]:
    """What ``run`` started instead of a proxy; the root logger is left as it was."""
    called = Called()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(service, "run_proxy", called)
    yield called
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "odp.toml"
    path.write_text(CLUSTER, encoding="utf-8")
    return path


def run_in_child(before: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{before}\nfrom odp_trio.cli import main\nraise SystemExit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=ROOT)


def test_long_names_of_odps_flags_are_understood(proxy: Called) -> None:
    words = (
        "--listen_port=1 --prometheus_listen_port=2 --rs_list=1.1.1.1:1 --cluster_name=c --appname=a "
        "--optstr=proxy_id=7 --nodaemon"
    )

    assert main(["run", *words.split()]) == 0

    settings = proxy.settings
    assert (settings.listen_port, settings.prometheus_listen_port, settings.proxy_id) == (1, 2, 7)
    assert (settings.app_name, settings.default_cluster) == ("a", "c")


def test_flags_are_stronger_than_optstr_and_that_than_the_file(proxy: Called, file: Path) -> None:
    file.write_text("listen_port = 1\nproxy_id = 1\napp_name = 'file'\n" + CLUSTER)

    main(["run", "--config", str(file), "-o", "listen_port=2,proxy_id=2", "-p", "3"])

    assert (proxy.settings.listen_port, proxy.settings.proxy_id, proxy.settings.app_name) == (3, 2, "file")


def test_a_named_file_is_stronger_than_the_etc_directory(proxy: Called, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[clusters.other]\nrslist = '10.0.0.1:1'")

    main(["run", "--etc", str(tmp_path), "--config", str(other)])

    assert list(proxy.settings.clusters) == ["other"]


def test_an_etc_directory_may_be_empty(proxy: Called, tmp_path: Path) -> None:
    assert main(["run", "--etc", str(tmp_path), "-r", "1.1.1.1:1", "-c", "c"]) == 0


def test_the_ready_file_and_the_exit_status_are_passed_on(proxy: Called, file: Path, tmp_path: Path) -> None:
    proxy.status = 7

    assert main(["run", "--config", str(file), "--ready-file", str(tmp_path / "ready")]) == 7
    assert proxy[-1]["ready_file"] == tmp_path / "ready"


def test_what_odp_has_and_we_have_not_is_logged_and_ignored(file: Path) -> None:
    done = run_in_child(
        "import odp_trio.service\nasync def run(*a, **k): return 0\nodp_trio.service.run_proxy = run",
        ["run", "--config", str(file), "-N", "-o", "enable_qos=true,work_thread_num=8"],
    )

    assert done.returncode == 0
    assert "ignored: -o: enable_qos is an option of ODP that means nothing here: " in done.stderr
    assert "ignored: -o: work_thread_num" in done.stderr
    assert "ignored: -N" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-p 70000", "-p: listen_port = '70000' is out of range: 0 to 65535"),
        ("-l x", "-l: prometheus_listen_port = 'x' is no whole number"),
        ("-r 1.1.1.1 -c c", "-r: rootservice_list: '1.1.1.1' is not an address of the form ip:port"),
        ("-o listen_prot=1", "-o: 'listen_prot' is unknown; did you mean 'listen_port'?"),
    ],
)
def test_a_mistake_names_the_flag(proxy: Called, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    assert main(["run", *words.split()]) == 2
    assert capsys.readouterr().err == f"odp-trio: {said}\n"
    assert proxy == []


@pytest.mark.parametrize("words", [["run", "-p"], ["run", "--nonsense"], ["walk"], [], ["check-config"]])
def test_what_is_not_understood_is_status_2(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == 2
    assert "usage: odp-trio" in capsys.readouterr().err


@pytest.mark.parametrize("deep", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(98, "cannot listen on 0.0.0.0 port 1"), "cannot listen on 0.0.0.0 port 1"),
        (FileNotFoundError(2, "No such file", "/x/ready"), "No such file: /x/ready"),
        (ChildGaveUp("front: child 'listener' failed too often"), "front: child 'listener' failed too often"),
    ],
)
def test_what_the_machine_refuses_is_one_line_and_status_1(
    proxy: Called, file: Path, capsys: pytest.CaptureFixture[str], error: Exception, said: str, deep: int
) -> None:
    """However many nurseries it came through."""
    for _ in range(deep):
        error = ExceptionGroup("a nursery", [error])
    proxy.error = error

    assert main(["run", "--config", str(file)]) == 1
    assert capsys.readouterr().err == f"odp-trio: {said}\n"


def test_a_bug_keeps_its_traceback(proxy: Called, file: Path) -> None:
    proxy.error = ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        main(["run", "--config", str(file)])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("a nursery", [KeyboardInterrupt()])])
def test_an_interrupt_is_status_130(
    proxy: Called, file: Path, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    proxy.error = error

    assert main(["run", "--config", str(file)]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("flag", ["-p", "-l"])
def test_a_port_that_is_taken_is_said_in_one_line(flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"-p": "0", "-l": "0", flag: port}
        words = ["run", "-r", "127.0.0.1:1", "-c", "c", "-o", "local_bound_ip=127.0.0.1"]
        done = run_in_child("", [*words, *(word for pair in ports.items() for word in pair)])

    assert done.returncode == 1
    assert re.search(rf"^odp-trio: cannot listen on 127.0.0.1 port {port}: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


# ---- the other verbs ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe", "not UTF-8"),
        (b"= 1", "not TOML"),
        (b"enable_qos = true", "is an option of ODP that means nothing here"),
        (b"listen_port = -1\nlogin_timeout = 'x'", "is out of range: 0 to 65535; "),
    ],
)
def test_check_config_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_bytes(content)

    assert main(["check-config", str(path)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"odp-trio: {path}: ")
    assert said in err
    assert err.count("\n") == 1


def test_demo_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "demo", called := Called())

    assert main(["demo"]) == 0
    assert called == [{"observers": 3, "port": 2883, "http_port": 2884, "directory": None, "command": []}]


def test_what_is_behind_two_dashes_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "demo", called := Called(status=5))
    words = "demo --observers 2 --port 0 --http-port 0 --dir /data -- env --port 9 -- x"
    command = ["env", "--port", "9", "--", "x"]

    assert main(words.split()) == 5
    assert called == [{"observers": 2, "port": 0, "http_port": 0, "directory": Path("/data"), "command": command}]


def test_the_testbed_has_no_http_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "testbed", called := Called())

    assert main(["testbed", "--observers", "1"]) == 0
    assert called == [{"observers": 1, "port": 0, "directory": None, "command": []}]


@pytest.mark.parametrize("words", [["--help"], ["check-config", "etc/odp.toml"]])
def test_a_verb_imports_only_what_it_needs(words: list[str]) -> None:
    heavy = {"trio", "pymysql", "httpx", "starlette", "hypercorn", "rich", "lark", "prometheus_client", "asyncio"}
    before = f"import atexit\natexit.register(lambda: print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr))"

    assert run_in_child(before, words).stderr == "[]\n"


URL = "http://ocp:8080/services?Action=GetObProxyConfig&User_ID=a&uid=b=c"


def test_the_url_of_a_config_server_is_all_that_is_needed(proxy: Called) -> None:
    assert main(["run", "-o", f"obproxy_config_server_url={URL},proxy_id=7"]) == 0

    assert proxy.settings.obproxy_config_server_url == URL
    assert proxy.settings.clusters == {}
    assert proxy.settings.default_cluster is None


def test_with_a_config_server_the_default_cluster_needs_no_rslist(proxy: Called) -> None:
    assert main(["run", "-c", "c2", "-o", f"obproxy_config_server_url={URL}"]) == 0
    assert proxy.settings.default_cluster == "c2"


def test_with_a_config_server_a_cluster_may_have_options_and_no_rslist(proxy: Called, file: Path) -> None:
    file.write_text(
        f'obproxy_config_server_url = "{URL}"\n'
        '[clusters.c1]\nobserver_sys_user = "other"\nproxy_idc_name = "far"\n'
        '[clusters.c2]\nrslist = "10.0.0.1:2881"\n'
    )
    assert main(["run", "--config", str(file)]) == 0

    assert proxy.settings.clusters["c1"].rslist == ()
    assert proxy.settings.clusters["c1"].observer_sys_user == "other"
    assert proxy.settings.default_cluster == "c2"
    assert proxy.settings.scoped("c1:2", "t", "u").proxy_idc_name == "far"  # one of several clusters of the name


def test_a_comma_in_the_url_is_refused_with_advice(proxy: Called, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-o", "obproxy_config_server_url=http://ocp/x?a=secret,b"]) == 2

    said = capsys.readouterr().err
    assert "item 2 is not of the form name=value (a value cannot hold a comma; a URL has %2C for it)" in said
    assert "secret" not in said


def test_passwords_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As ODP has it; stronger than the file, weaker than -o."""
    file = tmp_path / "odp.toml"
    file.write_text(f'observer_sys_password = "a"\nobserver_sys_password1 = "b"\n{CLUSTER}')
    monkeypatch.setenv("observer_sys_password", "c")
    monkeypatch.setenv("observer_sys_password1", "")

    read = read_settings(command_line().parse_args(["run", "--config", str(file)])).settings
    told = read_settings(
        command_line().parse_args(["run", "--config", str(file), "-o", "observer_sys_password=d"])
    ).settings

    assert (read.observer_sys_password.value, read.observer_sys_password1.value) == ("c", "b")
    assert told.observer_sys_password.value == "d"


def test_the_options_of_watch_are_checked() -> None:
    for wrong in (["--settle", "0"], ["--give-up-after", "x"], ["--probe-timeout", "inf"], ["--probe-interval", "-1"]):
        with pytest.raises(SystemExit, match="2"):
            main(["watch", *wrong, "--", *FLAGS[1:]])


def test_watch_checks_the_options_of_run_before_it_starts_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--", "-p", "0", "-o", "login_timeout=x"]) == 2

    assert "login_timeout = 'x'" in capsys.readouterr().err
