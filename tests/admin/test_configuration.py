"""Changes at run time: all or none, kept before they are in force."""

from pathlib import Path

import pytest
import trio

from odp_trio.admin.configuration import Configuration, configuration_of
from odp_trio.admin.start import read_sources
from odp_trio.config import Layer, Secret, Settings
from odp_trio.config.changes import Change, Scope
from odp_trio.config.sources import Sources
from odp_trio.errors import ConfigError, FixedOption, ForeignOption, UnknownOption

FILE = Layer("odp.toml", {"clusters": {"demo": {"rslist": "10.0.0.1:2881"}}, "connect_timeout": "7s"})


def kept(path: Path) -> Configuration:
    return Configuration(Sources(weaker=(FILE,), kept_in=str(path / "proxyconfig.toml")))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_a_change_is_in_force_at_once_and_subscribers_see_both() -> None:
    configuration, seen = configuration_of(Settings()), []
    configuration.subscribe(lambda old, new: seen.append((old.syslog_level, new.syslog_level)))

    report = await configuration.alter([Change("syslog_level", "debug")])

    assert configuration.settings().syslog_level == "DEBUG"
    assert seen == [("INFO", "DEBUG")]
    assert [(change.name, change.old, change.new) for change in report.changed] == [("syslog_level", "INFO", "DEBUG")]


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    configuration = kept(tmp_path)

    report = await configuration.alter([Change("connect_timeout", "9s")], dry_run=True)

    assert report.dry_run
    assert report.changed[0].new == "9s"
    assert configuration.settings().connect_timeout == 7.0
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (Change("conect_timeout", "1s"), UnknownOption, "did you mean 'connect_timeout'"),
        (Change("connect_timeout", "5h"), ConfigError, "connect_timeout = '5h' is out of range: 50ms to 1h"),
        (Change("enable_qos", "1"), ForeignOption, "enable_qos is an option of ODP that means nothing here"),
        (Change("etc_dir", "/tmp"), FixedOption, "etc_dir cannot be set at run time"),
        (Change("connect_timeout", "1s", Scope("demo")), ConfigError, "can only be set for the whole proxy"),
        (Change("proxy_idc_name", "z", Scope("dmo")), ConfigError, "'dmo' is not configured; did you mean 'demo'"),
        (Change("proxy_idc_name", "z", Scope("", "t")), ConfigError, "a tenant is one of a cluster"),
        (Change("proxy_id", 300), ConfigError, "proxy_id = 300 is above 255"),
    ],
)
async def test_one_mistake_refuses_the_whole(tmp_path: Path, change: Change, kind: type, said: str) -> None:
    configuration = kept(tmp_path)
    changes = [Change("syslog_level", "DEBUG"), Change("client_session_id_version", 1), change]

    with pytest.raises(kind, match=said) as caught:
        await configuration.alter(changes)

    assert type(caught.value) is kind
    assert configuration.settings().syslog_level == "INFO"
    assert names(tmp_path) == []


async def test_an_option_that_takes_a_restart_is_kept_and_not_in_force(tmp_path: Path) -> None:
    configuration = kept(tmp_path)

    report = await configuration.alter([Change("listen_port", "3306")])
    (row,) = configuration.rows("listen_port")

    assert report.changed[0].restart
    assert configuration.settings().listen_port == 2883
    assert (row.value, row.running, row.need_reboot) == ("3306", "2883", True)
    assert "listen_port = 3306" in (tmp_path / "proxyconfig.toml").read_text()


async def test_a_value_for_a_user_beats_its_tenants_and_that_its_clusters() -> None:
    configuration = configuration_of(Configuration(Sources(weaker=(FILE,))).settings())
    scopes = [Scope("demo"), Scope("demo", "t"), Scope("demo", "t", "u")]

    await configuration.alter([Change("user_max_connections", number, scope) for number, scope in enumerate(scopes, 1)])
    found = [
        configuration.settings().scoped(*names).user_max_connections
        for names in (("c", "", ""), ("demo", "x", ""), ("demo", "t", "x"), ("demo", "t", "u"))
    ]

    assert found == [0, 1, 2, 3]
    rows = [(row.value, row.config_level) for row in configuration.rows("user_max%", all_scopes=True)]
    assert rows == [("0", "LEVEL_GLOBAL"), ("1", "LEVEL_CLUSTER"), ("2", "LEVEL_TENANT"), ("3", "LEVEL_USER")]
    sources = [row.source for row in configuration.rows("user_max%", all_scopes=True)]
    assert sources == ["default", *["ALTER PROXYCONFIG"] * 3]


async def test_what_is_forgotten_is_as_the_file_has_it() -> None:
    configuration = Configuration(Sources(weaker=(FILE,)))

    await configuration.alter([Change("connect_timeout", "9s")])
    await configuration.alter([Change("connect_timeout", None)])

    assert configuration.settings().connect_timeout == 7.0


async def test_a_password_is_kept_as_its_hash_and_never_shown(tmp_path: Path) -> None:
    configuration = kept(tmp_path)

    report = await configuration.alter([Change("obproxy_sys_password", "hunter2")])

    shown = f"{report} {configuration.rows()} {(tmp_path / 'proxyconfig.toml').read_text()}"
    assert "hunter2" not in shown
    assert "f3bbbd66a63d4bf1747940578ec3d0103530e21d" not in f"{report} {configuration.rows()}"
    assert configuration.settings().obproxy_sys_password == Secret("f3bbbd66a63d4bf1747940578ec3d0103530e21d")


async def test_a_file_that_cannot_be_written_refuses_the_change(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file where the directory should be")
    configuration = kept(tmp_path / "etc")

    with pytest.raises(ConfigError, match="nothing is changed: .* cannot be written"):
        await configuration.alter([Change("connect_timeout", "9s")])

    assert configuration.settings().connect_timeout == 7.0


async def test_a_process_that_has_handed_its_ports_over_changes_nothing(tmp_path: Path) -> None:
    configuration = kept(tmp_path)
    configuration.handed_over = True

    with pytest.raises(ConfigError, match="another process serves by now"):
        await configuration.alter([Change("connect_timeout", "9s")])

    assert names(tmp_path) == []


async def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    configuration = kept(tmp_path)

    async with trio.open_nursery() as nursery:
        for change in (Change("connect_timeout", "9s"), Change("login_timeout", "8s"), Change("syslog_level", "WARN")):
            nursery.start_soon(configuration.alter, [change])

    text = (tmp_path / "proxyconfig.toml").read_text()
    assert all(line in text for line in ('connect_timeout = "9s"', 'login_timeout = "8s"', 'syslog_level = "WARN"'))


async def test_a_process_that_waited_for_its_turn_reads_everything_again(tmp_path: Path) -> None:
    def read() -> Sources:
        return read_sources(None, None, {}, f"etc_dir={tmp_path}")

    serving, spare = Configuration.read(read), Configuration.read(read)
    await serving.alter([Change("connect_timeout", "9s"), Change("listen_port", "3306")])

    spare.read_again()

    assert (spare.settings().connect_timeout, spare.settings().listen_port) == (9.0, 3306)


async def test_what_cannot_be_read_again_stays_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spare = Configuration.read(lambda: read_sources(None, None, {}, f"etc_dir={tmp_path}"))
    write(tmp_path / "proxyconfig.toml", "connect_timeout =")

    spare.read_again()

    assert spare.settings() == Settings(etc_dir=str(tmp_path))
    assert "proxyconfig.toml: not TOML" in caplog.text
