"""Settings: layers, ranges, mistakes that are named."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odp_trio.config import Layer, Secret, Settings, build, from_flags, from_optstr, from_toml, options
from odp_trio.config.render import effective, effective_json, render_example
from odp_trio.config.settings import allowed, read_option
from odp_trio.config.values import read_duration, write_duration
from odp_trio.errors import ConfigError
from odp_trio.model import Address

CLUSTER = '[clusters.c1]\nrslist = "10.0.0.1:2881;10.0.0.2:2881"\n'


def test_defaults_need_no_layer() -> None:
    assert build().settings == Settings()


def test_a_stronger_layer_wins_and_says_so() -> None:
    built = build(
        from_toml(f"listen_port = 1111\n{CLUSTER}", "odp.toml"), from_flags({"listen_port": "2222", "app_name": None})
    )

    assert built.settings.listen_port == 2222
    assert built.sources["listen_port"] == "command line"
    assert built.sources["clusters.c1"] == "odp.toml"
    assert built.settings.clusters["c1"].rslist == (Address("10.0.0.1", 2881), Address("10.0.0.2", 2881))
    assert built.settings.default_cluster == "c1"


def test_odps_flags_name_a_cluster() -> None:
    built = build(from_flags({"rootservice_list": "10.0.0.1:2881", "rootservice_cluster_name": "demo"}))

    assert built.settings.clusters["demo"].rslist == (Address("10.0.0.1", 2881),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen_prot = 1", "'listen_prot' is unknown; did you mean 'listen_port'?"),
        ("listen_port = 70000", "listen_port = 70000 is out of range: 0 to 65535"),
        ('server_state_refresh_interval = "2 weeks"', "server_state_refresh_interval = '2 weeks' is no duration"),
        ('server_state_refresh_interval = "2h"', "out of range: 10ms to 1h"),
        ('reactor = "fast"', "reactor = 'fast' is none of auto, inside, nested"),
        ('local_bound_ip = "localhost"', "local_bound_ip = 'localhost' is no IP address"),
        ('mysql_version = "8.0-beta"', "is not made of digits and dots"),
        ('enable_http = "maybe"', "enable_http = 'maybe' is neither true nor false"),
        ("enable_qos = true", "enable_qos is an option of ODP that means nothing here"),
        ("[clusters.c1]\nrslists = 1", 'a cluster needs rslist = "ip:port;ip:port"'),
        ('[clusters.c1]\nrslist = "10.0.0.1"', "'10.0.0.1' is not an address of the form ip:port"),
        ('[clusters.c1]\nrslist = ""', "names no address"),
        ('[clusters.c1]\nrslist = "1.1.1.1:1"\nuser = "x"', "'user' is unknown"),
        ('rootservice_list = "10.0.0.1:2881"', "needs rootservice_cluster_name"),
        ('rootservice_cluster_name = "c2"\n' + CLUSTER, "cluster 'c2' is not configured and has no rslist"),
        ("listen_port = ", "odp.toml: not TOML"),
    ],
)
def test_a_mistake_names_the_option_the_value_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(from_toml(text, "odp.toml"))

    assert said in str(caught.value)
    assert "odp.toml" in str(caught.value) or "rootservice" in str(caught.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match="listen_prot.*70000"):
        build(from_toml("listen_prot = 1\nprometheus_listen_port = 70000", "odp.toml"))


def test_options_of_odp_in_an_optstr_are_named_and_passed_over() -> None:
    built = build(from_optstr("enable_qos=true,observer_sys_password=abc, work_thread_num=8"))

    assert [warning.split()[1] for warning in built.warnings] == ["enable_qos", "work_thread_num"]
    assert built.settings.observer_sys_password == Secret("abc")


def test_a_secret_is_never_shown() -> None:
    built = build(from_optstr("observer_sys_password=hunter2,obproxy_sys_password=hunter3"))

    shown = (
        repr(built)
        + effective(built)
        + effective_json(built).decode()
        + msgspec.json.encode(str(built.settings)).decode()
    )

    assert "hunter" not in shown
    assert '"***"' in effective(built)


def test_a_bad_secret_is_not_shown_in_its_error() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Layer("x", {"observer_sys_password": "hunter2\n"}))

    assert "hunter" not in str(caught.value)


def test_the_example_file_without_its_comment_signs_is_the_defaults() -> None:
    head = render_example().split("[clusters.", 1)[0]
    lines = [
        line.removeprefix("# ") for line in head.splitlines() if line.split(" = ")[0].removeprefix("# ") in options()
    ]
    values = from_toml("\n".join(lines), "etc/odp.toml").values

    assert len(values) > 20
    for name, value in values.items():
        assert read_option(options()[name], value) == options()[name].default


@given(st.floats(1e-6, 1e6))
def test_a_duration_that_is_written_reads_the_same(seconds: float) -> None:
    rounded = round(seconds, 6) or 1.0

    assert read_duration(write_duration(rounded)) == pytest.approx(rounded, rel=1e-5)


VALUES = st.one_of(st.integers(-10, 100_000), st.booleans(), st.text(max_size=12), st.floats(allow_nan=True), st.none())


@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*options(), "nonsense", "enable_qos"]), VALUES, max_size=4))
def test_any_configuration_is_accepted_or_refused_by_name(values: dict[str, object]) -> None:
    try:
        built = build(Layer("file", values))
    except ConfigError as exc:
        assert any(name in str(exc) for name in values)
        return
    for name in values:
        assert name in built.sources
        assert allowed(options()[name])
