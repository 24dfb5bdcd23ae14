"""Where settings come from: file, what was kept, environment, -o, flags; and the file of what is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.admin.start import read_sources
from odp_trio.cli import main
from odp_trio.config import Layer, build, from_toml, options
from odp_trio.config.changes import GLOBAL, Overlay, Scope
from odp_trio.config.environment import from_environment
from odp_trio.config.sources import Sources, overlay_of, render_kept
from odp_trio.errors import ConfigError
from odp_trio.model import Address

CLUSTER = '[clusters.c1]\nrslist = "10.0.0.1:2881"\n'


def built(**variables: str) -> Any:
    return build(*from_environment(variables))


def test_the_variables_of_odps_container_are_options() -> None:
    found = built(
        APP_NAME="shop", OB_CLUSTER="demo", RS_LIST="10.0.0.1:2881", PROXYRO_PASSWORD="a", PROXYSYS_PASSWORD="b"
    )

    assert found.settings.app_name == "shop"
    assert found.settings.clusters["demo"].rslist == (Address("10.0.0.1", 2881),)
    assert found.settings.observer_sys_password.value == "a"
    assert found.settings.obproxy_sys_password.value == "b"
    assert found.sources["app_name"] == "$APP_NAME"


def test_a_config_server_is_used_instead_of_an_rslist_as_in_odps_container() -> None:
    found = built(CONFIG_URL="http://ocp/x", OB_CLUSTER="demo", RS_LIST="nonsense")

    assert found.settings.obproxy_config_server_url == "http://ocp/x"
    assert not found.settings.clusters
    assert found.warnings == ("$OB_CLUSTER: CONFIG_URL is used instead", "$RS_LIST: CONFIG_URL is used instead")


def test_a_hash_is_stronger_than_the_password_and_odp_variables_than_both() -> None:
    assert built(PROXYSYS_PASSWORD="a", PROXYSYS_PASSWORD_HASH="b").settings.obproxy_sys_password.value == "b"
    assert built(PROXYSYS_PASSWORD="a", ODP_OBPROXY_SYS_PASSWORD="c").settings.obproxy_sys_password.value == "c"


def test_every_option_may_be_a_variable() -> None:
    found = built(ODP_SYSLOG_LEVEL="debug", ODP_HOT_UPGRADE_EXIT_TIMEOUT="5000000", ODP_LISTEN_PORT="")

    assert (found.settings.syslog_level, found.settings.hot_upgrade_exit_timeout) == ("DEBUG", 5.0)


def test_an_option_that_means_nothing_here_is_named_and_passed_over() -> None:
    (warning,) = built(ODP_ENABLE_METADB_USED="false").warnings

    assert warning.startswith("$ODP_ENABLE_METADB_USED: enable_metadb_used is an option of ODP that means nothing here")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ODP_SYSLOG_LEVL", "INFO", r"\$ODP_SYSLOG_LEVL: 'syslog_levl' is unknown; did you mean 'syslog_level'\?"),
        ("ODP_LISTEN_PORT", "99999", r"\$ODP_LISTEN_PORT: listen_port = '99999' is out of range: 0 to 65535"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built(**{name: value})


@pytest.mark.parametrize(
    "name",
    [
        *("ODP_HOST", "ODP_PORT", "ODP_SERVICE_HOST", "ODP_SERVICE_PORT_MYSQL", "ODP_PORT_2883_TCP_ADDR"),
        *("ODP_PROXY_SERVICE_HOST", "ODP_TRIO_SCRIPTS", "ODP_CONFORMANCE_PASSWORD", "ODP_TRIO_PORT_2884_TCP"),
    ],
)
def test_what_kubernetes_and_the_demo_tell_is_nobodys_mistake(name: str) -> None:
    assert built(**{name: "tcp://10.0.0.1:2883"}).warnings == ()


def test_what_was_kept_is_above_the_file_and_below_environment_optstr_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "odp.toml"
    file.write_text(f'etc_dir = "{tmp_path}"\nlogin_timeout = "1s"\nconnect_timeout = "1s"\n{CLUSTER}')
    kept = Overlay({GLOBAL: dict.fromkeys(("login_timeout", "connect_timeout", "detect_server_timeout"), "2s")})
    (tmp_path / "proxyconfig.toml").write_text(render_kept(kept))

    sources = read_sources(file, None, {"ODP_CONNECT_TIMEOUT": "3s"}, "detect_server_timeout=4s")
    found = sources.build()

    settings = found.settings
    assert (settings.login_timeout, settings.connect_timeout, settings.detect_server_timeout) == (2.0, 3.0, 4.0)
    assert found.sources["login_timeout"] == str(tmp_path / "proxyconfig.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("login_timeout = ", "proxyconfig.toml: not TOML"),
        ('login_timeot = "1s"', "proxyconfig.toml: 'login_timeot' is unknown; did you mean 'login_timeout'"),
        ("clusters = 5", "proxyconfig.toml: clusters must hold tables"),
        ('[clusters.c1]\nrslist = "1.1.1.1:1"', "proxyconfig.toml: 'rslist' is not kept there"),
    ],
)
def test_a_file_of_what_is_kept_that_somebody_broke_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "proxyconfig.toml").write_text(text)

    with pytest.raises(ConfigError, match=said):
        read_sources(None, None, {}, f"etc_dir={tmp_path}")


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
VALUES = st.dictionaries(
    st.sampled_from([name for name, described in options().items() if described.option.scoped]),
    st.one_of(st.booleans(), st.integers(-(1 << 62), 1 << 62), NAMES),
    min_size=1,
)
SCOPES = st.one_of(
    st.just(GLOBAL),
    st.builds(Scope, NAMES),
    st.builds(Scope, NAMES, NAMES),
    st.builds(Scope, NAMES, NAMES, NAMES),
)


@given(st.dictionaries(SCOPES, VALUES))
def test_what_is_kept_is_read_back_as_it_was(values: dict[Scope, dict[str, Any]]) -> None:
    kept = Overlay(values)

    layer = from_toml(render_kept(kept), "x")

    assert overlay_of(layer) == kept
    assert layer.values == kept.layer("x").values


def test_a_kept_value_for_a_tenant_is_added_to_what_the_file_says_of_the_cluster() -> None:
    file = from_toml(f'{CLUSTER}proxy_idc_name = "hz"\n', "odp.toml")
    kept = Overlay({Scope("c1", "t"): {"proxy_idc_name": "sh"}})

    settings = Sources(weaker=(file,), kept=kept, kept_in="k").build().settings

    assert settings.clusters["c1"].rslist == (Address("10.0.0.1", 2881),)
    assert [settings.scoped("c1", tenant, "").proxy_idc_name for tenant in ("x", "t")] == ["hz", "sh"]


def test_a_scope_of_a_cluster_that_only_the_flags_name_is_no_mistake() -> None:
    file = from_toml('[clusters.c1]\nproxy_idc_name = "hz"\n', "odp.toml")
    flags = Layer("-r", {"rootservice_list": "10.0.0.1:2881", "rootservice_cluster_name": "c1"})

    assert build(file, flags).settings.scoped("c1", "", "").proxy_idc_name == "hz"


def test_check_config_with_the_options_of_run_counts_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "proxyconfig.toml").write_text('login_timeout = "3s"\n')
    monkeypatch.setenv("ODP_SYSLOG_LEVEL", "WARN")

    words = ["check-config", "--json", "-o", f"etc_dir={tmp_path}", "-r", "10.0.0.1:2881", "-c", "demo"]
    assert main(words) == 0

    found = json.loads(capsys.readouterr().out)["options"]
    assert found["login_timeout"] == {"value": 3.0, "source": str(tmp_path / "proxyconfig.toml")}
    assert found["syslog_level"] == {"value": "WARN", "source": "$ODP_SYSLOG_LEVEL"}
    assert found["rootservice_cluster_name"]["source"] == "-c"


def test_check_config_says_what_to_expect_and_strict_makes_it_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(f'proxy_route_policy = "FOLLOWER_ONLY"\nserver_routing_mode = "random"\n{CLUSTER}')
    new.write_text(f'proxy_route_policy = ""\nserver_routing_mode = "random"\n{CLUSTER}')

    assert main(["check-config", str(new)]) == 0
    assert capsys.readouterr().err.startswith("any_server: locations are not asked: ")

    assert main(["check-config", "--strict", "--since", str(old), str(new)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("weak_reads_reach_leaders: cluster c1: weak reads may now reach leaders, because ")

    assert main(["check-config", "--json", "--since", str(old), str(new)]) == 0
    (impact,) = json.loads(capsys.readouterr().out)["impacts"]
    assert impact["name"] == "weak_reads_reach_leaders"


def test_check_config_wants_a_file_or_the_options_of_run(tmp_path: Path) -> None:
    for words in ([], ["odp.toml", "-o", "proxy_id=1"]):
        with pytest.raises(SystemExit) as caught:
            main(["check-config", *words])
        assert caught.value.code == 2
