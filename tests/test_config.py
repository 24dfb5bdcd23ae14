"""Settings: layers, ranges, mistakes that are named."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odp_trio.config import Layer, Secret, Settings, build, from_flags, from_optstr, from_toml, options
from odp_trio.config.foreign import FOREIGN
from odp_trio.config.render import effective, effective_json, render_example
from odp_trio.config.settings import allowed, read_option
from odp_trio.config.values import (
    is_within,
    read_bool,
    read_capacity,
    read_duration,
    read_int,
    write_capacity,
    write_duration,
)
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
        ('[clusters.c1]\nrslist = ["1.1.1.1:1", 2]', "rslist = ['1.1.1.1:1', 2]: is no line of text"),
        ('[clusters.c1]\nrslist = "1.1.1.1:1"\ncluster_id = -1', "cluster_id = -1: is out of range"),
        ('[clusters.c1]\nrslist = "1.1.1.1:1"\nobserver_sys_user = 5', "observer_sys_user = 5: is no line of text"),
        ('[clusters.c1]\nrslist = "1.1.1.1:1"\nobserver_sys_password = 5', "observer_sys_password = ***: is no"),
        ('[clusters.""]\nrslist = "1.1.1.1:1"', "clusters: the name '' is empty"),
        ('[clusters."a\\u007f"]\nrslist = "1.1.1.1:1"', "clusters: the name 'a\\x7f' is no line of text"),
        ("clusters = 5", "clusters = 5 is no table: write [clusters.NAME]"),
        ("hot_upgrade_exit_timeout = 30", "hot_upgrade_exit_timeout = 30 needs a unit, as in"),
        ('username_separator = "::"', "username_separator = '::' is no list of separators"),
        ('username_separator = "-;#"', "username_separator = '-;#' is no list of separators"),
        ('username_separator = "@"', "username_separator = '@' is no list of separators"),
        ('listen_port = "0x10000"', "listen_port = '0x10000' is out of range: 0 to 65535"),
        ("listen_port = 0x1" + "0" * 5000, "listen_port = (a very long number) is out of range"),
        ("listen_port = 1" + "0" * 5000, "odp.toml: not TOML"),
        ("login_timeout = 0x1" + "0" * 5000, "login_timeout = (a very long number) is no"),
        ("server_state_refresh_jitter = nan", "server_state_refresh_jitter = nan is out of range: 0 to 0.5"),
        (f'app_name = "{"x" * 99}\\n"', f"app_name = '{'x' * 59}… is no line of text"),
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

    assert built.warnings[0] == (
        "-o: enable_qos is an option of ODP that means nothing here: limits are "
        "client_max_connections, tenant_max_connections and user_max_connections"
    )
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


def test_a_secret_of_a_cluster_is_never_shown() -> None:
    built = build(from_toml(CLUSTER + 'observer_sys_password = "hunter2"\nobserver_sys_user = "u"', "odp.toml"))

    assert built.settings.clusters["c1"].observer_sys_password.value == "hunter2"
    assert "hunter" not in repr(built) + effective(built) + effective_json(built).decode()
    assert 'observer_sys_user = "u"\nobserver_sys_password = "***"' in effective(built)


def test_a_password_with_a_comma_is_not_shown_either() -> None:
    with pytest.raises(ConfigError, match="-o: item 2 is not of the form name=value") as caught:
        from_optstr("observer_sys_password=abc,hunter2")

    assert "hunter" not in str(caught.value)


def test_a_bad_secret_is_not_shown_in_its_error() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Layer("x", {"observer_sys_password": "hunter2\n"}))

    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ocp:8080", "ftp://ocp/x", "http://", "http://[::1", "http://[zz]/x", "http://ocp:99999/", "http://ocp:x/"]
)
def test_what_is_no_url_is_refused_by_name_and_value(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(from_optstr(f"obproxy_config_server_url={url}"))

    assert f"obproxy_config_server_url = {url!r} is no URL" in str(caught.value)


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    url = "http://odp:s3cret@ocp:8080/services?Action=GetObProxyConfig&uid=s3cret"
    built = build(from_optstr(f"obproxy_config_server_url={url}"))

    assert built.settings.obproxy_config_server_url == url
    assert b"s3cret" not in effective_json(built)
    assert 'obproxy_config_server_url = "http://***@ocp:8080/services?***"' in effective(built)
    with pytest.raises(ConfigError) as caught:
        build(from_optstr(f"obproxy_config_server_url=x{url}"))
    assert "s3cret" not in str(caught.value)


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


def test_every_option_of_odp_is_named_here_or_has_a_reason() -> None:
    assert not FOREIGN.keys() & options().keys()
    assert all(FOREIGN.values())
    assert len(FOREIGN) + sum(not described.option.own for described in options().values()) == 300


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("10ms", 0.01), ("2h", 7200), ("1d", 86400), ("1.5m", 90), ("20", 20), (20, 20), ("7 us", 7e-6)],
)
def test_durations_are_written_as_odp_has_them(text: object, seconds: float) -> None:
    assert read_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8MB", 8 << 20),
        ("512k", 512 << 10),
        ("1 gb", 1 << 30),
        ("100byte", 100),
        ("100B", 100),
        ("64", 64 << 20),
        (1, 1 << 20),
    ],
)
def test_sizes_are_written_as_odp_has_them(text: object, size: int) -> None:
    assert read_capacity(text) == size


@pytest.mark.parametrize("text", ["8XB", "", "8kbyte", "1.5MB", "-1", -1, True, None, "9" * 5000])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        read_capacity(text)


@given(st.integers(0, 1 << 60))
def test_a_size_that_is_written_reads_the_same(size: int) -> None:
    assert read_capacity(write_capacity(size)) == size


@pytest.mark.parametrize(("text", "number"), [("10", 10), ("010", 8), ("0x1F", 31), ("0", 0), (" -5 ", -5), (7, 7)])
def test_whole_numbers_are_written_as_odp_has_them(text: object, number: int) -> None:
    assert read_int(text) == number


@pytest.mark.parametrize("text", ["1.0", "", "08", "1e3", "\u0663", "9" * 5000, True, None, 1.0])
def test_what_is_no_whole_number_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="is no whole number"):
        read_int(text)


@pytest.mark.parametrize("word", ["true", "ON", "yes", "t", "1", 1, True])
def test_truth_is_written_as_odp_has_it(word: object) -> None:
    assert read_bool(word) is True


@pytest.mark.parametrize("word", ["false", "Off", "no", "f", "0", 0, False])
def test_untruth_is_written_as_odp_has_it(word: object) -> None:
    assert read_bool(word) is False


def test_a_start_script_of_odp_means_what_it_meant() -> None:
    """Microseconds without a unit, and levels that only ODP has."""
    built = build(from_optstr("hot_upgrade_exit_timeout=10000000,syslog_level=wdiag,enable_cluster_checkout=False"))

    assert built.settings.hot_upgrade_exit_timeout == 10.0
    assert built.settings.syslog_level == "WARN"
    assert not built.settings.enable_cluster_checkout


def test_flags_replace_the_addresses_of_a_cluster_but_not_its_account() -> None:
    file = from_toml(CLUSTER + 'observer_sys_password = "p"\ncluster_id = 7', "odp.toml")
    built = build(file, Layer("-r", {"rootservice_list": "9.9.9.9:1"}), Layer("-c", {"rootservice_cluster_name": "c1"}))

    cluster = built.settings.clusters["c1"]
    assert cluster.rslist == (Address("9.9.9.9", 1),)
    assert (cluster.observer_sys_password, cluster.cluster_id) == (Secret("p"), 7)
    assert built.sources["clusters.c1"] == "-r"


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_what_is_in_force_is_printed_as_toml(cluster: str, name: str) -> None:
    try:
        built = build(Layer("x", {"app_name": name, "clusters": {cluster: {"rslist": "1.1.1.1:1", "cluster_id": 3}}}))
    except ConfigError:
        return
    again = build(from_toml(effective(built), "again")).settings

    assert again == built.settings


VALUES = st.one_of(
    st.integers(-10, 100_000),
    st.sampled_from([16**5000, -(16**5000), float("inf"), [], {}, [16**5000], "9" * 5000, "x" * 500]),
    st.booleans(),
    st.text(max_size=12),
    st.floats(allow_nan=True),
    st.none(),
    st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=2),
)
GOOD = st.sampled_from(sorted(options())).map(lambda name: (name, options()[name].default))
BAD = st.tuples(st.sampled_from([*options(), "nonsense", "enable_qos", "clusters"]), VALUES)
CLUSTERS = st.dictionaries(
    st.text(max_size=5),
    st.dictionaries(st.sampled_from(["rslist", "cluster_id", "observer_sys_password", "user"]), VALUES)
    | st.just({"rslist": "10.0.0.1:2881"}),
    max_size=2,
)


@settings(max_examples=max(400, settings().max_examples), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(GOOD | BAD, max_size=4).map(dict), CLUSTERS, st.booleans())
def test_any_configuration_is_accepted_or_refused_by_name_and_value(
    values: dict[str, object], clusters: dict[str, object], lenient: bool
) -> None:
    values = {name: value.value if isinstance(value, Secret) else value for name, value in values.items()}
    values.setdefault("clusters", clusters)
    try:
        built = build(Layer("file", values, lenient=lenient))
    except ConfigError as exc:
        _check_refusal(str(exc), values, lenient)
        return
    for name in values.keys() - {"clusters", "enable_qos"}:
        assert built.sources[name] == "file"
        assert allowed(options()[name])
    assert effective(built)
    assert effective_json(built)


def _check_refusal(text: str, values: dict[str, object], lenient: bool) -> None:
    """Every option that is wrong by itself is named with its value, and no other one is."""
    for name, value in values.items():
        if name not in options():
            continue
        try:
            build(Layer("file", {name: value}, lenient=lenient))
        except ConfigError as exc:
            alone = str(exc)
            if name not in ("rootservice_list", "rootservice_cluster_name"):
                assert alone in text
                assert alone.startswith(f"file: {name} = ")
        else:
            assert f"file: {name} = " not in text
    if "nonsense" in values:
        assert "file: 'nonsense' is unknown" in text


def test_networks_are_read_and_asked() -> None:
    settings = build(from_optstr("proxy_protocol_networks=10.0.0.0/8 fd00::/8")).settings
    assert settings.proxy_protocol_networks == "10.0.0.0/8,fd00::/8"
    for ip, inside in (("10.1.2.3", True), ("11.0.0.1", False), ("fd00::1%eth0", True), ("::ffff:10.0.0.1", True)):
        assert is_within(ip, settings.proxy_protocol_networks) is inside
    with pytest.raises(ConfigError, match=r"proxy_protocol_networks = '10\.0\.0\.1/8' is no list of networks"):
        build(from_optstr("proxy_protocol_networks=10.0.0.1/8"))


def test_ids_of_version_1_have_room_for_small_proxy_ids_only() -> None:
    ids = {"proxy_id": "256", "client_session_id_version": "1"}
    with pytest.raises(ConfigError, match="proxy_id = 256 is above 255"):
        build(from_toml(CLUSTER, "odp.toml"), from_flags(ids))
    assert build(from_toml(CLUSTER, "odp.toml"), from_flags(ids | {"proxy_id": "255"})).settings.proxy_id == 255
